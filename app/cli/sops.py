"""`pulih sop`: templates of conditions; a new version is for two approvers."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from app.cli.context import open_database, print_json, token_option, utc_now
from app.cli.orders import acting_approver, reason_option
from app.errors import StaleVersion, Unprocessable
from app.journal.moment import moment
from app.orders import sops
from app.orders.schemas import DecideSop, PutSop, SopChoice
from app.orders.sop_models import SopRow

revision_option = click.option(
    "--revision", type=int, help="What `sop show` showed of it: refused where another proposal took its place."
)


@click.group()
def sop() -> None:
    """SOP templates: the conditions under which blocks are lifted."""


@sop.command("list")
def list_sops() -> None:
    """Every template and version."""
    with open_database().read() as session:
        for row in sops.versions(session):
            click.echo(f"{row.code:<20} {row.number:>3}  {row.state:<9}  {row.title_en} / {row.title_id}")


@sop.command("show")
@click.argument("code")
@click.option("--version", "number", type=click.IntRange(1), help="One version alone.")
def show_sop(code: str, number: int | None) -> None:
    """One template, as JSON, every version."""
    with open_database().read() as session:
        print_json([sops.document(row) for row in sops.versions(session, code, number)])


@sop.command("put")
@click.argument("code")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@reason_option
@token_option
def put_sop(code: str, file: Path, reason: str, token_file: Path | None) -> None:
    """Propose the next version: FILE is JSON with title, source, conditions and profiles, as `sop show` prints them."""
    try:
        said = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unprocessable(f"{file} is not JSON: {error}") from error
    named = SopChoice.model_validate({"code": code})
    parts = {key: value for key, value in said.items() if key in PutSop.model_fields} if isinstance(said, dict) else {}
    command = PutSop.model_validate({**parts, "reason": reason})
    with open_database().write() as session:
        actor = acting_approver(session, token_file)
        row = sops.put(session, actor, named.code, command, moment(session, utc_now))
        told = f"{row.code} version {row.number}: {row.state} (revision {row.version})"
    click.echo(told)


@sop.command("confirm")
@click.argument("code")
@revision_option
@reason_option
@token_option
def confirm_sop(code: str, revision: int | None, reason: str, token_file: Path | None) -> None:
    """Put the proposed version into use. Not for whoever proposed it."""
    command = DecideSop(reason=reason)
    _decide(code, revision, token_file, partial(sops.confirm, command=command))


@sop.command("withdraw")
@click.argument("code")
@revision_option
@reason_option
@token_option
def withdraw_sop(code: str, revision: int | None, reason: str, token_file: Path | None) -> None:
    """Take the proposed version back, or refuse it."""
    command = DecideSop(reason=reason)
    _decide(code, revision, token_file, partial(sops.withdraw, command=command))


def _decide(code: str, revision: int | None, token_file: Path | None, act: Callable[..., SopRow]) -> None:
    with open_database().write() as session:
        actor = acting_approver(session, token_file)
        row = sops.last_proposed(session, code)
        if revision is not None and revision != row.version:
            raise StaleVersion(f"revision {revision} was shown, {row.version} is current: look again")
        done = act(session, actor, row, now=moment(session, utc_now))
        told = f"{done.code} version {done.number}: {done.state}"
    click.echo(told)
