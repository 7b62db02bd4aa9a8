"""A world of orders, as in the tests of what is published."""

from tests.publication.conftest import follower, world

__all__ = ["follower", "world"]
