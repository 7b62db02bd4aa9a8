"""What a check found: that all is well, what is wrong and where, or that it was not done and why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

MOST_TOLD = 20
"""Things that are wrong of which a check tells; it counts all."""

Tick = Callable[[int], None]
"""Told how many rows were looked at since it was told last."""


class State(StrEnum):
    """How a check ended. One that was not done is never taken for one that is well."""

    OK = "ok"
    WRONG = "wrong"
    NOT_CHECKED = "not_checked"
    COULD_NOT_LOOK = "could_not_look"


class Wrong(NamedTuple):
    """One thing that is wrong: where, and in which way."""

    where: str
    why: str


@dataclass
class Findings:
    """What a check has found so far: the first of it, and how much."""

    count: int = 0
    told: list[Wrong] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Take note of something that is wrong."""
        self.count += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(Wrong(where, why))


@dataclass(frozen=True, slots=True)
class Check:
    """A check that was made, or not: `said` is one line, `todo` what to do where something is wrong."""

    name: str
    state: State
    said: str
    wrong: tuple[Wrong, ...] = ()
    count: int = 0
    todo: str | None = None

    def document(self) -> dict[str, Any]:
        """The check as programs read it."""
        return {
            "check": self.name,
            "state": str(self.state),
            "said": self.said,
            "count": self.count,
            "wrong": [wrong._asdict() for wrong in self.wrong],
            "todo": self.todo,
        }


def found(name: str, findings: Findings, well: str, todo: str) -> Check:
    """A check that was made: `well` says what was looked at and found to be so."""
    if not findings.count:
        return Check(name, State.OK, well)
    what = "1 thing is wrong" if findings.count == 1 else f"{findings.count:,} things are wrong"
    return Check(name, State.WRONG, what, tuple(findings.told), findings.count, todo)


def not_checked(name: str, why: str) -> Check:
    """A check that there was nothing to do for, or that nobody asked for."""
    return Check(name, State.NOT_CHECKED, why)


def could_not_look(name: str, why: str) -> Check:
    """A check that should have been made, and could not."""
    return Check(name, State.COULD_NOT_LOOK, why)
