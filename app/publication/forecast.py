"""What the zone would be with an order that is not in force: counted by the rules themselves, and nothing written."""

from contextlib import nullcontext
from typing import Any

from sqlalchemy.orm import Session

from app.orders import targets
from app.orders.models import ORDINAL_BITS, Order
from app.orders.plan import Plan
from app.publication import zones
from app.publication.spans import Totals
from app.publication.store import DatabaseRules, Never, TooMuch, View
from resolver_policy.rules import recompute

LARGE = 1_000
"""Of an order with more names the names that change are counted, not the rules around them."""

MOST_READ = 20_000


def document(session: Session, order: Order, plan: Plan, *, never: Never) -> dict[str, Any]:
    """Names and records of the zone before and after; `exact` is false where only the names that change were counted.

    Before is the newest release.
    """
    newest = zones.head(session)
    before = Totals.of(newest)
    counts = {"names": before.names, "records": before.records}
    if order.published or newest is None:
        return {"before": counts, "after": counts, "exact": True}
    after = _after(session, order, before, View(newest.id, turned=order.id), never)
    if after is None:
        more = plan.changes if plan.blocks else 0
        return {"before": counts, "after": {"names": before.names + more, "records": None}, "exact": False}
    return {"before": counts, "after": {"names": after.names, "records": after.records}, "exact": True}


def _after(session: Session, order: Order, totals: Totals, view: View, never: Never) -> Totals | None:
    if order.targets_count > LARGE:
        return None
    rows = targets.page(session, order.id << ORDINAL_BITS, LARGE)
    store = DatabaseRules(lambda: nullcontext(session), never, view, MOST_READ)
    after = Totals(totals.names, totals.records, 0)
    try:
        for changes in recompute([(key, targets.MATCHES[match]) for key, match in rows], store):
            after.count(changes)
    except TooMuch:
        return None
    return after
