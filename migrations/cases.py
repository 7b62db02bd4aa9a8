"""The tables of applications, and what the database itself refuses of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from app.db import UTCDateTime

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PRINCIPALS, APPLICATIONS, ORDERS = ["principals.id"], ["applications.id"], ["orders.id"]

ENTERED_COLUMNS = (
    "id",
    "uid",
    "kind",
    "standing",
    "about_one",
    "appeal_of_id",
    "received_at",
    "entered_at",
    "entered_by_id",
    "entered_seq",
    "hours",
)

HAD_A_PART = (
    "EXISTS (SELECT 1 FROM application_orders a JOIN orders o ON o.id = a.order_id"
    " LEFT JOIN orders u ON u.id = o.undoes_id WHERE a.application_id = NEW.id"
    " AND NEW.decided_by_id IN (o.proposed_by_id, o.approved_by_id, u.proposed_by_id, u.approved_by_id))"
    " OR EXISTS (SELECT 1 FROM applications r WHERE r.id = NEW.appeal_of_id AND r.decided_by_id = NEW.decided_by_id)"
)

REFUSALS: Sequence[tuple[str, str, str, str, str]] = (
    (
        "applications_insert",
        "applications",
        "INSERT",
        (
            "NEW.state NOT IN ('received','incomplete') OR NEW.decided_by_id IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM applications WHERE id = NEW.id OR uid = NEW.uid)"
            " OR NEW.appeal_of_id IS NOT NULL AND (SELECT state FROM applications WHERE id = NEW.appeal_of_id)"
            " IS DISTINCT FROM 'refused'"
        ),
        "an application begins undecided, and is never replaced",
    ),
    (
        "applications_update",
        "applications",
        "UPDATE",
        "OLD.state NOT IN ('received','incomplete') OR "
        + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in ENTERED_COLUMNS),
        "what was applied for stands, and is decided once",
    ),
    (
        "applications_role",
        "applications",
        "UPDATE",
        (
            "NEW.decided_by_id IS NOT NULL AND (SELECT role FROM principals WHERE id = NEW.decided_by_id)"
            " IS DISTINCT FROM 'approver'"
        ),
        "an approver decides an application",
    ),
    (
        "applications_decider",
        "applications",
        "UPDATE",
        f"NEW.decided_by_id IS NOT NULL AND ({HAD_A_PART})",
        "whoever had a part in a block does not decide an application about it",
    ),
    (
        "applications_granted",
        "applications",
        "UPDATE",
        (
            "NEW.state = 'granted' AND EXISTS (SELECT 1 FROM application_orders a JOIN orders o ON o.id = a.order_id"
            " WHERE a.application_id = NEW.id AND a.whole AND o.state <> 'ended')"
        ),
        "what is granted is lifted first",
    ),
    ("applications_delete", "applications", "DELETE", "1 = 1", "an application is never deleted"),
    (
        "application_orders_insert",
        "application_orders",
        "INSERT",
        (
            "(SELECT state FROM applications WHERE id = NEW.application_id) NOT IN ('received','incomplete')"
            " OR EXISTS (SELECT 1 FROM application_orders a"
            " WHERE a.application_id = NEW.application_id AND a.order_id = NEW.order_id)"
        ),
        "what an application concerns is settled when it is decided",
    ),
    (
        "application_names_insert",
        "application_names",
        "INSERT",
        (
            "(SELECT state FROM applications WHERE id = NEW.application_id) NOT IN ('received','incomplete')"
            " OR EXISTS (SELECT 1 FROM application_names a"
            " WHERE a.application_id = NEW.application_id AND a.key = NEW.key)"
        ),
        "what an application concerns is settled when it is decided",
    ),
    (
        "application_papers_insert",
        "application_papers",
        "INSERT",
        "EXISTS (SELECT 1 FROM application_papers WHERE id = NEW.id)",
        "a paper is never replaced",
    ),
    *(
        (f"{table}_{act.lower()}", table, act, "1 = 1", "what an application concerns is kept as it was")
        for table in ("application_orders", "application_names", "application_papers")
        for act in ("UPDATE", "DELETE")
    ),
)


def create_tables() -> None:
    """Applications, and what belongs to each."""
    op.create_table(
        "applications",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("version", ROW_ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("about_one", sa.Boolean(), nullable=False),
        sa.Column("appeal_of_id", ROW_ID, nullable=True),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("entered_at", UTCDateTime(), nullable=False),
        sa.Column("entered_by_id", ROW_ID, nullable=False),
        sa.Column("entered_seq", ROW_ID, nullable=False),
        sa.Column("hours", ROW_ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("left_seconds", ROW_ID, nullable=True),
        sa.Column("missing", sa.Text(), nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.Column("decided_by_id", ROW_ID, nullable=True),
        sa.Column("ground", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("reason_id", sa.Text(), nullable=True),
        sa.Column("reason_en", sa.Text(), nullable=True),
        *_checks_of_applications(),
        sa.ForeignKeyConstraint(["appeal_of_id"], APPLICATIONS, name="fk_applications_appeal_of_id"),
        sa.ForeignKeyConstraint(["entered_by_id"], PRINCIPALS, name="fk_applications_entered_by_id"),
        sa.ForeignKeyConstraint(["decided_by_id"], PRINCIPALS, name="fk_applications_decided_by_id"),
        sa.ForeignKeyConstraint(["entered_seq"], ["events.seq"], name="fk_applications_entered_seq"),
        sa.PrimaryKeyConstraint("id", name="pk_applications"),
        sa.UniqueConstraint("uid", name="uq_applications_uid"),
    )
    _partial("ix_applications_due_at", ["due_at", "id"], "state = 'received'", unique=False)
    _partial("uq_applications_appeal_of_id", ["appeal_of_id"], "state <> 'withdrawn'", unique=True)
    op.create_table(
        "application_orders",
        sa.Column("application_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("order_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], APPLICATIONS, name="fk_application_orders_application_id"),
        sa.ForeignKeyConstraint(["order_id"], ORDERS, name="fk_application_orders_order_id"),
        sa.PrimaryKeyConstraint("application_id", "order_id", name="pk_application_orders"),
    )
    op.create_index("ix_application_orders_order_id", "application_orders", ["order_id"], unique=False)
    op.create_table(
        "application_names",
        sa.Column("application_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.ForeignKeyConstraint(["application_id"], APPLICATIONS, name="fk_application_names_application_id"),
        sa.PrimaryKeyConstraint("application_id", "key", name="pk_application_names"),
    )
    op.create_index("ix_application_names_key", "application_names", ["key"], unique=False)
    op.create_table(
        "application_papers",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("application_id", ROW_ID, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("brought_at", UTCDateTime(), nullable=False),
        sa.Column("brought_by_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(["application_id"], APPLICATIONS, name="fk_application_papers_application_id"),
        sa.ForeignKeyConstraint(["brought_by_id"], PRINCIPALS, name="fk_application_papers_brought_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_application_papers"),
    )
    op.create_index("ix_application_papers_application_id", "application_papers", ["application_id"], unique=False)


def _checks_of_applications() -> Sequence[sa.CheckConstraint]:
    checks = {
        "decided_by_somebody": (
            "(state IN ('granted','refused','overtaken')) = (decided_by_id IS NOT NULL)"
            " AND (state IN ('received','incomplete')) = (closed_at IS NULL)"
        ),
        "four_eyes": "decided_by_id IS NULL OR decided_by_id <> entered_by_id",
        "incomplete_stops_the_clock": (
            "(state = 'incomplete') = (left_seconds IS NOT NULL) AND (state = 'incomplete') = (missing IS NOT NULL)"
            " AND (left_seconds IS NULL OR due_at IS NULL)"
        ),
        "clocked": "state NOT IN ('received','granted','refused') OR due_at IS NOT NULL",
        "reasoned": "decided_by_id IS NULL OR reason_id IS NOT NULL AND reason_en IS NOT NULL",
        "granted_on_a_ground": "(state = 'granted') = (ground IS NOT NULL)",
        "appeal_by_a_document": (
            "state <> 'granted' OR kind <> 'appeal' OR ground = 'appeal_upheld' AND document IS NOT NULL"
        ),
        "only_appeals_appeal": "appeal_of_id IS NULL OR kind = 'appeal'",
    }
    return [sa.CheckConstraint(text, name=op.f(f"ck_applications_{name}")) for name, text in checks.items()]


def _partial(name: str, columns: Sequence[str], where: str, *, unique: bool) -> None:
    condition = sa.text(where)
    op.create_index(name, "applications", columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
