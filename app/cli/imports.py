"""`pulih import`: one order from a list of any length, with a verdict for every line."""

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
from app.orders import guarding, imports, imports_lines
from app.orders.imports import Imported, Options
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
    help="The order's data in TOML: the fields of POST /orders but the targets; nothing is defaulted.",
)
@click.option("--match", type=click.Choice([str(match) for match in Match]), default="subtree", show_default=True)
@click.option("--dry-run", is_flag=True, help="Judge every line and store nothing; status 1 where it would be refused.")
@click.option("--partial", is_flag=True, help="Store the good lines although others are refused.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document for every line, then one with the counts.")
@token_option
def import_list(
    file: BinaryIO,
    order_file: Path,
    match: str,
    token_file: Path | None,
    *,
    dry_run: bool,
    partial: bool,
    as_json: bool,
) -> None:
    """Propose one order from FILE: UTF-8, one name a line, `#` begins a comment."""
    options = Options(Match(match), dry_run, partial)
    garbage.settle()
    with _seekable(file) as stream:
        imported = _run(stream, _order(order_file), options, token_file)
        if as_json:
            _print_json(imported)
        if imported.refused:
            raise imported.refusal()
        if not as_json:
            _print(imported)
    if dry_run and not partial and imported.verdicts.counts[Verdict.REFUSED]:
        sys.exit(REFUSED)


def _run(stream: BinaryIO, order: OrderIn, options: Options, token_file: Path | None) -> Imported:
    database, lines = open_database(), given(imports_lines.of_file, stream)
    guard = guarding.load(settings().zone_settings)
    with database.read() as session:
        actor = _proposer(acting(session, token_file, utc_now()))
    with _bar(stream) as progress, database.write() as session:
        return imports.import_list(
            database, session, actor, order, lines, options, guard=guard, clock=utc_now, progress=progress
        )


def _proposer(actor: Actor) -> Actor:
    if actor.role not in PROPOSERS:
        raise Forbidden(f"this is for {', '.join(PROPOSERS)}; {actor.name} is {actor.role}")
    return actor


def _order(path: Path) -> OrderIn:
    """The order's data; dates and times may be TOML's own, times with an offset."""
    try:
        return OrderIn.model_validate(tomllib.loads(path.read_text("utf-8")))
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
        click.echo(f"line {item['line']}: {item['detail']} ({item['code']})")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in imported.verdicts.counts.items())
    click.echo(f"{imported.verdicts.total} names: {counts}")
    if imported.order is None:
        click.echo("dry run: nothing was stored")
        return
    act = "proposed" if imported.stored else f"stands already ({imported.order.state}), nothing was stored"
    click.echo(f"order {imported.order.number}: {act}; id {imported.order.uid}")
    if imported.plan_hash is not None:
        click.echo(f"plan_hash {imported.plan_hash}")
