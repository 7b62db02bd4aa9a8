"""What an import was asked to do, and what came of it: order by order, and line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Fault, Unprocessable
from app.orders import imports_texts
from app.orders.imports_formats import Given
from app.orders.imports_lines import Lines
from app.orders.imports_verdicts import Rules, Verdict, Verdicts
from app.orders.models import Order
from resolver_policy.targets import Match

REFUSED_SHOWN = 10_000
OTHERS_SHOWN = 1_000
FAULTS_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """The match of names whose lines do not say it; a dry run stores nothing; `partial` stores the good lines without
    the others; `plan_id` stores only what a dry run has shown."""

    match: Match = Match.SUBTREE
    dry_run: bool = False
    partial: bool = False
    plan_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one order of a list. `order` is the proposal that was stored (`stored`), or the one that has the
    number already: `new` names of the list are not in it, `missing` ones of it are not on the list."""

    number: str
    names: int
    new: int
    missing: int = 0
    order: Order | None = None
    stored: bool = False
    plan_hash: str | None = None

    def document(self) -> dict[str, Any]:
        known = {} if self.order is None else {"order_id": self.order.uid, "state": self.order.state}
        counts = {"names": self.names, "new": self.new, "missing": self.missing}
        return {"number": self.number, **known, "stored": self.stored, "plan_hash": self.plan_hash, **counts}


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a list, order by order."""

    given: Given
    lines: Lines
    rules: Rules
    options: Options
    verdicts: Verdicts
    outcomes: Sequence[Outcome] = ()
    plan_id: str | None = None

    @property
    def order(self) -> Order | None:
        """The order, where the list is about one."""
        return self.outcomes[0].order if len(self.outcomes) == 1 else None

    @property
    def stored(self) -> bool:
        """Whether anything was."""
        return any(outcome.stored for outcome in self.outcomes)

    @property
    def refused(self) -> bool:
        """Whether nothing was stored because of the list itself."""
        good, bad = self.verdicts.not_refused, self.verdicts.counts[Verdict.REFUSED]
        return not self.options.dry_run and (good == 0 or (bad > 0 and not self.options.partial))

    def refusal(self) -> Unprocessable:
        """The error that says why, naming lines, values and rules (the first 1,000)."""
        bad = self.verdicts.counts[Verdict.REFUSED]
        if not bad:
            return Unprocessable("the list holds no name")
        items = list(self.verdicts.items(self.lines, self.rules, refused=FAULTS_SHOWN, others=0))
        faults = [Fault(item["rule"], item["input"], line=item["line"]) for item in items]
        detail = (
            f"{bad} of {self.verdicts.total} lines are refused, so nothing was stored; the first: {items[0]['detail']}"
        )
        return Unprocessable(detail, code=items[0]["code"], faults=faults)

    def summary(self) -> dict[str, Any]:
        """The orders, the plan's hash, the counts and what they are called, without lines."""
        counts = {str(verdict): count for verdict, count in self.verdicts.counts.items()}
        one = self.outcomes[0] if len(self.outcomes) == 1 else None
        document = {
            "plan_hash": None if one is None else one.plan_hash,
            "plan_id": self.plan_id,
            "format": {"name": str(self.given.format), "said": self.given.said},
            "counts": {"lines": self.verdicts.total, **counts},
            "texts": {verdict: text._asdict() for verdict, text in imports_texts.VERDICTS.items()},
            "orders": [outcome.document() for outcome in self.outcomes],
        }
        return document if one is None or one.order is None else {"order_id": one.order.uid, **document}

    def document(self) -> dict[str, Any]:
        """The answer over HTTP: every refused line and the first others, up to what an answer should carry."""
        items = list(self.verdicts.items(self.lines, self.rules, refused=REFUSED_SHOWN, others=OTHERS_SHOWN))
        return {**self.summary(), "items": items, "items_left_out": self.verdicts.total - len(items)}
