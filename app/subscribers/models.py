"""Tables of subscribers (ISPs): addresses, keys, and what each has asked for and been given."""

import datetime as dt

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, KeyText, RowId


class SubscriberRow(Base):
    """An ISP. `addresses` and `notify` are JSON lists of CIDR ranges and HOST:PORT.

    `layered`: it takes the layers of a zone; `overrides`: it says that it answers by a policy of its own, so that it
    must not. `settling` are the seconds for which a base may still be on its way behind its servers (null: as set).
    """

    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    addresses: Mapped[str] = mapped_column(Text)
    notify: Mapped[str] = mapped_column(Text)
    keyed: Mapped[bool]
    layered: Mapped[bool] = mapped_column(default=False)
    overrides: Mapped[bool] = mapped_column(default=False)
    settling: Mapped[int | None]
    created_at: Mapped[dt.datetime]
    removed_at: Mapped[dt.datetime | None]


class KeyRow(Base):
    """A TSIG key; its secret is sealed by the key file, so that a copy of the database alone does not hold it."""

    __tablename__ = "tsig_keys"
    __table_args__ = (Index("ix_tsig_keys_subscriber_id", "subscriber_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    name: Mapped[str] = mapped_column(Text, unique=True)
    algorithm: Mapped[str] = mapped_column(Text)
    sealed_secret: Mapped[bytes]
    valid_from: Mapped[dt.datetime]
    valid_until: Mapped[dt.datetime | None]


class Delivery(Base):
    """What one server of a subscriber is known to have of one zone, and the last of everything it did.

    The row without an address stands for the subscriber as a whole: what it acknowledged, and what came from where no
    server of its own was told apart. `seen_release` is null for a serial that the zone never had. `kept_*` and
    `folded` say what the ledger has of it so far (`app.subscribers.ledger`); `unkept`: something it has not.
    """

    __tablename__ = "deliveries"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    zone: Mapped[str] = mapped_column(KeyText, primary_key=True)
    address: Mapped[str] = mapped_column(KeyText, primary_key=True)
    asked_at: Mapped[dt.datetime | None]
    asked_kind: Mapped[str | None] = mapped_column(Text)
    asked_serial: Mapped[int | None] = mapped_column(BigInteger)
    sent_at: Mapped[dt.datetime | None]
    sent_serial: Mapped[int | None] = mapped_column(BigInteger)
    sent_octets: Mapped[int | None] = mapped_column(BigInteger)
    seen_serial: Mapped[int | None] = mapped_column(BigInteger)
    seen_release: Mapped[int | None]
    seen_at: Mapped[dt.datetime | None]
    had_at: Mapped[dt.datetime | None]
    notified_at: Mapped[dt.datetime | None]
    notify_outcome: Mapped[str | None] = mapped_column(Text)
    refused_at: Mapped[dt.datetime | None]
    refusal: Mapped[str | None] = mapped_column(Text)
    refusal_kept_at: Mapped[dt.datetime | None]
    acknowledged_serial: Mapped[int | None] = mapped_column(BigInteger)
    acknowledged_phase: Mapped[str | None] = mapped_column(Text)
    acknowledged_at: Mapped[dt.datetime | None]
    acknowledged_pending: Mapped[int | None] = mapped_column(BigInteger)
    acknowledged_note: Mapped[str | None] = mapped_column(Text)
    kept_at: Mapped[dt.datetime | None]
    kept_rows: Mapped[int]
    folded: Mapped[int]
    unkept: Mapped[bool]


class Exchange(Base):
    """One row of the ledger, never changed: who asked what, was sent how much, and what it was then known to have.

    `at` is when it began, `recorded_at` when it was written down: questions about the past go by that. `folded`
    counts the exchanges of this address since its row before that have none of their own. `address` is that of the row
    in `deliveries` which it is about, `source` where it came from: another one where that proves nothing.
    """

    __tablename__ = "exchanges"
    __table_args__ = (
        Index(
            "ix_exchanges_subscriber_id_zone_address_recorded_at",
            "subscriber_id",
            "zone",
            "address",
            "recorded_at",
        ),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"))
    zone: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    at: Mapped[dt.datetime]
    recorded_at: Mapped[dt.datetime]
    kind: Mapped[str] = mapped_column(Text)
    asked_serial: Mapped[int | None] = mapped_column(BigInteger)
    sent_serial: Mapped[int | None] = mapped_column(BigInteger)
    octets: Mapped[int] = mapped_column(BigInteger)
    milliseconds: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[str] = mapped_column(Text)
    has_serial: Mapped[int | None] = mapped_column(BigInteger)
    has_release: Mapped[int | None]
    has_since: Mapped[dt.datetime | None]
    folded: Mapped[int] = mapped_column(BigInteger)


class OverdueRow(Base):
    """A zone that a subscriber is overdue with, from when the journal says so until it says that it recovered."""

    __tablename__ = "overdue"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    zone: Mapped[str] = mapped_column(Text, primary_key=True)
    recorded_at: Mapped[dt.datetime]


class ExchangeCount(Base):
    """How often a subscriber did one kind of thing in a zone and how that ended, with the octets it was sent.

    `kind` is a `SightingKind`; `result` is `done`, `failed` or `refused`. Counted since the subscriber was added.
    """

    __tablename__ = "exchange_counts"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    zone: Mapped[str] = mapped_column(KeyText, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    result: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    octets: Mapped[int] = mapped_column(BigInteger)


class TransferProcess(Base):
    """A transfer process that runs, as it last said of itself; one that ends takes its row along.

    `late_microseconds` is the longest that its loop was late since the time before; `connections` are open over TCP.
    """

    __tablename__ = "transfer_processes"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    started_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime]
    connections: Mapped[int]
    late_microseconds: Mapped[int] = mapped_column(BigInteger)
