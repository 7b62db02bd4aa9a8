"""`pulih subscriber`: ISPs taken on and let go, their keys, their configuration; by access to the host itself."""

import base64
import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

import click

from app.cli.context import host_actor, open_database, print_json, settings, utc_now
from app.cli.rebase import until_published
from app.journal.append import timestamp
from app.publication import layering, zones
from app.publication.zones import Layer
from app.subscribers import documents, keys, layered, queries, register, standing
from app.subscribers import forget as forgetting
from app.subscribers.config import RESOLVER, PrintConfig, config
from app.subscribers.keys import SECRET_OCTETS, Algorithm, RotateKey, Tsig
from app.subscribers.lag import Lag
from app.subscribers.layered import ChangeSubscriber
from app.subscribers.register import Added, AddSubscriber, Readdress
from app.subscribers.snippets import SNIPPETS

ALGORITHMS = click.Choice(list(SECRET_OCTETS))
PARTS = sorted({part for snippet in SNIPPETS for part in snippet.parts})
RELAYS = sorted({relay for snippet in SNIPPETS for relay in snippet.relays})
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
PAGE = 500


class Duration(click.ParamType[dt.timedelta]):
    """`7d`, `12h`, `30m`, `45s`, or `0`."""

    name = "duration"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        match = re.fullmatch(r"([0-9]{1,6})([dhms])", value)
        if match is None and value != "0":
            self.fail(f"{value!r} is not a duration, as in 7d, 12h, 30m, 45s or 0", param, ctx)
        return dt.timedelta() if match is None else dt.timedelta(**{UNITS[match[2]]: int(match[1])})


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program to read.")


@click.group()
def subscriber() -> None:
    """ISPs that take the zones: who they are, their keys, their configuration.

    \b
    An ISP that signs (--tsig) is known by its key, and must come from one of its addresses.
    One that does not is known by its address alone, so such ranges may not overlap.
    Changes take effect within a second, in every process, without a restart.
    """


@subscriber.command()
@click.argument("name")
@click.option(
    "--address", "addresses", metavar="CIDR", multiple=True, required=True, help="Where it asks from; repeat."
)
@click.option("--notify", metavar="HOST:PORT", multiple=True, help="Where NOTIFY goes, its resolver; repeat.")
@click.option(
    "--tsig", "algorithm", is_flag=False, flag_value="hmac-sha256", type=ALGORITHMS, help="Give it a key to sign with."
)
@click.option("--layers", is_flag=True, help="It takes zones in layers: a change costs its resolvers next to nothing.")
@click.option("--overrides", is_flag=True, help="It says that it answers by a landing page of its own: no layers.")
@as_json
def add(
    name: str,
    addresses: tuple[str, ...],
    notify: tuple[str, ...],
    algorithm: Algorithm | None,
    *,
    layers: bool,
    overrides: bool,
    as_json: bool,
) -> None:
    """Register an ISP; print its key and its token.

    The token is never shown again, the secret only by `pulih subscriber config`, on this host and recorded.

    \b
    pulih subscriber add isp-one --address 192.0.2.0/24 --notify 192.0.2.53:53 --tsig
    """
    command = AddSubscriber(name, addresses, notify, algorithm, layers, overrides)
    database = open_database()
    with database.write() as session:
        secret_key = None if algorithm is None else keys.secret_key(session, settings().secret_key_path)
        added = register.add(session, host_actor(), command, utc_now(), secret_key=secret_key)
    if layers:
        until_published(database)
    if as_json:
        print_json(_added(added))
    else:
        click.echo(_told(added))


@subscriber.command()
@click.argument("name")
@click.option("--layers/--no-layers", default=None, help="Whether it takes zones in layers.")
@click.option("--overrides/--no-overrides", default=None, help="Whether it answers by a landing page of its own.")
@click.option(
    "--settling",
    type=Duration(),
    help="How long a base is on its way behind its servers, as behind a relay; 0: as PULIH_REBASE_SETTLING says.",
)
@click.option("--address", "addresses", metavar="CIDR", multiple=True, help="Where it asks from, instead; repeat.")
@click.option("--notify", metavar="HOST:PORT", multiple=True, help="Where NOTIFY goes, instead; repeat.")
def change(
    name: str,
    addresses: tuple[str, ...],
    notify: tuple[str, ...],
    *,
    layers: bool | None,
    overrides: bool | None,
    settling: dt.timedelta | None,
) -> None:
    """Change where an ISP asks from, where it is notified, and how it takes zones; its key and its token stay.

    With the first one that takes layers, every zone begins to have some.

    \b
    pulih subscriber change isp-one --address 192.0.2.0/24 --address 198.51.100.0/24
    pulih subscriber change isp-one --layers
    pulih subscriber config isp-one --for bind --layers
    """
    database = open_database()
    with database.write() as session:
        if addresses or notify:
            elsewhere = Readdress(addresses=addresses or None, notify=notify or None)
            register.readdress(session, host_actor(), name, elsewhere, utc_now())
        command = ChangeSubscriber(name, layers, overrides, settling)
        row = layered.change(session, host_actor(), command, utc_now())
        said = "takes zones in layers" if row.layered else "takes whole zones"
        bases = [zone.name for zone in layering.published(session) if zones.layer_of(zone.name) is Layer.BASE]
        left = [] if row.layered else standing.live_of(session, row.id, bases, utc_now())
    if layers:
        until_published(database)
    click.echo(f"{name} {said}.")
    for address in left:
        click.echo(
            f"Rebases wait for {address} until it was silent for {standing.LIVE.days} days. Once it takes no layer "
            f"any more: pulih subscriber forget {name} {address}"
        )


@subscriber.command(name="list")
@as_json
def list_(*, as_json: bool) -> None:
    """Show who has which serial, what they still block though it was lifted, and who is overdue.

    SENT is what was last sent to its end. HAS is what all of an ISP's servers are known to have taken: they asked for
    changes from it, polled after it and wanted nothing more, or the ISP acknowledged it. BEHIND counts serials, and
    the time since the first of them. STILL and NOT YET count names: blocked there though lifted, published and not
    yet blocked there.
    """
    with open_database().read() as session:
        lag = Lag(session, utc_now(), settings().overdue)
        items: list[dict[str, Any]] = []
        while rows := queries.page(session, after=items[-1]["id"] if items else 0, limit=PAGE):
            items += documents.subscribers(session, rows, lag)
    if as_json:
        print_json(items)
    else:
        click.echo(_table(items), nl=False)


@subscriber.command()
@click.argument("name")
def remove(name: str) -> None:
    """End an ISP's access: addresses, keys and tokens stop at once; what it did stays on record."""
    with open_database().write() as session:
        register.remove(session, host_actor(), name, utc_now())
    click.echo(f"{name} is removed: its addresses, keys and tokens are good for nothing now.")


@subscriber.command()
@click.argument("name")
@click.argument("address")
def forget(name: str, address: str) -> None:
    """Count a server of an ISP no more: it was switched off, or somebody looked at the zone from there by hand.

    A server that is silent counts for 30 days, since it may still answer by what it last took. One that asks again
    after this counts again.
    """
    with open_database().write() as session:
        forgetting.forget(session, host_actor(), name, address, utc_now())
    click.echo(f"{address} of {name} counts no more, unless it asks again.")


@subscriber.command(name="rotate-key")
@click.argument("name")
@click.option(
    "--overlap",
    type=Duration(),
    default="7d",
    show_default=True,
    help="How long its old key stays good; 0 if it leaked.",
)
@click.option("--tsig", "algorithm", type=ALGORITHMS, help="Another algorithm than its newest key has.")
@as_json
def rotate_key(name: str, overlap: dt.timedelta, algorithm: Algorithm | None, *, as_json: bool) -> None:
    """Give an ISP a new key; the old one stays good for a while, so that nothing stops."""
    now = utc_now()
    with open_database().write() as session:
        secret_key = keys.secret_key(session, settings().secret_key_path)
        command = RotateKey(name, overlap, algorithm)
        tsig = keys.rotate(session, host_actor(), command, now, secret_key=secret_key)
    until = timestamp(now + overlap)
    if as_json:
        print_json({"name": name, "tsig": _tsig(tsig), "others_until": until})
    else:
        click.echo(f"{_key_lines(tsig)}\nThe older keys of {name} are good until {until} at the latest.")


@subscriber.command(name="config")
@click.argument("name")
@click.option(
    "--for", "software", type=click.Choice([each.software for each in SNIPPETS]), required=True, help="Its resolver."
)
@click.option("--release", help="The resolver's release, as in 9.20 (default: that of Debian 12).")
@click.option("--zone", help="Which zone (default: the first one published).")
@click.option("--part", type=click.Choice(PARTS), help="One piece only, for a file of its own.")
@click.option("--relay", type=click.Choice(RELAYS), help="A server that signs, in front of a resolver that cannot.")
@click.option(
    "--resolver",
    metavar="HOST:PORT",
    default=RESOLVER,
    show_default=True,
    help="Where its resolver listens: what a relay notifies.",
)
@click.option("--layers", is_flag=True, help="The zone in layers, which it takes from now on.")
def config_(
    name: str,
    software: str,
    release: str | None,
    zone: str | None,
    part: str | None,
    relay: str | None,
    resolver: str,
    *,
    layers: bool,
) -> None:
    """Print a resolver's configuration that works as it is, with the key. It is recorded that it was printed.

    \b
    pulih subscriber config isp-one --for bind > pulih.conf
    pulih subscriber config isp-one --for bind --part options > pulih-options.conf
    pulih subscriber config isp-two --for unbound --relay knot
    pulih subscriber config isp-one --for bind --layers
    """
    command = PrintConfig(name, software, release, zone, part, relay, resolver, layers)
    database = open_database()
    with database.write() as session:
        text = config(session, host_actor(), command, utc_now(), settings=settings())
    if layers:
        until_published(database)
    click.echo(text, nl=False)


def _added(added: Added) -> dict[str, Any]:
    tsig = None if added.tsig is None else _tsig(added.tsig)
    return {"name": added.name, "tsig": tsig, "token": added.token}


def _told(added: Added) -> str:
    key = "It asks unsigned, from its addresses." if added.tsig is None else _key_lines(added.tsig)
    return (
        f"{added.name} is registered.\n{key}\nToken      {added.token}   (never shown again)\n"
        f"Next: pulih subscriber config {added.name} --for bind"
    )


def _tsig(tsig: Tsig) -> dict[str, str]:
    return {"name": tsig.name, "algorithm": tsig.algorithm, "secret": base64.b64encode(tsig.secret).decode()}


def _key_lines(tsig: Tsig) -> str:
    fields = _tsig(tsig)
    return f"TSIG key   {fields['name']}\nAlgorithm  {fields['algorithm']}\nSecret     {fields['secret']}"


def _table(items: Sequence[dict[str, Any]]) -> str:
    """One line for each subscriber and zone; what is wrong stands last."""
    if not items:
        return "No ISP is registered yet: pulih subscriber add --help\n"
    lines: list[tuple[str, ...]] = [
        ("NAME", "SIGNS", "ZONE", "SERIAL", "HAS", "SENT", "BEHIND", "STILL", "NOT YET", "")
    ]
    for item in items:
        lines += [_line(item, zone) for zone in item["zones"]] or [_line(item, {})]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "".join(
        "  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)).rstrip() + "\n"
        for line in lines
    )


def _line(item: dict[str, Any], zone: dict[str, Any]) -> tuple[str, ...]:
    behind, has, sent, refused = (zone.get(field) for field in ("behind", "has", "sent", "refused"))
    remarks = ["overdue"] if zone.get("overdue") else []
    if refused and not (zone["asked"] and zone["asked"]["at"] > refused["at"]):
        remarks.append(f"refused: {refused['reason']}")
    return (
        item["name"],
        "yes" if item["keyed"] else "no",
        zone.get("zone", "-"),
        str(zone.get("serial", "-")),
        str(has["serial"]) if has else "-",
        str(sent["serial"]) if sent else "-",
        f"{behind['serials']}, {_span(behind['seconds'])}" if behind else "-",
        _count(zone.get("still_blocked")),
        _count(zone.get("not_yet_blocked")),
        "; ".join(remarks),
    )


def _count(names: dict[str, Any] | None) -> str:
    """How many names; `~` where they were too many to be compared one by one."""
    if names is None:
        return "-"
    return str(names["count"]) if names["exact"] else f"~{names['count']}"


def _span(seconds: int) -> str:
    """A time in the largest unit that it fills twice."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
