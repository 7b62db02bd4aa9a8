"""Zones over DNS: an OS process of its own that answers SOA, AXFR and IXFR and sends NOTIFY."""
