"""What happened since a moment that a long piece of work began with, and whether it touches an order's names."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.journal.models import Event, JournalHead
from app.orders import targets
from app.orders.models import Order
from app.orders.schemas import MAX_TARGETS


def events(session: Session) -> int:
    """How many events there are by now."""
    return session.scalars(select(JournalHead.size)).one()


def untouched(session: Session, order_id: int, since: int) -> bool:
    """Whether no act after so many events was on an order that shares a name with this one, or holds a subtree above
    one. An order of very many names is taken to share one."""
    acted_on = select(Event.order_id).where(Event.seq > since, Event.order_id != order_id)
    others = session.scalars(select(Order).where(Order.id.in_(acted_on))).all()
    return all(
        other.targets_count <= MAX_TARGETS and not targets.reach(session, other.id, order_id) for other in others
    )
