"""`pulih audit`: the journal, for whoever holds an auditor's token."""

import json
from pathlib import Path

import click

from app.cli.context import acting, open_database, token_option, utc_now
from app.errors import Forbidden
from app.journal import queries
from app.journal.actor import Role

PAGE = 1_000


@click.group()
def audit() -> None:
    """The journal: every act, who did it, when and why."""


@audit.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; else standard output.")
@token_option
def export(output: Path | None, token_file: Path | None) -> None:
    """Write every event as JSON Lines, oldest first."""
    with (
        open_database().read() as session,
        click.open_file(str(output or "-"), "w", atomic=output is not None) as target,
    ):
        actor = acting(session, token_file, utc_now())
        if actor.role != Role.AUDITOR:
            raise Forbidden(f"this is for auditor; {actor.name} is {actor.role}")
        after = 0
        while events := queries.page(session, after=after, limit=PAGE):
            for event in events:
                target.write(json.dumps(queries.document(event), ensure_ascii=False) + "\n")
            after = events[-1].seq
            session.expunge_all()
