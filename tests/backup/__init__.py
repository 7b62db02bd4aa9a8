"""Backups and restores: what is in the file, what is checked, and how serials go on."""
