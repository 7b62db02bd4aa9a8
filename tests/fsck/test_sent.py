"""What lies in a zone's file and what a server sends, against the rules: by octets that were altered on the way."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.fsck.report import State
from app.fsck.server import Asking
from app.publication import building, files, zones
from app.publication.plan import Plan
from app.publication.snapshot import Snapshot
from app.publication.snapshot_writer import SnapshotWriter
from app.settings import Endpoint
from app.subscribers import documents, lag, queries
from app.transfer.process import system_clock
from resolver_policy import wire
from resolver_policy.actions import parse_action
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.targets import Decision
from resolver_policy.version import ZoneVersion
from tests.fsck.looking import looked, wrong
from tests.fsck.serving import AUDITOR, followed, sending, subscribe
from tests.publication.files import from_rules
from tests.service import HOUR, ZONE, Service

BLOCKED = Rule(Decision.BLOCK, Decision.NOTHING)
NAMES = [f"n{number:03}.example" for number in range(500)]


@pytest.fixture
def place(service: Service) -> Service:
    """Five hundred names and a subtree, published an hour ago; somebody may fetch the zone from here."""
    subscribe(service)
    service.block(*NAMES, number="EX-MANY")
    service.block("*.sub.example")
    service.publish()
    service.clock.forward(HOUR)
    return service


def written(place: Service) -> Path:
    """The file of the zone, small as it is."""
    path = files.path_of(place.settings.data_dir, ZONE)
    with place.database.read() as session:
        zone, newest = zones.by_name(session, ZONE), zones.head(session)
        assert newest is not None
        soa = wire.Soa(place.settings.mname, place.settings.rname)
        rendered = wire.Zone(ZONE, parse_action(zone.action), soa)
        identity = files.identity(session, zone, rendered, newest.id)
        assert identity is not None
    building.write(Plan(place.settings.database, path, zone.id, identity, anew=True), place.database.read)
    return path


def without(path: Path, key: str) -> None:
    """Write a file anew that lacks one name, and is whole in itself: its sums are right."""
    old = Snapshot(path, from_rules({}))
    rules = [row for part in old.ranges() for row in part.rules() if row[0] != key]
    with SnapshotWriter(path, old.identity) as writer:
        for chunk in wire.render(rules, old.identity.zone):
            writer.add(chunk)
        writer.finish(old.serials)


def test_a_file_and_a_transfer_that_are_well_are_found_well(place: Service) -> None:
    written(place)
    with sending(place, followed(place.database, place.settings)) as asking:
        made = looked(place, asking=asking)

    assert wrong(place) == {}
    assert made[f"file {ZONE}"].said.endswith(": 501 names, as the rules say")
    assert made[f"transfer {ZONE}"].said.endswith(": 501 names, as the rules say")
    assert {made[f"{what} {ZONE}"].state for what in ("file", "transfer", "serial")} == {State.OK}


def test_a_file_that_lacks_a_name_is_found(place: Service) -> None:
    without(written(place), "example.n007.")

    assert wrong(place) == {f"file {ZONE}": [f"zone {ZONE}, n007.example: is missing"]}


@pytest.mark.parametrize("where", ["body", "lines", "head", "end"])
def test_a_file_with_one_octet_that_is_another_is_found(place: Service, where: str) -> None:
    path = written(place)
    file, octets = Snapshot(path, from_rules({})), bytearray(path.read_bytes())
    begin = file.offsets[0]
    at = {"body": begin + 30, "lines": begin + file.index.body_octets[0] + 30, "head": 40, "end": len(octets) - 5}
    octets[at[where]] ^= 1
    path.write_bytes(octets)

    assert set(wrong(place)) == {f"file {ZONE}"}


def changed(version: ZoneVersion, *changes: Change) -> ZoneVersion:
    """The same zone at the same serial, with something else in it."""
    return replace(version.changed(changes, version.serial + 1), serial=version.serial)


ALTERED: dict[str, tuple[Callable[[ZoneVersion], ZoneVersion], str]] = {
    "a name that is missing": (lambda v: changed(v, Change("example.n007.", BLOCKED, EMPTY_RULE)), "is missing"),
    "a name too many": (lambda v: changed(v, Change("example.x.", EMPTY_RULE, BLOCKED)), "and no rule says so"),
    "a pass for a block": (
        lambda v: changed(v, Change("example.n007.", BLOCKED, Rule(Decision.PASS, Decision.NOTHING))),
        "is 2 0, and its rule is 1 0",
    ),
    "a serial of nobody": (lambda v: replace(v, serial=v.serial + 7), "which this database never had"),
    "another action": (
        lambda v: ZoneVersion.from_rules(
            list(v.rules()), replace(v.zone, action=parse_action("redirect:landing.example")), v.serial
        ),
        "which this zone does not use",
    ),
}


def test_what_is_sent_otherwise_is_found(place: Service) -> None:
    version = followed(place.database, place.settings)[ZONE]
    for what, (alter, words) in ALTERED.items():
        with sending(place, {ZONE: alter(version)}) as asking:
            found = wrong(place, asking=asking)
        assert any(words in line for line in found[f"transfer {ZONE}"]), (what, found)


def test_a_server_that_is_behind_what_was_shown_is_found(place: Service) -> None:
    old = followed(place.database, place.settings)
    place.block("later.example")
    place.publish()
    followed(place.database, place.settings)  # shown by another process meanwhile

    with sending(place, old) as asking:
        found = wrong(place, asking=asking)

    assert "is served, and" in found[f"serial {ZONE}"][0]


def test_looking_makes_nobody_a_server_that_has_the_zone(place: Service) -> None:
    """Night after night: a subscriber that only fetches is not counted among those that have it, or lack it."""
    zones_sent = followed(place.database, place.settings)
    with sending(place, zones_sent) as asking:
        for _ in range(3):
            assert wrong(place, asking=asking) == {}
    with place.database.read() as session:
        row = queries.live_by_name(session, AUDITOR)
        told = documents.subscribers(session, [row], lag.Lag(session, system_clock(), place.settings.overdue))
    assert [zone["has"] for zone in told[0]["zones"]] in ([None], [])


@contextmanager
def between(port: int, alter: Callable[[bytes, int], bytes | None]) -> Iterator[int]:
    """The port of somebody in the middle, who hands messages on altered, or (None) not at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hand_on, args=(listener, port, alter), daemon=True).start()
        yield listener.getsockname()[1]


def _hand_on(listener: socket.socket, port: int, alter: Callable[[bytes, int], bytes | None]) -> None:
    client, _ = listener.accept()
    number, server = 0, socket.create_connection(("127.0.0.1", port))
    with suppress(OSError), client, server, server.makefile("rb") as stream:
        server.sendall(client.recv(65_536))
        while length := stream.read(2):
            message = alter(stream.read(int.from_bytes(length, "big")), number)
            number += 1
            if message is None:
                return
            client.sendall(len(message).to_bytes(2, "big") + message)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda message, _: message[:40] + bytes([message[40] ^ 1]) + message[41:], "whose signature is wrong"),
        (lambda message, number: message if number == 0 else None, "before the zone was whole"),
        (lambda message, _: message[:-90], "a message"),
    ],
)
def test_what_is_altered_on_the_way_is_taken_by_nobody(
    place: Service, alter: Callable[[bytes, int], bytes | None], words: str
) -> None:
    with sending(place, followed(place.database, place.settings)) as asking:
        assert asking.endpoint is not None
        with between(asking.endpoint.port, alter) as port:
            found = wrong(place, asking=Asking(Endpoint("127.0.0.1", port), AUDITOR))

    assert words in found[f"transfer {ZONE}"][0]


def test_a_server_that_is_not_there_is_not_taken_for_one_that_is_well(place: Service) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = Endpoint("127.0.0.1", free.getsockname()[1])
    check = looked(place, asking=Asking(gone))[f"transfer {ZONE}"]

    assert check.state is State.COULD_NOT_LOOK
    assert looked(place)[f"transfer {ZONE}"].state is State.NOT_CHECKED


def test_a_server_that_refuses_is_not_taken_for_one_that_is_well(place: Service) -> None:
    with sending(place, followed(place.database, place.settings)) as asking:
        checks = looked(place, asking=replace(asking, subscriber="nobody"))

    assert checks[f"transfer {ZONE}"].state is State.COULD_NOT_LOOK
    assert "there is no subscriber nobody" in checks[f"transfer {ZONE}"].said
