"""Backups: one checked file of the whole database, made while the service runs, and its way back."""
