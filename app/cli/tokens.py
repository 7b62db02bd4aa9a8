"""`pulih token`: who may speak to the service. Needs access to the host, and is recorded as such."""

import datetime as dt
import re

import click

from app.auth import tokens
from app.cli.context import host_actor, open_database, print_json, utc_now
from app.journal.actor import Role
from app.journal.append import timestamp
from app.subscribers import queries as subscribers

DAYS = re.compile(r"([1-9][0-9]{0,4})d")


@click.group()
def token() -> None:
    """Tokens: shown once, stored hashed, dead the moment they are revoked."""


@token.command()
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="What the principal may do."
)
@click.option("--name", required=True, help="The principal; the same name again adds a token of the same role.")
@click.option("--expires", metavar="DAYS", help="When the token ends, for example 90d. Never, if not said.")
@click.option(
    "--address", "addresses", metavar="CIDR", multiple=True, help="Where it is good from. Everywhere, if not said."
)
@click.option("--print", "only_print", is_flag=True, help="Print the token alone, for scripts.")
def create(role: str, name: str, expires: str | None, addresses: tuple[str, ...], *, only_print: bool) -> None:
    """Make a token. It is printed now and never again."""
    now = utc_now()
    expires_at = None if expires is None else now + _days(expires)
    with open_database().write() as session:
        if role == Role.ISP:
            subscribers.live_by_name(session, name)
        text = tokens.create(
            session, host_actor(), role=Role(role), name=name, expires_at=expires_at, now=now, addresses=addresses
        )
    if only_print:
        click.echo(text)
    else:
        click.echo(f"{name} ({role}): {text}")
        click.echo("Keep it: only its hash is stored.", err=True)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_tokens(*, as_json: bool) -> None:
    """Every token ever made, without its text."""
    with open_database().read() as session:
        rows = [
            {
                "id": row.id,
                "principal": principal.name,
                "role": principal.role,
                "created_at": row.created_at,
                "expires_at": row.expires_at,
                "revoked_at": row.revoked_at,
                "addresses": row.addresses,
            }
            for row, principal in tokens.listing(session)
        ]
    if as_json:
        print_json(rows)
        return
    for each in rows:
        ended = each["revoked_at"] or each["expires_at"]
        until = "no end" if not isinstance(ended, dt.datetime) else f"ends {timestamp(ended)}"
        click.echo(f"{each['id']:>5}  {each['role']:<9} {each['principal']:<30} {until}")


@token.command()
@click.argument("token_id", type=int)
def revoke(token_id: int) -> None:
    """End a token, at once, in every process."""
    with open_database().write() as session:
        tokens.revoke(session, host_actor(), token_id=token_id, now=utc_now())


def _days(text: str) -> dt.timedelta:
    match = DAYS.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a number of days, such as 90d", param_hint="--expires")
    return dt.timedelta(days=int(match[1]))
