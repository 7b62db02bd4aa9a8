"""A large release in the making: written a little at a time, seen by no reader, with small releases in between."""

from collections.abc import Generator, Iterable, Iterator, Sequence

from sqlalchemy.orm import Session

from app.db import Database
from app.journal.merkle import MerkleRoot
from app.orders import explanation, targets
from app.orders.propose import target_line
from app.publication import acts, explaining, layering, spans, stops
from app.publication.acts import Act, OrderTargets
from app.publication.models import Release
from app.publication.spans import Totals
from app.publication.store import DatabaseRules, Never, View, rules_written_last
from resolver_policy import rules
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.targets import Match

ROOM = 100_000
"""Numbers left free for the small releases that go out before a large one."""

ROOTS_AT_ONCE = 1_000
WRITTEN_AT_ONCE = 2_000
LEFT_FOR_THE_END = 500
"""Names touched meanwhile that the last transaction may see to."""


class Making:
    """One act on its way to being a release.

    Its rules are written under `release_id`, which no release has yet, from what is read while everybody else goes
    on. What is touched meanwhile (`note`) is looked at again, at last in the transaction that makes the release.
    """

    def __init__(self, database: Database, never: Never, act: Act, newest: Release) -> None:
        self.act = act
        self.release_id = newest.id + ROOM
        self.totals = Totals.of(newest)
        self.touched: set[tuple[str, Match]] = set()
        self.in_urgent: set[str] = set()
        self._is_in_urgent = False
        self.is_ready = False
        self.is_wrong = False
        self._was_disturbed = False
        self._database = database
        self._never = never
        self._steps = self._make()

    def step(self) -> None:
        """Do a little of the work; it is ready when nothing is left but the release itself."""
        self.is_ready = next(self._steps, self) is self

    def close(self) -> None:
        """Stop in the middle: what is being read is read no more. What was written is for a sweep."""
        self._steps.close()

    def note(
        self, touched: Iterable[tuple[str, Match]], taken_over: Sequence[Change], in_urgent: Iterable[str]
    ) -> None:
        """Take notice of a release that went out meanwhile: what it touched, and what it left to this one as well; and
        at which names it brought `urgent` in line."""
        self._was_disturbed = True
        self.touched.update(touched)
        self.in_urgent.update(in_urgent)
        self.totals.count(taken_over)
        if self.is_ready and max(len(self.touched), len(self.in_urgent)) > LEFT_FOR_THE_END:
            self.again()

    def again(self) -> None:
        """Look at what was touched meanwhile before the last transaction."""
        self._steps = self._catch_up(at_most=0)
        self.is_ready = False

    def is_void(self, waiting: Iterable[Act]) -> bool:
        """Whether the whole order has been acted on again, so that this release is of no use."""
        known = set(self.act.notes)
        return self.act.whole and any(act.place == self.act.place and set(act.notes) - known for act in waiting)

    def _make(self) -> Generator[None]:
        if self.act.whole and self.act.blocks:
            yield from self._check()
        if self.is_wrong:
            return
        yield from self._recompute(self._own())
        yield from self._catch_up(LEFT_FOR_THE_END)
        self._is_in_urgent = True
        changed = layering.changed_by(self._database, self.release_id)
        yield from layering.prepare(self._database, self.release_id, changed, anew=False)
        yield from self._catch_up(LEFT_FOR_THE_END)

    def _check(self) -> Iterator[None]:
        """Hold the order's targets as they are against the root that was proposed, before a rule is made of them."""
        root = MerkleRoot()
        for rows in OrderTargets(self._database, self.act.order_id, self.act.size).pages():
            root.extend(target_line(key, targets.match_code(match)) for key, match in rows)
            yield
        with self._database.read() as session:
            agreed = stops.released(session, [explaining.key_of(self.act)])
            proposed = explanation.proposed_root(session, self.act.order_id)
        self.is_wrong = not agreed and root.digest() != proposed

    def _own(self) -> rules.Touched:
        if self.act.whole:
            return OrderTargets(self._database, self.act.order_id, self.act.size)
        with self._database.read() as session:
            return sorted(acts.touched_singly(session, self.act.notes))

    def _catch_up(self, at_most: int) -> Generator[None]:
        """See to what was touched meanwhile until little is left."""
        while len(self.touched) > at_most:
            touched, self.touched = sorted(self.touched), set()
            yield from self._recompute(touched)
            at_most = LEFT_FOR_THE_END
        while self._is_in_urgent and len(self.in_urgent) > at_most:
            names, self.in_urgent = sorted(self.in_urgent), set()
            yield from layering.prepare(self._database, self.release_id, names, anew=True)
            at_most = LEFT_FOR_THE_END

    def _recompute(self, touched: rules.Touched) -> Iterator[None]:
        turned = self.act.order_id if self.act.turns else 0
        store = DatabaseRules(self._database.read, self._never, View(turned=turned))
        for changes in rules.recompute(touched, store, ROOTS_AT_ONCE):
            for some in targets.batches(changes, WRITTEN_AT_ONCE):
                self._write(some)
                yield
            if not changes:
                yield

    def _write(self, changes: Sequence[Change]) -> None:
        """Write a part; where others released something meanwhile, what stands there may not be what was read."""
        with self._database.write() as session:
            real = list(self._made_true(session, changes)) if self._was_disturbed else changes
            spans.write(session, real, self.release_id)
        self.totals.count(real)
        if self._is_in_urgent:
            self.in_urgent.update(change.key for change in real)

    def _made_true(self, session: Session, changes: Sequence[Change]) -> Iterator[Change]:
        before = rules_written_last(session, [change.key for change in changes])
        for key, _, new in changes:
            change = Change(key, before.get(key, EMPTY_RULE), new)
            if change.old != change.new:
                yield change
