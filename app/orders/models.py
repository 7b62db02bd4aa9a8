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
    EMERGENCY = "emergency"
    EXCEPTION = "exception"


class OrderState(StrEnum):
    """Where an order stands; `importing` is seen by no reader."""

    IMPORTING = "importing"
    PROPOSED = "proposed"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Ground(StrEnum):
    """Why a block was lifted."""

    CONDITIONS_MET = "conditions_met"
    SOLUTION_INDICATED = "solution_indicated"
    APPEAL_UPHELD = "appeal_upheld"
    WRONG_BLOCK = "wrong_block"
    ORDER_EXPIRED = "order_expired"
    EMERGENCY_LAPSED = "emergency_lapsed"
    COURT = "court"


class ReviewCause(StrEnum):
    """What a lift left to be looked at."""

    BREACH = "breach"
    DELEGATION_ENDED = "delegation_ended"
    COMMITMENT_OVERDUE = "commitment_overdue"


class ReviewDecision(StrEnum):
    """What became of it. None of them blocks: a new order is proposed, and another person approves it."""

    NO_ACTION = "no_action"
    REMEDIED = "remedied"
    NEW_ORDER = "new_order"


class Order(Base):
    """A legal decision. What was proposed never changes (a trigger refuses it); what was decided is added.

    An emergency order is in force before anybody approved it; unless somebody does (`approved_by_id`, `decided_at`),
    it ends at `lapses_at`. `plan_seen` says whether whoever approved it named the hash of its plan.
    `published` says whether the newest release counts it as in force. `undoes_id` is the order whose lift a proposal
    would undo: both are the same legal order, so they share its number. `ended_by_id` is who decided the lift.
    `review_at` is when the next review is due: moved on by a review, and brought forward (`stale_since`) by a note that
    a name is no longer what was blocked.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("approved_by_id IS NULL OR approved_by_id <> proposed_by_id", name="four_eyes"),
        CheckConstraint("rejected_by_id IS NULL OR rejected_by_id <> proposed_by_id", name="rejected_by_another"),
        CheckConstraint(
            "state NOT IN ('scheduled','active','suspended','ended') OR approved_by_id IS NOT NULL"
            " OR kind = 'emergency' AND state <> 'scheduled'",
            name="approved_by_somebody",
        ),
        CheckConstraint(
            "kind <> 'emergency' OR targets_count <= 10 AND override IS NULL"
            " AND (state = 'importing' OR lapses_at IS NOT NULL)",
            name="emergency_is_small",
        ),
        CheckConstraint(
            "kind <> 'emergency' OR state <> 'active' OR approved_by_id IS NOT NULL"
            " OR due_at IS NOT NULL AND due_at <= lapses_at",
            name="emergency_lapses",
        ),
        CheckConstraint("state <> 'ended' OR ground IS NOT NULL", name="ended_on_a_ground"),
        CheckConstraint("(state = 'suspended') = (suspended_until IS NOT NULL)", name="suspended_until_a_moment"),
        CheckConstraint(
            "state <> 'ended' OR ground NOT IN ('court','appeal_upheld') OR lift_document IS NOT NULL",
            name="ended_by_a_document",
        ),
        CheckConstraint(
            "state <> 'ended' OR ground <> 'appeal_upheld' OR (ended_by_id IS NOT NULL"
            " AND ended_by_id <> approved_by_id AND ended_by_id <> proposed_by_id)",
            name="appeal_by_another",
        ),
        CheckConstraint("number IS NOT NULL OR (sample AND number_note IS NOT NULL)", name="numbered"),
        Index(
            "uq_orders_number",
            "number",
            unique=True,
            sqlite_where=text("undoes_id IS NULL AND state NOT IN ('withdrawn','rejected','importing')"),
            postgresql_where=text("undoes_id IS NULL AND state NOT IN ('withdrawn','rejected','importing')"),
        ),
        Index("ix_orders_undoes_id", "undoes_id"),
        Index(
            "ix_orders_review_at",
            "review_at",
            "id",
            sqlite_where=text("state IN ('scheduled','active','suspended')"),
            postgresql_where=text("state IN ('scheduled','active','suspended')"),
        ),
        Index("ix_orders_due_at", "due_at"),
        Index(
            "ix_orders_waiting",
            "proposed_at",
            "id",
            sqlite_where=text("state = 'proposed'"),
            postgresql_where=text("state = 'proposed'"),
        ),
        Index(
            "ix_orders_astray",
            "id",
            sqlite_where=text("published <> (state = 'active')"),
            postgresql_where=text("published <> (state = 'active')"),
        ),
        Index("ix_orders_proposed_by_id_proposed_at", "proposed_by_id", "proposed_at"),
        Index("ix_orders_proposed_by_id_decided_at", "proposed_by_id", "decided_at"),
        Index("ix_orders_approved_by_id_decided_at", "approved_by_id", "decided_at"),
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
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    lapses_at: Mapped[dt.datetime | None]

    decided_at: Mapped[dt.datetime | None]
    approved_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    rejected_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    plan_seen: Mapped[bool] = mapped_column(default=False, server_default=false())
    lift_ground: Mapped[str | None] = mapped_column(Text)
    lift_planned_at: Mapped[dt.datetime | None]
    lift_planned_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    lift_document: Mapped[str | None] = mapped_column(Text)
    suspended_until: Mapped[dt.datetime | None]
    notice_due_at: Mapped[dt.datetime | None]
    end_proposed: Mapped[str | None] = mapped_column(Text)
    end_proposed_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    ended_at: Mapped[dt.datetime | None]
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    ground: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[dt.datetime | None]
    review_at: Mapped[dt.datetime]
    stale_since: Mapped[dt.datetime | None]
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
    """A node of an order's condition tree: a combinator (`all_of`, `any_of`) or a leaf with a state.

    `due_at` is the date that was asked for with it, and blocks or lifts nothing. `commitment_due_at` is the date by
    which a condition that was not met is to be met after an early lift. `delegate` is the third party that fulfils it
    for the platform, and until when it may.
    """

    __tablename__ = "conditions"
    __table_args__ = (
        CheckConstraint("verified_by_id IS NULL OR verified_by_id <> claimed_by_id", name="four_eyes"),
        CheckConstraint(
            "op <> 'leaf' OR state <> 'met' OR verified_by_id IS NOT NULL AND claimed_by_id IS NOT NULL",
            name="met_by_two",
        ),
        CheckConstraint(
            "(delegate IS NULL) = (delegated_from IS NULL) AND (delegate IS NULL) = (delegated_until IS NULL)"
            " AND (delegate IS NULL OR delegated_from < delegated_until)",
            name="delegated_for_a_time",
        ),
        Index("uq_conditions_order_id_position", "order_id", "position", unique=True),
        Index(
            "ix_conditions_delegated_until",
            "delegated_until",
            sqlite_where=text("state = 'met'"),
            postgresql_where=text("state = 'met'"),
        ),
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
    due_at: Mapped[dt.datetime | None]
    state: Mapped[str | None] = mapped_column(Text)
    delegate: Mapped[str | None] = mapped_column(Text)
    delegated_from: Mapped[dt.datetime | None]
    delegated_until: Mapped[dt.datetime | None]
    commitment_due_at: Mapped[dt.datetime | None]
    claimed_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    verified_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))

    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}  # noqa: RUF012 - SQLAlchemy reads a plain dict


class Evidence(Base):
    """What was submitted for a condition, with the SHA-256 of its octets; of a file also what its octets show it to be.

    It is never changed, and once its condition is met (or waived) none is added: triggers refuse it.
    """

    __tablename__ = "evidence"
    __table_args__ = (
        CheckConstraint(
            "(file_name IS NULL) = (file_content IS NULL) AND (file_name IS NULL) = (file_type IS NULL)",
            name="a_whole_file",
        ),
        Index("ix_evidence_condition_id", "condition_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    condition_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    submitted_at: Mapped[dt.datetime]
    submitted_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    text: Mapped[str | None] = mapped_column(Text)
    file_name: Mapped[str | None] = mapped_column(Text)
    file_type: Mapped[str | None] = mapped_column(Text)
    file_size: Mapped[int | None]
    file_content: Mapped[bytes | None] = mapped_column(deferred=True)


class Review(Base):
    """A question that a lift left behind, for a person to answer: a breach, or a commitment that was not kept.

    `missed_at` is the date of such a commitment. A review blocks nothing, whatever is decided.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        CheckConstraint("closed_by_id IS NULL OR closed_by_id <> opened_by_id", name="four_eyes"),
        CheckConstraint(
            "(closed_at IS NULL) = (decision IS NULL) AND (closed_at IS NULL) = (closed_by_id IS NULL)",
            name="closed_by_a_decision",
        ),
        Index("ix_reviews_order_id", "order_id"),
        Index(
            "ix_reviews_open",
            "opened_at",
            "id",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        Index("ix_reviews_condition_id", "condition_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    version: Mapped[int]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    condition_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    cause: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    missed_at: Mapped[dt.datetime | None]
    opened_at: Mapped[dt.datetime]
    opened_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    closed_at: Mapped[dt.datetime | None]
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    decision: Mapped[str | None] = mapped_column(Text)
    decision_reason: Mapped[str | None] = mapped_column(Text)
    new_order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))


class Incident(Base):
    """A block that was wrong: what it held and for how long, and who put it right. It is never changed."""

    __tablename__ = "incidents"
    __table_args__ = (Index("ix_incidents_order_id", "order_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(Text, unique=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    recorded_at: Mapped[dt.datetime]
    recorded_by_id: Mapped[int | None] = mapped_column(ForeignKey("principals.id"))
    reason: Mapped[str | None] = mapped_column(Text)
    names: Mapped[int]
    blocked_since: Mapped[dt.datetime | None]
