"""`pulih backup`, `pulih restore`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from app.backup import restore as restoring
from app.backup import take as taking
from app.backup.gap import LOOK_AT
from app.backup.manifest import Manifest, Progress
from app.backup.restore import Restore, Restored
from app.backup.take import Begin
from app.cli.context import host_actor, open_database, settings, utc_now

STEPS = 1_000


@click.command(
    epilog="\b\nEvery night, and before each upgrade, by a timer:\n"
    "  pulih backup /backup/pulih-$(date +%F).backup\n"
    "Keep it on another machine. What is never in it: DATA_DIR/secret.key and\n"
    "DATA_DIR/log.key. Keep them too, apart from it: without them no TSIG key\n"
    "opens and nothing is signed. PostgreSQL needs pg_dump and pg_restore."
)
@click.argument("words", nargs=-1, required=True, metavar="FILE | verify FILE")
def backup(words: tuple[str, ...]) -> None:
    """Write the whole database into FILE while the service runs, or (verify) check such a file.

    It says OK when the file was read again: every page, what refers to what, and the journal's root from the text of
    its events. FILE appears when all of that was right, and takes the place of nothing. Meanwhile the folder of FILE
    needs room for the database as well.
    """
    with _steps() as begin:
        match words:
            case ("verify", file):
                manifest = taking.verify(Path(file), begin)
            case (file,) if file != "verify":
                manifest = taking.take(settings(), Path(file), utc_now, begin)
            case _:
                raise click.UsageError("say one file: pulih backup FILE, or pulih backup verify FILE")
    click.echo(f"OK: {_summary(manifest)}")


@click.command(
    epilog="\b\nRun it under the service's account, where the publisher runs, with the service\n"
    "stopped everywhere; start it afterwards, and every secondary follows by itself.\n"
    "--record is for a database that was put back by hand: run it before the start, or\n"
    "two approvers release what the publisher found (pulih guard stops)."
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option("--reason", required=True, help="Why; one line, kept in the record for ever.")
@click.option("--record", "only_record", is_flag=True, help="Restore nothing: record what was put back by hand.")
def restore(file: Path | None, reason: str, *, only_record: bool) -> None:
    """Put a backup in the place of the database, and say what is lost by it.

    The file is checked first. The database before is kept beside it, and what its journal had beyond the backup is
    written into a file. Serials go on above everything that was ever shown. All of it is recorded in the journal.
    """
    if only_record == (file is not None):
        raise click.UsageError("say the file of a backup, or --record")
    command = Restore(reason=reason)
    if file is None:
        restoring.record(settings(), open_database(), host_actor(), command.reason, utc_now)
        click.echo("recorded: this database goes on from here")
        return
    with _steps() as begin:
        done = restoring.restore(settings(), file, host_actor(), command.reason, utc_now, begin)
    click.echo("\n".join(_told(done)))


@contextmanager
def _steps() -> Iterator[Begin]:
    """A bar for each stretch of work, one after the other."""
    with ExitStack() as stack:

        def begin(label: str) -> Progress:
            stack.close()
            bar = stack.enter_context(click.progressbar(length=STEPS, label=label, file=sys.stderr))
            return lambda share: bar.update(int(share * STEPS) - bar.pos)

        yield begin


def _summary(manifest: Manifest) -> str:
    serials = ", ".join(f"{zone} at serial {serial}" for zone, serial in manifest.serials.items())
    return (
        f"{manifest.size} events until {manifest.made_at}, {sum(manifest.rows.values())} rows, {serials or 'no zone'}"
    )


def _told(done: Restored) -> Iterator[str]:
    yield f"restored: {_summary(done.manifest)}"
    if done.aside is not None:
        yield f"the database before is kept: {done.aside}"
    if done.gap is not None:
        yield f"lost: {done.gap.lost} events of the {done.gap.before.size} it had; each of them in {done.gap_file}"
        yield from (f"  {line}" for line in done.gap.to_look_at())
        return
    beyond = "" if done.shown is None else f"; the journal had come to {done.shown.size} events"
    yield f"what is lost is not known{beyond}. Look for:"
    yield from (f"  {type_}: {why}" for type_, why in LOOK_AT.items())
