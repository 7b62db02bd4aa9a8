"""`pulih order lift|plan-lift|suspend|resume`: the ways out of a block."""

from pathlib import Path

import click

from app.cli import undo
from app.cli.context import settings, token_option
from app.cli.orders import act, order, reason_option
from app.journal.actor import Role
from app.orders import lift, suspend
from app.orders.schemas import Lift, PlanLift, Resume, Suspend

APPROVERS = (Role.APPROVER,)
GROUNDS = ["solution_indicated", "appeal_upheld", "wrong_block", "court"]

ground_option = click.option("--ground", type=click.Choice(GROUNDS), required=True, help="Why the block ends.")
document_option = click.option("--document", help="The judgment, or the decision on the appeal, that it rests on.")
commit_option = click.option(
    "--commit",
    "commitments",
    metavar="CONDITION=TIME",
    multiple=True,
    help="By when a condition that is not met is to be met (solution_indicated); may be said again.",
)


def commitments_of(texts: tuple[str, ...]) -> list[dict[str, str]]:
    """Commitments as they are written on the command line: `CONDITION=TIME`."""
    pairs = [text.partition("=") for text in texts]
    return [{"condition": condition, "due_at": due_at} for condition, _, due_at in pairs]


@order.command("lift")
@click.argument("number")
@ground_option
@document_option
@commit_option
@reason_option
@token_option
def lift_order(number: str, token_file: Path | None, *, commitments: tuple[str, ...], **fields: str | None) -> None:
    """Lift an order now, with everything it holds."""
    command = Lift.model_validate({**fields, "commitments": commitments_of(commitments)})
    act(
        number, token_file, APPROVERS, lambda session, actor, found, now: lift.lift(session, actor, found, command, now)
    )


@order.command("plan-lift")
@click.argument("number")
@ground_option
@document_option
@commit_option
@click.option("--at", metavar="TIME", help="When (RFC 3339); without it the moment is open.")
@reason_option
@token_option
def plan_lift(number: str, token_file: Path | None, *, commitments: tuple[str, ...], **fields: str | None) -> None:
    """Plan a lift, or move a planned one."""
    command = PlanLift.model_validate({**fields, "commitments": commitments_of(commitments)})
    act(
        number,
        token_file,
        APPROVERS,
        lambda session, actor, found, now: lift.plan_lift(session, actor, found, command, now),
    )


@order.command("suspend")
@click.argument("number")
@click.option("--until", metavar="TIME", required=True, help="When the block returns (RFC 3339).")
@reason_option
@token_option
def suspend_order(number: str, until: str, reason: str, token_file: Path | None) -> None:
    """Open an order's names until a moment, or move that moment."""
    command, notice = Suspend.model_validate({"until": until, "reason": reason}), settings().notice_of_return
    act(
        number,
        token_file,
        APPROVERS,
        lambda session, actor, found, now: suspend.suspend(session, actor, found, command, now, notice=notice),
    )


@order.command("resume")
@click.argument("number")
@reason_option
@token_option
def resume_order(number: str, reason: str, token_file: Path | None) -> None:
    """End an opening early: the order holds its names again."""
    command = Resume(reason=reason)
    act(
        number,
        token_file,
        APPROVERS,
        lambda session, actor, found, now: suspend.resume(session, actor, found, command, now),
    )


order.add_command(undo.undo_order, "undo")
