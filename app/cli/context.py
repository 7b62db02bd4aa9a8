"""What commands share: settings, the database, who acts, how a refusal is told, how data is printed."""

import datetime as dt
import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from app import schema
from app.auth import tokens
from app.db import Database
from app.errors import AppError, Refused, SettingInvalid, Unauthenticated
from app.journal.actor import Actor, host
from app.settings import Settings
from resolver_policy.errors import PolicyError

Command = TypeVar("Command", bound=Callable[..., Any])
REFUSED = 1


class Refusing(click.Group):
    """A group whose commands end with one plain line and status 1 where the service refuses something."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().invoke(ctx)
        except (AppError, PolicyError) as error:
            click.echo(f"pulih: {error.detail} ({error.code})", err=True)
            for fault in getattr(error, "faults", ()):
                where = f"line {fault.line}" if fault.line is not None else fault.pointer
                click.echo(f"  {where or ''} {fault.value or ''}: {fault.rule}", err=True)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                where = ".".join(str(part) for part in each["loc"])
                click.echo(f"pulih: {where}: {each['msg']}", err=True)
        except (Refused, SettingInvalid, ArgumentError, DatabaseError, ImportError, OSError) as error:
            reason = error.orig if isinstance(error, DatabaseError) else error
            click.echo(f"pulih: {reason}", err=True)
        sys.exit(REFUSED)


def utc_now() -> dt.datetime:
    """The clock of the command line."""
    return dt.datetime.now(dt.UTC)


def settings() -> Settings:
    """The settings in force; raises SettingInvalid."""
    return Settings()


def open_database() -> Database:
    """The database, at the version of this program, until the command ends; raises SettingInvalid."""
    database = Database(settings().database)
    click.get_current_context().call_on_close(database.close)
    schema.check(database)
    return database


def host_actor() -> Actor:
    """Whoever administers this host: recorded by the name of their account."""
    return host(getpass.getuser())


def token_option(command: Command) -> Command:
    """`--token-file`, or PULIH_TOKEN in the environment: whose act this is."""
    option = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="File that holds the token of whoever acts (else the environment's PULIH_TOKEN).",
    )
    return option(command)


def acting(session: Session, token_file: Path | None, now: dt.datetime) -> Actor:
    """The principal whose token was given; raises Unauthenticated."""
    text = os.environ.get("PULIH_TOKEN") if token_file is None else token_file.read_text("utf-8")
    if not text or not text.strip():
        raise Unauthenticated("say who acts: PULIH_TOKEN=... or --token-file FILE", code="token_missing")
    return tokens.authenticate(session, text.strip(), now=now)


def at_option(command: Command) -> Command:
    """`--at`: the past moment that is asked about."""
    return click.option(
        "--at", metavar="TIME", callback=_past, help="A past moment, such as 2017-08-01T00:00:00+07:00."
    )(command)


def moment_of(text: str, param: str) -> dt.datetime:
    """A moment that was given on the command line; raises BadParameter for none, and for one that is still to come."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a time (RFC 3339)", param_hint=param) from error
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no time zone: add Z or +07:00", param_hint=param)
    if moment > utc_now():
        raise click.BadParameter(f"{text!r} is still to come", param_hint=param)
    return moment


def _past(_context: click.Context, parameter: click.Parameter, text: str | None) -> dt.datetime | None:
    return None if text is None else moment_of(text, parameter.opts[0])


def print_json(document: object) -> None:
    """Data for programs: JSON, times in RFC 3339."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_written))


def _written(value: object) -> str:
    assert isinstance(value, dt.datetime)
    return value.isoformat().replace("+00:00", "Z")
