"""Ten thousand lines that are made, drawn, collected by hand and taken from Unicode: each must come out as its maker
says, with its number, and the zone is exactly the good ones. PULIH_TEST_SCALE makes more."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import pytest

from app.orders import imports_formats, imports_lines
from app.orders.imports import import_list
from app.orders.imports_answer import Imported, Options
from app.orders.imports_formats import Format
from app.orders.imports_verdicts import Verdict
from app.orders.schemas import OrderIn
from app.settings import Settings
from tests.orders.hostile import Case, bad, drawn, good, vectors
from tests.orders.importing import a_guard, actor_of, order_data
from tests.orders.test_imports_hostile import BY_OCTETS, GOOD, HOSTILE
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import Json, Service, Template

pytestmark = pytest.mark.long

HELD = {"accepted", "covered", "duplicate"}
NARROWER = {"full_width_dot", "invisible_character", "mixed_script", "owner_length", "name_length"}
"""Rules of ours that refuse what UTS 46 lets pass."""
SOURCES = {"good", "drawn", "by hand", "IdnaTestV2, valid", "IdnaTestV2, invalid"}
Import = Callable[[Sequence[bytes], Format], tuple[Imported, list[Json]]]


@pytest.fixture
def run(service: Service, settings: Settings, template: Template) -> Import:
    """Import lines in a format, the good ones alone; what came of it, with every item."""

    def run(lines: Sequence[bytes], format_: Format) -> tuple[Imported, list[Json]]:
        octets = partial(imports_lines.of_file, io.BytesIO(b"\n".join(lines) + b"\n"))
        with service.database.write() as session:
            imported = import_list(
                service.database,
                session,
                actor_of(service.database, template),
                OrderIn.model_validate(order_data()),
                imports_formats.given(octets, format_),
                Options(partial=True),
                guard=a_guard(settings),
                clock=service.clock,
            )
        return imported, list(imported.verdicts.items(imported.lines, imported.rules))

    return run


def by_hand() -> list[Case]:
    refused = [Case(line.encode(), "by hand", None) for line in HOSTILE]
    refused += [Case(octets, "by hand", None) for octets in BY_OCTETS]
    return refused + [Case(line.encode(), "by hand", name) for line, name in GOOD.items()]


def cases(chance: Random) -> list[Case]:
    """Ten thousand lines in an order of chance: all that are collected, and as many of each maker as there is room."""
    collected = [*by_hand(), *vectors()]
    makers = (good, bad, bad, drawn)
    made = [makers[number % len(makers)](chance) for number in range(max(0, scaled(10_000) - len(collected)))]
    lines = collected + made
    chance.shuffle(lines)
    return lines


def wrong(case: Case, item: Json) -> bool:
    if item["verdict"] in HELD:
        return bool(item["name"] != case.name)
    return bool(case.name is not None and not case.either)


def published(service: Service, imported: Imported) -> set[str]:
    """The names in the zone, once the list is approved."""
    (outcome,) = imported.outcomes
    assert outcome.order is not None
    service.approve({"id": outcome.order.uid}, plan_hash=outcome.plan_hash)
    return {record.split()[0].removeprefix("*.") for record in service.zone()}


def test_every_line_comes_out_as_its_maker_says(service: Service, run: Import, record_property: Record) -> None:
    lines = cases(seeded("hostile lines"))
    imported, items = run([case.line for case in lines], Format.PLAIN)

    assert [item["line"] for item in items] == list(range(1, len(lines) + 1))
    pairs = list(zip(lines, items, strict=True))
    assert [(case, item) for case, item in pairs if wrong(case, item)] == []
    assert all(item["rule"] and item["detail_id"] for _, item in pairs if item["verdict"] == "refused")
    held = {item["name"] for _, item in pairs if item["verdict"] in HELD}
    zone = published(service, imported)
    covered = {name for name in held if any(name.endswith(f".{above}") for above in held)}
    assert zone == held - covered
    assert {
        item["rule"] for case, item in pairs if case.source == "IdnaTestV2, valid" and item["verdict"] == "refused"
    } <= NARROWER
    sources = Counter(case.source if case.source in SOURCES else "made bad" for case in lines)
    tell(
        record_property, lines=len(lines), refused=imported.verdicts.counts[Verdict.REFUSED], held=len(held), **sources
    )
    assert len(lines) >= scaled(10_000)


WRAPPED: dict[Format, Callable[[bytes], bytes]] = {
    Format.HOSTS: lambda line: b"0.0.0.0 " + line,
    Format.RPZ: lambda line: line + b" CNAME .",
    Format.CSV: lambda line: b"," + line,
}
MEANT_OTHERWISE = {
    Format.HOSTS: b" \t#\r",
    Format.RPZ: b' \t#\r;()@$*"',
    Format.CSV: b'#\r,"',
}
"""Octets that a format reads by rules of its own; its tests are about those."""


@pytest.mark.parametrize("format_", WRAPPED)
def test_in_every_format_no_other_name_comes_out(
    service: Service, run: Import, format_: Format, record_property: Record
) -> None:
    chance = seeded(f"hostile {format_}")
    makers = (good, bad, drawn)
    made = [makers[number % len(makers)](chance) for number in range(scaled(1_500))]
    lines = [case for case in made if not set(MEANT_OTHERWISE[format_]) & set(case.line.strip(b"."))]
    lines = [case for case in lines if not case.line.endswith(b".") and case.line != b"localhost"]
    header = b"match,name" if format_ is Format.CSV else b""
    imported, items = run([header, *(WRAPPED[format_](case.line) for case in lines)], format_)

    assert [item["line"] for item in items] == list(range(2, len(lines) + 2))
    pairs = list(zip(lines, items, strict=True))
    assert [(case, item) for case, item in pairs if wrong(case, item)] == []
    held = {item["name"] for _, item in pairs if item["verdict"] in HELD}
    assert published(service, imported) <= held
    tell(record_property, lines=len(lines), refused=imported.verdicts.counts[Verdict.REFUSED], held=len(held))
