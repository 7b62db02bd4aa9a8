"""Disks that are full, read-only or fail: changes are refused, and what was published is served on."""
