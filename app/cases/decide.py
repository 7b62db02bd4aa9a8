"""Deciding an application: by an approver who had no part in the block, nor in what it appeals against.

What is granted is lifted in the same transaction, by the rules of every lift: whole orders, or its names alone.
"""

import datetime as dt
from collections.abc import Container, Iterator, Sequence
from typing import NoReturn

from sqlalchemy.orm import Session

from app.cases import completeness, concerned
from app.cases.models import Application, ApplicationKind, ApplicationState, ConcernedOrder
from app.cases.record import Record, append
from app.cases.schemas import DecideApplication, Outcome
from app.errors import Conflict, Fault, Forbidden, Unprocessable
from app.journal.actor import Actor
from app.journal.events import EventType
from app.orders import lift, states
from app.orders.models import Ground, Order
from app.orders.schemas import Lift
from resolver_policy import names


def decide(
    session: Session, actor: Actor, application: Application, command: DecideApplication, now: dt.datetime
) -> Application:
    """Grant, refuse, or note that nothing is held any more.

    Raises Forbidden (`four_eyes`) for whoever entered it or had a part in what it is about, Conflict where papers
    lack or the outcome does not fit what is held, Unprocessable for a ground that does not fit, and whatever a lift
    may raise.
    """
    needed = (ApplicationState.RECEIVED,) if command.outcome is Outcome.GRANTED else completeness.OPEN
    completeness.require_state(application, *needed)
    _add_later_orders(session, application)
    _check_decider(session, actor, application)
    orders = concerned.orders(session, application)
    standing = [(order, whole) for order, whole in orders if order.state in states.STANDING]
    if (command.outcome is Outcome.OVERTAKEN) == bool(_still_held(session, application, standing)):
        raise Conflict(
            "what it is about is held still: grant it or refuse it"
            if standing
            else "nothing that it is about is held any more: its outcome is `overtaken`"
        )
    if command.outcome is Outcome.GRANTED:
        _lift(session, actor, application, standing, command, now)
    application.version += 1
    completeness.go_on(application, now)
    application.state = ApplicationState(command.outcome)
    application.closed_at, application.decided_by_id = now, actor.principal_id
    application.ground, application.document = command.ground, command.document
    application.reason_id, application.reason_en = command.reason.id, command.reason.en
    facts = {
        "outcome": str(command.outcome),
        "ground": None if command.ground is None else str(command.ground),
        "document": command.document,
        "reason": command.reason.model_dump(),
    }
    record = Record(EventType.APPLICATION_DECIDED, facts)
    append(session, actor, application, [order for order, _ in orders], record, now)
    session.flush()
    return application


def _check_decider(session: Session, actor: Actor, application: Application) -> None:
    """Compared by person, never by token; the database refuses it too."""
    if actor.principal_id == application.entered_by_id:
        raise Forbidden(f"{actor.name} entered it, so somebody else must decide it", code="four_eyes")
    if actor.principal_id in concerned.decided_on(session, application):
        raise Forbidden(
            f"{actor.name} had a part in what it is about, so somebody else must decide it", code="four_eyes"
        )


def _add_later_orders(session: Session, application: Application) -> None:
    """Orders that came to hold its names since it was entered concern it as well, unless it is about a certain one."""
    if application.about_one:
        return
    ids = {order.id for order, _ in concerned.orders(session, application)}
    for key in concerned.keys(session, application):
        for order in concerned.holders(session, key):
            if order.id not in ids:
                ids.add(order.id)
                session.add(ConcernedOrder(application_id=application.id, order_id=order.id, whole=False))
    session.flush()


def _still_held(session: Session, application: Application, standing: Sequence[tuple[Order, bool]]) -> bool:
    """Whether an order stands that it is about as a whole, or one of its names is held by an order that it is about."""
    ids = {order.id for order, _ in standing}
    return any(whole for _, whole in standing) or next(_holding(session, application, ids), None) is not None


def _holding(session: Session, application: Application, ids: Container[int]) -> Iterator[tuple[str, Order]]:
    """Names that it is about, each with an order of these that holds it still, at it or from above."""
    for key in concerned.keys(session, application):
        yield from ((key, order) for order in concerned.holders(session, key) if order.id in ids)


def _lift(
    session: Session,
    actor: Actor,
    application: Application,
    standing: Sequence[tuple[Order, bool]],
    command: DecideApplication,
    now: dt.datetime,
) -> None:
    assert command.ground is not None
    _check_ground(application, command, len(standing))
    keys = concerned.keys(session, application)
    for order, whole in standing:
        held = None if whole else concerned.held(session, order, keys)
        if whole or held:
            fields = {
                "ground": command.ground,
                "reason": command.reason.en,
                "document": command.document,
                "commitments": command.commitments,
                "targets": held,
            }
            lift.lift(session, actor, order, Lift.model_validate(fields), now)
    for key, order in _holding(session, application, {order.id for order, _ in standing}):
        _refuse_from_above(names.from_key(key), order)


def _check_ground(application: Application, command: DecideApplication, orders: int) -> None:
    appeal = application.kind == ApplicationKind.APPEAL
    if appeal != (command.ground == Ground.APPEAL_UPHELD):
        fault = Fault("ground_of_another_kind", str(command.ground), "/ground")
        raise Unprocessable("an appeal is granted as `appeal_upheld`, and nothing else is", faults=(fault,))
    if command.commitments and orders > 1:
        fault = Fault("commitments_of_one_order", str(orders), "/commitments")
        raise Unprocessable(
            "commitments are of one order: have the application name it, and decide each alone", faults=(fault,)
        )


def _refuse_from_above(name: str, order: Order) -> NoReturn:
    fault = Fault("held_from_above", name, "/about/names")
    raise Unprocessable(
        f"order {order.number or order.uid} holds {name} by a name above it: an application about that order as a whole"
        " lifts it, or an exception opens the name",
        faults=(fault,),
    )
