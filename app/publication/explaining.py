"""What a release is about to do, held against what the journal explains; its cost follows the release."""

import hashlib
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.orders import explanation, targets
from app.orders.models import Touched
from app.publication import stops
from app.publication.acts import Act
from app.publication.models import Release, RuleSpan
from app.publication.stops import Finding
from app.publication.store import STORED, stood_in
from resolver_policy import accounting
from resolver_policy.accounting import Acts
from resolver_policy.delta import EMPTY_RULE, Change, Rule
from resolver_policy.targets import Decision, Match


def key_of(act: Act) -> str:
    """What tells the finding about an act from any other."""
    return f"order {act.order_id} notes {' '.join(map(str, act.notes))}"


def unexplained(session: Session, acts: Sequence[Act]) -> dict[Act, Finding]:
    """The acts that no event explains."""
    turning = {act.order_id: act for act in acts if act.turns}
    found = {turning[order_id]: why for order_id, why in explanation.unexplained_orders(session, list(turning)).items()}
    for act in acts:
        if not act.whole:
            why = explanation.unexplained_targets(session, act.order_id, _touched(session, act))
            found |= {} if why is None else {act: why}
    return {act: Finding(key_of(act), f"order {act.order_id}: {why}") for act, why in found.items()}


def unaccounted(
    session: Session, changes: Sequence[Change], blocking: Iterable[tuple[str, Match]], before: Release, written: int
) -> Finding | None:
    """What changes block anew that these acts do not, nor two people who looked at it; the release that is `written`
    is compared with the one before."""
    found = accounting.unaccounted(
        changes,
        Acts.of(blocking),
        lambda keys: _rules(session, keys, before.id),
        lambda keys: _rules(session, keys, written),
    )
    agreed = stops.released_names(session, before.published_at) if found else frozenset()
    keys = tuple(sorted(each.key for each in found if each.key not in agreed and not _is_decided(session, each)))
    if not keys:
        return None
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()
    return Finding(f"names {digest}", f"{len(keys)} names would be blocked that no order in this release holds", keys)


def _is_decided(session: Session, change: Change) -> bool:
    """Whether a name that no act of this release blocks was blocked before its last release already, by what was
    decided: a target that waits for its turn to be let go of shows as soon as rules around it are made."""
    gone = change.new == EMPTY_RULE
    parts = [below for below in (False, True) if gone or change.new[below] is Decision.BLOCK]
    return all(explanation.blocks(session, change.key, below=below) for below in parts)


def held_back(changes: Iterable[Change], held: Collection[str]) -> list[Change]:
    """Changes without those that would block what a stop holds."""
    return [change for change in changes if change.key not in held or not accounting.may_block(change)]


def miscounted(session: Session, before: Release, written: int, names: int) -> Finding | None:
    """Rules that stand in a release of so many names and that it did not write: planted before it came out."""
    begun = select(func.count()).where(RuleSpan.from_release > before.id, RuleSpan.from_release <= written)
    ended = select(func.count()).where(RuleSpan.to_release > before.id, RuleSpan.to_release <= written)
    difference = session.execute(begun).scalar_one() - session.execute(ended).scalar_one()
    if before.names + difference == names:
        return None
    return Finding(f"rules of release {written}", f"release {written} has rules that nobody wrote for it")


def _touched(session: Session, act: Act) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for some in targets.batches(act.notes):
        query = select(Touched.key, Touched.match).where(Touched.id.in_(some), Touched.key.is_not(None))
        found += [(key, match) for key, match in session.execute(query) if key is not None and match is not None]
    return found


def _rules(session: Session, keys: Sequence[str], release_id: int) -> dict[str, Rule]:
    found: dict[str, Rule] = {}
    for some in targets.batches(keys):
        query = select(RuleSpan.key, RuleSpan.own, RuleSpan.wild)
        rows = session.execute(query.where(RuleSpan.key.in_(some), stood_in(release_id)))
        found |= {key: STORED[own][wild] for key, own, wild in rows}
    return found
