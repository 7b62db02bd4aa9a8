"""`pulih sample`: a past case to look at, in a database of its own."""

import click

from app.cli.context import host_actor, open_database, settings, utc_now
from app.orders import guarding
from app.orders import sample as cases
from app.orders.sample import CASES, Stage
from app.subscribers import sample as isps


@click.command()
@click.argument("codes", metavar="CASE...", type=click.Choice(CASES), nargs=-1, required=True)
@click.option(
    "--until",
    type=click.Choice([str(stage) for stage in Stage]),
    default=str(Stage.LIFTED),
    show_default=True,
    help="How far to replay it.",
)
@click.option("--if-empty", is_flag=True, help="Leave a database that holds orders alone, and end well.")
def sample(codes: tuple[str, ...], until: str, *, if_empty: bool) -> None:
    """Load a past case with the dates it had, into a database that holds no order.

    It is flagged as sample in every answer, and a database that holds it serves this machine only.

    \b
    pulih sample telegram-2017                   the whole case: blocked, then lifted
    pulih sample telegram-2017 --until blocked   as it stood after the block
    pulih sample telegram-2017 ways-out          beside it, a fictional case by every other way out
    """
    chosen = settings()
    with open_database().write() as session:
        if if_empty and cases.holds_orders(session):
            click.echo("The database holds orders: it is left alone.")
            return
        isps.refuse_beside_others(session)
        count = cases.load(
            session,
            host_actor(),
            [cases.read(code) for code in dict.fromkeys(codes)],
            Stage(until),
            utc_now(),
            guard=guarding.load(chosen.zone_settings),
            acts=isps.acts([zone.name for zone in chosen.zone_settings]),
        )
    told = " and ".join(dict.fromkeys(codes))
    click.echo(f"The sample case {told} is loaded up to {until}: {count} acts, each at the moment it had.")
