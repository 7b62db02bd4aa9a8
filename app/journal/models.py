"""Tables of the journal. Triggers (in the migrations) refuse to change or delete a row of `events`."""

import datetime as dt

from sqlalchemy import ForeignKey, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class JournalHead(Base):
    """The one row that every append locks and counts up: sequence numbers have no gap and no race."""

    __tablename__ = "journal_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]


class Event(Base):
    """One act. `body` is RFC 8785 canonical JSON; `leaf` is SHA-256 of a zero octet and the body (RFC 6962 2.1)."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_order_id_seq", "order_id", "seq"),
        Index("ix_events_recorded_at", "recorded_at"),
    )

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[dt.datetime]
    occurred_at: Mapped[dt.datetime]
    actor: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    principal_id: Mapped[int | None]
    order_id: Mapped[int | None]
    body: Mapped[str] = mapped_column(Text)
    leaf: Mapped[bytes] = mapped_column(LargeBinary(32))


class EventPersonal(Base):
    """The text behind a salted hash in an event's body; it may be sealed later without touching the event."""

    __tablename__ = "event_personal"

    seq: Mapped[int] = mapped_column(ForeignKey("events.seq"), primary_key=True)
    field: Mapped[str] = mapped_column(Text, primary_key=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    text: Mapped[str | None] = mapped_column(Text)
