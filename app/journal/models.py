"""Tables of the journal. Triggers (in the migrations) refuse to change or delete a row of `events`."""

import datetime as dt

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, Text
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


class TreeNode(Base):
    """A perfect subtree over events (`app.journal.merkle.Node`), written with the event that completes it; those of one
    event (level 0) are `Event.leaf`."""

    __tablename__ = "tree_nodes"
    __table_args__ = ({"sqlite_with_rowid": False},)

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class LogKey(Base):
    """A key that signs for the journal, from the event on that says so; its private half lies outside the database."""

    __tablename__ = "log_keys"

    seq: Mapped[int] = mapped_column(ForeignKey("events.seq"), primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    public: Mapped[bytes] = mapped_column(LargeBinary(32))
