"""`pulih audit`: the journal, for whoever holds an auditor's token; its checkpoints and keys, for anyone; its key's
rotation, for the host."""

import datetime as dt
import json
import sys
import zipfile
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.answers import proof as proving
from app.audit import export as exporting
from app.audit import figures as counting
from app.audit import verify as verifying
from app.cli.context import acting, at_option, host_actor, open_database, print_json, settings, token_option, utc_now
from app.errors import Forbidden
from app.journal import queries, signing
from app.journal.actor import Role
from app.journal.moment import moment

PAGE = 1_000
NoteFile = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def audit() -> None:
    """The journal: every act, who did it, when and why."""


@audit.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A signed zip of everything.")
@click.option("--since", type=NoteFile, help="An earlier checkpoint, which the zip proves to be the beginning of it.")
@token_option
def export(output: Path | None, since: Path | None, token_file: Path | None) -> None:
    """Write every event, oldest first: a signed zip with what checks it, or (no -o) JSON Lines to standard output."""
    with open_database().read() as session:
        _check_auditor(session, token_file)
        if output is None:
            _write_lines(session)
            return
        note = None if since is None else since.read_text("utf-8")
        exporting.check_since(session, note)
        signer = signing.needed(session, settings().log_key_path)
        with click.open_file(str(output), "wb", atomic=True) as target:
            for octets in exporting.stream(session, signer, note):
                target.write(octets)


@audit.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="EXPORT.zip [--key VKEY] [--checkpoint FILE]")
def verify(arguments: tuple[str, ...]) -> None:
    """Check a signed zip, without any database: the same code as the verify.py in it."""
    sys.exit(verifying.main(list(arguments)))


@audit.command()
@click.option("--size", type=click.IntRange(min=1), help="One of the past, of so many events.")
def checkpoint(size: int | None) -> None:
    """Print the journal's checkpoint: its size and root, signed. Whoever keeps it can tell later that nothing went."""
    with open_database().read() as session:
        click.echo(exporting.checkpoint(session, settings().log_key_path, size), nl=False)


@audit.command()
@click.argument("seq", type=click.IntRange(min=1), required=False)
@click.option("--size", type=click.IntRange(min=1), help="In the journal of so many events (else as it now is).")
@click.option("--name", help="Instead of SEQ: what was decided, published and (--isp) held of this name.")
@at_option
@click.option("--isp", metavar="NAME", help="With --name: at this ISP.")
@click.option("--since", type=NoteFile, help="With --name: an earlier checkpoint, proved to be the beginning of it.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="With --name: the file (a zip).")
@token_option
def proof(
    seq: int | None,
    size: int | None,
    name: str | None,
    at: dt.datetime | None,
    isp: str | None,
    since: Path | None,
    output: Path | None,
    token_file: Path | None,
) -> None:
    """Print the proof that event SEQ is in the journal, and the checkpoint that it leads to.

    With --name, write a zip: what held for a name at a moment, with every event that decided it and what checks it
    (`pulih audit verify`, or the verify.py in it).
    """
    if (seq is None) == (name is None) or (name is None) != (output is None):
        raise click.UsageError("say SEQ, or --name NAME and -o FILE")
    with open_database().read() as session:
        _check_auditor(session, token_file)
        if seq is not None:
            found = exporting.inclusion(session, seq, size)
            note = exporting.checkpoint(session, settings().log_key_path, found["size"])
            print_json({**found, "checkpoint": note})
            return
        earlier = None if since is None else since.read_text("utf-8")
        exporting.check_since(session, earlier)
        signer = signing.needed(session, settings().log_key_path)
        asked = proving.Asked(str(name), at or utc_now(), isp)
        with click.open_file(str(output), "wb", atomic=True) as target:
            for octets in proving.stream(session, signer, asked, earlier):
                target.write(octets)


@audit.command()
@click.option("--pem", is_flag=True, help="As openssl reads it.")
def key(*, pem: bool) -> None:
    """Print the key that signs the journal, as `NAME+ID+KEY`: what others check it by."""
    with open_database().read() as session:
        public = signing.needed(session, settings().log_key_path).public
        click.echo(public.pem if pem else public.vkey, nl=not pem)


@audit.command("rotate-key")
def rotate_key() -> None:
    """Put a new key in force, signed by the one before; the journal says so."""
    database, path = open_database(), settings().log_key_path
    with database.write() as session:
        public = signing.rotate(session, host_actor(), path, moment(session, utc_now))
    with database.read() as session:
        signing.needed(session, path)
    click.echo(public.vkey)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option("--format", "format_name", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
def figures(file: Path | None, format_name: str) -> None:
    """Print what was blocked and lifted, and how fast; of a signed zip, if one is given, without any database."""
    if file is None:
        with open_database().read() as session:
            rows = exporting.count(session)
    else:
        with zipfile.ZipFile(file) as archive, archive.open("events.jsonl") as lines:
            rows = counting.of(map(json.loads, lines))
    if format_name == "csv":
        click.echo(counting.as_csv(rows), nl=False)
    else:
        click.echo(exporting.as_json(rows), nl=False)


def _check_auditor(session: Session, token_file: Path | None) -> None:
    actor = acting(session, token_file, utc_now())
    if actor.role != Role.AUDITOR:
        raise Forbidden(f"this is for auditor; {actor.name} is {actor.role}")


def _write_lines(session: Session) -> None:
    after = 0
    while events := queries.page(session, after=after, limit=PAGE):
        for event in events:
            click.echo(json.dumps(queries.document(event), ensure_ascii=False))
        after = events[-1].seq
        session.expunge_all()
