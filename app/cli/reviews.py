"""`pulih review`: what waits to be looked at, periodic reviews of orders, and what lifts left to be decided."""

from pathlib import Path
from typing import BinaryIO

import click

from app.cli.context import open_database, print_json, token_option, utc_now
from app.cli.lifts import APPROVERS, GROUNDS, commit_option, commitments_of, document_option
from app.cli.orders import act, acting_approver, allowed, reader, reason_option
from app.journal.actor import Role
from app.journal.moment import moment
from app.orders import notes, notes_import, queries, review_queue, reviewing, reviews
from app.orders.review_models import ReviewOutcome, Stale
from app.orders.review_queue import QueueFilter, QueueKind
from app.orders.review_schemas import NoteIn, ReviewOrder
from app.orders.schemas import CloseReview
from app.places import FIRST
from app.settings import parse_duration

CLERKS = (Role.OPERATOR, Role.APPROVER)


@click.group()
def review() -> None:
    """Reviews: of orders by their date, of names that changed, of breaches and commitments after a lift."""


@review.command("queue")
@click.option("--kind", type=click.Choice([kind.value for kind in QueueKind]), help="Only these.")
@click.option("--overdue", is_flag=True, help="Only what is overdue.")
@click.option("--within", default="30d", show_default=True, help="How soon it is due: 30d, 24h, ...")
@token_option
def show_queue(kind: str | None, within: str, token_file: Path | None, *, overdue: bool) -> None:
    """What is to be looked at, as JSON, the longest overdue first."""
    now = utc_now()
    chosen = None if kind is None else QueueKind(kind)
    narrowed = QueueFilter(chosen, None, overdue, now + parse_duration(within))
    with open_database().read() as session:
        reader(session, token_file)
        found = review_queue.page(session, narrowed, now, after=FIRST, limit=100_000)
        print_json([each.item for each in found])


@review.command("order")
@click.argument("number")
@click.option(
    "--outcome", type=click.Choice([each.value for each in ReviewOutcome]), required=True, help="Its outcome."
)
@click.option("--next", "next_review_at", metavar="TIME", help="When the next review is due (RFC 3339).")
@click.option("--ground", type=click.Choice(GROUNDS), help="Why the block ends (lift, plan).")
@document_option
@commit_option
@click.option("--at", metavar="TIME", help="When it is lifted (plan); without it the moment is open.")
@reason_option
@token_option
def review_order(number: str, token_file: Path | None, *, commitments: tuple[str, ...], **fields: str | None) -> None:
    """Review an order: keep it until the next, lift it, or plan its lift. Not for who proposed it."""
    command = ReviewOrder.model_validate({**fields, "commitments": commitments_of(commitments)})
    act(
        number,
        token_file,
        APPROVERS,
        lambda session, actor, found, now: reviewing.review(session, actor, found, command, now),
    )


@review.command("note")
@click.argument("name")
@click.option("--what", type=click.Choice([each.value for each in Stale]), required=True, help="What was seen.")
@click.option("--seen", "seen_at", metavar="TIME", required=True, help="When (RFC 3339).")
@click.option("--source", required=True, help="Who saw it, or where it stands.")
@click.option("--order", help="Number or id, where only one order is meant.")
@token_option
def note_name(token_file: Path | None, **fields: str | None) -> None:
    """Note that NAME changed owner or is gone: the review of its orders is due at once."""
    command = NoteIn.model_validate(fields)
    with open_database().write() as session:
        actor = allowed(session, token_file, CLERKS)
        (verdict,) = notes.note(session, actor, [command], moment(session, utc_now))
    click.echo(f"{verdict['name']}: {verdict['verdict']}, {len(verdict['orders'])} orders")


@review.command("import")
@click.argument("file", type=click.File("rb"))
@token_option
def import_notes(file: BinaryIO, token_file: Path | None) -> None:
    """Note what FILE says of names: a table `name,what,seen_at,source`."""
    database = open_database()
    with database.read() as session:
        actor = allowed(session, token_file, CLERKS)
    counts = notes_import.import_file(database, actor, file, clock=utc_now)
    click.echo(", ".join(f"{counts[verdict]} {verdict}" for verdict in notes.VERDICTS))


@review.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are closed.")
@token_option
def list_reviews(token_file: Path | None, *, everything: bool) -> None:
    """Open reviews, as JSON, oldest first."""
    with open_database().read() as session:
        reader(session, token_file)
        found = reviews.page(session, open_only=not everything, order_uid=None, after=0, limit=100_000)
        print_json([reviews.document(session, each) for each in found])


@review.command("close")
@click.argument("id_")
@click.option(
    "--decision", type=click.Choice(["no_action", "remedied", "new_order"]), required=True, help="What is done."
)
@click.option("--order", "new_order", help="Number or id of the proposal (new_order).")
@reason_option
@token_option
def close_review(id_: str, decision: str, new_order: str | None, reason: str, token_file: Path | None) -> None:
    """Decide a review. Not for who opened it."""
    with open_database().write() as session:
        actor = acting_approver(session, token_file)
        uid = None if new_order is None else queries.order_by_number_or_uid(session, new_order).uid
        command = CloseReview.model_validate({"decision": decision, "reason": reason, "order": uid})
        reviews.close(session, actor, reviews.by_uid(session, id_), command, moment(session, utc_now))
    click.echo(f"{id_}: closed ({decision})")
