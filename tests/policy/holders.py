"""Holders for tests: targets with an order, as exports are given them."""

import datetime as dt

from resolver_policy.formats import Holder
from resolver_policy.targets import Decision, Match
from tests.policy.zones import key

SINCE = dt.datetime(2026, 11, 1, 8, 30, tzinfo=dt.UTC)


def holder(
    name: str,
    match: Match = Match.SUBTREE,
    decision: Decision = Decision.BLOCK,
    *,
    number: str | None = "EX-1",
    reason: str = "An example",
    emergency: str | None = None,
) -> Holder:
    return Holder(
        key=key(name),
        match=match,
        decision=decision,
        order_number=number,
        number_note=None,
        sample=False,
        authority="Example Ministry",
        category="gambling",
        reason_id="Contoh",
        reason_en=reason,
        since=SINCE,
        emergency=emergency,
    )
