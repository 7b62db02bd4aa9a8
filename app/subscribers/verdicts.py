"""What the rules of a release make of a name, read from their spans: now and at any release that ever was."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.orders import targets
from app.publication.models import RuleSpan, Spans
from app.publication.store import STORED
from resolver_policy import names
from resolver_policy.delta import EMPTY_RULE, Rule
from resolver_policy.targets import Decision

MOST_SPANS = 200
"""Spans of a name and those above it that are looked through for its last change, newest first."""


class Verdict(NamedTuple):
    """Whether a name itself is blocked, and names below it that no rule of their own is about."""

    own: bool
    below: bool


def verdicts(session: Session, keys: Collection[str], release: int) -> Mapping[str, Verdict]:
    """What a release makes of these names; few queries for many of them."""
    wanted = {key for each in keys for key in (each, *names.key_ancestors(each))}
    stands = or_(RuleSpan.to_release.is_(None), RuleSpan.to_release > release)
    rules: dict[str, Rule] = {}
    for some in targets.batches(sorted(wanted)):
        query = select(RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(RuleSpan.key.in_(some))
        for key, own, wild in session.execute(query.where(RuleSpan.from_release <= release, stands)):
            rules[key] = STORED[own][wild]
    return {key: judge(rules, key) for key in keys}


class Course:
    """What rules made of one name, release by release: read once, asked of any stretch of releases."""

    def __init__(self, session: Session, key: str, table: Spans = RuleSpan) -> None:
        self._key = key
        query = select(table.key, table.from_release, table.to_release, table.own, table.wild)
        rows = session.execute(query.where(table.key.in_((key, *names.key_ancestors(key)))))
        self._spans = [(where, begins, ends, STORED[own][wild]) for where, begins, ends, own, wild in rows]

    def at(self, release: int) -> bool:
        """Whether the rules of a release block the name itself."""
        standing = (
            (key, rule)
            for key, begins, ends, rule in self._spans
            if begins <= release and (ends is None or ends > release)
        )
        return judge(dict(standing), self._key).own

    def over(self, first: int, last: int) -> set[bool]:
        """What the releases from one to another say, all of them."""
        moments = {moment for _, begins, ends, _ in self._spans for moment in (begins, ends) if moment is not None}
        return {self.at(release) for release in (first, *(each for each in moments if first < each <= last))}

    def since(self, release: int) -> int | None:
        """The release since which the name is as a release has it; None where no rule was ever about it until then."""
        moments = {moment for _, begins, ends, _ in self._spans for moment in (begins, ends) if moment is not None}
        for each in sorted((each for each in moments if each <= release), reverse=True):
            if self.at(each) != self.at(each - 1):
                return each
        return None


def judge(rules: Mapping[str, Rule], key: str) -> Verdict:
    """A rule at the name decides, or the nearest wildcard above: in the normal form every resolver reads it so."""
    wilds = (rules.get(each, EMPTY_RULE).wild for each in names.key_ancestors(key))
    inherited = next((wild for wild in wilds if wild is not Decision.NOTHING), Decision.PASS)
    rule = rules.get(key, EMPTY_RULE)
    return Verdict((rule.own or inherited) is Decision.BLOCK, (rule.wild or inherited) is Decision.BLOCK)


def last_change(session: Session, key: str, newest: int) -> int | None:
    """The last release up to `newest` that made something else of this very name; None where none ever did."""
    query = select(RuleSpan).where(RuleSpan.key.in_((key, *names.key_ancestors(key))), RuleSpan.from_release <= newest)
    spans = session.scalars(query.order_by(RuleSpan.from_release.desc()).limit(MOST_SPANS)).all()
    ends = {span.to_release for span in spans if span.to_release is not None and span.to_release <= newest}
    for release in sorted({span.from_release for span in spans} | ends, reverse=True):
        if _at(spans, key, release) != _at(spans, key, release - 1):
            return release
    return None


def _at(spans: Collection[RuleSpan], key: str, release: int) -> bool:
    standing = (
        span
        for span in spans
        if span.from_release <= release and (span.to_release is None or span.to_release > release)
    )
    return judge({span.key: STORED[span.own][span.wild] for span in standing}, key).own
