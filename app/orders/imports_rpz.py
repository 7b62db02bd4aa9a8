"""A policy zone as a master file (RFC 1035 section 5), read as text: nothing is resolved, included or generated.

A name with its own record alone is meant exactly, with the record of its wildcard as well it is a subtree. The action
of a block is not kept: our zones say what theirs is.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from app.orders.imports_lines import BELOW, EXACT, Line, Octets, check_length, decoded, shown
from resolver_policy.errors import NameInvalid, PolicyError, printable

APEX = " "
"""The name of the zone, as long as the file has not said it: nothing that a name of the file can be."""

NO_SOA = -1
SOA_NAMES, SOA_FIELDS = 2, 7
BLOCKS = (".", "*.", "rpz-drop.")
_tokens = re.compile(rb'"(?:[^"\\]|\\.)*+"|;.*|[()]|(?:[^ \t";()\\]|\\.)++|[^ \t]', re.DOTALL).findall
_is_ttl = re.compile(r"(?:[0-9]+[smhdw]?)+", re.IGNORECASE).fullmatch
_is_type = re.compile(r"[A-Z][A-Z0-9-]*").fullmatch
_is_target = re.compile(r"(?:\*\.)?[a-z0-9_.-]+").fullmatch


def read(octets: Octets, *, passing: bool) -> Iterator[Line]:
    """One line for each of the file; `passing` wants what a zone lets pass, else what it blocks is wanted."""
    reader = _Reader(passing=passing)
    for number, ended in enumerate(octets(), 1):
        line = ended.removesuffix(b"\r")
        try:
            yield reader.line(number, line)
        except PolicyError as fault:
            yield Line(number, "", fault, shown(line).rstrip())


def is_record(text: str) -> bool:
    """Whether a line looks like one of a policy zone."""
    words = text.upper().split()
    return text.startswith("$") or bool({"CNAME", "SOA"}.intersection(words[1:5]))


class _Reader:
    """What lines before this one have said: origin, zone, the last owner, and whether a parenthesis is open."""

    def __init__(self, *, passing: bool) -> None:
        self._passing = passing
        self._origin = APEX
        self._zone: str | None = None
        self._owner: str | None = None
        self._opened_in = 0
        self._soa_fields = 0

    def line(self, number: int, octets: bytes) -> Line:
        """One line; raises PolicyError where it cannot be read or gives no name that is wanted."""
        check_length(number, octets)
        words = [decoded(number, token) for token in _tokens(octets) if not token.startswith(b";")]
        if not words:
            return Line(number, "")
        if self._opened_in:
            return self._inside(number, words)
        if words[0].startswith("$") and octets.startswith(b"$"):
            self._direct(words)
            return Line(number, "")
        return self._record(number, words, owned=octets[:1] not in {b" ", b"\t"})

    def _inside(self, number: int, words: Sequence[str]) -> Line:
        """A line of a record that an earlier one has opened: the zone's own SOA, or one that was refused there."""
        began = self._opened_in
        closes = ")" in words
        if closes:
            self._opened_in = 0
        if self._soa_fields == NO_SOA:
            raise _bad("parenthesis", f"line {number} belongs to the record that line {began} began", " ".join(words))
        for word in words:
            if word == ")":
                continue
            self._soa_fields += 1
            if self._soa_fields > SOA_FIELDS or (self._soa_fields > SOA_NAMES and not _is_ttl(word)):
                raise _bad("parenthesis", f"line {number} is no part of the SOA that line {began} began", word)
        return Line(number, "")

    def _direct(self, words: Sequence[str]) -> None:
        match [words[0].upper(), *words[1:]]:
            case ["$TTL", _]:
                return
            case ["$ORIGIN", name]:
                self._origin = self._full(name)
            case _:
                why = "of the directives $ORIGIN and $TTL alone are read, nothing is included or generated"
                raise _bad("directive", why, " ".join(words))

    def _record(self, number: int, words: list[str], *, owned: bool) -> Line:
        text = " ".join(words)
        if owned:
            self._owner = self._full(words.pop(0))
        opened = words.count("(") - words.count(")")
        words = [word for word in words if word not in {"(", ")"}]
        kind = _kind(words)
        if opened > 0:
            self._opened_in = number
            self._soa_fields = len(words) if kind == "SOA" else NO_SOA
        if opened and kind != "SOA":
            raise _bad("parenthesis", "a record that is more than one line", text)
        if self._owner is None or not _is_type(kind):
            raise _bad("zone_record", "no record: an owner, a type and data", text)
        if self._zone is None:
            self._zone = self._owner if kind == "SOA" else self._start()
        trigger = self._trigger(text)
        if not trigger:
            if kind == "CNAME":
                raise _bad("zone_record", "the zone itself is no alias", text)
            return Line(number, "")
        given = f"{trigger} {kind} {' '.join(words)}"
        fault = self._unwanted(trigger, kind, words, given)
        if trigger.startswith("*."):
            return Line(number, trigger[2:], fault, given, BELOW)
        return Line(number, trigger, fault, given, EXACT)

    def _unwanted(self, trigger: str, kind: str, words: Sequence[str], given: str) -> PolicyError | None:
        """Why a record gives no name that is wanted."""
        try:
            passes = _passes(trigger, kind, [word.lower() for word in words], given)
        except PolicyError as fault:
            return fault
        if passes and not self._passing:
            return _bad("passthru", "it lets a name pass, which is an exception and needs an order of its own", given)
        if self._passing and not passes:
            return _bad("no_passthru", "it blocks, and the order is an exception", given)
        return None

    def _start(self) -> str:
        return APEX if self._origin.endswith(APEX) else self._origin

    def _full(self, name: str) -> str:
        name = name.lower()
        if name == "@":
            return self._origin
        if name.endswith("."):
            return name[:-1]
        return f"{name}.{self._origin}" if self._origin else name

    def _trigger(self, text: str) -> str:
        """The owner without the zone's name; empty for the zone itself."""
        assert self._owner is not None
        if self._owner == self._zone:
            return ""
        if not self._zone:
            return self._owner
        if not self._owner.endswith(f".{self._zone}"):
            raise _bad("outside_zone", "a name outside the zone that SOA or $ORIGIN named", text)
        return self._owner.removesuffix(f".{self._zone}")


def _kind(words: list[str]) -> str:
    """The type of a record; TTL, class and type are taken from its words."""
    while words:
        word = words.pop(0)
        if word.upper() != "IN" and not _is_ttl(word):
            return word.upper()
    return ""


def _passes(trigger: str, kind: str, data: Sequence[str], given: str) -> bool:
    """Whether a record lets its name pass; raises NameInvalid where it neither blocks nor lets pass."""
    if kind in {"A", "AAAA"} and len(data) == 1 and _is_address(data[0]):
        return False
    if kind != "CNAME" or len(data) != 1:
        raise _bad("zone_record", "it is none of a policy zone: CNAME with one target, A or AAAA", given)
    target = data[0]
    if target in BLOCKS:
        return False
    if target in {"rpz-passthru.", f"{trigger}."}:
        return True
    if target == "rpz-tcp-only.":
        raise _bad("tcp_only", "it asks for TCP and blocks nothing", given)
    if target.startswith("rpz-") or not _is_target(target):
        raise _bad("zone_action", "its target is no action of a policy zone", given)
    return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _bad(rule: str, why: str, text: str) -> NameInvalid:
    return NameInvalid(f"'{printable(text)}': {why}", value=text, rule=rule)
