"""What an application is about: names, and the orders that hold them or that it names."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.cases.models import Application, ConcernedName, ConcernedOrder
from app.cases.schemas import About
from app.errors import Conflict, Fault, Unprocessable, faults_of
from app.orders import queries, states, targets
from app.orders.models import Order, OrderKind, TargetRow
from app.orders.schemas import TargetIn
from resolver_policy import names
from resolver_policy.errors import PolicyError


def keys_of(about: About) -> list[str]:
    """The canonical keys of the names that were written; raises Unprocessable, naming the one that is none."""
    keys: dict[str, None] = {}
    for index, text in enumerate(about.names):
        try:
            keys[names.sort_key(names.canonical(text))] = None
        except PolicyError as error:
            faults = faults_of(error, pointer=f"/about/names/{index}")
            raise Unprocessable(error.detail, code=error.code, faults=faults) from error
    return list(keys)


def orders_of(session: Session, about: About, keys: Sequence[str]) -> list[Order]:
    """The standing orders that something is about; raises Conflict or Unprocessable where none holds what is named."""
    if about.order is None:
        held = {key: holders(session, key) for key in keys}
    else:
        order = queries.order_by_number_or_uid(session, about.order)
        states.require_state(order, *states.STANDING)
        if order.kind == OrderKind.EXCEPTION:
            raise Conflict(f"order {order.number} is an exception: it blocks nothing that could be lifted")
        if not keys:
            return [order]
        held = {key: [each for each in holders(session, key) if each.id == order.id] for key in keys}
    for index, key in enumerate(keys):
        if not held[key]:
            name = names.from_key(key)
            by = "no order" if about.order is None else f"order {about.order} does not"
            fault = Fault("not_held", name, f"/about/names/{index}")
            raise Unprocessable(f"{name}: {by} hold it" if about.order else f"{by} holds {name}", faults=(fault,))
    return list({order.id: order for found in held.values() for order in found}.values())


def holders(session: Session, key: str) -> Sequence[Order]:
    """The standing orders that hold a name, at it or from above, oldest first."""
    query = (
        select(Order)
        .join(TargetRow, TargetRow.order_id == Order.id)
        .where(targets.covers(key), TargetRow.released_at.is_(None))
        .where(Order.state.in_(states.STANDING), Order.kind != OrderKind.EXCEPTION)
        .order_by(Order.id)
    )
    return session.scalars(query).unique().all()


def orders(session: Session, application: Application) -> Sequence[tuple[Order, bool]]:
    """The orders that an application concerns, and whether all of each, oldest first."""
    query = select(Order, ConcernedOrder.whole).join(ConcernedOrder, ConcernedOrder.order_id == Order.id)
    rows = session.execute(query.where(ConcernedOrder.application_id == application.id).order_by(Order.id))
    return [(order, whole) for order, whole in rows]


def keys(session: Session, application: Application) -> Sequence[str]:
    """The names that an application is about, in key order; none where it is about whole orders."""
    query = select(ConcernedName.key).where(ConcernedName.application_id == application.id)
    return session.scalars(query.order_by(ConcernedName.key)).all()


def held(session: Session, order: Order, application_keys: Sequence[str]) -> Sequence[TargetIn]:
    """The targets of an order at these names that it has not released."""
    query = select(TargetRow.key, TargetRow.match).where(
        TargetRow.key.in_(application_keys), TargetRow.order_id == order.id, TargetRow.released_at.is_(None)
    )
    rows = session.execute(query.order_by(TargetRow.key, TargetRow.match))
    return [TargetIn(name=names.from_key(key), match=targets.MATCHES[match]) for key, match in rows]


def decided_on(session: Session, application: Application) -> set[int]:
    """Everybody who had a part in what an application is about, by principal: whoever proposed or approved its orders
    (and those that they bring back), and whoever refused what it appeals against."""
    concerned = select(ConcernedOrder.order_id).where(ConcernedOrder.application_id == application.id)
    undone = select(Order.undoes_id).where(Order.id.in_(concerned))
    query = select(Order.proposed_by_id, Order.approved_by_id).where(or_(Order.id.in_(concerned), Order.id.in_(undone)))
    people = {id_ for row in session.execute(query) for id_ in row if id_ is not None}
    if application.appeal_of_id is not None:
        refused = session.get_one(Application, application.appeal_of_id)
        people |= {id_ for id_ in (refused.decided_by_id,) if id_ is not None}
    return people
