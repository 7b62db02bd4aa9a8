"""Finding applications: one, a list, those that wait, and those about a name."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from app.cases.models import Application, ApplicationState, ConcernedName, ConcernedOrder
from app.errors import NotFound
from app.orders.models import Order
from app.places import Place, behind
from resolver_policy import names

RUNS = text("applications.state = 'received'")
"""Written out, since the index of those whose clock runs is not used for a value that is only bound."""


@dataclass(frozen=True, slots=True)
class ApplicationFilter:
    """What a list is narrowed down to; None leaves a field open. `order` is an id, `overdue_at` a moment."""

    state: str | None = None
    kind: str | None = None
    order: str | None = None
    name: str | None = None
    overdue_at: dt.datetime | None = None


def by_uid(session: Session, uid: str, *, lock: bool = False) -> Application:
    """The application with this id; raises NotFound."""
    query = select(Application).where(Application.uid == uid)
    application = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if application is None:
        raise NotFound(f"there is no application {uid[:60]}")
    return application


def page(session: Session, narrowed: ApplicationFilter, *, after: int, limit: int) -> Sequence[Application]:
    """Applications behind the one with database id `after`, oldest first; raises PolicyError for what is no name."""
    query = select(Application).where(Application.id > after).order_by(Application.id).limit(limit)
    if narrowed.state is not None:
        query = query.where(Application.state == narrowed.state)
    if narrowed.kind is not None:
        query = query.where(Application.kind == narrowed.kind)
    if narrowed.order is not None:
        order_id = select(Order.id).where(Order.uid == narrowed.order).scalar_subquery()
        about = select(ConcernedOrder.application_id).where(ConcernedOrder.order_id == order_id)
        query = query.where(Application.id.in_(about))
    if narrowed.name is not None:
        key = names.sort_key(names.canonical(narrowed.name))
        about_name = select(ConcernedName.application_id).where(ConcernedName.key == key)
        query = query.where(Application.id.in_(about_name))
    if narrowed.overdue_at is not None:
        late = Application.due_at < narrowed.overdue_at
        query = query.where(Application.state == ApplicationState.RECEIVED, late)
    return session.scalars(query).all()


def waiting(session: Session, kind: str, *, source: int, after: Place, limit: int) -> Sequence[Application]:
    """Those of a kind whose clock runs, behind a place, the one due first at the front; an index holds them alone."""
    query = (
        select(Application)
        .where(RUNS, Application.kind == kind)
        .where(behind(after, source, Application.due_at, Application.id))
        .order_by(Application.due_at, Application.id)
    )
    return session.scalars(query.limit(limit)).all()


def pending(session: Session, key: str, order_ids: Collection[int], at: dt.datetime) -> Sequence[Application]:
    """Applications that had been entered by a moment and were not decided then: about a name, or all of an order."""
    about = select(ConcernedName.application_id).where(ConcernedName.key == key)
    whole = select(ConcernedOrder.application_id).where(ConcernedOrder.order_id.in_(order_ids), ConcernedOrder.whole)
    query = select(Application).where(
        Application.id.in_(about.union(whole)),
        Application.entered_at <= at,
        or_(Application.closed_at.is_(None), Application.closed_at > at),
    )
    return session.scalars(query.order_by(Application.id)).all()
