"""The table of SOP templates: every version that was ever proposed, and what became of it."""

import datetime as dt
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SopState(StrEnum):
    """Where a version stands; only a confirmed one is used."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


class SopRow(Base):
    """A version of a template. What it says never changes; another person than its proposer confirms it.

    `number` is what an order names; `version` counts the proposals of the template, for `If-Match`. Those that ship
    were proposed by nobody.
    """

    __tablename__ = "sops"
    __table_args__ = (
        CheckConstraint("state IN ('proposed','confirmed','withdrawn')", name="state"),
        CheckConstraint("(proposed_by_id IS NULL) = (proposed_at IS NULL)", name="shipped"),
        CheckConstraint("(state = 'proposed') = (decided_at IS NULL) OR proposed_by_id IS NULL", name="decided"),
        CheckConstraint(
            "state <> 'confirmed' OR proposed_by_id IS NULL"
            " OR decided_by_id IS NOT NULL AND decided_by_id <> proposed_by_id",
            name="four_eyes",
        ),
        Index("uq_sops_code_version", "code", "version", unique=True),
        Index(
            "uq_sops_confirmed",
            "code",
            "number",
            unique=True,
            sqlite_where=text("state = 'confirmed'"),
            postgresql_where=text("state = 'confirmed'"),
        ),
        Index(
            "uq_sops_proposed",
            "code",
            unique=True,
            sqlite_where=text("state = 'proposed'"),
            postgresql_where=text("state = 'proposed'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    number: Mapped[int]
    version: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    title_id: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    conditions: Mapped[str] = mapped_column(Text)
    profiles: Mapped[str] = mapped_column(Text)
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    proposed_at: Mapped[dt.datetime | None]
    proposed_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    decided_at: Mapped[dt.datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
