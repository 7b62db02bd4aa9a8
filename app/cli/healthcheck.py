"""`pulih healthcheck`."""

import sys

import click

from app import healthcheck as health
from app.cli.context import settings


@click.command()
def healthcheck() -> None:
    """Ask the running service whether it is ready; exit status 1 where it is not."""
    wrong = health.ask(settings().http)
    if wrong is not None:
        click.echo(f"pulih: {wrong}", err=True)
        sys.exit(1)
    click.echo("ok")
