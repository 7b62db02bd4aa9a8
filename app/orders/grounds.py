"""What each ground of a lift by hand asks for, and who may decide on it.

| ground | needs | decided by |
|---|---|---|
| `solution_indicated` | a date for each condition that the lift still lacks | an approver |
| `appeal_upheld` | the decision on the appeal | an approver who neither proposed nor approved the block |
| `wrong_block` | nothing; it leaves an incident | an approver, also the one who approved it |
| `court` | the judgment | an approver |

`conditions_met`, `order_expired` and `emergency_lapsed` come about by themselves: nobody decides on them. None of this
is asked of the clock: what was planned happens.
"""

import datetime as dt

from sqlalchemy.orm import Session

from app.auth import four_eyes
from app.errors import Fault, Forbidden, Unprocessable
from app.journal.actor import Actor
from app.orders import commitments, states
from app.orders.models import Ground, Order
from app.orders.schemas import Lift, PlanLift

RESTS_ON_CONDITIONS = (Ground.CONDITIONS_MET, Ground.SOLUTION_INDICATED)
"""Grounds of a lift after which its conditions still matter."""

BY_DOCUMENT = {Ground.COURT: "the judgment", Ground.APPEAL_UPHELD: "the decision on the appeal"}


def check(session: Session, actor: Actor, order: Order, command: Lift | PlanLift) -> None:
    """Who decides, and on what: raises Forbidden (`four_eyes`) or Unprocessable. Orders that brought back a part of it
    fall with it, so whoever decided on them decides no appeal against it."""
    if command.ground == Ground.APPEAL_UPHELD:
        for each in states.with_parts(session, order):
            four_eyes.check(actor, each.approved_by_id, act="decide an appeal against", first_act="approved")
            four_eyes.check(actor, each.proposed_by_id, act="decide an appeal against", first_act="proposed")
    if command.ground in BY_DOCUMENT and command.document is None:
        fault = Fault("document_required", str(command.ground), "/document")
        raise Unprocessable(
            f"{command.ground} rests on a document: name {BY_DOCUMENT[command.ground]}", faults=(fault,)
        )


def refuse_who_heard_the_appeal(session: Session, actor: Actor, order: Order) -> None:
    """Raise Forbidden (`four_eyes`) where an order would stand by the word of whoever planned that it, or the order of
    which it brings back a part, is lifted on appeal: that lift would then be refused when it falls due."""
    for each in states.with_wholes(session, order):
        if each.lift_ground == Ground.APPEAL_UPHELD and each.state in states.STANDING:
            heard = "planned the lift on appeal of"
            four_eyes.check(actor, each.lift_planned_by_id, act="approve", first_act=heard)
            if each.lift_planned_by_id == order.proposed_by_id:
                why = "whoever proposed it planned the lift on appeal of the order that it brings back a part of"
                raise Forbidden(f"{why}: somebody else must plan that lift, or propose this", code="four_eyes")


def commit(
    session: Session, actor: Actor, order: Order, command: Lift | PlanLift, now: dt.datetime, *, all_of_it: bool = True
) -> None:
    """Make unmet conditions commitments, where the ground takes them; `all_of_it`: none that the lift lacks is left.

    Raises Unprocessable. A replayed case keeps to its sources, which may name no date.
    """
    if command.ground != Ground.SOLUTION_INDICATED and command.commitments:
        fault = Fault("commitments_of_another_ground", str(command.ground), "/commitments")
        raise Unprocessable(f"{command.ground} leaves no commitments: they are for solution_indicated", faults=(fault,))
    commitments.make(session, actor, order, command.commitments, command.reason, now)
    if command.ground == Ground.SOLUTION_INDICATED and all_of_it and not order.sample:
        commitments.require(session, order)
