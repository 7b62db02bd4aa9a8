"""Exports with reasons: whose rows, what they tell, what they never tell, and when they are written anew."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from app.auth.models import Principal
from app.cli import main
from app.publication import export
from app.settings import Settings
from resolver_policy import formats, wire
from resolver_policy.targets import Decision, Match, Target, decide
from tests.policy.scale import Record, scaled, tell
from tests.policy.worlds import queries
from tests.publication.worlds import World, random_act
from tests.service import HOUR, NOW, ZONE, Json, Service, environment_of, targets, text_of

SOA = wire.Soa("localhost", "normalisation.invalid")


def rows(service: Service, format_: str = "jsonl") -> list[Json]:
    answer = service.get(f"zones/{ZONE}/export.{format_}", by="isp-1")
    assert answer.status_code == 200, answer.text
    if format_ == "csv":
        return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    return [json.loads(line) for line in answer.content.decode("ascii").split("\n")[:-1]]


def test_each_target_says_which_order_holds_it_why_and_since_when(service: Service) -> None:
    service.block("*.a.example", number="EX-1", authority="Kementerian", reason={"id": "Judi", "en": "=Gambling"})
    service.clock.forward(HOUR)
    service.exception("ok.a.example", number="EX-2", category="fraud")
    service.publish()

    assert rows(service) == [
        {
            "name": "a.example",
            "match": "subtree",
            "decision": "block",
            "order_number": "EX-1",
            "number_note": None,
            "sample": False,
            "authority": "Kementerian",
            "category": "gambling",
            "reason_id": "Judi",
            "reason_en": "=Gambling",
            "since": text_of(NOW),
            "emergency": None,
        },
        {
            "name": "ok.a.example",
            "match": "exact",
            "decision": "exception",
            "order_number": "EX-2",
            "number_note": None,
            "sample": False,
            "authority": "Example Ministry",
            "category": "fraud",
            "reason_id": "Perjudian daring",
            "reason_en": "Online gambling",
            "since": text_of(NOW + HOUR),
            "emergency": None,
        },
    ]
    assert [row["reason_en"] for row in rows(service, "csv")] == ["'=Gambling", "Online gambling"]


def test_a_row_tells_no_person_no_id_no_platform_and_no_evidence(service: Service) -> None:
    order = service.block("a.example", platform="platform-1", reporter="A Reporter")
    service.mark(order["conditions"][0], "claim", by="platform-1", evidence={"text": "EVIDENCE"})
    service.publish()

    with service.database.read() as session:
        people = list(session.scalars(select(Principal.name)))
    assert len(people) >= 8
    for format_ in ("csv", "jsonl"):
        text = service.get(f"zones/{ZONE}/export.{format_}", by="isp-1").text
        for hidden in (*people, order["id"], "A Reporter", "EVIDENCE", "content_removed"):
            assert hidden not in text, hidden


def test_what_is_approved_and_not_yet_published_has_no_row(service: Service) -> None:
    service.block("a.example")
    service.publish()
    service.block("b.example")

    assert [row["name"] for row in rows(service)] == ["a.example"]
    service.publish()
    assert [row["name"] for row in rows(service)] == ["a.example", "b.example"]


def test_a_second_order_that_takes_hold_of_a_name_has_a_row_though_the_serial_stays(service: Service) -> None:
    first = service.block("a.example", number="EX-1")
    service.publish()
    serial = service.read(f"zones/{ZONE}")["serial"]
    assert [row["order_number"] for row in rows(service)] == ["EX-1"]

    second = service.block("a.example", number="EX-2")
    service.publish()
    assert [row["order_number"] for row in rows(service)] == ["EX-1", "EX-2"]

    service.lift(first)
    service.publish()
    assert [row["order_number"] for row in rows(service)] == ["EX-2"]
    assert service.read(f"zones/{ZONE}")["serial"] == serial

    service.lift(second)
    service.publish()
    assert rows(service) == []


def test_a_target_that_its_order_let_go_of_has_no_row_though_another_holds_the_name(service: Service) -> None:
    order = service.block("a.example", "b.example", number="EX-1")
    service.block("a.example", number="EX-2")
    service.lift(order, targets=targets("a.example"))
    service.publish()

    assert [(row["name"], row["order_number"]) for row in rows(service)] == [
        ("a.example", "EX-2"),
        ("b.example", "EX-1"),
    ]


def test_a_proposal_does_not_make_a_new_file(service: Service, settings: Settings) -> None:
    service.block("a.example")
    service.publish()

    def seen() -> dict[Path, int]:
        rows(service)
        return {path: path.stat().st_mtime_ns for path in (settings.data_dir / "exports" / ZONE).iterdir()}

    before = seen()
    order = service.propose(number="EX-9")
    assert seen() == before
    service.act(order, "reject", {"reason": "no"})
    assert seen() == before


def test_the_rows_decide_what_the_orders_decide(world: World, settings: Settings, record_property: Record) -> None:
    """Random histories: who reads the rows alone decides every name as the orders in force do."""
    random, compared = Random(7), 0
    for _ in range(scaled(40)):
        random_act(world, random)
        world.publish()
        with world.database.read() as session:
            octets = export.current(session, world.settings.data_dir, ZONE, "jsonl", SOA).path.read_bytes()
        read = [_target(json.loads(line)) for line in octets.splitlines()]
        held = world.targets()
        assert set(read) <= set(held)
        for name in queries(held, random, 30) if held else []:
            assert decide(name, read) is decide(name, held)
            compared += 1
        world.clock.forward(dt.timedelta(seconds=2))
    assert settings.zone_settings[0].name == ZONE
    tell(record_property, compared=compared)


def _target(row: Json) -> Target:
    return Target(row["name"], Match(row["match"]), Decision.BLOCK if row["decision"] == "block" else Decision.PASS)


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_the_command_writes_the_same_octets(service: Service, settings: Settings, chosen: formats.Format) -> None:
    service.block("*.a.example")
    service.exception("ok.a.example")
    service.publish()
    served = service.get(f"zones/{ZONE}/export.{chosen.name}", by="isp-1").content

    environment = environment_of(settings)
    written = CliRunner().invoke(main, ["export", ZONE, "--format", chosen.name], env=environment)
    assert (written.exit_code, written.stdout_bytes) == (0, served)


def test_the_command_tells_what_each_format_cannot_say() -> None:
    helped = " ".join(CliRunner().invoke(main, ["export", "--help"]).output.split())

    for chosen in formats.FORMATS:
        assert f"{chosen.name} {chosen.limits}" in helped
