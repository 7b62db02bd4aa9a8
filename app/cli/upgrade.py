"""`pulih upgrade`."""

import click

from app import migrate
from app.cli.context import settings
from app.db import Database


@click.command()
def upgrade() -> None:
    """Make the database, or bring it to the version of this program."""
    database = Database(settings().database)
    migrate.upgrade(database)
    database.close()
