"""A world of orders with its publisher, as in tests of publication."""

from tests.publication.conftest import follower, world

__all__ = ["follower", "world"]
