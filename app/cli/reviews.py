"""`pulih review`: what lifts left to be decided."""

from pathlib import Path

import click

from app.cli.context import open_database, print_json, token_option, utc_now
from app.cli.orders import acting_approver, reader, reason_option
from app.journal.moment import moment
from app.orders import queries, reviews
from app.orders.schemas import CloseReview


@click.group()
def review() -> None:
    """Reviews: breaches after a lift, and commitments that were not kept."""


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
