"""The command line: `pulih`. Exit status 0, 1 refused, 2 usage; it never asks back."""

from importlib import import_module

import click

from app.cli.context import Refusing

COMMANDS = {
    "serve": "serve",
    "upgrade": "upgrade",
    "healthcheck": "healthcheck",
    "sample": "sample",
    "tour": "tour",
    "token": "tokens",
    "subscriber": "subscribers",
    "import": "imports",
    "order": "lifts",
    "condition": "conditions",
    "undo": "undo",
    "review": "reviews",
    "application": "applications",
    "clocks": "clocks",
    "export": "zones",
    "zone": "zones",
    "explain": "zones",
    "difference": "difference",
    "guard": "guard",
    "rebase": "rebase",
    "sop": "sops",
    "audit": "audit",
    "backup": "backup",
    "restore": "backup",
    "fsck": "fsck",
}
"""Each command, and the module here that has it."""


class Commands(Refusing):
    """Imports what a command needs when it is asked for: `serve` starts in half the time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the help."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"app.cli.{COMMANDS[cmd_name]}")
        return next(
            found for found in vars(module).values() if isinstance(found, click.Command) and found.name == cmd_name
        )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pulih")
def main() -> None:
    """Pulih: blocking and DNS-normalisation control.

    A first look:  pulih upgrade; pulih sample telegram-2017; pulih tour; pulih serve
    """
