"""`pulih difference`: what was decided, what a zone said, or what an ISP lacked, between two moments."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.answers import differences
from app.answers.differences import Step
from app.cli.context import moment_of, open_database, token_option, utc_now
from app.cli.orders import reader
from app.orders.difference import Change
from app.publication import zones
from app.settings import Settings
from app.subscribers import queries as subscribers

Items = Iterator[dict[str, Any]]


@click.command()
@click.option("--from", "older", metavar="TIME", required=True, help="The first moment; with --zone also a serial.")
@click.option("--to", "newer", metavar="TIME", help="The second (else now, or the newest serial).")
@click.option("--zone", "zone_name", metavar="ZONE", help="What this zone said, not what was decided.")
@click.option("--isp", metavar="NAME", help="What this ISP had to add and to drop, from what it was seen with.")
@click.option("--change", type=click.Choice([each.value for each in Change]), help="Only what became so.")
@click.option("--format", "format_name", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@token_option
def difference(
    older: str,
    newer: str | None,
    zone_name: str | None,
    isp: str | None,
    change: str | None,
    format_name: str,
    token_file: Path | None,
) -> None:
    """Print what differs between two moments: names newly blocked, lifted, or held by other orders.

    Of decisions; or with --zone of what was published; or with --isp of what an ISP lacked (of --zone, else the first).
    """
    only = None if change is None else Change(change)
    with open_database().read() as session:
        reader(session, token_file)
        if zone_name is None and isp is None:
            items = _decided(session, older, newer, only)
        else:
            step = _step(session, zone_name, isp, older, newer)
            click.echo(f"{step.zone}: from serial {step.from_serial} to {step.to_serial}", err=True)
            items = (item for _, item in differences.of_zone(session, step, only))
        lines = differences.as_csv(items) if format_name == "csv" else (f"{_json(item)}\n" for item in items)
        for line in lines:
            click.echo(line, nl=False)


def _decided(session: Session, older: str, newer: str | None, only: Change | None) -> Items:
    first, last = moment_of(older, "--from"), _last(newer)
    differences.check_order(first, last)
    return (item for _, item in differences.of_decisions(session, first, last, only))


def _step(session: Session, zone_name: str | None, isp: str | None, older: str, newer: str | None) -> Step:
    zone = zones.by_name(session, zone_name or Settings().zone_settings[0].name)
    if isp is None and older.isdecimal():
        return differences.between_serials(session, zone, int(older), None if newer is None else int(newer))
    first, last = moment_of(older, "--from"), _last(newer)
    differences.check_order(first, last)
    if isp is None:
        return differences.between_moments(session, zone, first, last)
    return differences.lacked_by(session, subscribers.by_name(session, isp), zone, first, last)


def _last(newer: str | None) -> dt.datetime:
    return utc_now() if newer is None else moment_of(newer, "--to")


def _json(item: dict[str, Any]) -> str:
    return json.dumps(item, ensure_ascii=False)
