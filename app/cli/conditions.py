"""`pulih condition`: what must be so for a block to end, the evidence for it, and the marks on it."""

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.context import open_database, print_json, token_option, utc_now
from app.cli.orders import allowed, reason_option
from app.errors import Unprocessable
from app.journal.actor import Actor, Role
from app.journal.moment import moment
from app.orders import condition_documents as documents
from app.orders import evidence, marks, queries
from app.orders.models import ConditionRow
from app.orders.schemas import AddEvidence, Claim, Mark, Waive

READERS = (Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.PLATFORM)
CLAIMANTS = (Role.OPERATOR, Role.APPROVER, Role.PLATFORM)
APPROVERS = (Role.APPROVER,)
MOST = 100_000
Act = Callable[[Session, Actor, ConditionRow, Any, dt.datetime], ConditionRow]

text_option = click.option("--text", help="What shows it, in words.")
file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A PDF, PNG, JPEG or text file.",
)
authority_option = click.option("--authority", required=True, help="By whose authority.")


@click.group()
def condition() -> None:
    """Conditions, by the id or the NUMBER:CODE (of the order, of the condition) that CONDITION is."""


@condition.command("list")
@click.option("--order", "number", help="Of this order alone.")
@click.option("--overdue", is_flag=True, help="Only those whose date has passed.")
@token_option
def list_conditions(number: str | None, token_file: Path | None, *, overdue: bool) -> None:
    """Conditions with their evidence, as JSON, oldest first."""
    with open_database().read() as session:
        actor, now = allowed(session, token_file, READERS), utc_now()
        uid = None if number is None else queries.order_by_number_or_uid(session, number).uid
        due = now if overdue else None
        found = queries.conditions(session, actor, order_uid=uid, overdue_at=due, after=0, limit=MOST)
        print_json([documents.marked_document(session, actor, row, now) for row in found])


@condition.command()
@click.argument("which", metavar="CONDITION")
@text_option
@file_option
@click.option("--delegate", help="Who fulfils it for the platform, with --from and --until.")
@click.option("--from", "valid_from", metavar="TIME", help="Since when that is so (RFC 3339).")
@click.option("--until", "valid_until", metavar="TIME", help="Until when (RFC 3339).")
@token_option
def claim(
    which: str, text: str | None, path: Path | None, token_file: Path | None, delegate: str | None, **dates: str | None
) -> None:
    """Say that a condition is fulfilled, and show it."""
    if delegate is None and any(dates.values()):
        raise click.UsageError("--from and --until are of a --delegate")
    named = None if delegate is None else {"name": delegate, **dates}
    command = Claim.model_validate({"evidence": _evidence(text, path), "delegate": named})
    _act(which, token_file, CLAIMANTS, marks.claim, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@text_option
@file_option
@token_option
def add(which: str, text: str | None, path: Path | None, token_file: Path | None) -> None:
    """Show more for your own claim, until it is judged."""
    command = AddEvidence.model_validate({"evidence": _evidence(text, path)})
    _act(which, token_file, CLAIMANTS, marks.add_evidence, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@reason_option
@token_option
def verify(which: str, reason: str, token_file: Path | None) -> None:
    """Mark a claim as met. Not for whoever made it; the last mark lifts the block."""
    command = Mark(reason=reason)
    _act(which, token_file, APPROVERS, marks.verify, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@reason_option
@token_option
def reject(which: str, reason: str, token_file: Path | None) -> None:
    """Refuse a claim; it may be made again. Not for whoever made it."""
    command = Mark(reason=reason)
    _act(which, token_file, APPROVERS, marks.reject, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@authority_option
@reason_option
@token_option
def waive(which: str, token_file: Path | None, **fields: str) -> None:
    """Set a condition aside. It counts as satisfied, and never looks met."""
    command = Waive.model_validate(fields)
    _act(which, token_file, APPROVERS, marks.waive, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@authority_option
@reason_option
@token_option
def breach(which: str, token_file: Path | None, **fields: str) -> None:
    """Say that what was met no longer is. After a lift it opens a review."""
    command = Waive.model_validate(fields)
    _act(which, token_file, APPROVERS, marks.breach, command)


@condition.command()
@click.argument("which", metavar="CONDITION")
@click.argument("evidence_id", metavar="EVIDENCE")
@click.option("-o", "target", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Where to.")
@token_option
def save(which: str, evidence_id: str, target: Path, token_file: Path | None) -> None:
    """Save the file of a piece of evidence, by its id; a file that is there already is left alone."""
    with open_database().read() as session:
        actor = allowed(session, token_file, READERS)
        _, content = evidence.file_of(session, actor, _find(session, actor, which, lock=False), evidence_id)
    with target.open("xb") as file:
        file.write(content)
    click.echo(f"{target}: {len(content)} octets")


def _evidence(text: str | None, path: Path | None) -> dict[str, Any]:
    if text is None and path is None:
        raise Unprocessable("say what shows it: --text, --file, or both")
    if path is None:
        return {"text": text}
    return {"text": text, "file": {"name": path.name, "content": base64.b64encode(path.read_bytes()).decode()}}


def _act(which: str, token_file: Path | None, roles: tuple[Role, ...], do: Act, command: object) -> None:
    """Do one act in one transaction, and print what has become of the condition and its order."""
    with open_database().write() as session:
        actor = allowed(session, token_file, roles)
        now = moment(session, utc_now)
        row = do(session, actor, _find(session, actor, which, lock=True), command, now)
        order = documents.marked_document(session, actor, row, now)["order"]
        line = f"{row.code}: {row.state} ({order['number'] or order['id']}: {order['state']})"
    click.echo(line)


def _find(session: Session, actor: Actor, which: str, *, lock: bool) -> ConditionRow:
    """A condition by its id or by NUMBER:CODE, where it is this principal's to see; raises NotFound."""
    number, colon, code = which.rpartition(":")
    if not colon:
        return queries.condition_by_uid(session, actor, which, lock=lock)
    order = queries.order_by_number_or_uid(session, number)
    uid = session.scalar(select(ConditionRow.uid).where(ConditionRow.order_id == order.id, ConditionRow.code == code))
    return queries.condition_by_uid(session, actor, uid or which, lock=lock)
