"""Benchmarks: Pulih beside another server in the same run, started by `make bench`."""
