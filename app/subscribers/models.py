"""Tables of subscribers (ISPs): addresses, keys, and what each has asked for and been given."""

import datetime as dt

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SubscriberRow(Base):
    """An ISP. `addresses` and `notify` are JSON lists of CIDR ranges and HOST:PORT."""

    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    addresses: Mapped[str] = mapped_column(Text)
    notify: Mapped[str] = mapped_column(Text)
    keyed: Mapped[bool]
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
    """What one subscriber is known to have of one zone: the last of everything it did."""

    __tablename__ = "deliveries"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    zone: Mapped[str] = mapped_column(Text, primary_key=True)
    asked_at: Mapped[dt.datetime | None]
    asked_kind: Mapped[str | None] = mapped_column(Text)
    asked_serial: Mapped[int | None] = mapped_column(BigInteger)
    sent_at: Mapped[dt.datetime | None]
    sent_serial: Mapped[int | None] = mapped_column(BigInteger)
    sent_octets: Mapped[int | None] = mapped_column(BigInteger)
    seen_serial: Mapped[int | None] = mapped_column(BigInteger)
    seen_at: Mapped[dt.datetime | None]
    notified_at: Mapped[dt.datetime | None]
    notify_outcome: Mapped[str | None] = mapped_column(Text)
    refused_at: Mapped[dt.datetime | None]
    refusal: Mapped[str | None] = mapped_column(Text)
    acknowledged_serial: Mapped[int | None] = mapped_column(BigInteger)
    acknowledged_phase: Mapped[str | None] = mapped_column(Text)
    acknowledged_at: Mapped[dt.datetime | None]
