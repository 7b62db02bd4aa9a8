"""Writing the snapshot file of a zone: `python -m app.publication.building`, a process of its own.

Millions of rows pass through it, and neither the loop that answers DNS nor the memory of its process is to feel
that. What it is to write stands on its standard input; when that closes, whoever wanted the file is gone, and it
ends. From an older file it copies what did not change.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter

from sqlalchemy.orm import Session

from app import lifeline, logs
from app.db import Database
from app.publication.again import Again
from app.publication.files import opened, rules_of
from app.publication.models import Zone
from app.publication.past import ZonePast
from app.publication.plan import Plan
from app.publication.snapshot import Identity, Serials, Snapshot
from app.publication.snapshot_writer import SnapshotWriter
from app.publication.store import Reading, rows_between, rules_of_release, stream_changes, table_of
from resolver_policy import wire
from resolver_policy.delta import Change, Rule
from resolver_policy.wire import LONGEST_MESSAGE, Chunk, evenly, render
from resolver_policy.xfr import difference

log = logging.getLogger(__name__)

LIFELINE = 0
"""Standard input: after its one line it says nothing more, and ends with the process at its other end."""

NICE = 5
SMALL = LONGEST_MESSAGE // 4
"""Octets of a body that is joined with the next one."""

EVENED_OUT = 2
"""Chunks at the end of what is rendered: the last one may have to share with the one before."""

ALMOST_ALL = 0.5
"""Share of a zone's names; where more rows changed, an older file saves nothing."""


def main() -> None:
    """Write one file."""
    logs.to_stderr()
    plan = Plan.load(sys.stdin.buffer.readline())
    os.environ[lifeline.VARIABLE] = str(LIFELINE)
    lifeline.follow()
    os.nice(NICE)
    with closing(Database(plan.database)) as database:
        write(plan, database.read)


def write(plan: Plan, reading: Reading) -> None:
    """Write the file of a plan."""
    with reading() as session:
        if plan.identity.since_serial:
            _write_increment(session, plan)
        else:
            _write_zone(session, plan, reading)


def _write_increment(session: Session, plan: Plan) -> None:
    """Write the messages of an increment; what changed is read twice, as what goes is said before what comes."""
    to = plan.identity
    table = table_of(to.zone.origin)
    changes = Again(lambda: stream_changes(session, to.since_release_id, to.release_id, table))
    with SnapshotWriter(plan.path, to) as writer:
        for records, octets in difference(to.zone, to.since_serial, to.serial, changes):
            writer.add(Chunk("", "", octets, records, 0, b""))
        writer.finish(Serials.none())


def _write_zone(session: Session, plan: Plan, reading: Reading) -> None:
    """Write a zone, from the file that is there if that is of the same past."""
    zone = session.get_one(Zone, plan.zone_id)
    base = None if plan.anew else opened(session, zone, plan.identity.zone, plan.path, rules_of(reading, zone))
    if base is not None and _is_far_from(session, base, plan.identity):
        base = None
    table = table_of(zone.name)
    past = ZonePast(zone, reading, None if base is None else base.serials)
    past.catch_up(session, zone, plan.identity.release_id)
    with SnapshotWriter(plan.path, plan.identity) as writer:
        if base is None:
            rules = rules_of_release(session, plan.identity.release_id, table=table)
            _write_all(writer, render(rules, plan.identity.zone))
        else:
            changes = stream_changes(session, base.identity.release_id, plan.identity.release_id, table)
            _write_changed(writer, base, changes)
        writer.finish(past.known)
    log.info("zone %s: snapshot of serial %d written", zone.name, plan.identity.serial)


def _is_far_from(session: Session, base: Snapshot, wanted: Identity) -> bool:
    """Whether so much changed that all may as well be read anew."""
    if base.identity.release_id > wanted.release_id:
        return True
    most = int(ALMOST_ALL * sum(base.index.names)) + 1
    table = table_of(wanted.zone.origin)
    return rows_between(session, base.identity.release_id, wanted.release_id, most, table) >= most


def _write_changed(writer: SnapshotWriter, base: Snapshot, changes: Iterable[Change]) -> None:
    """Copy the chunks in which nothing changed, in one go where they are neighbours, and render the others."""
    zone, merging = base.identity.zone, _Merging(base, changes)
    waiting: list[tuple[str, Rule]] = []
    while merging.has_more:
        if waiting or merging.is_dirty:
            waiting = _write_anew(writer, zone, chain(waiting, merging.rules()))
        else:
            writer.copy(base, *merging.clean_run())
    _write_all(writer, render(chain(waiting, merging.left_over()), zone))


def _write_anew(writer: SnapshotWriter, zone: wire.Zone, rules: Iterable[tuple[str, Rule]]) -> list[tuple[str, Rule]]:
    """Render neighbours; the last two chunks share evenly, and what is too little for one is given back."""
    held: list[Chunk] = []
    for chunk in render(rules, zone):
        held.append(chunk)
        if len(held) > EVENED_OUT:
            writer.add(held.pop(0))
    last = len(held[-1].body) if held else 0
    if len(held) == 1 and last < SMALL:
        return list(held[0].rules())
    if len(held) > 1 and last < LONGEST_MESSAGE // 2:
        held = evenly([rule for chunk in held for rule in chunk.rules()], zone)
    _write_all(writer, held)
    return []


def _write_all(writer: SnapshotWriter, chunks: Iterable[Chunk]) -> None:
    for chunk in chunks:
        writer.add(chunk)


class _Merging:
    """The chunks of a file beside the changes since, both gone through once, in key order."""

    def __init__(self, base: Snapshot, changes: Iterable[Change]) -> None:
        self._ranges = base.ranges()
        self._number = 0
        self._rest = iter(changes)
        self._next = next(self._rest, None)

    @property
    def has_more(self) -> bool:
        """Whether a chunk is left."""
        return self._number < len(self._ranges)

    @property
    def is_dirty(self) -> bool:
        """Whether the next chunk is there, and changed."""
        return self.has_more and self._is_before(self._end)

    def clean_run(self) -> tuple[int, int]:
        """Go past all chunks up to the next that changed: the numbers of the first and of the one after the last."""
        first = self._number
        while self.has_more and not self.is_dirty:
            self._number += 1
        return first, self._number

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """The rules of the next chunk, and of those after it that changed, as they are by now."""
        while True:
            yield from _applied(self._ranges[self._number].rules(), self._before(self._end))
            self._number += 1
            if not self.is_dirty:
                return

    def left_over(self) -> Iterator[tuple[str, Rule]]:
        """What comes where there was no chunk at all."""
        return _applied((), self._before(None))

    @property
    def _end(self) -> str | None:
        after = self._number + 1
        return self._ranges[after].first_key if after < len(self._ranges) else None

    def _is_before(self, end: str | None) -> bool:
        return self._next is not None and (end is None or self._next.key < end)

    def _before(self, end: str | None) -> Iterator[Change]:
        while self._is_before(end):
            assert self._next is not None
            yield self._next
            self._next = next(self._rest, None)


def _applied(rules: Iterable[tuple[str, Rule]], changes: Iterable[Change]) -> Iterator[tuple[str, Rule]]:
    """Rules with changes applied, both in key order and one by one."""
    olds = ((key, 0, rule) for key, rule in rules)
    news = ((change.key, 1, change.new) for change in changes)
    for _, same in groupby(merge(olds, news), key=itemgetter(0)):
        *_, (key, _, rule) = same
        yield key, rule


if __name__ == "__main__":
    main()
