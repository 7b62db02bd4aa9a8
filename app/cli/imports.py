"""`pulih import`: one order from a list of any length, with a verdict for every line."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from app.cli.context import acting, open_database, settings, token_option, utc_now
from app.errors import Forbidden, SettingInvalid
from app.journal.actor import Role
from app.orders import guarding, imports, imports_lines
from app.orders.imports import Imported, Options
from app.orders.imports_judging import Progress
from app.orders.imports_verdicts import Verdict
from app.orders.schemas import OrderIn
from resolver_policy.targets import Match

COUNTED_AT_ONCE = 1024 * 1024
PROPOSERS = (Role.OPERATOR, Role.APPROVER)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--order-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="The order's data in TOML: the fields of POST /orders but the targets; nothing is defaulted.",
)
@click.option("--match", type=click.Choice(list(Match)), default=Match.SUBTREE, show_default=True)
@click.option("--dry-run", is_flag=True, help="Judge every line and store nothing.")
@click.option("--partial", is_flag=True, help="Store the good lines although others are refused.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line, then one with the counts.")
@token_option
def import_list(
    file: BinaryIO,
    order_file: Path,
    match: Match,
    token_file: Path | None,
    *,
    dry_run: bool,
    partial: bool,
    as_json: bool,
) -> None:
    """Propose one order from FILE: UTF-8, one name a line, `#` begins a comment."""
    imported = _run(file, order_file, Options(Match(match), dry_run, partial), token_file)
    if as_json:
        for item in imported.verdicts.items(imported.lines, imported.rules):
            click.echo(json.dumps(item, ensure_ascii=False))
        click.echo(json.dumps(imported.summary()))
    if imported.refused:
        raise imported.refusal()
    if not as_json:
        _print(imported)
