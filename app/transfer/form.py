"""The form of a query: all of it but what is new each time.

A secondary asks the same all day. Each of its queries has another ID, another serial and another signature; every
other octet is as it was in the one before, and so is what those octets say. Nothing is concluded from a form but how
a message reads: who signed it and what it may have is found out for each.
"""

from struct import Struct
from typing import NamedTuple

from app.transfer.precheck import FORMERR, LONGEST_TCP, UnusableError, bare, precheck
from app.transfer.request import MalformedError, Request, Tsig, parse

ID, SERIAL = 2, 4
TIME, TIMES, SIZES = 6, 8, 4
"""Octets of a TSIG record (RFC 8945 section 4.2): the time; with the fudge; what is between the time and the MAC."""

FORMS_REMEMBERED = 8
LONGEST_REMEMBERED = 512


class Form(NamedTuple):
    """A request as it was read.

    `layout` cuts a message that is as long into pieces: those that are new in each are the ID, the serial, and the
    time, MAC and original ID of the TSIG record; `fixed` are the others. `signed` is what is not new of what a MAC is
    over: before the serial, between it and the time, behind that.
    """

    layout: Struct
    fixed: tuple[bytes, bytes, bytes, bytes]
    request: Request
    signed: tuple[bytes, bytes, bytes]

    def read(self, data: bytes) -> Request | None:
        """Read a message that is as long; None where it is of another form."""
        identity, opening, serial, middle, time, sizes, mac, original, rest = self.layout.unpack(data)
        if (opening, middle, sizes, rest) != self.fixed:
            return None
        _, flags, name, qtype, qclass, question, _, serial_at, edns, tsig, recurs = self.request
        if tsig is not None:
            at, mac_at, key, algorithm, _, fudge, _, _, error, other, _ = tsig
            head, body, tail = self.signed
            signed = b"".join((original, head, serial, body, time, tail))
            signed_at, original_id = int.from_bytes(time, "big"), int.from_bytes(original, "big")
            tsig = Tsig(at, mac_at, key, algorithm, signed_at, fudge, mac, original_id, error, other, signed)
        asked = int.from_bytes(serial, "big") if serial else None
        return Request(identity, flags, name, qtype, qclass, question, asked, serial_at, edns, tsig, recurs)


def form(data: bytes, request: Request) -> Form | None:
    """Give the form of a message that was read so; None where it has none: a name in it may be new each time."""
    if not request.recurs:
        return None
    tsig, end = request.tsig, len(data)
    time_at = end if tsig is None else tsig.mac_at - SIZES - TIME
    serial_at, serial = (time_at, 0) if request.serial_at is None else (request.serial_at, SERIAL)
    layout = f"!H{serial_at - ID}s{serial}s{time_at - serial_at - serial}s"
    if tsig is None:
        layout += "0s" * 5
        signed = b"", b"", b""
    else:
        rest = end - tsig.mac_at - len(tsig.mac) - ID
        layout += f"{TIME}s{SIZES}s{len(tsig.mac)}s{ID}s{rest}s"
        signed = _around(tsig.signed, request.serial_at, len(tsig.signed) - rest - TIMES)
    struct = Struct(layout)
    _, opening, _, middle, _, sizes, _, _, last = struct.unpack(data)
    return Form(struct, (opening, middle, sizes, last), request, signed)


def _around(signed: bytes, serial_at: int | None, time_at: int) -> tuple[bytes, bytes, bytes]:
    """Cut the ID, the serial and the time out of what a MAC is over; up to the time it is as the message is."""
    tail = signed[time_at + TIME :]
    if serial_at is None:
        return signed[ID:time_at], b"", tail
    return signed[ID:serial_at], signed[serial_at + SERIAL : time_at], tail


def read(data: bytes, longest: int) -> Request:
    """Read a query as if it were the first; raises UnusableError."""
    header = precheck(data, longest)
    try:
        return parse(data, header)
    except MalformedError as exc:
        raise UnusableError(str(exc), bare(header.id, header.flags, FORMERR)) from exc


class Forms:
    """The forms of what one address asks over TCP (datagrams anybody may send in its name): the last of each length,
    a few of them. `known` has them by length."""

    __slots__ = ("_most", "known")

    def __init__(self, most: int = FORMS_REMEMBERED) -> None:
        self._most = most
        self.known: dict[int, Form] = {}

    def read(self, data: bytes) -> Request:
        """Read a query; raises UnusableError."""
        last = self.known.get(len(data))
        request = None if last is None else last.read(data)
        if request is None:
            request = read(data, LONGEST_TCP)
            self._remember(data, request)
        return request

    def _remember(self, data: bytes, request: Request) -> None:
        if not self._most or len(data) > LONGEST_REMEMBERED:
            return
        made = form(data, request)
        if made is None:
            return
        if len(self.known) >= self._most:
            self.known.clear()
        self.known[len(data)] = made
