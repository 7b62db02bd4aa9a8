"""Rigs: the service is killed, loses its power, and meets a fault at each step that it writes by."""
