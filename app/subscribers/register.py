"""Taking an ISP on as a subscriber, and letting it go."""

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth import tokens
from app.auth.models import Principal, Token
from app.errors import Conflict, Fault, Unprocessable
from app.journal.actor import Actor, Role
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.orders.models import Order
from app.orders.schemas import Schema
from app.settings import Endpoint
from app.subscribers import keys, layered
from app.subscribers.directory import Network
from app.subscribers.keys import Algorithm, Tsig
from app.subscribers.models import SubscriberRow
from app.subscribers.queries import live_by_name
from app.subscribers.ranges import address_of, overlaps, parse_networks, parse_targets
from app.subscribers.seal import SecretKey

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""One DNS label with room for a date behind it; begins with a letter, so that it is never taken for an id."""

RESERVED = frozenset({"me"})


@dataclass(frozen=True, slots=True)
class AddSubscriber:
    """An ISP to take on: `addresses` are CIDR ranges, `notify` HOST:PORT; no algorithm: it asks unsigned.

    `layers`: it takes zones in layers; `overrides`: it says that it answers by a policy of its own.
    """

    name: str
    addresses: tuple[str, ...]
    notify: tuple[str, ...] = ()
    algorithm: Algorithm | None = None
    layers: bool = False
    overrides: bool = False


class Readdress(Schema):
    """Where else a subscriber asks from or is notified, instead of before; None leaves it as it is."""

    addresses: Annotated[tuple[str, ...], Field(min_length=1, max_length=1_000)] | None = None
    notify: Annotated[tuple[str, ...], Field(max_length=1_000)] | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """What a new subscriber is told, once: its key, where it has one, and its token."""

    name: str
    tsig: Tsig | None
    token: str = field(repr=False)


def add(
    session: Session,
    actor: Actor,
    command: AddSubscriber,
    now: dt.datetime,
    *,
    secret_key: SecretKey | None = None,
) -> Added:
    """Register a subscriber, with a principal of the role `isp`, a token, and a key where it is to sign.

    A name that was removed may come back: it gets a new key and token. Raises Unprocessable for a bad name,
    range or target, Conflict where the name is taken, an unsigned range overlaps another subscriber's, or the
    database holds the sample and an address lies outside loopback.
    """
    _check_name(command.name)
    networks, targets = parse_networks(command.addresses), parse_targets(command.notify)
    _check_sample(session, networks, targets)
    if command.algorithm is None:
        _check_unsigned(session, networks)
    row = _row(session, command.name, now)
    row.addresses = json.dumps([str(network) for network in networks])
    row.notify = json.dumps([str(target) for target in targets])
    row.keyed = command.algorithm is not None
    row.layered, row.overrides, row.settling = command.layers, command.overrides, None
    layered.check(session, row, now)
    session.flush()
    tsig = None
    if command.algorithm is not None:
        if secret_key is None:
            raise ValueError("a key cannot be made without the key file that seals it")
        tsig = keys.create(session, row, command.algorithm, now, secret_key=secret_key)
    token = tokens.create(session, actor, role=Role.ISP, name=row.name, expires_at=None, now=now)
    facts = {
        "subscriber": row.name,
        "addresses": json.loads(row.addresses),
        "notify": json.loads(row.notify),
        "key": None if tsig is None else tsig.name,
        "algorithm": command.algorithm,
        "layers": row.layered,
        "overrides": row.overrides,
    }
    append(session, actor, Entry(EventType.SUBSCRIBER_ADDED, facts), now)
    return Added(row.name, tsig, token)


def readdress(session: Session, actor: Actor, name: str, command: Readdress, now: dt.datetime) -> SubscriberRow:
    """Change where a subscriber asks from and is notified; its keys, token and servers stay what they are.

    Raises NotFound, and what `add` raises of a range or target.
    """
    row = live_by_name(session, name, lock=True)
    networks = _networks(row) if command.addresses is None else parse_networks(command.addresses)
    targets = parse_targets(json.loads(row.notify) if command.notify is None else command.notify)
    _check_sample(session, networks, targets)
    if not row.keyed:
        _check_unsigned(session, networks, but=row)
    row.addresses = json.dumps([str(network) for network in networks])
    row.notify = json.dumps([str(target) for target in targets])
    facts = {"subscriber": name, "addresses": json.loads(row.addresses), "notify": json.loads(row.notify)}
    append(session, actor, Entry(EventType.SUBSCRIBER_CHANGED, facts), now)
    return row


def remove(session: Session, actor: Actor, name: str, now: dt.datetime) -> None:
    """End a subscriber: its addresses, keys and tokens stop at once, its row stays. Raises NotFound."""
    row = live_by_name(session, name, lock=True)
    row.removed_at = now
    keys.end(session, row, now)
    alive = (
        select(Token.id)
        .join(Principal, Principal.id == Token.principal_id)
        .where(Principal.name == row.name, Principal.role == Role.ISP, Token.revoked_at.is_(None))
    )
    for token_id in session.scalars(alive).all():
        tokens.revoke(session, actor, token_id=token_id, now=now)
    append(session, actor, Entry(EventType.SUBSCRIBER_REMOVED, {"subscriber": row.name}), now)


def outside_loopback(session: Session) -> Sequence[str]:
    """Names of the subscribers that the sample may not be loaded beside."""
    rows = session.scalars(select(SubscriberRow).where(SubscriberRow.removed_at.is_(None))).all()
    return [row.name for row in rows if _outside(_networks(row), parse_targets(json.loads(row.notify)))]


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name in RESERVED:
        fault = Fault(rule="subscriber_name", value=name[:200], pointer="/name")
        raise Unprocessable(
            f"{name[:80]!r} is not a subscriber's name: a letter, then lower-case letters, digits and hyphens, "
            "40 at most, a letter or digit last; not 'me'",
            faults=(fault,),
        )


def _check_sample(session: Session, networks: Sequence[Network], targets: Sequence[Endpoint]) -> None:
    """A past case, replayed, must never reach a real resolver."""
    outside = _outside(networks, targets)
    if outside and session.scalars(select(Order.id).where(Order.sample).limit(1)).first() is not None:
        raise Conflict(
            f"{outside} is not on this machine, and this database holds the sample, which may not leave it: "
            "use another DATA_DIR for real subscribers"
        )


def _outside(networks: Sequence[Network], targets: Sequence[Endpoint]) -> str | None:
    """The first range or target that is not loopback."""
    for network in networks:
        if not network.is_loopback:
            return str(network)
    for target in targets:
        address = address_of(target.host)
        if address is None or not address.is_loopback:
            return str(target)
    return None


def _check_unsigned(session: Session, networks: Sequence[Network], but: SubscriberRow | None = None) -> None:
    """By an address alone one subscriber at most may be meant, and never everybody."""
    for network in networks:
        if network.prefixlen == 0:
            raise Unprocessable(f"{network} is every address there is: that needs a key (--tsig)")
    query = select(SubscriberRow).where(SubscriberRow.removed_at.is_(None), SubscriberRow.keyed.is_(False))
    for row in session.scalars(query):
        for taken in () if row is but else _networks(row):
            for network in networks:
                if overlaps(network, taken):
                    raise Conflict(
                        f"{network} overlaps {taken} of {row.name}: by address alone nobody could tell the two "
                        "apart. Give one of them a key (--tsig), or other addresses"
                    )


def _networks(row: SubscriberRow) -> list[Network]:
    return [ip_network(text) for text in json.loads(row.addresses)]


def _row(session: Session, name: str, now: dt.datetime) -> SubscriberRow:
    """A new row, or that of a subscriber of this name which was removed."""
    row = session.scalars(select(SubscriberRow).where(SubscriberRow.name == name)).one_or_none()
    if row is not None and row.removed_at is None:
        raise Conflict(f"there is a subscriber {name} already: remove it first, or choose another name")
    if row is None:
        row = SubscriberRow(name=name, addresses="[]", notify="[]", keyed=False, layered=False, overrides=False)
        session.add(row)
    row.created_at, row.removed_at = now, None
    return row
