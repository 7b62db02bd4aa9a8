"""Tables of principals, their tokens, and answers kept for repeated requests."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Principal(Base):
    """A person or a machine, with one role for ever (a trigger refuses to change it)."""

    __tablename__ = "principals"
    __table_args__ = (
        CheckConstraint("role IN ('operator','approver','auditor','isp','platform','admin')", name="role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[dt.datetime]


class Token(Base):
    """A bearer token of a principal, kept as the SHA-256 of its 256 random bits.

    `addresses` are the networks that it is good from, separated by blanks; None: from everywhere.
    """

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    principal_id: Mapped[int] = mapped_column(ForeignKey("principals.id"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
    addresses: Mapped[str | None] = mapped_column(Text)


class IdempotentAnswer(Base):
    """The answer given to a principal's `Idempotency-Key`, kept in the transaction of its effect for 24 hours."""

    __tablename__ = "idempotent_answers"
    __table_args__ = (Index("ix_idempotent_answers_created_at", "created_at"),)

    principal_id: Mapped[int] = mapped_column(ForeignKey("principals.id"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    status: Mapped[int]
    etag: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes]
    created_at: Mapped[dt.datetime]
