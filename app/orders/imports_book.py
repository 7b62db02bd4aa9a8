"""The orders of a list: one that was said beside it, or those that its lines say, each once."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Fault, TooLarge, Unprocessable
from app.orders import propose, states
from app.orders.imports_lines import Cells
from app.orders.models import Order, OrderState
from app.orders.schemas import OrderIn
from resolver_policy.errors import PolicyError

MOST_ORDERS = 1_000
"""Orders in one list."""

MOST_WAYS = 2_000
"""Ways of writing them that are remembered, good or refused."""

HOLDING = (OrderState.PROPOSED, *states.STANDING)
"""States in which an order that has the list's number already may hold its names."""

Template = Mapping[str, Any]
"""What lines do not say of their order: the fields of an order, as many as there are."""

OFFICE = dt.timezone(dt.timedelta(hours=7))
"""Where a day begins: Asia/Jakarta, which has no summer time."""


@dataclass(frozen=True, slots=True)
class Entered:
    """An order of the list, and the one in force or on its way there that has its number already."""

    command: OrderIn
    standing: Order | None


class Book:
    """The orders of a list, in the order in which lines name them; `many` where lines say what order is theirs."""

    def __init__(self, database: Database, now: Callable[[], dt.datetime], order: OrderIn | Template) -> None:
        self._database = database
        self._now = now
        self._template: Template = {} if isinstance(order, OrderIn) else order
        self._known: dict[Cells, int] = {}
        self._refused: dict[Cells, PolicyError | Unprocessable] = {}
        self._numbers: dict[str, int] = {}
        self.many = not isinstance(order, OrderIn)
        self.orders = [self._enter(order)] if isinstance(order, OrderIn) else []
        self.kind: str = order.kind if isinstance(order, OrderIn) else str(order.get("kind", ""))
        override = order.override if isinstance(order, OrderIn) else order.get("override")
        self.lenient = propose.is_lenient(self.kind, override)

    def place(self, cells: Cells) -> str:
        """What sorts the names of one order together; raises Unprocessable where a line's order cannot be."""
        if not self.many:
            return ""
        if cells in self._refused:
            raise self._refused[cells]
        index = self._known.get(cells)
        if index is None:
            try:
                index = self._known[cells] = self._look_up(cells)
            except (PolicyError, Unprocessable) as error:
                self._keep(cells, error)
                raise
        return f"{index:04}!"

    def order_of(self, cells: Cells) -> Entered:
        """The order of a line that was not refused."""
        return self.orders[self._known[cells] if self.many else 0]

    def _keep(self, cells: Cells, error: PolicyError | Unprocessable) -> None:
        if len(self._refused) < MOST_WAYS:
            self._refused[cells] = error

    def _look_up(self, cells: Cells) -> int:
        command = _command(self._template, cells)
        index = self._numbers.get(command.number)
        if index is None:
            if len(self.orders) == MOST_ORDERS:
                raise TooLarge(f"the list has more than {MOST_ORDERS} orders")
            self.orders.append(self._enter(command))
            index = self._numbers[command.number] = len(self.orders) - 1
        elif self.orders[index].command != command:
            why = f"another line says something else of order {command.number}"
            raise Unprocessable(why, faults=(Fault("order_differs", command.number),))
        elif len(self._known) >= MOST_WAYS:
            raise TooLarge(f"the list writes its orders in more than {MOST_WAYS} ways")
        return index

    def _enter(self, command: OrderIn) -> Entered:
        """Raises PolicyError or AppError where an order cannot be."""
        with self._database.read() as session:
            standing = _standing(session, command)
            if standing is None:
                propose.check_order(session, command, self._now())
        return Entered(command, standing)


def _standing(session: Session, command: OrderIn) -> Order | None:
    query = select(Order).where(Order.number == command.number, Order.state.in_(HOLDING), Order.undoes_id.is_(None))
    return session.scalars(query).one_or_none()


def _command(template: Template, cells: Cells) -> OrderIn:
    """An order as a line says it, over what the template says; raises Unprocessable, naming the field."""
    try:
        return OrderIn.model_validate(
            {**template, **_fields(template, {column: text for column, text in cells if text})}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "order"
        detail = f"the order of this line: {field}: {first['msg']}"
        value = first["input"] if isinstance(first["input"], str) else None
        raise Unprocessable(detail, faults=(Fault("order_data", value),)) from error


def _fields(template: Template, said: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        column: said[column] for column in ("number", "dated", "authority", "category") if column in said
    }
    basis = {column: said[column] for column in ("instrument", "article") if column in said}
    if basis:
        fields["legal_basis"] = [basis]
    reason = {language: said[f"reason_{language}"] for language in ("id", "en") if f"reason_{language}" in said}
    if reason:
        known = template.get("reason")
        fields["reason"] = {**(known if isinstance(known, Mapping) else {}), **reason}
    if "review_due_at" in said:
        fields["review_due_at"] = moment_of(said["review_due_at"])
    return fields


def moment_of(text: str) -> str | dt.datetime:
    """A date alone is where that day begins at the ministry."""
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), OFFICE)
    except ValueError:
        return text
