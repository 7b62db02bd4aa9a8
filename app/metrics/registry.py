"""What this process counts for itself, and how figures are written down for whoever collects them."""

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.02, 0.1, 0.5, 2, 10, math.inf)
"""Seconds."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Given:
    """A collector of what it is given: figures that were read in a transaction of their own."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Metric]:
        """What `prometheus_client` asks of a collector."""
        return self._metrics


class Process:
    """Requests by method, route and status; memory, files and processor time of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "pulih_http_request_seconds",
            "How long answers took",
            ["method", "route", "status"],
            buckets=BUCKETS,
            registry=self._registry,
        )

        self._limited = Counter(
            "pulih_http_limited",
            "Requests that were more than one client may make: of a token, of an address without one, of tokens that"
            " are not valid",
            ["limit"],
            registry=self._registry,
        )

    def limited(self, limit: str) -> None:
        """Count one refusal by a limit on requests."""
        self._limited.labels(limit).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; methods that nobody knows count together, whoever makes them up."""
        self._requests.labels(method if method in METHODS else "other", route, status).observe(seconds)

    def text(self, figures: Iterable[Metric]) -> bytes:
        """Those of this process behind others, in the text format of Prometheus."""
        others = CollectorRegistry()
        others.register(Given(figures))
        return generate_latest(others) + generate_latest(self._registry)
