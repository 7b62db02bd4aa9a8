"""AXFR, IXFR and a change until its serial shows: Pulih beside Knot, both running all the time, taking turns.

`python -m bench.bench_transfer`; N in the environment says how many names (160,000). Exit status 0: every transfer
was at least as fast as Knot's; 1: one was not; 2: nothing was measured.
"""

import datetime as dt
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from bench import machine, names, primaries, sink
from bench.primaries import ZONE, Act, Primary
from bench.sink import Wanted
from tests.servers import find, free_port

RESULTS = Path(__file__).parent / "results"
NAMES = 160_000
FEWEST = 10_000
RECORDS_A_NAME = 2
APEX_FULL = 3
"""SOA, NS, and the SOA again."""
APEX_DIFFERENCE = 4
"""The new SOA, the old one, the new one, and the new one again (RFC 1995 section 4)."""
SPACING = 1.2
"""Seconds between changes: Pulih publishes one serial a second at most."""
NOT_SLOWER = 1.0
NOT_MEASURED = 2
POLL = 0.0005

Pair = tuple[Primary, Primary]


@dataclass
class Row:
    """One kind of work, in seconds, of each primary by its name; `gates` means that the exit status depends on it."""

    work: str
    gates: bool
    seconds: dict[str, list[float]] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    octets: dict[str, int] = field(default_factory=dict)

    def add(self, primary: Primary, seconds: float) -> None:
        self.seconds.setdefault(primary.name, []).append(seconds)

    def median_of(self, name: str) -> float:
        return median(self.seconds[name])

    @property
    def ratio(self) -> float:
        """Pulih's median over Knot's: below 1 is faster."""
        return self.median_of("Pulih") / self.median_of("Knot")

    @property
    def holds(self) -> bool:
        return self.ratio <= NOT_SLOWER

    def document(self) -> dict[str, object]:
        return {
            "work": self.work,
            "at_least_as_fast": self.holds,
            "gates": self.gates,
            "ratio": round(self.ratio, 3),
            "median_ms": {name: round(self.median_of(name) * 1000, 3) for name in self.seconds},
            "ms": {name: [round(one * 1000, 3) for one in taken] for name, taken in self.seconds.items()},
            "messages": self.messages,
            "octets": self.octets,
        }


def transfers(work: str, pair: Pair, wanted: Callable[[Primary], Wanted], rounds: int) -> tuple[Row, Row]:
    """Fetch from one and then the other, whose turn is first changing each round.

    The first fetch of each is a row of its own, which no exit status depends on: what is made once for all
    secondaries is made there. Its signatures are verified.
    """
    first, row = Row(f"{work}, first time asked", gates=False), Row(work, gates=True)
    asked = {primary.name: wanted(primary) for primary in pair}
    for primary in pair:
        took = sink.transfer(primary.port, primary.key, asked[primary.name], verify=True)
        first.add(primary, took.seconds)
        row.messages[primary.name], row.octets[primary.name] = took.messages, took.octets
    for number in range(rounds):
        for primary in turns(pair, number):
            took = sink.transfer(primary.port, primary.key, asked[primary.name])
            if took.messages != row.messages[primary.name]:
                raise sink.WrongTransfer(f"{primary.name}: {took.messages} messages, {row.messages} before")
            row.add(primary, took.seconds)
    return first, row


def turns(pair: Pair, number: int) -> Pair:
    """Who goes first this time."""
    one, other = pair
    return (other, one) if number % 2 else (one, other)


@dataclass
class Changes:
    """Times of changes of one size: from sending the act, and from its answer, until the SOA shows it."""

    count: int
    sent: Row = field(init=False)
    answered: Row = field(init=False)

    def __post_init__(self) -> None:
        kind = named(self.count)
        self.sent = Row(f"change of {kind}: act sent until SOA shows it", gates=False)
        self.answered = Row(f"change of {kind}: act answered until SOA shows it", gates=False)

    def block_and_lift(self, pair: Pair, rounds: int) -> None:
        for number in range(rounds):
            fresh = names.fresh(self.count, f"c{self.count}x{number}")
            for prepared in ([each.blocking(fresh) for each in pair], [each.lifting(fresh) for each in pair]):
                self.all_timed(pair, prepared, number)

    def block(self, pair: Pair) -> dict[str, tuple[int, int]]:
        """Block once more; the serial of each before and after."""
        fresh = names.fresh(self.count, f"last{self.count}")
        return self.all_timed(pair, [each.blocking(fresh) for each in pair], 0)

    def all_timed(self, pair: Pair, acts: Sequence[Act], number: int) -> dict[str, tuple[int, int]]:
        time.sleep(SPACING)
        prepared = {primary.name: act for primary, act in zip(pair, acts, strict=True)}
        return {primary.name: self.timed(primary, prepared[primary.name]) for primary in turns(pair, number)}

    def timed(self, primary: Primary, act: Act) -> tuple[int, int]:
        """Make a change and wait until it shows; the serial before and after."""
        before = after = sink.serial_of(primary.port, ZONE)
        began = time.perf_counter()
        act()
        answered = time.perf_counter()
        while after == before:
            time.sleep(POLL)
            after = sink.serial_of(primary.port, ZONE)
        shown = time.perf_counter()
        self.sent.add(primary, shown - began)
        self.answered.add(primary, shown - answered)
        return before, after


def named(count: int) -> str:
    return "1 name" if count == 1 else f"{count:,} names"


def full(pair: Pair, count: int, rounds: int) -> list[Row]:
    records = RECORDS_A_NAME * count + APEX_FULL

    def wanted(primary: Primary) -> Wanted:
        return Wanted(ZONE, sink.serial_of(primary.port, ZONE), records)

    return list(transfers(f"AXFR of {count:,} names", pair, wanted, rounds))


def changed(pair: Pair, count: int, change_rounds: int, rounds: int) -> list[Row]:
    """A change of so many names, again and again, and then the increment of the last one."""
    changes = Changes(count)
    changes.block_and_lift(pair, change_rounds)
    serials = changes.block(pair)
    records = RECORDS_A_NAME * count + APEX_DIFFERENCE

    def wanted(primary: Primary) -> Wanted:
        before, after = serials[primary.name]
        return Wanted(ZONE, after, records, before)

    return [*transfers(f"IXFR of {named(count)}", pair, wanted, rounds), changes.sent, changes.answered]


def measure(folder: Path, count: int) -> tuple[dict[str, object], list[Row]]:
    """Everything, in one run: what it depended on, and the figures."""
    facts: dict[str, object] = {"names": count, "records": RECORDS_A_NAME * count, "load_before": machine.load()}
    with primaries.pulih(folder / "pulih") as pulih:
        say(f"importing, approving and publishing {count:,} names ...")
        facts["seconds_until_published"] = round(pulih.fill(list(names.made_up(count)), folder / "pulih"), 1)
        zone = pulih.zone()
        if (zone["names"], zone["rules"]) != (count, RECORDS_A_NAME * count):
            raise sink.WrongTransfer(f"Pulih publishes {zone}")
        say("Knot loads the same zone ...")
        with primaries.knot(folder / "knot", free_port(), pulih.key, pulih.export) as knot:
            pair: Pair = (pulih, knot)
            say("transfers and changes ...")
            rows = full(pair, count, 15 if count <= NAMES else 7)
            rows += changed(pair, 1, change_rounds=4, rounds=101)
            rows += changed(pair, 1_000, change_rounds=2, rounds=41)
            facts["resident_mb"] = {primary.name: machine.resident_mb(primary.pid) for primary in pair}
    facts["load_after"] = machine.load()
    facts["machine"] = machine.facts()
    facts["knot"] = machine.version([find("knotd", "knot"), "--version"])
    return facts, rows


def report(facts: dict[str, object], rows: Sequence[Row]) -> None:
    """For people; a ratio below 1 means that Pulih is faster."""
    print(f"\n{'median, ms':<58}{'Pulih':>10}{'Knot':>10}{'ratio':>8}")
    for row in rows:
        verdict = "" if not row.gates else "  ok" if row.holds else "  SLOWER"
        mine, theirs = (row.median_of(name) * 1000 for name in ("Pulih", "Knot"))
        print(f"{row.work:<58}{mine:>10.2f}{theirs:>10.2f}{row.ratio:>8.2f}{verdict}")
    print()
    for name, value in facts.items():
        print(f"{name}: {value}")


def written(facts: dict[str, object], rows: Sequence[Row], *, holds: bool, now: dt.datetime) -> Path:
    """Everything, for programs: the file."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"transfer-{facts['names']}-{now:%Y%m%dT%H%M%SZ}.json"
    document = {"at": now.isoformat(timespec="seconds"), **facts, "at_least_as_fast": holds}
    file.write_text(json.dumps(document | {"rows": [row.document() for row in rows]}, indent=1) + "\n")
    return file


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    count = int(os.environ.get("N") or NAMES)
    if count < FEWEST:
        print(
            f"bench: N={count}: {FEWEST} names at least, or a change of 1,000 is sent as a whole zone", file=sys.stderr
        )
        return NOT_MEASURED
    try:
        find("knotd", "knot")
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return NOT_MEASURED
    with tempfile.TemporaryDirectory(prefix="pulih-bench-") as folder:
        facts, rows = measure(Path(folder), count)
    holds = all(row.holds for row in rows if row.gates)
    report(facts, rows)
    print(f"written: {written(facts, rows, holds=holds, now=dt.datetime.now(dt.UTC))}")
    print("every transfer is at least as fast as Knot's" if holds else "a transfer is slower than Knot's (above)")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
