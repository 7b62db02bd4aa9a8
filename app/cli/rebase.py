"""`pulih rebase`: a new base for zones in layers, and what waits for whom."""

import time
from typing import Any

import click

from app.cli.context import host_actor, open_database, print_json, settings, utc_now
from app.db import Database
from app.publication import layering
from app.subscribers import rebasing

PATIENCE = 3.0
"""Seconds that the publisher is given to make a release."""


@click.command()
@click.option("--status", "only_status", is_flag=True, help="Ask for nothing, tell how it stands.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rebase(*, only_status: bool, as_json: bool) -> None:
    """Cut a new base for zones in layers; tell what the one before waits for.

    The publisher cuts it, as it does by itself at the hour of PULIH_REBASE_AT and above PULIH_REBASE_ABOVE records.
    What urgent zones hold leaves them when every server has the new base, has had PULIH_REBASE_SETTLING to answer by
    it, and PULIH_REBASE_KEEP has gone by: nothing that was lifted is blocked again meanwhile.
    """
    database = open_database()
    if not only_status:
        with database.write() as session:
            rebasing.ask(session, host_actor(), utc_now())
        until_published(database)
    with database.read() as session:
        document = rebasing.document(session, rebasing.state(session, settings().rebase, utc_now()))
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(_lines(document)))


def until_published(database: Database) -> None:
    """Wait for the publisher, if it runs: a resolver that asks for a layer too early asks again in a minute."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with database.read() as session:
            if not layering.is_due(session):
                return
        time.sleep(0.1)


def _lines(document: dict[str, Any]) -> list[str]:
    if not document["layers"]:
        return ["No zone has layers: pulih subscriber change NAME --layers"]
    lines = [f"urgent: {document['urgent_records']} records"]
    for zone, serials in document["serials"].items():
        lines.append(f"{zone}: serial {serials[-1]}" if serials else f"{zone}: not published yet")
    if document["asked"]:
        lines.append("a new base is asked for; the publisher cuts it when it runs")
    if not document["under_way"]:
        return [*lines, "no rebase is under way"]
    late = any(base["late_at"] for base in document["bases"])
    lines.append(
        f"a rebase is under way{' AND CANNOT FINISH' if late else ''}, until {document['not_before']} at least"
    )
    for wait in document["waits_for"]:
        has = "nothing" if wait["serial"] is None else f"serial {wait['serial']}"
        what = f"settling until {wait['until']}" if wait["until"] else f"is known to have {has}"
        lines.append(f"  waits for {wait['subscriber']} {wait['address']}, {wait['zone']}: {what}")
    if any(wait["until"] is None for wait in document["waits_for"]):
        lines.append("a server that is no more, or takes no layers: pulih subscriber forget NAME ADDRESS")
    return lines
