"""Bugs of how HTTP is taken in: what hostile and slow clients, ranges, hosts and proxies must find."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app import front_door, http_connection
from tests.planted import replace

Method = Callable[..., Any]


def patience_without_end() -> None:
    """Nobody is too slow."""
    replace(http_connection.Connection, "_standstill", lambda _: lambda _self, _now: None)


def room_for_everybody() -> None:
    """Nobody gives way."""
    replace(http_connection.Connection, "_make_room", lambda _: lambda _self: None)


def any_proxy_believed() -> None:
    """Whoever says so speaks for somebody else."""
    replace(http_connection, "listed", lambda _: lambda _named: ["*"])


def any_host_answered() -> None:
    """A service by whatever name."""

    def careless(before: Method) -> Method:
        def made(self: front_door.KnownHosts, app: ASGIApp, hosts: Collection[str]) -> None:
            before(self, app, hosts and ())

        return made

    replace(front_door.KnownHosts, "__init__", careless)


def ranges_served() -> None:
    """Parts of files are given to whoever asks for them."""

    def careless(_before: Method) -> Method:
        async def let_through(self: front_door.NoRanges, scope: Scope, receive: Receive, send: Send) -> None:
            await vars(self)["_app"](scope, receive, send)

        return let_through

    replace(front_door.NoRanges, "__call__", careless)


def bodies_without_end() -> None:
    """A body that does not say how long it is may be as long as it likes."""
    replace(front_door, "_counted", lambda _: lambda receive, _limit: receive)


PLANTS: Mapping[str, Callable[[], None]] = {
    "patience-without-end": patience_without_end,
    "room-for-everybody": room_for_everybody,
    "any-proxy-believed": any_proxy_believed,
    "any-host-answered": any_host_answered,
    "ranges-served": ranges_served,
    "bodies-without-end": bodies_without_end,
}
