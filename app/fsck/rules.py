"""The tables against the rules: what orders and targets add up to, computed anew, against what was published."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.db import streamed
from app.fsck.report import Check, Findings, Tick, found, not_checked
from app.orders import targets
from app.orders.models import OrderKind, Touched
from app.publication import acts, digest, spans, stops, zones
from app.publication.models import Release
from app.publication.store import SAID, Never, rows_between, rules_of_release, table_of
from app.publication.zones import Layer
from resolver_policy import names
from resolver_policy.delta import EMPTY_RULE, Change, Rule, compared
from resolver_policy.rules import Cell, build, together
from resolver_policy.targets import Decision

RULES, RELEASE = "rules", "release"
REMEDY = (
    "what is published is not what was decided. Where `orders` is well, the rules are wrong: lift and undo each order "
    "named by hand, or restore a backup; where `orders` is not, begin there"
)
HELD = """
SELECT targets.key, targets.match, targets.order_id, targets.released_at IS NULL AS held, orders.kind FROM targets
LEFT JOIN orders ON orders.id = targets.order_id AND orders.published ORDER BY targets.key
"""
"""From the targets on, in key order: joined the other way round, ten million names would have to be sorted."""

SUMMED_AT_ONCE = 2_000

WORDS = {Decision.NOTHING: "no record", Decision.BLOCK: "a block", Decision.PASS: "a pass"}


class Held(NamedTuple):
    """A row of HELD; `kind` is None where its order is not published."""

    key: str
    match: int
    order_id: int
    held: bool
    kind: str | None


@dataclass
class Computed:
    """The rules that the tables add up to, as the newest release should have them.

    An act that waits to be published counts by what was before it: an order by `published`, a target that was released
    by the note that it still has.
    """

    session: Session
    never: Never
    forbidden: list[tuple[str, int]] = field(default_factory=list)
    _waiting: set[tuple[int, str, int]] = field(init=False)

    def __post_init__(self) -> None:
        query = select(Touched.order_id, Touched.key, Touched.match).where(Touched.key.is_not(None))
        self._waiting = {(order, key or "", match or 0) for order, key, match in self.session.execute(query)}

    def rules(self) -> Iterator[tuple[str, Rule]]:
        """All rules, in key order."""
        return build(self._cells())

    def _cells(self) -> Iterator[tuple[str, Cell]]:
        for key, same in groupby(streamed(self.session, text(HELD)), key=itemgetter(0)):
            said = [SAID[row.match][row.kind or ""] for row in map(Held._make, same) if self._counts(row)]
            if said:
                yield key, said[0] if len(said) == 1 else together(said)

    def _counts(self, row: Held) -> bool:
        if row.kind is None or not (row.held or (row.order_id, row.key, row.match) in self._waiting):
            return False
        if row.kind != OrderKind.EXCEPTION and self.never(row.key, targets.MATCHES[row.match]):
            self.forbidden.append((row.key, row.order_id))
            return False
        return True


def check(session: Session, never: Never, tick: Tick) -> Check:
    """Names whose rule in the newest release is not the one that orders and targets add up to."""
    newest = zones.head(session)
    if newest is None:
        return not_checked(RULES, "nothing has been published yet")
    findings, computed, kept_back, count = Findings(), Computed(session, never), 0, 0
    held = stops.held_names(session)
    for key, stored, wanted in compared(rules_of_release(session, newest.id), computed.rules()):
        count += 1
        if stored != wanted:
            if key in held:
                kept_back += 1
            else:
                findings.add(names.from_key(key), f"published is {_words(stored)}, decided {_words(wanted)}")
        if not count % SUMMED_AT_ONCE:
            tick(SUMMED_AT_ONCE)
    for key, order_id in computed.forbidden:
        findings.add(names.from_key(key), f"may never be blocked, and order with database id {order_id} holds it")
    for order_id in acts.astray(session):
        findings.add(f"order with database id {order_id}", "is published as it is not, and no act of it waits")
    _look_at_zones(session, newest, findings)
    stopped = f"; {kept_back} names are held back by a stop (pulih guard stops)" if kept_back else ""
    return found(RULES, findings, f"{count:,} names of release {newest.id} are as decided{stopped}", REMEDY)


def check_release(session: Session, tick: Tick) -> Check:
    """Counts and digest of the newest release against its rules."""
    newest = zones.head(session)
    if newest is None:
        return not_checked(RELEASE, "nothing has been published yet")
    findings, totals = Findings(), spans.Totals.of(None)
    changes: list[Change] = []
    for key, rule in rules_of_release(session, newest.id):
        changes.append(Change(key, EMPTY_RULE, rule))
        if len(changes) == SUMMED_AT_ONCE:
            totals.count(changes)
            changes.clear()
            tick(SUMMED_AT_ONCE)
    totals.count(changes)
    made = digest.of_sum(digest.stored(totals.rules_sum))
    for what, is_, said in (
        ("names", totals.names, newest.names),
        ("records", totals.records, newest.rules),
        ("digest", made.hex(), newest.digest.hex()),
    ):
        if is_ != said:
            findings.add(f"release {newest.id}", f"its {what} are {is_}, and its row says {said}")
    return found(RELEASE, findings, f"digest sha256:{made.hex()} is that of {totals.names:,} names", REMEDY)


def names_published(session: Session) -> int:
    """How many steps a check of all rules takes."""
    newest = zones.head(session)
    return 0 if newest is None else newest.names


def _look_at_zones(session: Session, newest: Release, findings: Findings) -> None:
    """Every zone but a base is at the newest release, or nothing changed since the one it is at."""
    for zone in zones.active(session):
        layer, at = zones.layer_of(zone.name), zones.at_release(session, zone, newest.id)
        if at is None and layer is Layer.FULL:
            findings.add(f"zone {zone.name}", "has no serial")
        if at is None or layer is Layer.BASE:
            continue
        if rows_between(session, at.release_id, newest.id, 1, table_of(zone.name)):
            findings.add(f"zone {zone.name}", f"has no serial for what changed behind release {at.release_id}")


def _words(rule: Rule) -> str:
    return "nothing" if rule == EMPTY_RULE else f"{WORDS[rule.own]} for it and {WORDS[rule.wild]} for names below"
