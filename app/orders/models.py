"""Tables of orders. What is decided stands in the order's row; targets follow it, so that an act on ten million
names changes one row."""

import datetime as dt
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, KeyText, RowId

ORDINAL_BITS = 32
LEAF = "leaf"


class OrderKind(StrEnum):
    """What an order does to its targets."""

    BLOCK = "block"
    EXCEPTION = "exception"


class OrderState(StrEnum):
    """Where an order stands; `importing` is seen by no reader."""

    IMPORTING = "importing"
    PROPOSED = "proposed"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"


class Ground(StrEnum):
    """Why a block was lifted."""

    CONDITIONS_MET = "conditions_met"
    SOLUTION_INDICATED = "solution_indicated"
    APPEAL_UPHELD = "appeal_upheld"
    WRONG_BLOCK = "wrong_block"
    ORDER_EXPIRED = "order_expired"
    COURT = "court"


class Order(Base):
    """A legal decision. What was proposed never changes (a trigger refuses it); what was decided is added.

    `published` says whether the newest release counts it as in force.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("approved_by_id IS NULL OR approved_by_id <> proposed_by_id", name="four_eyes"),
        CheckConstraint("rejected_by_id IS NULL OR rejected_by_id <> proposed_by_id", name="rejected_by_another"),
        CheckConstraint(
            "state NOT IN ('scheduled','active','ended') OR approved_by_id IS NOT NULL",
            name="approved_by_somebody",
        ),
        CheckConstraint("state <> 'ended' OR ground IS NOT NULL", name="ended_on_a_ground"),
        CheckConstraint("number IS NOT NULL OR (sample AND number_note IS NOT NULL)", name="numbered"),
        Index(
            "uq_orders_number",
            "number",
            unique=True,
            sqlite_where=text("state NOT IN ('withdrawn','rejected','importing')"),
            postgresql_where=text("state NOT IN ('withdrawn','rejected','importing')"),
        ),
        Index("ix_orders_due_at", "due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column()
    sample: Mapped[bool]

    number: Mapped[str | None] = mapped_column(Text)
    number_note: Mapped[str | None] = mapped_column(Text)
    dated: Mapped[str] = mapped_column(Text)
    authority: Mapped[str] = mapped_column(Text)
    legal_basis: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    reason_id: Mapped[str] = mapped_column(Text)
    reason_en: Mapped[str] = mapped_column(Text)
    platform: Mapped[str | None] = mapped_column(Text)
    sop: Mapped[str | None] = mapped_column(Text)
    override: Mapped[str | None] = mapped_column(Text)
    effective_at: Mapped[dt.datetime | None]
    expires_at: Mapped[dt.datetime | None]
    review_due_at: Mapped[dt.datetime]
    targets_count: Mapped[int]
    targets_root: Mapped[bytes] = mapped_column(LargeBinary(32))
    proposed_at: Mapped[dt.datetime]
    proposed_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))

    decided_at: Mapped[dt.datetime | None]
    approved_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    rejected_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    lift_ground: Mapped[str | None] = mapped_column(Text)
    lift_planned_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    ground: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[dt.datetime | None]
    published: Mapped[bool] = mapped_column(default=False, server_default=false())

    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}  # noqa: RUF012 - SQLAlchemy reads a plain dict


class TargetRow(Base):
    """One name of one order. Its id is the order's id and its ordinal (order << 32 | ordinal), ordinals in key order.

    It is in force while its order is and `released_at` is null. As its id says its order, and a draft alone takes
    targets (a trigger), none of another order is ever replaced.
    """

    __tablename__ = "targets"
    __table_args__ = (
        CheckConstraint("id >> 32 = order_id", name="numbered_by_order"),
        Index("uq_targets_key_match_order_id", "key", "match", "order_id", unique=True),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    key: Mapped[str] = mapped_column(KeyText)
    match: Mapped[int] = mapped_column(SmallInteger)
    released_at: Mapped[dt.datetime | None]


class InForce(Base):
    """A stretch of time in which an order was in force, as it was recorded; only its end is ever filled in."""

    __tablename__ = "in_force"
    __table_args__ = (Index("ix_in_force_order_id", "order_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    began_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]


class Touched(Base):
    """What may have changed and is not yet published: one target, or (key null) a whole order."""

    __tablename__ = "touched"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int]
    key: Mapped[str | None] = mapped_column(KeyText)
    match: Mapped[int | None] = mapped_column(SmallInteger)
    touched_at: Mapped[dt.datetime]


class ConditionRow(Base):
    """A node of an order's condition tree: a combinator (`all_of`, `any_of`) or a leaf with a state."""

    __tablename__ = "conditions"
    __table_args__ = (
        CheckConstraint("verified_by_id IS NULL OR verified_by_id <> claimed_by_id", name="four_eyes"),
        CheckConstraint(
            "op <> 'leaf' OR state <> 'met' OR verified_by_id IS NOT NULL AND claimed_by_id IS NOT NULL",
            name="met_by_two",
        ),
        Index("uq_conditions_order_id_position", "order_id", "position", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    position: Mapped[int]
    parent_position: Mapped[int | None]
    op: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column()

    code: Mapped[str | None] = mapped_column(Text)
    text_id: Mapped[str | None] = mapped_column(Text)
    text_en: Mapped[str | None] = mapped_column(Text)
    responsible_party: Mapped[str | None] = mapped_column(Text)
    gating: Mapped[bool | None]
    kind: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    claimed_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    verified_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))

    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}  # noqa: RUF012 - SQLAlchemy reads a plain dict


class Evidence(Base):
    """What was submitted for a condition, with the SHA-256 of its octets."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_condition_id", "condition_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    condition_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    submitted_at: Mapped[dt.datetime]
    submitted_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    text: Mapped[str | None] = mapped_column(Text)
    file_name: Mapped[str | None] = mapped_column(Text)
    file_content: Mapped[bytes | None]
