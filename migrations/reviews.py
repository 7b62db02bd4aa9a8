"""The tables of periodic reviews, and what the database itself refuses of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db import UTCDateTime

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PRINCIPALS, ORDERS = ["principals.id"], ["orders.id"]

REFUSALS: Sequence[tuple[str, str, str, str, str]] = (
    (
        "orders_review_begins",
        "orders",
        "UPDATE",
        (
            "OLD.state = 'importing' AND NEW.state = 'proposed'"
            " AND (NEW.review_at <> NEW.review_due_at OR NEW.stale_since IS NOT NULL)"
        ),
        "the first review is due when the order says",
    ),
    (
        "orders_review_moves",
        "orders",
        "UPDATE",
        (
            "OLD.state <> 'importing' AND (NEW.review_at > OLD.review_at AND NOT EXISTS"
            " (SELECT 1 FROM order_reviews r WHERE r.order_id = NEW.id AND r.next_review_at = NEW.review_at"
            " AND r.id = (SELECT max(id) FROM order_reviews WHERE order_id = NEW.id)"
            " AND r.reviewed_at >= coalesce(OLD.stale_since, r.reviewed_at))"
            " OR OLD.stale_since IS NOT NULL AND NEW.stale_since IS DISTINCT FROM OLD.stale_since AND NOT EXISTS"
            " (SELECT 1 FROM order_reviews r WHERE r.order_id = NEW.id AND r.reviewed_at >= OLD.stale_since))"
        ),
        "only a review moves the review date on",
    ),
    (
        "order_reviews_insert",
        "order_reviews",
        "INSERT",
        (
            "(SELECT role FROM principals WHERE id = NEW.reviewed_by_id) IS DISTINCT FROM 'approver'"
            " OR (SELECT proposed_by_id FROM orders WHERE id = NEW.order_id) = NEW.reviewed_by_id"
            " OR EXISTS (SELECT 1 FROM order_reviews WHERE id = NEW.id)"
        ),
        "an approver who did not propose it reviews an order",
    ),
    ("order_reviews_update", "order_reviews", "UPDATE", "1 = 1", "a review is never changed"),
    ("order_reviews_delete", "order_reviews", "DELETE", "1 = 1", "a review is never deleted"),
    (
        "target_notes_insert",
        "target_notes",
        "INSERT",
        (
            "EXISTS (SELECT 1 FROM target_notes WHERE id = NEW.id OR target_id = NEW.target_id AND what = NEW.what"
            " AND seen_at = NEW.seen_at AND source = NEW.source)"
            " OR (SELECT order_id FROM targets WHERE id = NEW.target_id) IS DISTINCT FROM NEW.order_id"
        ),
        "a note is of a target of its order, and is never replaced",
    ),
    ("target_notes_update", "target_notes", "UPDATE", "1 = 1", "a note is never changed"),
    ("target_notes_delete", "target_notes", "DELETE", "1 = 1", "a note is never deleted"),
)


def create_tables() -> None:
    """Reviews of orders, and notes on their names."""
    op.create_table(
        "order_reviews",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("was_due_at", UTCDateTime(), nullable=False),
        sa.Column("reviewed_at", UTCDateTime(), nullable=False),
        sa.Column("reviewed_by_id", ROW_ID, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("next_review_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "(outcome = 'lift') = (next_review_at IS NULL)", name=op.f("ck_order_reviews_reviewed_again_unless_lifted")
        ),
        sa.CheckConstraint(
            "next_review_at IS NULL OR next_review_at > reviewed_at", name=op.f("ck_order_reviews_next_is_later")
        ),
        sa.ForeignKeyConstraint(["order_id"], ORDERS, name="fk_order_reviews_order_id"),
        sa.ForeignKeyConstraint(["reviewed_by_id"], PRINCIPALS, name="fk_order_reviews_reviewed_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_order_reviews"),
    )
    op.create_index("ix_order_reviews_order_id", "order_reviews", ["order_id"], unique=False)
    op.create_table(
        "target_notes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("target_id", ROW_ID, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("recorded_by_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ORDERS, name="fk_target_notes_order_id"),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name="fk_target_notes_target_id"),
        sa.ForeignKeyConstraint(["recorded_by_id"], PRINCIPALS, name="fk_target_notes_recorded_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_target_notes"),
    )
    unique = ["target_id", "what", "seen_at", "source"]
    op.create_index("uq_target_notes_target_id_what_seen_at_source", "target_notes", unique, unique=True)
    op.create_index("ix_target_notes_order_id_id", "target_notes", ["order_id", "id"], unique=False)
    for name, table, columns, where in (
        ("ix_orders_review_at", "orders", ["review_at", "id"], "state IN ('scheduled','active','suspended')"),
        ("ix_orders_waiting", "orders", ["proposed_at", "id"], "state = 'proposed'"),
        ("ix_reviews_open", "reviews", ["opened_at", "id"], "closed_at IS NULL"),
    ):
        condition = sa.text(where)
        op.create_index(name, table, columns, unique=False, sqlite_where=condition, postgresql_where=condition)
