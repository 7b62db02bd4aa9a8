"""`pulih fsck`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.exc import ArgumentError, DatabaseError

from app.cli.context import open_database, print_json, settings, utc_now
from app.errors import AppError, SettingInvalid
from app.fsck import checks
from app.fsck.checks import Wanted
from app.fsck.report import Check, State, Tick
from app.fsck.server import Asking
from app.settings import Endpoint, parse_endpoint

STATUS = {State.OK: 0, State.WRONG: 1, State.COULD_NOT_LOOK: 2}
WORDS = {
    State.OK: "OK",
    State.WRONG: "WRONG",
    State.NOT_CHECKED: "NOT CHECKED",
    State.COULD_NOT_LOOK: "COULD NOT LOOK",
}


class Server(click.ParamType[Endpoint]):
    """HOST:PORT."""

    name = "server"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        try:
            return parse_endpoint(value)
        except SettingInvalid as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--server", type=Server(), metavar="HOST:PORT", help="Fetch zones from there (else from PULIH_DNS_LISTEN)."
)
@click.option("--as", "subscriber", metavar="NAME", help="Fetch as this subscriber (else as one that may from here).")
@click.option("--offline", is_flag=True, help="Ask no server.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A checkpoint of the journal that somebody kept.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def fsck(
    server: Endpoint | None, subscriber: str | None, checkpoint: Path | None, *, offline: bool, as_json: bool
) -> None:
    """Is what was decided exactly what resolvers get? Looks, and changes nothing; the service may run meanwhile.

    \b
    journal, tree   each event as it was hashed, and the tree over them
    checkpoint      the journal against one that somebody else kept
    orders          each order's rows against what its events add up to
    registers       tokens, subscribers, SOPs, reviews, incidents, stops,
                    applications likewise
    notes           what was noted of names, likewise
    rules, release  what was published against what orders add up to, anew
    layers          what both layers answer, whichever base a resolver has
    file, transfer  what a zone's file holds, and what a server sends
    mark, serial    what is recorded and served against what was ever shown

    Exit status 0: nothing is wrong; 1: something is; 2: it could not look. What was not checked is said to be, and
    says nothing either way.
    """
    asking = None if offline else Asking(server, subscriber)
    try:
        kept = None if checkpoint is None else checkpoint.read_text("utf-8")
        made = []
        for check in checks.run(open_database(), settings(), Wanted(asking, kept), utc_now, _bar):
            made.append(check)
            if not as_json:
                _print(check)
    except (AppError, SettingInvalid, ArgumentError, DatabaseError, ImportError, OSError, ValueError) as error:
        click.echo(f"pulih: {_reason(error)}", err=True)
        sys.exit(STATUS[State.COULD_NOT_LOOK])
    state = checks.status(made)
    if as_json:
        print_json({"state": str(state), "checks": [check.document() for check in made]})
    else:
        _print_end(made)
    sys.exit(STATUS[state])


def _reason(error: Exception) -> object:
    if isinstance(error, AppError):
        return error.detail
    return error.orig if isinstance(error, DatabaseError) else error


@contextmanager
def _bar(name: str, length: int) -> Iterator[Tick]:
    """A bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=f"{name:<10}", file=sys.stderr) as bar:
        yield bar.update


def _print(check: Check) -> None:
    click.echo(f"{WORDS[check.state]:<15}{check.name}: {check.said}")
    for wrong in check.wrong:
        click.echo(f"    {wrong.where}: {wrong.why}")
    if check.count > len(check.wrong):
        click.echo(f"    and {check.count - len(check.wrong):,} more")
    if check.state is State.WRONG and check.todo is not None:
        click.echo(f"    To do: {check.todo}.")


def _print_end(made: list[Check]) -> None:
    """How many checks ended how; those that were not made are never counted as well."""
    counts = [f"{sum(check.state is state for check in made)} {word}" for state, word in WORDS.items()]
    click.echo(", ".join(counts))
