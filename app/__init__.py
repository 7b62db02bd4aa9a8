"""Pulih: the service around the blocking policy."""
