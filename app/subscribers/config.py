"""Printing a resolver's configuration for one subscriber, with its secret; only on the host, and written down."""

import datetime as dt
import json
import re
from dataclasses import dataclass
from ipaddress import ip_address

from sqlalchemy.orm import Session

from app.errors import Conflict, NotFound, SettingInvalid, Unprocessable
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.settings import Endpoint, Settings, ZoneSetting, parse_endpoint
from app.subscribers import keys, layered
from app.subscribers.layered import ChangeSubscriber
from app.subscribers.queries import live_by_name
from app.subscribers.snippets import SNIPPETS
from app.subscribers.snippets.snippet import Facts, Release, Snippet, dotted

RESOLVER = "127.0.0.1:53"

_SITE = re.compile(r"https?://[A-Za-z0-9.:\[\]_~/-]+")
_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]+)*(?:[-+~].*)?")


@dataclass(frozen=True, slots=True)
class PrintConfig:
    """Which text: `release` as the software says it, default Debian 12's; `zone` default the first one that is
    published; `part` default the whole; `relay` the software that stands in front of the resolver, which itself
    listens at `resolver`, HOST:PORT; `layers` for the zone in layers, which it takes from then on."""

    name: str
    software: str
    release: str | None = None
    zone: str | None = None
    part: str | None = None
    relay: str | None = None
    resolver: str = RESOLVER
    layers: bool = False


def config(session: Session, actor: Actor, command: PrintConfig, now: dt.datetime, *, settings: Settings) -> str:
    """Give the text and record that it was printed, with the name of the key whose secret is in it.

    Raises NotFound for the subscriber or zone, Conflict where its key is missing or the software cannot serve
    this subscriber or zone, Unprocessable for a release or relay it is not written for, SettingInvalid where no
    address of ours is known that a resolver could ask, or the secret cannot be opened.
    """
    snippet = _snippet(command.software)
    row = live_by_name(session, command.name, lock=command.layers)
    tsig = keys.opened(session, row, settings.secret_key_path)
    if row.keyed and tsig is None:
        raise Conflict(f"{row.name} has to sign and has no key: `pulih subscriber rotate-key {row.name}`")
    zone = _zone(settings, command.zone)
    facts = Facts(
        subscriber=row.name,
        zone=zone.name,
        action=zone.action,
        server=_server(settings),
        site=_site(settings),
        tsig=tsig,
        addresses=tuple(json.loads(row.addresses)),
        notify=tuple(json.loads(row.notify)),
        release=_release(snippet, command.release),
        resolver=parse_endpoint(command.resolver),
        relay=_relay(snippet, command.relay),
        layers=command.layers,
    )
    objection = snippet.objection(facts)
    if objection is not None:
        raise Conflict(objection)
    if command.layers and not row.layered:
        layered.change(session, actor, ChangeSubscriber(row.name, layers=True), now)
    text = _part(snippet, command.part, facts)
    printed = {
        "subscriber": row.name,
        "for": snippet.software,
        "zone": facts.zone,
        "key": facts.tsig.name if facts.tsig is not None and facts.tsig.name in text else None,
        "part": command.part or "whole",
        "layers": command.layers,
    }
    append(session, actor, Entry(EventType.SUBSCRIBER_CONFIG_PRINTED, printed), now)
    return text


def _snippet(software: str) -> Snippet:
    for snippet in SNIPPETS:
        if snippet.software == software:
            return snippet
    raise NotFound(f"there is no configuration for {software!r}: {', '.join(each.software for each in SNIPPETS)}")


def _part(snippet: Snippet, part: str | None, facts: Facts) -> str:
    if part is None:
        return snippet.whole(facts)
    text = snippet.parts[part](facts) if part in snippet.parts else ""
    if not text:
        raise NotFound(f"this configuration of {snippet.software} has no part {part!r}: {', '.join(snippet.parts)}")
    return text


def _zone(settings: Settings, name: str | None) -> ZoneSetting:
    zones = {zone.name: zone for zone in settings.zone_settings}
    if name is None:
        return settings.zone_settings[0]
    if name not in zones:
        raise NotFound(f"there is no zone {name[:255]}: {', '.join(zones)}")
    return zones[name]


def _relay(snippet: Snippet, relay: str | None) -> str | None:
    if relay is None or relay in snippet.relays:
        return relay
    known = ", ".join(f"--for {each.software} --relay {name}" for each in SNIPPETS for name in each.relays)
    raise Unprocessable(f"there is no configuration of {snippet.software} behind {relay[:40]!r}; there is {known}")


def _site(settings: Settings) -> str:
    """Our HTTP address without a slash behind it, as text that stands in quotes in every configuration."""
    if not _SITE.fullmatch(settings.public_url):
        raise SettingInvalid(f"PULIH_PUBLIC_URL {settings.public_url!r} is not an address as in https://pulih.example")
    return settings.public_url.rstrip("/")


def _release(snippet: Snippet, text: str | None) -> Release:
    if text is None:
        return snippet.default
    match = _RELEASE.fullmatch(text)
    if match is None:
        raise Unprocessable(f"{text[:40]!r} is not a release, as in {dotted(snippet.default)}")
    release = (int(match[1]), int(match[2]))
    if release < snippet.oldest:
        raise Unprocessable(f"{snippet.software} {text[:40]} is too old: from {dotted(snippet.oldest)} on")
    return release


def _server(settings: Settings) -> Endpoint:
    """Where resolvers reach us: an address, since a name would need the very resolver that is configured."""
    seen = settings.dns_seen
    host = "127.0.0.1" if seen.host == "localhost" else seen.host
    if ip_address(host).is_unspecified:
        raise SettingInvalid(
            f"{seen} is every address of this host: set PULIH_DNS_PUBLIC to the HOST:PORT that resolvers reach"
        )
    return Endpoint(host, seen.port)
