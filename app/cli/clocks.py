"""`pulih clocks`: what the law gives a time for, and how long there is."""

from pathlib import Path

import click

from app.answers.clocks import Clocks
from app.cli.context import open_database, print_json, settings, token_option, utc_now
from app.cli.orders import reader
from app.places import FIRST
from app.regime import ClockCode

MOST = 100_000


@click.command()
@click.option("--overdue", is_flag=True, help="Only those whose time is over.")
@click.option("--clock", type=click.Choice([code.value for code in ClockCode]), help="Only this one.")
@token_option
def clocks(token_file: Path | None, clock: str | None, *, overdue: bool) -> None:
    """The law's clocks that run, as JSON, the one due first at the front."""
    law = settings()
    with open_database().read() as session:
        reader(session, token_file)
        running = Clocks(session, law.regime, law.overdue, utc_now())
        only = None if clock is None else ClockCode(clock)
        found = running.page(only=only, overdue=overdue, after=FIRST, limit=MOST)
        print_json([each.item for each in found])
