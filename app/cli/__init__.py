"""The command line: `pulih`. Exit status 0, 1 refused, 2 usage; it never asks back."""

import click

from app.cli import audit, imports, orders, rebase, sample, serve, subscribers, tokens, tour, zones
from app.cli.context import Refusing

COMMANDS = (
    serve.serve,
    serve.upgrade,
    serve.healthcheck,
    sample.sample,
    tour.tour,
    tokens.token,
    subscribers.subscriber,
    imports.import_list,
    orders.order,
    zones.export,
    zones.zone,
    zones.explain,
    rebase.rebase,
    zones.sop,
    audit.audit,
)


@click.group(cls=Refusing, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pulih")
def main() -> None:
    """Pulih: blocking and DNS-normalisation control.

    A first look:  pulih upgrade; pulih sample telegram-2017; pulih tour; pulih serve
    """


for command in COMMANDS:
    main.add_command(command)
