"""When a name is blocked: the rules of orders, said once more and as plainly as they go, without a database."""

import datetime as dt
from dataclasses import dataclass, field

Tree = str | tuple[str, tuple["Tree", ...]]
Names = set[tuple[str, str]] | frozenset[tuple[str, str]]
STANDING = {"scheduled", "active", "suspended"}


class Refused(Exception):
    """The rules do not allow an act; it changed nothing."""


@dataclass
class Order:
    kind: str
    targets: Names
    tree: Tree | None = None  # a code, or ("all_of" | "any_of", trees)
    begins: dt.datetime | None = None
    expires: dt.datetime | None = None
    lapses: dt.datetime | None = None
    state: str = "proposed"
    ground: str = ""
    planned: tuple[str, dt.datetime | None] = ("", None)
    marks: dict[str, str] = field(default_factory=dict)
    undoes: "Order | None" = None
    in_part: bool = False
    again: list["Order"] = field(default_factory=list)
    wanted: tuple[tuple[Names, str] | None, str] = (None, "")

    def need(self, *allowed: bool) -> None:
        if not all(allowed):
            raise Refused

    def end(self, ground: str) -> None:
        self.state, self.ground = "ended", ground
        for part in (each for each in self.again if each.state in STANDING):
            part.end(ground)

    def met(self, tree: Tree | None) -> bool:
        if tree is None or isinstance(tree, str):
            return self.marks.get(tree or "") in {"met", "waived"}
        return (all if tree[0] == "all_of" else any)(map(self.met, tree[1]))

    def tick(self, now: dt.datetime) -> None:
        """What happens by itself: an end before all else, then a beginning or a return."""
        ways = (self.planned, ("order_expired", self.expires), ("emergency_lapsed", self.lapses))
        ends = [(at, ground) for ground, at in ways if at and at <= now]
        if self.state in STANDING and ends:
            self.end(min(ends, key=lambda end: end[0])[1])
        elif self.state in {"scheduled", "suspended"} and self.begins and self.begins <= now:
            self.state = "active"

    def approve(self, now: dt.datetime) -> None:
        self.need((self.state, self.lapses is None) in {("proposed", True), ("active", False)})
        self.need(not (self.expires and self.expires <= now), self.undoes is None or not self.undoes.met(self.tree))
        self.need(not (self.in_part and self.undoes and self.undoes.state == "ended"))
        self.state, self.lapses = "scheduled" if self.begins and self.begins > now else "active", None

    def lift(self, names: Names, ground: str, by: str) -> None:
        """All of it, or some names; of an exception once another person wants exactly that as well."""
        self.need(self.state in STANDING, names <= self.targets, self.wanted != ((names, ground), by))
        before, self.wanted = self.wanted[0], ((names, ground), by)
        if self.kind != "exception" or before == (names, ground):
            self.targets, self.wanted = self.targets - names, (None, "")
            if not names or not self.targets:
                self.end(ground)

    def suspend(self, until: dt.datetime, now: dt.datetime) -> None:
        self.need(self.state in {"active", "suspended"}, self.kind != "exception", until > now, until != self.begins)
        self.state, self.begins = "suspended", until

    def mark(self, code: str, mark: str) -> None:
        """A condition is met, waived or breached; the mark that completes the tree ends the order."""
        lifted = self.state == "ended" and self.ground in {"conditions_met", "solution_indicated"}
        possible = {"met"} if mark == "breached" else {None, "breached"}
        self.need(self.state in STANDING or lifted, self.marks.get(code) in possible)
        self.marks[code] = mark
        if not lifted and self.met(self.tree):
            self.end("conditions_met")

    def undo(self, now: dt.datetime, by: str, part: Names = frozenset()) -> "Order | None":
        """Lift what stands, or give the proposal that would bring back what was let go of, or a part of it."""
        if self.state in STANDING and not part:
            self.lift(frozenset(), "wrong_block", by)
            return None
        self.need(self.ground in {"solution_indicated", "wrong_block"} if self.state == "ended" else bool(part))
        self.need(bool(part or self.targets), not (self.expires and self.expires <= now), not self.met(self.tree))
        self.need(not any(each.state in {"proposed", *STANDING} for each in self.again))
        proposal = Order(self.kind.replace("emergency", "block"), part or self.targets, self.tree, expires=self.expires)
        proposal.marks, proposal.undoes, proposal.in_part = {**self.marks}, self, self.state in STANDING
        return proposal


def blocked(name: str, orders: list[Order]) -> bool:
    """The most specific target in force decides; of two that are equally specific the block does."""
    places = [(name, "exact"), *((name.split(".", i)[-1], "subtree") for i in range(name.count(".") + 1))]
    found = ({order.kind for order in orders if order.state == "active" and at in order.targets} for at in places)
    return next((kinds != {"exception"} for kinds in found if kinds), False)
