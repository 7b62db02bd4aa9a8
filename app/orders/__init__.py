"""Orders, their targets and conditions, and every way they begin and end: the heart."""
