"""`pulih import`: orders from a list of any length, with a verdict for every line."""

import json
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as given
from pathlib import Path
from typing import BinaryIO

import click

from app import garbage
from app.cli.context import REFUSED, acting, open_database, settings, token_option, utc_now
from app.errors import Forbidden, Unprocessable
from app.journal.actor import Actor, Role
from app.orders import guarding, imports, imports_formats, imports_lines, imports_refused, ranks
from app.orders.imports_answer import Imported, Options, Outcome
from app.orders.imports_book import Template
from app.orders.imports_formats import Format, Given
from app.orders.imports_judging import Progress
from app.orders.imports_verdicts import Verdict
from app.orders.schemas import OrderIn
from resolver_policy.targets import Match

PROPOSERS = (Role.OPERATOR, Role.APPROVER)
COUNTED_AT_ONCE = 1024 * 1024


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--order-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="The order's data in TOML: the fields of POST /orders but the targets; nothing is defaulted. Of a table whose "
    "lines say their orders: what is common to all.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice([str(each) for each in Format]),
    help="How the list is written; where it is not said, it is seen.",
)
@click.option("--match", type=click.Choice([str(match) for match in Match]), default="subtree", show_default=True)
@click.option("--dry-run", is_flag=True, help="Judge every line and store nothing; status 1 where it would be refused.")
@click.option("--partial", is_flag=True, help="Store the good lines although others are refused.")
@click.option("--plan-id", help="Store only what the dry run that gave this id has shown.")
@click.option(
    "--refused",
    "refused_file",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the refused lines here, each under its reasons, to correct and import.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON document for every line, then one with the counts.")
@token_option
def import_list(
    file: BinaryIO,
    order_file: Path,
    match: str,
    format_: str | None,
    plan_id: str | None,
    refused_file: Path | None,
    token_file: Path | None,
    *,
    dry_run: bool,
    partial: bool,
    as_json: bool,
) -> None:
    """Propose an order from FILE, in UTF-8: names one a line, a hosts file, a policy zone (RPZ), or a table (CSV)."""
    options = Options(Match(match), dry_run, partial, plan_id)
    garbage.settle()
    with _seekable(file) as stream:
        list_ = imports_formats.given(
            given(imports_lines.of_file, stream), None if format_ is None else Format(format_)
        )
        imported = _run(stream, list_, _order(order_file, list_), options, token_file)
        if refused_file is not None:
            with refused_file.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as written:
                written.writelines(imports_refused.texts(imported))
        if as_json:
            _print_json(imported)
        if imported.refused:
            raise imported.refusal()
        if not as_json:
            _print(imported)
    if dry_run and not partial and imported.verdicts.counts[Verdict.REFUSED]:
        sys.exit(REFUSED)


def _run(
    stream: BinaryIO, list_: Given, order: OrderIn | Template, options: Options, token_file: Path | None
) -> Imported:
    database = open_database()
    guard = ranks.up_to_date(database, guarding.load(settings().zone_settings, settings().limits))
    with database.read() as session:
        actor = _proposer(acting(session, token_file, utc_now()))
    with _bar(stream) as progress, database.write() as session:
        return imports.import_list(
            database, session, actor, order, list_, options, guard=guard, clock=utc_now, progress=progress
        )


def _proposer(actor: Actor) -> Actor:
    if actor.role not in PROPOSERS:
        raise Forbidden(f"this is for {', '.join(PROPOSERS)}; {actor.name} is {actor.role}")
    return actor


def _order(path: Path, list_: Given) -> OrderIn | Template:
    """The order's data; dates and times may be TOML's own, times with an offset."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
        return said if list_.says_orders else OrderIn.model_validate(said)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Unprocessable(f"{path} is not TOML: {error}") from error


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The list is read more than once: what comes through a pipe is put down first."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(stream, kept)
        yield kept


@contextmanager
def _bar(stream: BinaryIO) -> Iterator[Progress]:
    """A bar on a terminal: each line counts once while it is read and once while it is stored."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    length = 2 * _lines_in(stream)
    with click.progressbar(length=length, label="importing", file=sys.stderr) as bar:
        yield bar.update
        bar.update(length - bar.pos)


def _lines_in(stream: BinaryIO) -> int:
    stream.seek(0)
    return sum(block.count(b"\n") for block in iter(lambda: stream.read(COUNTED_AT_ONCE), b"")) + 1


def _print_json(imported: Imported) -> None:
    for item in imported.verdicts.items(imported.lines, imported.rules):
        click.echo(json.dumps(item, ensure_ascii=False))
    click.echo(json.dumps(imported.summary()))


def _print(imported: Imported) -> None:
    """Every refused line, the counts, and what became of the order."""
    for item in imported.verdicts.items(imported.lines, imported.rules, others=0):
        click.echo(f"line {item['line']}: {item['detail']} ({item['code']}); {item['detail_id']}")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in imported.verdicts.counts.items())
    click.echo(f"{imported.verdicts.total} names: {counts}")
    for outcome in imported.outcomes:
        _print_outcome(outcome)
    seen = "as said" if imported.given.said else "by its look"
    click.echo(f"format: {imported.given.format} ({seen})")
    if imported.plan_id is not None:
        click.echo(f"plan_id {imported.plan_id}")
        click.echo("dry run: nothing was stored")


def _print_outcome(outcome: Outcome) -> None:
    """One order of the list: proposed now, standing already, or (a dry run) not there."""
    if outcome.order is None:
        click.echo(f"order {outcome.number}: {outcome.names} names")
        return
    changes = f"{outcome.new} names of the list are not in it, {outcome.missing} of its names are not on the list"
    stands = f"stands already ({outcome.order.state}), nothing was stored; {changes}"
    click.echo(f"order {outcome.number}: {'proposed' if outcome.stored else stands}; id {outcome.order.uid}")
    if outcome.plan_hash is not None:
        click.echo(f"plan_hash {outcome.plan_hash}")
