"""`pulih undo`: an order, an import, or all that a release did."""

import datetime as dt
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.cli.context import open_database, print_json, settings, token_option, utc_now
from app.cli.orders import act, acting_approver, load_guard, reader, reason_option
from app.journal.actor import Actor, Role
from app.journal.moment import moment
from app.orders import queries, restore
from app.orders import undo as undoing
from app.orders.models import Order
from app.orders.schemas import Undo
from app.publication import undo as releases


@click.group()
def undo() -> None:
    """Undo what was done, by a new change: what only lifts at once, what would block again as a proposal."""


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what it would do, and what other orders still hold."
)
review_due_option = click.option(
    "--review-due-at", metavar="TIME", help="Another review date, where the one it had has passed."
)


@undo.command("order")
@click.argument("number")
@reason_option
@review_due_option
@dry_run_option
@token_option
def undo_order(number: str, reason: str, review_due_at: str | None, token_file: Path | None, *, dry_run: bool) -> None:
    """Undo an order, or the lift that ended it. An import is the order that it made."""
    command = Undo.model_validate({"reason": reason, "review_due_at": review_due_at})
    if dry_run:
        with open_database().read() as session:
            reader(session, token_file)
            print_json(undoing.plan(session, queries.order_by_number_or_uid(session, number), utc_now()))
        return
    guard, database = load_guard(), open_database()
    with database.read() as session:
        actor = acting_approver(session, token_file)
        found = queries.order_by_number_or_uid(session, number).id
    staged = restore.stage(database, actor, found, command, guard=guard, clock=utc_now)

    def do(session: Session, actor: Actor, found: Order, now: dt.datetime) -> Order:
        undone = undoing.undo(session, actor, found, command, now, guard=guard, staged=staged)
        click.echo(_SAID[undone.act].format(id=undone.order.uid))
        return undone.order

    act(number, token_file, (Role.APPROVER,), do)


undo.add_command(undo_order, "import")

_SAID = {
    undoing.Act.LIFTED: "lifted",
    undoing.Act.PROPOSED: "proposed, for another person to approve: {id}",
    undoing.Act.END_PROPOSED: "its end is proposed: another approver undoes it too",
}


@undo.command("release")
@click.argument("serial", type=int)
@click.option("--zone", help="Whose serial it is (default: the first zone of the settings).")
@reason_option
@review_due_option
@token_option
def undo_release(
    serial: int, zone: str | None, reason: str, review_due_at: str | None, token_file: Path | None
) -> None:
    """Undo what a release did, act by act, in every zone."""
    command = Undo.model_validate({"reason": reason, "review_due_at": review_due_at})
    guard, database = load_guard(), open_database()
    zone = zone or settings().zone_settings[0].name
    with database.read() as session:
        actor = acting_approver(session, token_file)
    staged = releases.stage(database, actor, zone, serial, command, guard=guard, clock=utc_now)
    with database.write() as session:
        actor = acting_approver(session, token_file)
        release = releases.release_of(session, zone, serial)
        items = releases.undo(session, actor, release, command, moment(session, utc_now), guard=guard, staged=staged)
        lines = [_line(item) for item in items]
    click.echo("\n".join(lines) or f"release {serial} was made of no act on an order")


def _line(item: releases.Item) -> str:
    name = item.order.number or item.order.uid
    what = item.detail if item.proposal is None else f"proposal {item.proposal.uid}"
    return f"{name}: {item.act}" + ("" if what is None else f" ({what})")
