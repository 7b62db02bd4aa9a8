"""Finding orders, blocks and conditions, with the filters that lists offer."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.journal.actor import Actor, Role
from app.orders.models import LEAF, ConditionRow, Ground, Order, OrderState
from resolver_policy.conditions import SATISFIED


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What a list of orders is narrowed down to; None leaves a field open."""

    state: str | None = None
    category: str | None = None
    number: str | None = None
    text: str | None = None
    review_due_before: dt.datetime | None = None


def order_by_uid(session: Session, uid: str, *, lock: bool = False) -> Order:
    """The order with this id; raises NotFound, also for one whose import is not complete."""
    query = select(Order).where(Order.uid == uid, Order.state != OrderState.IMPORTING)
    order = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if order is None:
        raise NotFound(f"there is no order {uid[:60]}")
    return order


def order_by_number_or_uid(session: Session, text: str) -> Order:
    """The order with this number or id: the living one where a withdrawn one had the same number, and the order
    itself rather than one that would undo its lift."""
    query = select(Order).where(or_(Order.number == text, Order.uid == text), Order.state != OrderState.IMPORTING)
    order = session.scalars(query.order_by(Order.undoes_id.is_not(None), Order.id.desc()).limit(1)).one_or_none()
    if order is None:
        raise NotFound(f"there is no order {text[:60]}")
    return order


def orders(session: Session, narrowed: OrderFilter, *, after: int, limit: int) -> Sequence[Order]:
    """Orders behind the one with database id `after`, oldest first."""
    query = select(Order).where(*conditions_of(narrowed), Order.id > after).order_by(Order.id).limit(limit)
    return session.scalars(query).all()


def condition_by_uid(session: Session, actor: Actor, uid: str, *, lock: bool = False) -> ConditionRow:
    """The condition with this id; raises NotFound, also where it is not this platform's to see."""
    query = _visible_conditions(actor).where(ConditionRow.uid == uid)
    condition = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if condition is None:
        raise NotFound(f"there is no condition {uid[:60]}")
    return condition


def conditions(
    session: Session,
    actor: Actor,
    *,
    order_uid: str | None,
    overdue_at: dt.datetime | None = None,
    after: int,
    limit: int,
) -> Sequence[ConditionRow]:
    """Conditions behind the one with database id `after`; a platform sees its own only.

    With `overdue_at`, those alone that are not satisfied and whose date had passed by then: their own as long as their
    order stands, that of the commitment after an early lift.
    """
    query = _visible_conditions(actor).where(ConditionRow.id > after).order_by(ConditionRow.id).limit(limit)
    if order_uid is not None:
        query = query.where(Order.uid == order_uid)
    if overdue_at is not None:
        asked = and_(Order.state != OrderState.ENDED, ConditionRow.due_at <= overdue_at)
        committed = and_(Order.ground == Ground.SOLUTION_INDICATED, ConditionRow.commitment_due_at <= overdue_at)
        query = query.where(
            or_(asked, and_(Order.state == OrderState.ENDED, committed)), ConditionRow.state.not_in(SATISFIED)
        )
    return session.scalars(query).all()


def _visible_conditions(actor: Actor) -> Select[ConditionRow]:
    query = (
        select(ConditionRow)
        .join(Order, Order.id == ConditionRow.order_id)
        .where(ConditionRow.op == LEAF, Order.state != OrderState.IMPORTING)
    )
    if actor.role == Role.PLATFORM:
        hidden = (OrderState.PROPOSED, OrderState.WITHDRAWN, OrderState.REJECTED)
        query = query.where(
            Order.platform == actor.name,
            ConditionRow.responsible_party == "platform",
            Order.state.not_in(hidden),
        )
    return query


def conditions_of(narrowed: OrderFilter) -> Iterator[ColumnElement[bool]]:
    """What a filter asks of orders; of a draft nobody is told."""
    yield Order.state != OrderState.IMPORTING
    if narrowed.state is not None:
        yield Order.state == narrowed.state
    if narrowed.category is not None:
        yield Order.category == narrowed.category
    if narrowed.number is not None:
        yield Order.number == narrowed.number
    if narrowed.text is not None:
        columns = (Order.number, Order.authority, Order.reason_id, Order.reason_en)
        yield or_(*(column.icontains(narrowed.text, autoescape=True) for column in columns))
    if narrowed.review_due_before is not None:
        yield Order.review_at < narrowed.review_due_before


def holds_sample(session: Session) -> bool:
    """Whether the database holds a replayed case, which must not leave this machine."""
    return session.scalar(select(Order.id).where(Order.sample).limit(1)) is not None
