"""Tables of the periodic review: each review of an order, and what was noted of its names meanwhile."""

import datetime as dt
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class ReviewOutcome(StrEnum):
    """What a review of an order comes to."""

    KEEP = "keep"
    LIFT = "lift"
    PLAN = "plan"


class Stale(StrEnum):
    """Why a name may no longer be what was blocked."""

    OWNER_CHANGED = "owner_changed"
    GONE = "gone"


class OrderReview(Base):
    """One review of an order, and when the next is due: never, once it is lifted. It is never changed."""

    __tablename__ = "order_reviews"
    __table_args__ = (
        CheckConstraint("(outcome = 'lift') = (next_review_at IS NULL)", name="reviewed_again_unless_lifted"),
        CheckConstraint("next_review_at IS NULL OR next_review_at > reviewed_at", name="next_is_later"),
        Index("ix_order_reviews_order_id", "order_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    was_due_at: Mapped[dt.datetime]
    reviewed_at: Mapped[dt.datetime]
    reviewed_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    next_review_at: Mapped[dt.datetime | None]


class TargetNote(Base):
    """Somebody saw that a name of an order is no longer what was blocked: when, and by which source."""

    __tablename__ = "target_notes"
    __table_args__ = (
        Index("uq_target_notes_target_id_what_seen_at_source", "target_id", "what", "seen_at", "source", unique=True),
        Index("ix_target_notes_order_id_id", "order_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    what: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[dt.datetime]
    source: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[dt.datetime]
    recorded_by_id: Mapped[int] = mapped_column(ForeignKey("principals.id"))
