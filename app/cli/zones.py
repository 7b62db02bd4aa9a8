"""`pulih export`, `pulih zone`, `pulih explain`."""

import datetime as dt
import textwrap
from pathlib import Path
from typing import Any

import click

from app.answers import clocks, documents, held, held_words, reach, said
from app.answers import names as answers
from app.answers.names import Answer
from app.answers.reach import AtIsp, Reach
from app.answers.said import Said
from app.cli.context import at_option, host_actor, open_database, print_json, settings, utc_now
from app.journal import signing
from app.orders import review_queue
from app.orders.condition_documents import codes_text
from app.orders.documents import emergency_document
from app.orders.models import ConditionRow, Order
from app.publication import export as exporting
from app.publication import export_file, zones
from app.subscribers import queries as subscribers
from resolver_policy import formats, wire

FORMATS = "\b\nFormats, and what each cannot say:\n" + "\n".join(
    line
    for each in formats.FORMATS
    for line in textwrap.wrap(each.limits, 64, initial_indent=f"{each.name:<8} ", subsequent_indent=" " * 9)
)


@click.command(epilog=FORMATS)
@click.argument("zone_name", metavar="ZONE")
@click.option("--format", "format_name", type=click.Choice([each.name for each in formats.FORMATS]), required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="A file; else standard output.",
)
@click.option("--serial", type=int, help="As it was under an earlier serial.")
def export(zone_name: str, format_name: str, output: Path | None, serial: int | None) -> None:
    """Write a zone as it now stands (or --serial, as it was): the same octets as the HTTP export.

    A format that cannot say all that a zone says blocks less, never more. With -o, its signature (Ed25519) goes into
    FILE.sig, where this host has the journal's key.
    """
    chosen = settings()
    with open_database().read() as session:
        soa = wire.Soa(chosen.mname, chosen.rname)
        release = None if serial is None else zones.needed_release(session, zones.by_name(session, zone_name), serial)
        found = exporting.current(session, chosen.data_dir, zone_name, format_name, soa, release)
        signer = signing.held(session, chosen.log_key_path)
        if output is not None and signer is not None:
            output.with_name(f"{output.name}.sig").write_bytes(export_file.signed(found.path, signer))
    with (
        found.path.open("rb") as source,
        click.open_file(str(output or "-"), "wb", atomic=output is not None) as target,
    ):
        while piece := source.read(65_536):
            target.write(piece)


@click.group()
def zone() -> None:
    """Published zones."""


@zone.command()
@click.argument("zone_name", metavar="ZONE")
@click.argument("serial", type=int)
def floor(zone_name: str, serial: int) -> None:
    """Make ZONE's next serial larger than SERIAL, for ISPs that come from a feed with larger numbers.

    A feed numbered YYYYMMDDNN, for example, is above the unix time that serials here follow.
    """
    with open_database().write() as session:
        changed = zones.set_floor(session, host_actor(), zone_name, serial, utc_now())
        click.echo(f"{changed.name}: serials above {changed.floor}")


@click.command()
@click.argument("name")
@at_option
@click.option("--isp", metavar="NAME", help="Does this ISP have what holds, by the serial that it is known to have?")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def explain(name: str, at: dt.datetime | None, isp: str | None, *, as_json: bool) -> None:
    """Is NAME blocked, by what, since when, what lifts it, and who has it."""
    now, past = utc_now(), at
    with open_database().read() as session:
        answer = answers.explain(session, name, past or now)
        if isp is None:
            reached = reach.reach(session, answer, past)
            pending = clocks.pending(session, settings().regime, answer, now=now if past is None else None)
            due = [review_queue.at(session, holder.order, answer.at) for holder in answer.holders]
            found = {"reach": documents.reached(reached), "applications": pending, "reviews": due}
            lines = [*_lines(answer), *_reached(reached), *map(_applied, pending)]
        else:
            row = subscribers.by_name(session, isp)
            zones_there = reach.at_isp(session, answer, row, past)
            changed_at = reach.changed_at(session, answer, past)
            due_at = None if changed_at is None else changed_at + settings().overdue
            told = said.of(session, answer, row.name)
            at_moment = held.at_isp(session, answer, row, told)
            there = documents.at_isp(row.name, zones_there, answer, due_at, told)
            found = {"isp": {**there, "held": held_words.document(session, answer, at_moment)}}
            lines = [*_lines(answer), *(_there(row.name, each) for each in zones_there), *_said(row.name, told)]
            if past is not None:
                lines += [f"  {line}" for line in held_words.words(answer, at_moment)]
        published = held_words.published(session, answer)
        if past is not None:
            lines[1:1] = [f"  {line}" for line in published["words"]]
        if as_json:
            print_json({**documents.whole(answer), **published, **found})
        else:
            click.echo("\n".join(lines))


def _applied(pending: dict[str, Any]) -> str:
    clock = pending["clock"]
    until = "" if clock is None or clock["due_at_local"] is None else f", to be decided by {clock['due_at_local']}"
    late = ", overdue" if clock is not None and clock["overdue"] else ""
    return f"  {pending['kind']} {pending['id']} is pending{until}{late}"


def _lines(answer: Answer) -> list[str]:
    state = "is blocked" if answer.blocked else "is not blocked"
    lines = [f"{answer.name} {state} (at {answer.at:%Y-%m-%d %H:%M:%S %Z})"]
    for holder in answer.holders:
        order = holder.order
        lines.append(f"  held by {_called(order)}, of {order.authority}, since {holder.since:%Y-%m-%d %H:%M %Z}")
        lines += _emergency(order, answer.at)
        lines.append(f"    reason: {order.reason_en}")
        if holder.left:
            lines.append(f"    to be met: {codes_text(holder.unmet)}")
            dated = [row for row in holder.left if row.due_at is not None]
            lines += [f"      {row.code} by {row.due_at:%Y-%m-%d %H:%M %Z}{_late(row, answer.at)}" for row in dated]
        if holder.lift_planned is not None:
            lines.append(f"    lift planned: {holder.lift_planned['at'] or 'moment not chosen yet'}")
    lines += [f"  kept open by {_called(holder.order)}" for holder in answer.exceptions]
    for row in answer.suspended:
        notice = "" if row.noticed_at is None else f", notice given {row.noticed_at:%Y-%m-%d %H:%M %Z}"
        lines.append(
            f"  open until {row.until} (suspended since {row.since:%Y-%m-%d %H:%M %Z}: {_called(row.order)}{notice})"
        )
    for gone in answer.lifted:
        lines.append(f"  lifted {gone.at:%Y-%m-%d %H:%M %Z}: {gone.ground} ({_called(gone.order)})")
        if gone.waived:
            lines.append(f"    waived, not met: {', '.join(gone.waived)}")
    return lines


def _reached(found: Reach | None) -> list[str]:
    if found is None:
        return []
    if not found.published:
        return ["  not published yet"]
    return [f"  reached {found.reached} of {found.of} ISPs (published {found.published_at:%Y-%m-%d %H:%M:%S %Z})"]


def _there(isp: str, one: AtIsp) -> str:
    """One zone at an ISP, in a line."""
    head = f"  {isp}, {one.zone} (published: serial {one.serial}): "
    if one.has is None or one.has.serial is None:
        return head + "it is not known to have anything"
    has = f"has serial {one.has.serial}" + (
        "" if one.has.since is None else f" since {one.has.since:%Y-%m-%d %H:%M:%S %Z}"
    )
    if one.blocks is None:
        return f"{head}{has}, which this zone never had"
    servers = f"{one.reached} of {one.servers} servers" if one.servers > 1 else ""
    if one.in_effect:
        return f"{head}{has}: in effect"
    return f"{head}{has}: {'still blocks it' if one.blocks else 'does not block it yet'}" + (
        f" ({servers} have what holds)" if servers else ""
    )


def _said(isp: str, said: Said | None) -> list[str]:
    """What an ISP of a replayed case said of the act itself."""
    if said is None:
        return []
    left = f", {said.names_pending} names left, {'this one too' if said.pending else 'not this one'}"
    due = "" if said.due_at is None else f", due {said.due_at:%Y-%m-%d %H:%M %Z}"
    late = ", OVERDUE" if said.overdue else ""
    return [f"  {isp} said {said.phase} at {said.at:%Y-%m-%d %H:%M %Z}{left if said.names_pending else ''}{due}{late}"]


def _emergency(order: Order, at: dt.datetime) -> list[str]:
    emergency = emergency_document(order, at)
    if emergency is None:
        return []
    lapses_at = emergency["lapses_at"]
    until = "confirmed" if lapses_at is None else f"not confirmed yet, lapses {lapses_at:%Y-%m-%d %H:%M %Z}"
    return [f"    EMERGENCY ORDER, {until}"]


def _late(row: ConditionRow, at: dt.datetime) -> str:
    return ", overdue" if row.due_at is not None and row.due_at <= at else ""


def _called(order: Order) -> str:
    number = order.number or "an order without a number"
    return f"{number}, a sample" if order.sample else number
