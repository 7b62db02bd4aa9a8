"""What somebody holds or sends of a zone against the rules of that release, name by name."""

from collections.abc import Iterable, Iterator

from sqlalchemy.orm import Session

from app.fsck.reader import Part, UnreadableError, rules, shown
from app.fsck.report import Findings, Tick
from app.orders.imports_sorting import KeySorter
from app.publication.models import Zone
from app.publication.store import rules_of_release, table_of
from resolver_policy.delta import EMPTY_RULE, Rule, compared
from resolver_policy.targets import Decision

TOLD_EVERY = 2_000


class OutOfOrderError(UnreadableError):
    """Names that come in another order than ours."""


def names(
    session: Session, zone: Zone, release_id: int, theirs: Iterable[tuple[str, Rule]], findings: Findings, tick: Tick
) -> int:
    """Note every name that differs; how many names there were on either side. `theirs` are in key order."""
    count = 0
    ours = rules_of_release(session, release_id, table=table_of(zone.name))
    for key, stored, sent in compared(ours, theirs):
        count += 1
        if stored != sent:
            findings.add(f"zone {zone.name}, {shown(key)}", _why(stored, sent))
        if not count % TOLD_EVERY:
            tick(TOLD_EVERY)
    return count


def in_order(parts: Iterable[Part]) -> Iterator[tuple[str, Rule]]:
    """Rules of records that come in key order; raises OutOfOrderError where they do not."""
    last = ""
    for key, rule in rules(parts):
        if key <= last:
            raise OutOfOrderError(f"{shown(key)} does not come in its order")
        last = key
        yield key, rule


def sorted_out(parts: Iterable[Part], sorter: KeySorter) -> Iterator[tuple[str, Rule]]:
    """The same of records in any order, which wait in files meanwhile."""
    for key, wild, decision in parts:
        sorter.add(key, 2 * decision + wild)
    decisions = tuple(Decision)
    yield from rules((key, bool(code % 2), decisions[code // 2]) for key, code in sorter.entries())


def _why(stored: Rule, sent: Rule) -> str:
    if sent == EMPTY_RULE:
        return "is missing"
    if stored == EMPTY_RULE:
        return "is there, and no rule says so"
    return f"is {_digits(sent)}, and its rule is {_digits(stored)} (own, wildcard: 0 none, 1 block, 2 pass)"


def _digits(rule: Rule) -> str:
    return f"{int(rule.own)} {int(rule.wild)}"
