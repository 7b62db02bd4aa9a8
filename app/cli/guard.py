"""`pulih guard`: the rank file, and the publisher's stop."""

from pathlib import Path
from typing import Any, BinaryIO

import click
from sqlalchemy.orm import Session

from app.cli.context import acting, open_database, print_json, settings, token_option, utc_now
from app.errors import Forbidden
from app.journal.actor import Actor, Role
from app.journal.moment import moment
from app.orders import limits, ranks
from app.publication import stops


@click.group()
def guard() -> None:
    """What keeps mistakes out of the zones."""


@guard.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--smaller", is_flag=True, help="Take the file although it has less than half as many names.")
@token_option
def import_ranks(file: BinaryIO, token_file: Path | None, *, smaller: bool) -> None:
    """Let FILE, `RANK,NAME` a line, take the place of the rank file before; for approvers.

    Its names are soft-protected down to rank PULIH_RANK_PROTECTED.
    """
    database = open_database()
    with database.read() as session:
        actor = _approver(session, token_file)
    name = Path(file.name).name
    brought = ranks.import_file(database, actor, file, name, clock=utc_now, smaller=smaller)
    click.echo(f"{brought.name}: {brought.count} names, sha256 {brought.sha256.hex()}")


@guard.command()
def show() -> None:
    """The rank file that counts, and the limits of what one person may do, as JSON."""
    with open_database().read() as session:
        print_json({"rank_file": ranks.document(session), "limits": limits.document(settings().limits)})


@guard.command("stops")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show_stops(*, as_json: bool) -> None:
    """What the publisher found that nothing explains: until it is released, no block is published."""
    with open_database().read() as session:
        documents = [stops.document(session, each) for each in stops.standing(session)]
    if as_json:
        print_json(documents)
        return
    click.echo("\n".join(line for each in documents for line in _lines(each)) or "nothing is stopped")


@guard.command()
@click.argument("stop_id", metavar="STOP", type=int)
@click.option("--reason", required=True, help="Why; one line, kept in the record for ever.")
@token_option
def release(stop_id: int, reason: str, token_file: Path | None) -> None:
    """Release a stop: the first approver asks for it, the second one does it, and what was held goes out."""
    command = stops.Release(reason=reason)
    with open_database().write() as session:
        actor = _approver(session, token_file)
        row = stops.release(session, actor, stop_id, command.reason, moment(session, utc_now))
        released = row.released_at is not None
    click.echo(f"stop {stop_id}: " + ("released" if released else "asked to release; another approver does it"))


def _approver(session: Session, token_file: Path | None) -> Actor:
    actor = acting(session, token_file, utc_now())
    if actor.role != Role.APPROVER:
        raise Forbidden(f"this is for {Role.APPROVER}; {actor.name} is {actor.role}")
    return actor


def _lines(stop: dict[str, Any]) -> list[str]:
    asked = "" if stop["asked_by"] is None else f", {stop['asked_by']} asked to release it"
    lines = [f"stop {stop['id']}, since {stop['stopped_at']:%Y-%m-%d %H:%M:%S %Z}{asked}"]
    for finding in stop["findings"]:
        lines.append(f"  {finding['why']}")
        lines += [f"    {name}" for name in finding["names"]]
    return lines
