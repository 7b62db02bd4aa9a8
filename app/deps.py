"""What a route may ask for: the database session, the present moment, the version it was shown, a page."""

import base64
import binascii
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from sqlalchemy.orm import Session

from app.db import Clock, Database
from app.errors import Fault, StaleVersion, Unprocessable, VersionRequired
from app.places import FIRST, Place, Placed, decode, encode

HIGHEST_ROW = 2**63 - 1
"""No row of any database has a larger number."""

MOST_DIGITS = 18
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def get_database(request: Request) -> Database:
    """The application's one database."""
    database = request.app.state.database
    assert isinstance(database, Database)
    return database


def get_session(request: Request) -> Iterator[Session]:
    """One transaction for the request; it is committed before a word of the answer is sent."""
    database = get_database(request)
    with database.read() if request.method in SAFE_METHODS else database.write() as session:
        request.state.session = session
        yield session


def get_now(request: Request) -> dt.datetime:
    """The moment of the request, by the application's clock."""
    now = request.app.state.clock()
    assert isinstance(now, dt.datetime)
    return now


def get_clock(request: Request) -> Clock:
    """The application's clock, for acts: their moment is taken in their transaction (`app.journal.moment`)."""
    clock: Clock = request.app.state.clock
    return clock


SessionDep = Annotated[Session, Depends(get_session, scope="function")]
NowDep = Annotated[dt.datetime, Depends(get_now)]
DatabaseDep = Annotated[Database, Depends(get_database)]
ClockDep = Annotated[Clock, Depends(get_clock)]


class Versioned(Protocol):
    """A row that counts its changes."""

    @property
    def version(self) -> int:
        """How many changes it has seen."""
        ...


Row = TypeVar("Row", bound=Versioned)


class ExpectedVersion:
    """What `If-Match` says: one version, or `*` for whichever is current."""

    def __init__(self, version: int | None) -> None:
        self.version = version

    def check(self, row: Row) -> Row:
        """Give a row back, where it has the version that the client was shown; raises StaleVersion."""
        if self.version is not None and self.version != row.version:
            raise StaleVersion(f"version {self.version} was shown, {row.version} is current: read it again")
        return row


def get_expected_version(if_match: Annotated[str | None, Header()] = None) -> ExpectedVersion:
    """Read `If-Match` (RFC 9110 13.1.1); raises VersionRequired without it."""
    if if_match is None:
        raise VersionRequired('say which version you were shown: If-Match: "VERSION", or * for any')
    text = if_match.strip()
    if text == "*":
        return ExpectedVersion(None)
    if text[:1] == text[-1:] == '"' and text[1:-1].isdecimal() and len(text) <= MOST_DIGITS:
        return ExpectedVersion(int(text[1:-1]))
    raise StaleVersion(f"If-Match {text[:40]!r} is not a version that was ever shown")


VersionDep = Annotated[ExpectedVersion, Depends(get_expected_version)]


def tagged(row: Row, response: Response) -> Row:
    """Give a row back, and in the answer's `ETag` its version: the next act on it says that it was shown."""
    response.headers["ETag"] = f'"{row.version}"'
    return row


class PageRequest:
    """Which part of a list: at most `limit` items behind the item with key `after`."""

    def __init__(self, limit: int, after: int) -> None:
        self.limit = limit
        self.after = after

    def answer(self, items: list[dict[str, object]], keys: list[int]) -> dict[str, object]:
        """A page of `items`; give one item more than `limit`, if there is one, and its cursor is made of it."""
        more = len(items) > self.limit
        return {"items": items[: self.limit], "next": encode_cursor(keys[self.limit - 1]) if more else None}


def get_page(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> PageRequest:
    """Read `?limit=` and `?cursor=`."""
    return PageRequest(limit, 0 if cursor is None else decode_cursor(cursor))


PageDep = Annotated[PageRequest, Depends(get_page)]


class PlaceRequest:
    """Which part of a list of several tables: at most `limit` items behind a place."""

    def __init__(self, limit: int, after: Place) -> None:
        self.limit = limit
        self.after = after

    def answer(self, found: Sequence[Placed]) -> dict[str, object]:
        """A page of what was found; give one item more than `limit`, if there is one."""
        items, more = [each.item for each in found[: self.limit]], len(found) > self.limit
        return {"items": items, "next": encode(found[self.limit - 1].place) if more else None}


def get_place(
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> PlaceRequest:
    """Read `?limit=` and `?cursor=`."""
    return PlaceRequest(limit, FIRST if cursor is None else decode(cursor))


PlaceDep = Annotated[PlaceRequest, Depends(get_place)]


def encode_cursor(key: int) -> str:
    """An opaque text for a place in a list."""
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The place a cursor stands for; raises Unprocessable for text that is none."""
    try:
        key = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        key = -1
    if not 0 <= key <= HIGHEST_ROW:
        fault = Fault(rule="cursor", value=cursor, pointer="/cursor")
        raise Unprocessable(f"{cursor!r} is not a cursor of this list", faults=(fault,))
    return key
