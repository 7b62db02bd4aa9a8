"""What was blocked and lifted, and how long it took, by category and authority: from the events alone."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any, NamedTuple

from app.journal.events import EventType
from resolver_policy.formats import table

COLUMNS = (
    "category",
    "authority",
    "blocks",
    "names_blocked",
    "lifts",
    "names_lifted",
    "seconds_to_lift_shortest",
    "seconds_to_lift_median",
    "seconds_to_lift_longest",
)
BEGINS = frozenset({EventType.ORDER_APPROVED, EventType.ORDER_ACTIVATED})
TYPES = frozenset({EventType.ORDER_PROPOSED, EventType.ORDER_LIFTED_IN_PART, EventType.ORDER_ENDED, *BEGINS})
"""The kinds of event that figures are made of."""


class Group(NamedTuple):
    """What figures are told apart by."""

    category: str
    authority: str


@dataclass(slots=True)
class Block:
    """What is remembered of an order that blocks; `began` is when it first came into force, in seconds."""

    group: Group
    names: int
    effective_at: dt.datetime | None
    began: dt.datetime | None = None
    lifted: int = 0
    took: int | None = None


@dataclass(slots=True)
class Figures:
    """Takes the bodies of events in order; memory grows with the orders, not with the events."""

    _blocks: dict[str, Block] = field(default_factory=dict)

    def take(self, body: dict[str, Any]) -> None:
        """Count one event; of others than `TYPES` it takes no notice."""
        type_, facts = body["type"], body["facts"]
        if type_ == EventType.ORDER_PROPOSED and facts["kind"] != "exception":
            effective = facts["effective_at"]
            self._blocks[facts["order"]] = Block(
                Group(facts["category"], facts["authority"]),
                facts["targets_count"],
                None if effective is None else dt.datetime.fromisoformat(effective),
            )
        elif type_ in TYPES and facts["order"] in self._blocks:
            self._change(self._blocks[facts["order"]], type_, facts, dt.datetime.fromisoformat(body["recorded_at"]))

    def rows(self) -> list[dict[str, str | int | None]]:
        """A row for each category and authority that blocked anything, in their order."""
        groups: dict[Group, list[Block]] = {}
        for block in self._blocks.values():
            if block.began is not None:
                groups.setdefault(block.group, []).append(block)
        return [_row(group, groups[group]) for group in sorted(groups)]

    def _change(self, block: Block, type_: str, facts: dict[str, Any], at: dt.datetime) -> None:
        if type_ in BEGINS:
            waits = type_ == EventType.ORDER_APPROVED and block.effective_at is not None and block.effective_at > at
            block.began = block.began or (None if waits else at)
        elif type_ == EventType.ORDER_LIFTED_IN_PART:
            block.lifted += len(facts["targets"])
        elif block.began is not None:
            block.lifted, block.took = block.names, int((at - block.began).total_seconds())


def of(bodies: Iterable[dict[str, Any]]) -> list[dict[str, str | int | None]]:
    """The figures of events, oldest first."""
    figures = Figures()
    for body in bodies:
        figures.take(body)
    return figures.rows()


def as_csv(rows: Iterable[dict[str, str | int | None]]) -> str:
    """The figures as a table (RFC 4180)."""
    return "".join([table.line(COLUMNS), *(table.line(row.values()) for row in rows)])


def _row(group: Group, blocks: list[Block]) -> dict[str, str | int | None]:
    took = [block.took for block in blocks if block.took is not None]
    values = (
        *group,
        len(blocks),
        sum(block.names for block in blocks),
        len(took),
        sum(block.lifted for block in blocks),
        *((min(took), median_low(took), max(took)) if took else (None, None, None)),
    )
    return dict(zip(COLUMNS, values, strict=True))
