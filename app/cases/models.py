"""Tables of applications: what was asked, which orders it concerns, what was brought, and what was decided.

Who applied stands in the journal's personal fields alone; here is the event that has it.
"""

import datetime as dt
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, KeyText


class ApplicationKind(StrEnum):
    """An application for normalisation, or an appeal against a block or against a refusal."""

    APPLICATION = "application"
    APPEAL = "appeal"


class Standing(StrEnum):
    """What the applicant is to the names."""

    OWNER = "owner"
    NEW_OWNER = "new_owner"
    PUBLIC = "public"


class ApplicationState(StrEnum):
    """Where an application stands; the last four are ends."""

    RECEIVED = "received"
    INCOMPLETE = "incomplete"
    GRANTED = "granted"
    REFUSED = "refused"
    OVERTAKEN = "overtaken"
    WITHDRAWN = "withdrawn"


DECIDED = "('granted','refused','overtaken')"


class Application(Base):
    """One application; `about_one`: it names the order, so others that hold its names do not concern it.

    The law's clock on it (`hours`) is that of the day on which it was entered.
    While it runs it ends at `due_at`; while the application is incomplete it stands still, with `left_seconds` to go
    (below zero where it was late already), and `missing` is a JSON list of the papers that lack.
    """

    __tablename__ = "applications"
    __table_args__ = (
        CheckConstraint(
            f"(state IN {DECIDED}) = (decided_by_id IS NOT NULL)"
            " AND (state IN ('received','incomplete')) = (closed_at IS NULL)",
            name="decided_by_somebody",
        ),
        CheckConstraint("decided_by_id IS NULL OR decided_by_id <> entered_by_id", name="four_eyes"),
        CheckConstraint(
            "(state = 'incomplete') = (left_seconds IS NOT NULL) AND (state = 'incomplete') = (missing IS NOT NULL)"
            " AND (left_seconds IS NULL OR due_at IS NULL)",
            name="incomplete_stops_the_clock",
        ),
        CheckConstraint("state NOT IN ('received','granted','refused') OR due_at IS NOT NULL", name="clocked"),
        CheckConstraint("decided_by_id IS NULL OR reason_id IS NOT NULL AND reason_en IS NOT NULL", name="reasoned"),
        CheckConstraint("(state = 'granted') = (ground IS NOT NULL)", name="granted_on_a_ground"),
        CheckConstraint(
            "state <> 'granted' OR kind <> 'appeal' OR ground = 'appeal_upheld' AND document IS NOT NULL",
            name="appeal_by_a_document",
        ),
        CheckConstraint("appeal_of_id IS NULL OR kind = 'appeal'", name="only_appeals_appeal"),
        Index(
            "ix_applications_due_at",
            "due_at",
            "id",
            sqlite_where=text("state = 'received'"),
            postgresql_where=text("state = 'received'"),
        ),
        Index(
            "uq_applications_appeal_of_id",
            "appeal_of_id",
            unique=True,
            sqlite_where=text("state <> 'withdrawn'"),
            postgresql_where=text("state <> 'withdrawn'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(Text)
    standing: Mapped[str] = mapped_column(Text)
    about_one: Mapped[bool]
    appeal_of_id: Mapped[int | None] = mapped_column(ForeignKey("applications.id"))
    received_at: Mapped[dt.datetime]
    entered_at: Mapped[dt.datetime]
    entered_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
    entered_seq: Mapped[int] = mapped_column(ForeignKey("events.seq"))
    hours: Mapped[int]

    state: Mapped[str] = mapped_column(Text)
    due_at: Mapped[dt.datetime | None]
    left_seconds: Mapped[int | None]
    missing: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[dt.datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    ground: Mapped[str | None] = mapped_column(Text)
    document: Mapped[str | None] = mapped_column(Text)
    reason_id: Mapped[str | None] = mapped_column(Text)
    reason_en: Mapped[str | None] = mapped_column(Text)


class ConcernedOrder(Base):
    """An order that an application is about: all of it (`whole`), or the names of the application that it holds."""

    __tablename__ = "application_orders"
    __table_args__ = (Index("ix_application_orders_order_id", "order_id"),)

    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    whole: Mapped[bool]


class ConcernedName(Base):
    """A name that an application is about."""

    __tablename__ = "application_names"
    __table_args__ = (Index("ix_application_names_key", "key"),)

    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"), primary_key=True)
    key: Mapped[str] = mapped_column(KeyText, primary_key=True)


class BroughtPaper(Base):
    """A document of the checklist that was brought: where it is filed, and the SHA-256 of it where it is a file."""

    __tablename__ = "application_papers"
    __table_args__ = (Index("ix_application_papers_application_id", "application_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id"))
    code: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    brought_at: Mapped[dt.datetime]
    brought_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
