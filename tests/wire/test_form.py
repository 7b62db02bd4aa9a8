"""Queries read by their form: what is read is what the whole message says, whatever was asked before."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from struct import pack

import pytest

from app.transfer import tsig
from app.transfer.access import KnownAddresses
from app.transfer.exchange import Peer, respond
from app.transfer.form import FORMS_REMEMBERED, LONGEST_REMEMBERED, Form, Forms, form
from app.transfer.precheck import LONGEST_TCP, UnusableError, precheck
from app.transfer.process import system_clock
from app.transfer.request import Request, parse
from tests.policy.scale import Record, scaled, seeded, tell
from tests.wire.clients import option, query
from tests.wire.feeds import ISP_ONE, KEYED, STRANGER, MadeFeed, client_key
from tests.wire.test_hostile import Mutations

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")


def anew(wire: bytes) -> Request:
    return parse(wire, precheck(wire, LONGEST_TCP))


def form_of(wire: bytes) -> Form:
    made = form(wire, anew(wire))
    assert made is not None
    return made


def said(forms: Forms, wire: bytes) -> Request | bytes | None:
    """What was read, or the answer to what cannot be."""
    try:
        return forms.read(wire)
    except UnusableError as exc:
        return exc.answer


def asked(serial: int | None, algorithm: str | None, *, edns: bool) -> bytes:
    """A query of its own ID, signed now."""
    key = None if algorithm is None else client_key(replace(ISP_ONE, algorithm=algorithm))
    options = (option(9, b""),) if edns else ()
    return query("SOA" if serial is None else "IXFR", key=key, serial=serial, options=options).to_wire()


@pytest.mark.parametrize("edns", [False, True], ids=["without EDNS", "with EDNS"])
@pytest.mark.parametrize("algorithm", [None, *ALGORITHMS])
@pytest.mark.parametrize("serials", [(None, None), (10, 4_000_000_000)], ids=["SOA", "IXFR"])
def test_next_query_of_a_secondary_has_the_form_of_the_last(
    serials: tuple[int | None, int | None], algorithm: str | None, *, edns: bool
) -> None:
    first, second = (asked(serial, algorithm, edns=edns) for serial in serials)
    assert first != second
    read = form_of(first).read(second)
    assert read == anew(second)
    assert read is not None
    assert read.serial == serials[1]


def test_signature_of_a_query_of_known_form_is_checked() -> None:
    first, second = (asked(serial, ALGORITHMS[0], edns=True) for serial in (10, 11))
    read = form_of(first).read(second)
    assert read is not None
    assert read.tsig is not None
    assert tsig.verify(read.tsig, {ISP_ONE.name: ISP_ONE}, system_clock()) is ISP_ONE
    for at in range(2, len(second)):
        other = form_of(first).read(second[:at] + bytes([second[at] ^ 1]) + second[at + 1 :])
        if other is not None and other.tsig is not None:
            with pytest.raises(tsig.TsigError):
                tsig.verify(other.tsig, {ISP_ONE.name: ISP_ONE}, system_clock())


def test_whatever_was_asked_before_a_message_is_read_as_if_it_were_the_first(record_property: Record) -> None:
    """Mutated messages by which forms are learned, each once more with other octets turned: most are as long."""
    chance, mutations, forms, recurred = seeded("forms"), Mutations(11), Forms(), 0
    for number in range(scaled(4000)):
        wire = mutations.make(number)
        said(forms, wire)
        for turned in _turned(wire, chance):
            recurred += _is_of_known_form(forms, turned)
            assert said(forms, turned) == said(Forms(0), turned)
    tell(record_property, messages_read_twice=5 * scaled(4000), of_a_known_form=recurred)
    assert recurred


def _turned(wire: bytes, chance: Random) -> Iterator[bytes]:
    """The message as it is, with another ID, and with a bit turned anywhere."""
    yield wire
    yield chance.randbytes(2) + wire[2:]
    for _ in range(3 if wire else 0):
        at = chance.randrange(len(wire))
        yield wire[:at] + bytes([wire[at] ^ 1 << chance.randrange(8)]) + wire[at + 1 :]


def _is_of_known_form(forms: Forms, wire: bytes) -> bool:
    known = forms.known.get(len(wire))
    return known is not None and known.read(wire) is not None


def test_name_that_ends_in_what_is_new_each_time_gives_no_form() -> None:
    """The owner of the SOA points to the second octet of the ID: which name begins there depends on the ID."""
    soa = b"\xc0\x01" + pack("!HHIH", 6, 1, 0, 22) + b"\0\0" + pack("!5I", 77, 0, 0, 0, 0)
    rest = pack("!5H", 0, 1, 0, 1, 0) + b"\x01\x00\x00\x00\xfb\x00\x01" + soa
    first, second = b"\x00\x01" + rest, b"\x00\x02" + rest
    assert (anew(first).serial, anew(second).serial) == (77, None)
    assert form(first, anew(first)) is None
    forms = Forms()
    assert (said(forms, first), said(forms, second)) == (anew(first), anew(second))


def test_key_whose_name_ends_in_what_is_new_each_time_gives_no_form() -> None:
    wire = asked(10, ALGORITHMS[0], edns=False)
    at = wire.index(b"\x0bisp-one-key\x00")
    shorter = wire[:at] + b"\x01x\xc0\x02" + wire[at + 13 :]
    assert anew(shorter).tsig is not None
    assert form(shorter, anew(shorter)) is None


def test_few_and_short_forms_are_remembered() -> None:
    forms = Forms()
    for length in range(200):
        forms.read(query("SOA", options=(option(65001, bytes(length)),)).to_wire())
    assert len(forms.known) <= FORMS_REMEMBERED
    long = query("SOA", options=(option(65001, bytes(LONGEST_REMEMBERED)),)).to_wire()
    forms.read(long)
    assert len(long) not in forms.known


@pytest.mark.parametrize(
    ("source", "tcp", "remembered"), [(KEYED, True, 1), (KEYED, False, 0), (STRANGER, True, 0), (STRANGER, False, 0)]
)
def test_only_what_subscribers_ask_over_tcp_is_remembered(source: str, *, tcp: bool, remembered: int) -> None:
    """Whoever sends datagrams chooses the address that they seem to come from."""
    feed, known = MadeFeed(), KnownAddresses()
    assert respond(asked(10, ALGORITHMS[0], edns=False), Peer(source, tcp=tcp), feed, known, system_clock)
    assert len(known.neighbour(feed.directory, source).forms.known) == remembered
