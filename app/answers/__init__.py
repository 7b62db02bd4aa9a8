"""Questions that need several rooms: what holds for a name, now or then, and what happened to it."""
