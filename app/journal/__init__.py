"""The event log: one append-only row for each act, in the act's own transaction."""
