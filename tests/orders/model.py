"""When a name is blocked: the rules of orders, said once more and as plainly as they go, without a database."""

import datetime as dt
from dataclasses import dataclass, field

Tree = str | tuple[str, tuple["Tree", ...]]
STANDING = {"scheduled", "active", "suspended"}


class Refused(Exception):
    """The rules do not allow an act; it changed nothing."""


@dataclass
class Order:
    """An order as the rules see it; `tree` is a code, or ("all_of" | "any_of", trees)."""

    kind: str
    targets: set[tuple[str, str]]
    tree: Tree | None = None
    begins: dt.datetime | None = None
    expires: dt.datetime | None = None
    state: str = "proposed"
    ground: str = ""
    planned: tuple[str, dt.datetime | None] = ("", None)
    until: dt.datetime | None = None
    marks: dict[str, str] = field(default_factory=dict)
    undoes: "Order | None" = None
    end_proposed: bool = False

    def need(self, *allowed: bool) -> None:
        if not all(allowed):
            raise Refused

    def end(self, ground: str) -> None:
        self.need(self.state in STANDING)
        self.state, self.ground = "ended", ground

    def met(self, tree: Tree | None) -> bool:
        if tree is None or isinstance(tree, str):
            return self.marks.get(tree or "") in {"met", "waived"}
        return (all if tree[0] == "all_of" else any)(map(self.met, tree[1]))

    def tick(self, now: dt.datetime) -> None:
        """What happens by itself: an end before all else, then a beginning or a return."""
        ends = [(at, ground) for ground, at in (self.planned, ("order_expired", self.expires)) if at and at <= now]
        begins = {"scheduled": self.begins, "suspended": self.until}.get(self.state)
        if self.state in STANDING and ends:
            self.end(min(ends, key=lambda end: end[0])[1])
        elif begins is not None and begins <= now:
            self.state = "active"

    def approve(self, now: dt.datetime) -> None:
        self.need(self.state == "proposed" and not (self.expires and self.expires <= now))
        self.need(self.undoes is None or not self.undoes.met(self.tree))
        self.state = "scheduled" if self.begins and self.begins > now else "active"

    def release(self, names: set[tuple[str, str]], ground: str) -> None:
        self.need(self.state in STANDING and names <= self.targets)
        self.targets -= names
        if not self.targets:
            self.end(ground)

    def suspend(self, until: dt.datetime, now: dt.datetime) -> None:
        self.need(self.state in {"active", "suspended"} and until > now)
        self.state, self.until = "suspended", until

    def mark(self, code: str, mark: str) -> None:
        """A condition is met, waived or breached; the mark that completes the tree ends the order."""
        lifted = self.state == "ended" and self.ground in {"conditions_met", "solution_indicated"}
        self.need(self.state in STANDING or lifted)
        self.need(self.marks.get(code) in ({"met"} if mark == "breached" else {None, "breached"}))
        self.marks[code] = mark
        if not lifted and self.met(self.tree):
            self.end("conditions_met")

    def undo(self, now: dt.datetime, others: "list[Order]") -> "Order | None":
        """Lift what stands (an exception at the second time), or give the proposal that would bring it back."""
        if self.state in STANDING:
            if self.kind == "block" or self.end_proposed:
                self.end("wrong_block")
            self.end_proposed = True
            return None
        self.need(self.state == "ended" and self.ground in {"solution_indicated", "wrong_block"})
        self.need(not (self.expires and self.expires <= now) and not self.met(self.tree) and bool(self.targets))
        self.need(not any(each.undoes is self and each.state in {"proposed", *STANDING} for each in others))
        return Order(self.kind, {*self.targets}, self.tree, expires=self.expires, marks={**self.marks}, undoes=self)


def blocked(name: str, orders: list[Order]) -> bool:
    """The most specific target in force decides; of two that are equally specific the block does."""
    labels = name.split(".")
    for i in range(len(labels)):
        for match in ("exact", "subtree") if i == 0 else ("subtree",):
            here = (".".join(labels[i:]), match)
            kinds = {order.kind for order in orders if order.state == "active" and here in order.targets}
            if kinds:
                return "block" in kinds
    return False
