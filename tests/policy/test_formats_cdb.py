"""The constant database, read by tinycdb and by the layout that its author describes."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver_policy.delta import Rule
from resolver_policy.errors import ExportTooLarge
from resolver_policy.formats import Contents, cdb
from tests.policy.zones import BLOCK, EXACT, NOTHING, OPEN, PASS, SUBTREE, Rules, many_rules, rules_of, zone
from tests.servers import find

SAMPLE = rules_of(
    {
        "casino.example": SUBTREE,
        "good.casino.example": OPEN,
        "only-below.example": Rule(PASS, BLOCK),
        "t.me": EXACT,
        "wild.example": Rule(NOTHING, BLOCK),
    }
)


def octets(rules: Rules) -> bytes:
    return b"".join(cdb.render(Contents(zone(), 7, sorted(rules.items()))))


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def word(rule: Rule) -> bytes:
    words = {(False, False): b"none", (True, False): b"name", (False, True): b"below", (True, True): b"both"}
    return words[rule.own is BLOCK, rule.wild is BLOCK]


def expected(rules: Rules) -> dict[bytes, bytes]:
    found = {wire(".".join(reversed(key.rstrip(".").split(".")))): word(rule) for key, rule in rules.items()}
    return found | {b"pulih": f"zone=block.rpz serial=7 names={len(rules)}".encode()}


def records(dump: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read what `cdb -d` prints: +KEYLENGTH,VALUELENGTH:KEY->VALUE, and an empty line at the end."""
    at = 0
    while dump[at : at + 1] == b"+":
        head = dump[at + 1 : at + 30].partition(b":")[0]
        key_length, value_length = (int(number) for number in head.split(b","))
        start = at + 1 + len(head) + 1
        yield dump[start : start + key_length], dump[start + key_length + 2 :][:value_length]
        at = start + key_length + 2 + value_length + 1
    assert dump[at:] == b"\n"


@pytest.mark.parametrize("rules", [{}, SAMPLE, many_rules(3000)], ids=["empty", "sample", "many"])
def test_tinycdb_prints_the_same_records(rules: Rules, tmp_path: Path) -> None:
    file = tmp_path / "zone.cdb"
    file.write_bytes(octets(rules))
    dump = subprocess.run([find("cdb", "tinycdb"), "-d", file], capture_output=True, check=True).stdout
    read = list(records(dump))
    assert len(read) == len(rules) + 1
    assert dict(read) == expected(rules)


@pytest.mark.parametrize("rules", [{}, SAMPLE, many_rules(3000)], ids=["empty", "sample", "many"])
def test_tinycdb_makes_the_same_file_of_these_records(rules: Rules, tmp_path: Path) -> None:
    """Head and hash tables included: whatever finds a name in its file finds it in ours."""
    ours, theirs, binary = tmp_path / "ours.cdb", tmp_path / "theirs.cdb", find("cdb", "tinycdb")
    ours.write_bytes(octets(rules))
    dump = subprocess.run([binary, "-d", ours], capture_output=True, check=True).stdout
    subprocess.run([binary, "-c", "-t", "-", theirs], input=dump, check=True)
    assert theirs.read_bytes() == ours.read_bytes()


def test_it_says_which_zone_it_is_of(tmp_path: Path) -> None:
    file = tmp_path / "zone.cdb"
    file.write_bytes(octets(SAMPLE))
    found = subprocess.run([find("cdb", "tinycdb"), "-q", file, "pulih"], capture_output=True, check=True).stdout
    assert found == b"zone=block.rpz serial=7 names=5"


def test_a_file_that_would_pass_4_gib_is_refused_before_its_first_octet(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(octets(SAMPLE))
    monkeypatch.setattr(cdb, "LONGEST_FILE", size)
    assert len(octets(SAMPLE)) == size

    monkeypatch.setattr(cdb, "LONGEST_FILE", size - 1)
    with pytest.raises(ExportTooLarge, match="4 GiB"):
        cdb.render(Contents(zone(), 7, sorted(SAMPLE.items())))


def test_names_of_one_hash_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record collides with every other: each stands in the next free slot, around the end of the table."""
    monkeypatch.setattr(cdb, "_hash", lambda _key: 0xFFFFFF00)
    file = octets(SAMPLE)
    at, slots = struct.unpack_from("<II", file, 0)
    table = [struct.unpack_from("<II", file, at + 8 * slot) for slot in range(slots)]
    assert slots == 12
    first = (0xFFFFFF00 >> 8) % slots
    positions = [table[(first + step) % slots][1] for step in range(6)]
    assert positions == sorted(positions)
    assert 0 not in positions
    assert [table[(first + step) % slots] for step in range(6, 12)] == [(0, 0)] * 6
