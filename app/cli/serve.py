"""`pulih serve`."""

import os
import socket
import sys

import click
from sqlalchemy.orm import Session

from app import logs, supervise
from app.cli.context import open_database, settings
from app.errors import SettingInvalid
from app.orders import queries
from app.settings import Endpoint, Settings


def _settings_table() -> str:
    rows = [
        f"  PULIH_{name.upper():18} {field.description} [{'' if field.default is None else field.default}]"
        for name, field in Settings.model_fields.items()
    ]
    return "\b\nSettings, by environment or in a .env file:\n" + "\n".join(rows)


@click.command(epilog=_settings_table())
@click.option(
    "--role",
    type=click.Choice(sorted(supervise.COMMANDS)),
    default="all",
    help="Which processes to run: all, or one of them on a host of its own.",
)
@click.option("--upgrade", "first_upgrade", is_flag=True, help="Bring the database to this version first (containers).")
@click.pass_context
def serve(context: click.Context, role: str, *, first_upgrade: bool) -> None:
    """Run the service until Ctrl-C: HTTP, the publisher, and zone transfers."""
    chosen = settings()
    if first_upgrade:
        group = context.find_root().command
        assert isinstance(group, click.Group)
        upgrade = group.get_command(context, "upgrade")
        assert upgrade is not None
        context.invoke(upgrade)
    with open_database().read() as session:
        _check_sample_stays(session, chosen)
    if role in {"all", "api"}:
        _check_free(chosen.http)
        click.echo(f"HTTP on http://{chosen.http}/api/docs", err=True)
    if role in {"all", "transfer"}:
        _check_free(chosen.dns)
        click.echo(f"zone transfers on {chosen.dns}, UDP and TCP", err=True)
    os.environ[logs.VARIABLE] = chosen.log_format
    os.execv(sys.executable, [sys.executable, "-m", "app.supervise", role])  # noqa: S606 - a light process of our own


def _check_free(endpoint: Endpoint) -> None:
    """Say in one line that another service has the port, before anything is started."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((endpoint.host, endpoint.port))
        except OSError as error:
            raise SettingInvalid(f"{endpoint} cannot be listened on: {error.strerror}") from error


def _check_sample_stays(session: Session, chosen: Settings) -> None:
    """A replayed case must not be taken for a real one: where it is loaded, nobody outside may ask."""
    outside = [endpoint for endpoint in (chosen.http, chosen.dns) if not _is_loopback(endpoint)]
    if outside and queries.holds_sample(session):
        raise SettingInvalid(
            f"this database holds the sample case, so it is not served on {outside[0]}: use another DATA_DIR"
        )


def _is_loopback(endpoint: Endpoint) -> bool:
    return endpoint.host in {"localhost", "::1"} or endpoint.host.startswith("127.")
