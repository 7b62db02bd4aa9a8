"""Writing rules as spans of releases: on top of what was written last, or beneath a release in the making.

A release in the making has a number that no release has yet, so nobody reads its spans. One that goes out meanwhile
has a smaller number and is written beneath: where the one in the making has decided on a name already, the span of
the smaller one ends where that one's begins.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Delete, Update, bindparam, delete, select, update
from sqlalchemy.orm import Session

from app.db import Database, insert_tuples, rows_changed
from app.orders import targets
from app.publication.digest import sum_of
from app.publication.models import Release, RuleSpan, Spans, UrgentSpan
from app.publication.store import stood_in
from resolver_policy.delta import EMPTY_RULE, Change, Rule

SWEPT_AT_ONCE = 5_000

COLUMNS = ("key", "from_release", "to_release", "own", "wild")


@dataclass
class Totals:
    """Names and records that a zone has with a release, and the sum that its digest is taken of."""

    names: int
    records: int
    rules_sum: int

    @classmethod
    def of(cls, release: Release | None) -> "Totals":
        """Those of a release; nothing before the first."""
        if release is None:
            return cls(0, 0, 0)
        return cls(release.names, release.rules, int.from_bytes(release.rules_sum, "big"))

    def count(self, changes: Sequence[Change]) -> None:
        """Take changes into account."""
        for _, old, new in changes:
            self.names += (new != EMPTY_RULE) - (old != EMPTY_RULE)
            self.records += _records(new) - _records(old)
        self.rules_sum += sum_of(changes)


def write(session: Session, changes: Sequence[Change], release_id: int, table: Spans = RuleSpan) -> None:
    """Write what a release changes of what was written last; what it wrote before for a name gives way."""
    ended = [{"ended": change.key} for change in changes if change.old != EMPTY_RULE]
    if ended:
        here = table.key == bindparam("ended")
        execute = session.connection().execute
        execute(delete(table).where(here, table.from_release == release_id), ended)
        execute(update(table).where(here, table.to_release.is_(None)).values(to_release=release_id), ended)
    _insert(session, changes, release_id, table=table)


def write_beneath(
    session: Session, changes: Sequence[Change], release_id: int, later: int, table: Spans = RuleSpan
) -> list[Change]:
    """Write what a release changes of the one before it, while `later` is in the making.

    Gives those changes that will be part of `later` as well: of names on which it has decided nothing.
    """
    taken_over: list[Change] = []
    for batch in targets.batches(changes):
        keys = [change.key for change in batch]
        ends = select(table.key, table.from_release, table.to_release).where(table.key.in_(keys))
        decided = {key for key, begins, ended in session.execute(ends) if later in (begins, ended)}
        before = update(table).where(table.key.in_(keys), stood_in(release_id - 1, table))
        session.execute(before.values(to_release=release_id))
        _insert(session, [change for change in batch if change.key in decided], release_id, later, table)
        kept = [change for change in batch if change.key not in decided]
        _insert(session, kept, release_id, table=table)
        taken_over += kept
    return taken_over


def unreleased(session: Session, newest_id: int) -> int | None:
    """The number of a release in the making, of which spans are there though it never came out.

    It may have taken back all that it changed of the rules, and not yet what it wrote of `urgent`.
    """
    for column in (RuleSpan.from_release, RuleSpan.to_release, UrgentSpan.from_release, UrgentSpan.to_release):
        found = session.scalar(select(column).where(column > newest_id).limit(1))
        if found is not None:
            return found
    return None


def sweep(database: Database, release_id: int) -> Iterator[None]:
    """Undo what was written for a release that never came out, a little in each step."""
    for table in (UrgentSpan, RuleSpan):
        begun = select(table.key).where(table.from_release == release_id).limit(SWEPT_AT_ONCE)
        while _swept(database, delete(table).where(table.from_release == release_id, table.key.in_(begun))):
            yield
        ended = select(table.key).where(table.to_release == release_id).limit(SWEPT_AT_ONCE)
        ends = table.to_release == release_id
        while _swept(database, update(table).where(ends, table.key.in_(ended)).values(to_release=None)):
            yield


def _swept(database: Database, undo: Delete | Update) -> int:
    with database.write() as session:
        return rows_changed(session, undo)


def _insert(
    session: Session,
    changes: Iterable[Change],
    release_id: int,
    to_release: int | None = None,
    table: Spans = RuleSpan,
) -> None:
    rows = [(key, release_id, to_release, int(new[0]), int(new[1])) for key, _, new in changes if new != EMPTY_RULE]
    insert_tuples(session, table, COLUMNS, rows)


def _records(rule: Rule) -> int:
    return (rule.own > 0) + (rule.wild > 0)
