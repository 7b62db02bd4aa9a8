"""Who may take zones, as values that another thread swaps in one step."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, exists, or_, select
from sqlalchemy.orm import Session

from app.errors import SettingInvalid
from app.settings import parse_endpoint
from app.subscribers import seal
from app.subscribers.models import Delivery, KeyRow, SubscriberRow
from resolver_policy import layers

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Found = Row[*tuple[Any, ...]]
"""Columns of a row."""


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A TSIG key. `name` is lower case without a last dot; the key, not the client, has the algorithm."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)
    subscriber: str
    valid_from: datetime
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class NotifyTarget:
    """Where a NOTIFY goes."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An ISP: from where it asks, where it is notified, whether it must sign, and whether it takes layers.

    `in_layers`: servers of it are known to have some, so that it has no need of the whole zone any more.
    """

    name: str
    networks: tuple[Network, ...]
    targets: tuple[NotifyTarget, ...]
    keyed: bool
    layered: bool = False
    in_layers: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """All subscribers by name and all keys by name."""

    subscribers: Mapping[str, Subscriber]
    keys: Mapping[str, KnownKey]

    def by_address(self, address: Address) -> Subscriber | None:
        """Find the subscriber without a key that this address belongs to."""
        for subscriber in self.subscribers.values():
            if not subscriber.keyed and any(address in network for network in subscriber.networks):
                return subscriber
        return None


NOBODY = Directory(MappingProxyType({}), MappingProxyType({}))


class Reader:
    """Reads who may take zones, again and again: while nothing changed it gives the directory that it gave before.

    Removed subscribers and keys that have ended are not in it. A key whose secret cannot be opened is left out, and
    the log says so, at each reading: its subscriber is then refused, while every other change, above all a removal,
    still takes effect. The key file is read only if a key needs it.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._said: object = None
        self._directory = NOBODY

    def read(self, session: Session, now: datetime) -> Directory:
        """Who may take zones at this moment."""
        rows, keys, in_layers = _subscribers(session), _keys(session, now), _in_layers(session)
        said = (rows, keys, in_layers)
        if said == self._said:
            return self._directory
        names = {row.id: row.name for row in rows}
        opened = list(_opened(keys, names, self._key_file))
        self._directory = Directory(
            MappingProxyType({row.name: _subscriber(row, in_layers=row.id in in_layers) for row in rows}),
            MappingProxyType({key.name: key for key in opened}),
        )
        self._said = said if len(opened) == len(keys) else None
        return self._directory


def check(session: Session, key_file: Path, now: datetime) -> None:
    """Raise SettingInvalid where the key file does not open every key that is in use: for the service's start."""
    alive = or_(KeyRow.valid_until.is_(None), KeyRow.valid_until > now)
    keys = session.scalars(select(KeyRow).where(alive)).all()
    if keys:
        secret_key = seal.read(key_file)
        for key in keys:
            secret_key.unseal(key.sealed_secret, key.name)


def _opened(keys: Sequence[Found], names: Mapping[int, str], key_file: Path) -> Iterator[KnownKey]:
    if not keys:
        return
    try:
        secret_key = seal.read(key_file)
    except SettingInvalid as error:
        log.warning("no TSIG key can be used: %s", error)
        return
    for row in keys:
        try:
            secret = secret_key.unseal(row.sealed_secret, row.name)
        except SettingInvalid as error:
            log.warning("a TSIG key cannot be used: %s", error)
            continue
        yield KnownKey(row.name, row.algorithm, secret, names[row.subscriber_id], row.valid_from, row.valid_until)


def _subscribers(session: Session) -> Sequence[Found]:
    columns = (SubscriberRow.name, SubscriberRow.addresses, SubscriberRow.notify, SubscriberRow.keyed)
    query = select(SubscriberRow.id, *columns, SubscriberRow.layered).where(SubscriberRow.removed_at.is_(None))
    return session.execute(query.order_by(SubscriberRow.id)).all()


def _keys(session: Session, now: datetime) -> Sequence[Found]:
    columns = (KeyRow.subscriber_id, KeyRow.algorithm, KeyRow.sealed_secret, KeyRow.valid_from, KeyRow.valid_until)
    alive = or_(KeyRow.valid_until.is_(None), KeyRow.valid_until > now)
    query = select(KeyRow.name, *columns).join(SubscriberRow, SubscriberRow.id == KeyRow.subscriber_id)
    return session.execute(query.where(SubscriberRow.removed_at.is_(None), alive).order_by(KeyRow.id)).all()


def _in_layers(session: Session) -> frozenset[int]:
    """Who takes layers, and has some."""
    layer = or_(*(Delivery.zone.startswith(prefix, autoescape=True) for prefix in (layers.BASE, layers.URGENT)))
    has = exists().where(Delivery.subscriber_id == SubscriberRow.id, layer, Delivery.seen_serial.is_not(None))
    return frozenset(session.scalars(select(SubscriberRow.id).where(SubscriberRow.layered, has)))


def _subscriber(row: Found, *, in_layers: bool) -> Subscriber:
    targets = [parse_endpoint(text) for text in json.loads(row.notify)]
    return Subscriber(
        name=row.name,
        networks=tuple(ip_network(text) for text in json.loads(row.addresses)),
        targets=tuple(NotifyTarget(target.host, target.port) for target in targets),
        keyed=row.keyed,
        layered=row.layered,
        in_layers=in_layers,
    )
