"""The blocking policy itself: values in, values out; no clock, socket, file or database."""
