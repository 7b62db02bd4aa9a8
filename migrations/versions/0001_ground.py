"""The ground: journal, principals, orders, publication, subscribers; and the triggers that keep them honest."""

import sqlalchemy as sa
from alembic import op

from app.db import UTCDateTime, refusal_triggers
from app.orders import sop_templates
from migrations import cases, reviews

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PROPOSED_COLUMNS = (
    "id",
    "uid",
    "kind",
    "sample",
    "number",
    "number_note",
    "dated",
    "authority",
    "legal_basis",
    "category",
    "reason_id",
    "reason_en",
    "platform",
    "sop",
    "override",
    "effective_at",
    "expires_at",
    "review_due_at",
    "targets_count",
    "targets_root",
    "proposed_at",
    "proposed_by_id",
    "undoes_id",
    "lapses_at",
)

CONDITION_COLUMNS = (
    "id",
    "uid",
    "order_id",
    "position",
    "parent_position",
    "op",
    "code",
    "text_id",
    "text_en",
    "responsible_party",
    "gating",
    "kind",
    "due_at",
)

REVIEW_COLUMNS = (
    "id",
    "uid",
    "order_id",
    "condition_id",
    "cause",
    "reason",
    "missed_at",
    "opened_at",
    "opened_by_id",
)

SOP_COLUMNS = (
    "id",
    "code",
    "number",
    "version",
    "title_id",
    "title_en",
    "source",
    "conditions",
    "profiles",
    "sha256",
    "proposed_at",
    "proposed_by_id",
)

ACTOR_TEXT = """('{"actor":{"name":"' || NEW.actor || '","role":"' || NEW.role || '","token":')"""
"""How the body of an event by a principal begins (RFC 8785: keys in order)."""

REFUSALS = (
    ("sops_delete", "sops", "DELETE", "1 = 1", "a version of a template is never deleted"),
    (
        "sops_insert",
        "sops",
        "INSERT",
        (
            "NEW.state <> 'proposed' OR NEW.number <> 1 + (SELECT coalesce(max(number), 0) FROM sops"
            " WHERE code = NEW.code AND state = 'confirmed') OR EXISTS (SELECT 1 FROM sops WHERE id = NEW.id)"
            " OR (SELECT role FROM principals WHERE id = NEW.proposed_by_id) IS DISTINCT FROM 'approver'"
        ),
        "a version of a template begins as the proposal of an approver",
    ),
    (
        "sops_update",
        "sops",
        "UPDATE",
        "OLD.state <> 'proposed' OR NEW.state = 'proposed' OR "
        + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in SOP_COLUMNS),
        "a version of a template is decided once, and never changed",
    ),
    (
        "sops_decision",
        "sops",
        "UPDATE",
        "(SELECT role FROM principals WHERE id = NEW.decided_by_id) IS DISTINCT FROM 'approver'",
        "an approver decides on a version of a template",
    ),
    (
        "events_insert",
        "events",
        "INSERT",
        (
            "NEW.seq <> (SELECT size FROM journal_head WHERE id = 1)"
            " OR EXISTS (SELECT 1 FROM events WHERE events.seq = NEW.seq)"
        ),
        "the journal has no gap, and no second event of one number",
    ),
    (
        "events_actor",
        "events",
        "INSERT",
        (
            "(NEW.role IN ('clock','host')) <> (NEW.principal_id IS NULL)"
            " OR NEW.principal_id IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM principals WHERE id = NEW.principal_id AND name = NEW.actor AND role = NEW.role)"
        ),
        "an event says which principal acted",
    ),
    (
        "events_body",
        "events",
        "INSERT",
        f"NEW.principal_id IS NOT NULL AND substr(NEW.body, 1, length({ACTOR_TEXT})) <> {ACTOR_TEXT}",
        "the body of an event says who acted, as its columns do",
    ),
    (
        "events_token",
        "events",
        "INSERT",
        " AND ".join(
            (
                f"substr(NEW.body, length({ACTOR_TEXT}) + 1, 4) = 'null'",
                "EXISTS (SELECT 1 FROM tokens WHERE principal_id = NEW.principal_id)",
            )
        ),
        "an event says by which token its principal acted",
    ),
    ("events_update", "events", "UPDATE", "1 = 1", "the journal is append-only"),
    ("events_delete", "events", "DELETE", "1 = 1", "the journal is append-only"),
    ("journal_head_delete", "journal_head", "DELETE", "1 = 1", "the journal only grows"),
    ("journal_head_update", "journal_head", "UPDATE", "NEW.size <> OLD.size + 1", "the journal grows by one"),
    ("tree_nodes_update", "tree_nodes", "UPDATE", "1 = 1", "the journal is append-only"),
    ("tree_nodes_delete", "tree_nodes", "DELETE", "1 = 1", "the journal is append-only"),
    (
        "tree_nodes_insert",
        "tree_nodes",
        "INSERT",
        "NEW.level < 1 OR (NEW.position + 1) << NEW.level <> (SELECT size FROM journal_head WHERE id = 1)",
        "a subtree of the journal is written with the event that completes it",
    ),
    ("log_keys_update", "log_keys", "UPDATE", "1 = 1", "the journal is append-only"),
    ("log_keys_delete", "log_keys", "DELETE", "1 = 1", "the journal is append-only"),
    (
        "log_keys_insert",
        "log_keys",
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM events WHERE events.seq = NEW.seq AND type IN ('log.key_made','log.key_rotated'))",
        "a key of the journal is in force by an event",
    ),
    (
        "principals_update",
        "principals",
        "UPDATE",
        "NEW.role <> OLD.role OR NEW.name <> OLD.name OR NEW.id <> OLD.id",
        "a principal keeps its name and its role",
    ),
    ("bases_delete", "bases", "DELETE", "1 = 1", "a base is never deleted"),
    (
        "bases_update",
        "bases",
        "UPDATE",
        " OR ".join(
            f"OLD.{column} IS NOT NULL AND (NEW.{column} IS NULL OR NEW.{column} <> OLD.{column})"
            for column in ("release_id", "cut_at", "spent_at", "dropped_release_id")
        ),
        "a base is cut, found spent and dropped once",
    ),
    ("principals_delete", "principals", "DELETE", "1 = 1", "a principal is never deleted"),
    ("orders_delete", "orders", "DELETE", "OLD.state <> 'importing'", "an order is never deleted"),
    (
        "orders_update",
        "orders",
        "UPDATE",
        "OLD.state <> 'importing' AND ("
        + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in PROPOSED_COLUMNS)
        + ")",
        "an order is immutable once proposed",
    ),
    (
        "orders_decision",
        "orders",
        "UPDATE",
        (
            "OLD.approved_by_id IS NOT NULL AND NEW.approved_by_id IS DISTINCT FROM OLD.approved_by_id"
            " OR OLD.state IN ('ended','withdrawn','rejected') AND NEW.state <> OLD.state"
            " OR OLD.state <> 'importing' AND NEW.state = 'importing'"
        ),
        "a decision stands",
    ),
    (
        "targets_delete",
        "targets",
        "DELETE",
        "(SELECT state FROM orders WHERE orders.id = OLD.order_id) <> 'importing'",
        "a target is never deleted",
    ),
    (
        "targets_update",
        "targets",
        "UPDATE",
        (
            "NEW.id <> OLD.id OR NEW.order_id <> OLD.order_id OR NEW.key <> OLD.key OR NEW.match <> OLD.match"
            " OR OLD.released_at IS NOT NULL"
        ),
        "a target is immutable, and released once",
    ),
    ("in_force_delete", "in_force", "DELETE", "1 = 1", "an interval is never deleted"),
    (
        "in_force_update",
        "in_force",
        "UPDATE",
        "OLD.ended_at IS NOT NULL OR NEW.order_id <> OLD.order_id OR NEW.began_at <> OLD.began_at",
        "an interval is ended once",
    ),
    (
        "conditions_delete",
        "conditions",
        "DELETE",
        "(SELECT state FROM orders WHERE orders.id = OLD.order_id) <> 'importing'",
        "a condition is never deleted",
    ),
    (
        "conditions_update",
        "conditions",
        "UPDATE",
        " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in CONDITION_COLUMNS),
        "what a condition asks for is immutable",
    ),
    (
        "conditions_state",
        "conditions",
        "UPDATE",
        (
            "NEW.state <> OLD.state AND (OLD.state || ' ' || NEW.state) NOT IN ('pending claimed', 'rejected claimed',"
            " 'breached claimed', 'claimed met', 'claimed rejected', 'pending waived', 'claimed waived',"
            " 'rejected waived', 'breached waived', 'met breached')"
        ),
        "a condition does not move that way",
    ),
    ("tokens_delete", "tokens", "DELETE", "1 = 1", "a token is revoked, never deleted"),
    ("zone_serials_update", "zone_serials", "UPDATE", "1 = 1", "a serial is never changed"),
    ("zone_serials_delete", "zone_serials", "DELETE", "1 = 1", "a serial is never taken back"),
    (
        "rule_spans_delete",
        "rule_spans",
        "DELETE",
        "EXISTS (SELECT 1 FROM releases WHERE id >= OLD.from_release)",
        "what was published is kept for ever",
    ),
    ("publisher_lease_delete", "publisher_lease", "DELETE", "1 = 1", "a lease ends by itself"),
    (
        "publisher_lease_update",
        "publisher_lease",
        "UPDATE",
        "NEW.epoch < OLD.epoch OR NEW.epoch = OLD.epoch AND NEW.holder <> OLD.holder",
        "an epoch has one holder, and epochs only grow",
    ),
    ("evidence_update", "evidence", "UPDATE", "1 = 1", "evidence is never changed"),
    ("evidence_delete", "evidence", "DELETE", "1 = 1", "evidence is never deleted"),
    ("releases_update", "releases", "UPDATE", "1 = 1", "a release is never changed"),
    ("releases_delete", "releases", "DELETE", "1 = 1", "a release is never deleted"),
    ("exchanges_update", "exchanges", "UPDATE", "1 = 1", "the ledger of deliveries is append-only"),
    ("exchanges_delete", "exchanges", "DELETE", "1 = 1", "the ledger of deliveries is append-only"),
    (
        "exchanges_insert",
        "exchanges",
        "INSERT",
        "EXISTS (SELECT 1 FROM exchanges WHERE id = NEW.id)",
        "a row of the ledger is never replaced",
    ),
    ("journal_head_insert", "journal_head", "INSERT", "1 = 1", "there is one journal"),
    (
        "principals_insert",
        "principals",
        "INSERT",
        "EXISTS (SELECT 1 FROM principals WHERE id = NEW.id OR name = NEW.name)",
        "a principal is never replaced",
    ),
    (
        "tokens_insert",
        "tokens",
        "INSERT",
        "EXISTS (SELECT 1 FROM tokens WHERE id = NEW.id OR digest = NEW.digest)",
        "a token is never replaced",
    ),
    (
        "tokens_update",
        "tokens",
        "UPDATE",
        (
            "OLD.revoked_at IS NOT NULL OR NEW.digest <> OLD.digest OR NEW.principal_id <> OLD.principal_id"
            " OR NEW.expires_at IS DISTINCT FROM OLD.expires_at OR NEW.addresses IS DISTINCT FROM OLD.addresses"
        ),
        "a token is only ever revoked",
    ),
    (
        "orders_insert",
        "orders",
        "INSERT",
        (
            "NEW.state <> 'importing' OR NEW.approved_by_id IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM orders WHERE id = NEW.id OR uid = NEW.uid)"
        ),
        "an order begins as a draft, and is never replaced",
    ),
    (
        "orders_state",
        "orders",
        "UPDATE",
        (
            "NEW.state <> OLD.state AND (OLD.state || ' ' || NEW.state) NOT IN ('importing proposed',"
            " 'proposed withdrawn', 'proposed rejected', 'proposed scheduled', 'proposed active',"
            " 'scheduled active', 'scheduled ended', 'active suspended', 'suspended active', 'suspended ended',"
            " 'active ended')"
        ),
        "an order does not move that way",
    ),
    (
        "orders_approver",
        "orders",
        "UPDATE",
        (
            "NEW.approved_by_id IS NOT NULL AND (SELECT role FROM principals WHERE id = NEW.approved_by_id)"
            " IS DISTINCT FROM 'approver'"
        ),
        "an approver approves",
    ),
    (
        "orders_exception",
        "orders",
        "UPDATE",
        (
            "OLD.kind = 'exception' AND NEW.state <> OLD.state AND (NEW.state = 'suspended' OR NEW.state = 'ended'"
            " AND NEW.ground NOT IN ('order_expired','conditions_met')"
            " AND (NEW.end_proposed_by_id IS NULL OR NEW.ended_by_id IS NULL"
            " OR NEW.end_proposed_by_id = NEW.ended_by_id))"
        ),
        "two approvers end an exception",
    ),
    (
        "orders_number",
        "orders",
        "UPDATE",
        (
            "OLD.state = 'importing' AND NEW.state = 'proposed' AND EXISTS"
            " (SELECT 1 FROM orders WHERE id <> NEW.id AND state NOT IN ('withdrawn','rejected','importing')"
            " AND (number = NEW.number AND undoes_id IS NULL AND NEW.undoes_id IS NULL"
            " OR undoes_id = NEW.undoes_id AND state <> 'ended'))"
        ),
        "a living order has this number",
    ),
    (
        "orders_ended",
        "orders",
        "UPDATE",
        (
            "OLD.state = 'ended' AND"
            " (NEW.ground IS DISTINCT FROM OLD.ground OR NEW.ended_at IS DISTINCT FROM OLD.ended_at"
            " OR NEW.ended_by_id IS DISTINCT FROM OLD.ended_by_id"
            " OR NEW.lift_document IS DISTINCT FROM OLD.lift_document)"
        ),
        "an ended order keeps its ground",
    ),
    (
        "orders_lifter",
        "orders",
        "UPDATE",
        (
            "NEW.ended_by_id IS NOT NULL AND (SELECT role FROM principals WHERE id = NEW.ended_by_id)"
            " IS DISTINCT FROM 'approver'"
        ),
        "an approver lifts",
    ),
    (
        "reviews_insert",
        "reviews",
        "INSERT",
        "NEW.closed_at IS NOT NULL OR EXISTS (SELECT 1 FROM reviews WHERE id = NEW.id OR uid = NEW.uid)",
        "a review begins open, and is never replaced",
    ),
    (
        "reviews_update",
        "reviews",
        "UPDATE",
        "OLD.closed_at IS NOT NULL OR "
        + " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in REVIEW_COLUMNS),
        "a review is only ever closed, once",
    ),
    (
        "reviews_closer",
        "reviews",
        "UPDATE",
        (
            "NEW.closed_by_id IS NOT NULL AND (SELECT role FROM principals WHERE id = NEW.closed_by_id)"
            " IS DISTINCT FROM 'approver'"
        ),
        "an approver closes a review",
    ),
    ("reviews_delete", "reviews", "DELETE", "1 = 1", "a review is never deleted"),
    (
        "incidents_insert",
        "incidents",
        "INSERT",
        "EXISTS (SELECT 1 FROM incidents WHERE id = NEW.id OR uid = NEW.uid)",
        "an incident is never replaced",
    ),
    ("incidents_update", "incidents", "UPDATE", "1 = 1", "an incident is never changed"),
    ("incidents_delete", "incidents", "DELETE", "1 = 1", "an incident is never deleted"),
    ("release_acts_update", "release_acts", "UPDATE", "1 = 1", "what a release was made of is never changed"),
    ("release_acts_delete", "release_acts", "DELETE", "1 = 1", "what a release was made of is never changed"),
    (
        "orders_emergency",
        "orders",
        "UPDATE",
        (
            "OLD.state = 'importing' AND NEW.state = 'proposed' AND NEW.kind = 'emergency' AND"
            " (SELECT count(*) FROM targets WHERE targets.id >= NEW.id * 4294967296"
            " AND targets.id < (NEW.id + 1) * 4294967296) > 10"
        ),
        "an emergency order has at most ten names",
    ),
    (
        "orders_lapsed",
        "orders",
        "UPDATE",
        (
            "NEW.ground = 'emergency_lapsed' AND OLD.state <> 'ended'"
            " AND (NEW.kind <> 'emergency' OR NEW.approved_by_id IS NOT NULL)"
            " AND NOT EXISTS (SELECT 1 FROM orders AS whole WHERE whole.id = NEW.undoes_id"
            " AND whole.state = 'ended' AND whole.ground = 'emergency_lapsed')"
        ),
        "only an emergency order that nobody confirmed lapses",
    ),
    ("stops_delete", "stops", "DELETE", "1 = 1", "a stop is released, never deleted"),
    (
        "stops_update",
        "stops",
        "UPDATE",
        (
            "OLD.released_at IS NOT NULL OR NEW.findings <> OLD.findings OR NEW.stopped_at <> OLD.stopped_at"
            " OR NEW.id <> OLD.id OR OLD.asked_by_id IS NOT NULL AND NEW.asked_by_id IS DISTINCT FROM OLD.asked_by_id"
            " OR OLD.asked_by_id IS NULL AND NEW.released_by_id IS NOT NULL"
        ),
        "a stop is released by two people, one after the other",
    ),
    (
        "stops_insert",
        "stops",
        "INSERT",
        "NEW.asked_by_id IS NOT NULL OR EXISTS (SELECT 1 FROM stops WHERE id = NEW.id)",
        "a stop begins standing, and is never replaced",
    ),
    ("rank_files_delete", "rank_files", "DELETE", "OLD.live", "who imported a rank file stays on record"),
    (
        "rank_files_update",
        "rank_files",
        "UPDATE",
        (
            "NEW.id <> OLD.id OR NEW.imported_by_id <> OLD.imported_by_id OR OLD.live AND (NOT NEW.live"
            " OR OLD.replaced_at IS NOT NULL OR NEW.sha256 <> OLD.sha256 OR NEW.count <> OLD.count"
            " OR NEW.name <> OLD.name OR NEW.imported_at <> OLD.imported_at)"
        ),
        "a rank file is replaced as a whole, once",
    ),
    (
        "ranked_names_insert",
        "ranked_names",
        "INSERT",
        "(SELECT live FROM rank_files WHERE id = NEW.file_id)",
        "a rank file is replaced as a whole",
    ),
    ("ranked_names_update", "ranked_names", "UPDATE", "1 = 1", "a rank file is replaced as a whole"),
    (
        "ranked_names_delete",
        "ranked_names",
        "DELETE",
        "(SELECT live AND replaced_at IS NULL FROM rank_files WHERE id = OLD.file_id)",
        "a rank file is replaced as a whole",
    ),
    (
        "targets_insert",
        "targets",
        "INSERT",
        "(SELECT state FROM orders WHERE orders.id = NEW.order_id) IS DISTINCT FROM 'importing'",
        "targets belong into a draft",
    ),
    (
        "conditions_insert",
        "conditions",
        "INSERT",
        (
            "(SELECT state FROM orders WHERE orders.id = NEW.order_id) IS DISTINCT FROM 'importing'"
            " OR EXISTS (SELECT 1 FROM conditions WHERE id = NEW.id OR uid = NEW.uid)"
            " OR EXISTS (SELECT 1 FROM conditions WHERE order_id = NEW.order_id AND position = NEW.position)"
        ),
        "conditions belong into a draft, and are never replaced",
    ),
    (
        "in_force_insert",
        "in_force",
        "INSERT",
        "NEW.ended_at IS NOT NULL OR EXISTS (SELECT 1 FROM in_force WHERE id = NEW.id)",
        "an interval begins open, and is never replaced",
    ),
    (
        "evidence_insert",
        "evidence",
        "INSERT",
        "EXISTS (SELECT 1 FROM evidence WHERE id = NEW.id OR uid = NEW.uid)",
        "evidence is never replaced",
    ),
    (
        "evidence_sealed",
        "evidence",
        "INSERT",
        "(SELECT state FROM conditions WHERE conditions.id = NEW.condition_id) IN ('met','waived')",
        "the evidence of a condition is sealed once it is met",
    ),
    (
        "rule_spans_update",
        "rule_spans",
        "UPDATE",
        (
            "OLD.to_release IS NOT NULL AND EXISTS (SELECT 1 FROM releases WHERE id >= OLD.to_release)"
            " OR NEW.to_release IS NOT NULL AND EXISTS (SELECT 1 FROM releases WHERE id >= NEW.to_release)"
            " OR NEW.key <> OLD.key OR NEW.own <> OLD.own OR NEW.wild <> OLD.wild"
            " OR NEW.from_release <> OLD.from_release"
        ),
        "what was published is kept as it was",
    ),
    (
        "rule_spans_insert",
        "rule_spans",
        "INSERT",
        "EXISTS (SELECT 1 FROM releases WHERE id >= NEW.from_release)",
        "nothing is added to what was published",
    ),
    (
        "urgent_spans_delete",
        "urgent_spans",
        "DELETE",
        "EXISTS (SELECT 1 FROM releases WHERE id >= OLD.from_release)",
        "what was published is kept for ever",
    ),
    (
        "urgent_spans_update",
        "urgent_spans",
        "UPDATE",
        (
            "OLD.to_release IS NOT NULL AND EXISTS (SELECT 1 FROM releases WHERE id >= OLD.to_release)"
            " OR NEW.to_release IS NOT NULL AND EXISTS (SELECT 1 FROM releases WHERE id >= NEW.to_release)"
            " OR NEW.key <> OLD.key OR NEW.own <> OLD.own OR NEW.wild <> OLD.wild"
            " OR NEW.from_release <> OLD.from_release"
        ),
        "what was published is kept as it was",
    ),
    (
        "urgent_spans_insert",
        "urgent_spans",
        "INSERT",
        "EXISTS (SELECT 1 FROM releases WHERE id >= NEW.from_release)",
        "nothing is added to what was published",
    ),
)
"""Name, table, event, condition, message: what the database itself refuses, whoever asks."""


def upgrade() -> None:
    create_tables()
    create_tables_of_lifts()
    create_tables_of_the_guard()
    create_table_of_sops()
    cases.create_tables()
    reviews.create_tables()
    op.execute("INSERT INTO journal_head (id, size) VALUES (1, 0)")
    op.execute("INSERT INTO publisher_lease VALUES (1, 'nobody', 0, '1970-01-01 00:00:00.000000')")
    for statement in refusal_triggers(op.get_bind().dialect.name, (*REFUSALS, *cases.REFUSALS, *reviews.REFUSALS)):
        op.execute(statement)


def create_tables_of_the_tree() -> None:
    op.create_table(
        "tree_nodes",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name="pk_tree_nodes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_keys",
        sa.Column("seq", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["seq"], ["events.seq"], name="fk_log_keys_seq"),
        sa.PrimaryKeyConstraint("seq", name="pk_log_keys"),
    )


def create_tables() -> None:
    op.create_table(
        "events",
        sa.Column("seq", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("occurred_at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("principal_id", ROW_ID, nullable=True),
        sa.Column("order_id", ROW_ID, nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
    )
    op.create_index("ix_events_order_id_seq", "events", ["order_id", "seq"], unique=False)
    op.create_index("ix_events_recorded_at", "events", ["recorded_at"], unique=False)
    op.create_table(
        "journal_head",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("size", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal_head"),
    )
    create_tables_of_the_tree()
    op.create_table(
        "principals",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.CheckConstraint(
            "role IN ('operator','approver','auditor','isp','platform','admin')", name=op.f("ck_principals_role")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_principals"),
        sa.UniqueConstraint("name", name="uq_principals_name"),
    )
    op.create_table(
        "publisher_lease",
        sa.Column("id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("epoch", ROW_ID, nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_publisher_lease"),
    )
    op.create_table(
        "releases",
        sa.Column("id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=False),
        sa.Column("names", ROW_ID, nullable=False),
        sa.Column("rules", ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("rules_sum", sa.LargeBinary(length=504), nullable=False),
        sa.Column("events_until", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_table(
        "rule_spans",
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("from_release", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("to_release", ROW_ID, nullable=True),
        sa.Column("own", sa.SmallInteger(), nullable=False),
        sa.Column("wild", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "from_release", name="pk_rule_spans"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_rule_spans_from_release", "rule_spans", ["from_release"], unique=False)
    op.create_index(
        "ix_rule_spans_to_release",
        "rule_spans",
        ["to_release"],
        unique=False,
        sqlite_where=sa.text("to_release IS NOT NULL"),
        postgresql_where=sa.text("to_release IS NOT NULL"),
    )
    op.create_index(
        "uq_rule_spans_head",
        "rule_spans",
        ["key"],
        unique=True,
        sqlite_where=sa.text("to_release IS NULL"),
        postgresql_where=sa.text("to_release IS NULL"),
    )
    op.create_table(
        "urgent_spans",
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("from_release", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("to_release", ROW_ID, nullable=True),
        sa.Column("own", sa.SmallInteger(), nullable=False),
        sa.Column("wild", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "from_release", name="pk_urgent_spans"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_urgent_spans_from_release", "urgent_spans", ["from_release"], unique=False)
    op.create_index(
        "ix_urgent_spans_to_release",
        "urgent_spans",
        ["to_release"],
        unique=False,
        sqlite_where=sa.text("to_release IS NOT NULL"),
        postgresql_where=sa.text("to_release IS NOT NULL"),
    )
    op.create_index(
        "uq_urgent_spans_head",
        "urgent_spans",
        ["key"],
        unique=True,
        sqlite_where=sa.text("to_release IS NULL"),
        postgresql_where=sa.text("to_release IS NULL"),
    )
    op.create_table(
        "bases",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("release_id", ROW_ID, nullable=True),
        sa.Column("cut_at", UTCDateTime(), nullable=True),
        sa.Column("late_at", UTCDateTime(), nullable=True),
        sa.Column("spent_at", UTCDateTime(), nullable=True),
        sa.Column("dropped_until", KEY_TEXT, nullable=True),
        sa.Column("dropped_release_id", ROW_ID, nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_bases_release_id"),
        sa.ForeignKeyConstraint(["dropped_release_id"], ["releases.id"], name="fk_bases_dropped_release_id"),
        sa.PrimaryKeyConstraint("id", name="pk_bases"),
        sa.UniqueConstraint("release_id", name="uq_bases_release_id"),
    )
    op.create_table(
        "subscribers",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.Column("notify", sa.Text(), nullable=False),
        sa.Column("keyed", sa.Boolean(), nullable=False),
        sa.Column("layered", sa.Boolean(), nullable=False),
        sa.Column("overrides", sa.Boolean(), nullable=False),
        sa.Column("settling", ROW_ID, nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("removed_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_subscribers"),
        sa.UniqueConstraint("name", name="uq_subscribers_name"),
    )
    op.create_table(
        "touched",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=True),
        sa.Column("match", sa.SmallInteger(), nullable=True),
        sa.Column("touched_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_touched"),
    )
    op.create_table(
        "zones",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", KEY_TEXT, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("epoch_release_id", ROW_ID, nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("retired_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_zones"),
        sa.UniqueConstraint("name", name="uq_zones_name"),
    )
    op.create_table(
        "deliveries",
        sa.Column("subscriber_id", ROW_ID, nullable=False),
        sa.Column("zone", KEY_TEXT, nullable=False),
        sa.Column("address", KEY_TEXT, nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("asked_kind", sa.Text(), nullable=True),
        sa.Column("asked_serial", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", UTCDateTime(), nullable=True),
        sa.Column("sent_serial", sa.BigInteger(), nullable=True),
        sa.Column("sent_octets", sa.BigInteger(), nullable=True),
        sa.Column("seen_serial", sa.BigInteger(), nullable=True),
        sa.Column("seen_release", ROW_ID, nullable=True),
        sa.Column("seen_at", UTCDateTime(), nullable=True),
        sa.Column("had_at", UTCDateTime(), nullable=True),
        sa.Column("notified_at", UTCDateTime(), nullable=True),
        sa.Column("notify_outcome", sa.Text(), nullable=True),
        sa.Column("refused_at", UTCDateTime(), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("refusal_kept_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_serial", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_phase", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_pending", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_note", sa.Text(), nullable=True),
        sa.Column("kept_at", UTCDateTime(), nullable=True),
        sa.Column("kept_rows", ROW_ID, nullable=False),
        sa.Column("folded", ROW_ID, nullable=False),
        sa.Column("unkept", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name="fk_deliveries_subscriber_id"),
        sa.PrimaryKeyConstraint("subscriber_id", "zone", "address", name="pk_deliveries"),
    )
    op.create_table(
        "exchanges",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("subscriber_id", ROW_ID, nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asked_serial", sa.BigInteger(), nullable=True),
        sa.Column("sent_serial", sa.BigInteger(), nullable=True),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("has_serial", sa.BigInteger(), nullable=True),
        sa.Column("has_release", ROW_ID, nullable=True),
        sa.Column("has_since", UTCDateTime(), nullable=True),
        sa.Column("folded", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name="fk_exchanges_subscriber_id"),
        sa.PrimaryKeyConstraint("id", name="pk_exchanges"),
    )
    op.create_index(
        "ix_exchanges_subscriber_id_zone_address_recorded_at",
        "exchanges",
        ["subscriber_id", "zone", "address", "recorded_at"],
        unique=False,
    )
    op.create_table(
        "overdue",
        sa.Column("subscriber_id", ROW_ID, nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name="fk_overdue_subscriber_id"),
        sa.PrimaryKeyConstraint("subscriber_id", "zone", name="pk_overdue"),
    )
    op.create_table(
        "exchange_counts",
        sa.Column("subscriber_id", ROW_ID, nullable=False),
        sa.Column("zone", KEY_TEXT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name="fk_exchange_counts_subscriber_id"),
        sa.PrimaryKeyConstraint("subscriber_id", "zone", "kind", "result", name="pk_exchange_counts"),
    )
    op.create_table(
        "transfer_processes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("connections", ROW_ID, nullable=False),
        sa.Column("late_microseconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_transfer_processes"),
    )
    op.create_table(
        "event_personal",
        sa.Column("seq", ROW_ID, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seq"], ["events.seq"], name="fk_event_personal_seq"),
        sa.PrimaryKeyConstraint("seq", "field", name="pk_event_personal"),
    )
    op.create_table(
        "idempotent_answers",
        sa.Column("principal_id", ROW_ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", ROW_ID, nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name="fk_idempotent_answers_principal_id"),
        sa.PrimaryKeyConstraint("principal_id", "key", name="pk_idempotent_answers"),
    )
    op.create_index("ix_idempotent_answers_created_at", "idempotent_answers", ["created_at"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", ROW_ID, nullable=False),
        sa.Column("sample", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("number_note", sa.Text(), nullable=True),
        sa.Column("dated", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("reason_id", sa.Text(), nullable=False),
        sa.Column("reason_en", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("sop", sa.Text(), nullable=True),
        sa.Column("override", sa.Text(), nullable=True),
        sa.Column("effective_at", UTCDateTime(), nullable=True),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("review_due_at", UTCDateTime(), nullable=False),
        sa.Column("targets_count", ROW_ID, nullable=False),
        sa.Column("targets_root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("proposed_at", UTCDateTime(), nullable=False),
        sa.Column("proposed_by_id", ROW_ID, nullable=False),
        sa.Column("undoes_id", ROW_ID, nullable=True),
        sa.Column("lapses_at", UTCDateTime(), nullable=True),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("approved_by_id", ROW_ID, nullable=True),
        sa.Column("rejected_by_id", ROW_ID, nullable=True),
        sa.Column("plan_seen", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("lift_ground", sa.Text(), nullable=True),
        sa.Column("lift_planned_at", UTCDateTime(), nullable=True),
        sa.Column("lift_planned_by_id", ROW_ID, nullable=True),
        sa.Column("lift_document", sa.Text(), nullable=True),
        sa.Column("suspended_until", UTCDateTime(), nullable=True),
        sa.Column("notice_due_at", UTCDateTime(), nullable=True),
        sa.Column("end_proposed", sa.Text(), nullable=True),
        sa.Column("end_proposed_by_id", ROW_ID, nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("ended_by_id", ROW_ID, nullable=True),
        sa.Column("ground", sa.Text(), nullable=True),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("review_at", UTCDateTime(), nullable=False),
        sa.Column("stale_since", UTCDateTime(), nullable=True),
        sa.Column("published", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint("state <> 'ended' OR ground IS NOT NULL", name=op.f("ck_orders_ended_on_a_ground")),
        sa.CheckConstraint(
            "state NOT IN ('scheduled','active','suspended','ended') OR approved_by_id IS NOT NULL"
            " OR kind = 'emergency' AND state <> 'scheduled'",
            name=op.f("ck_orders_approved_by_somebody"),
        ),
        sa.CheckConstraint(
            "(state = 'suspended') = (suspended_until IS NOT NULL)", name=op.f("ck_orders_suspended_until_a_moment")
        ),
        sa.CheckConstraint(
            "state <> 'ended' OR ground NOT IN ('court','appeal_upheld') OR lift_document IS NOT NULL",
            name=op.f("ck_orders_ended_by_a_document"),
        ),
        sa.CheckConstraint(
            "state <> 'ended' OR ground <> 'appeal_upheld' OR (ended_by_id IS NOT NULL"
            " AND ended_by_id <> approved_by_id AND ended_by_id <> proposed_by_id)",
            name=op.f("ck_orders_appeal_by_another"),
        ),
        sa.CheckConstraint(
            "kind <> 'emergency' OR targets_count <= 10 AND override IS NULL"
            " AND (state = 'importing' OR lapses_at IS NOT NULL)",
            name=op.f("ck_orders_emergency_is_small"),
        ),
        sa.CheckConstraint(
            "kind <> 'emergency' OR state <> 'active' OR approved_by_id IS NOT NULL"
            " OR due_at IS NOT NULL AND due_at <= lapses_at",
            name=op.f("ck_orders_emergency_lapses"),
        ),
        sa.CheckConstraint(
            "rejected_by_id IS NULL OR rejected_by_id <> proposed_by_id", name=op.f("ck_orders_rejected_by_another")
        ),
        sa.CheckConstraint(
            "approved_by_id IS NULL OR approved_by_id <> proposed_by_id", name=op.f("ck_orders_four_eyes")
        ),
        sa.CheckConstraint(
            "number IS NOT NULL OR (sample AND number_note IS NOT NULL)", name=op.f("ck_orders_numbered")
        ),
        sa.ForeignKeyConstraint(["approved_by_id"], ["principals.id"], name="fk_orders_approved_by_id"),
        sa.ForeignKeyConstraint(["end_proposed_by_id"], ["principals.id"], name="fk_orders_end_proposed_by_id"),
        sa.ForeignKeyConstraint(["ended_by_id"], ["principals.id"], name="fk_orders_ended_by_id"),
        sa.ForeignKeyConstraint(["lift_planned_by_id"], ["principals.id"], name="fk_orders_lift_planned_by_id"),
        sa.ForeignKeyConstraint(["undoes_id"], ["orders.id"], name="fk_orders_undoes_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["principals.id"], name="fk_orders_proposed_by_id"),
        sa.ForeignKeyConstraint(["rejected_by_id"], ["principals.id"], name="fk_orders_rejected_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("uid", name="uq_orders_uid"),
    )
    op.create_index("ix_orders_due_at", "orders", ["due_at"], unique=False)
    op.create_index(
        "ix_orders_astray",
        "orders",
        ["id"],
        unique=False,
        sqlite_where=sa.text("published <> (state = 'active')"),
        postgresql_where=sa.text("published <> (state = 'active')"),
    )
    for first, then in (
        ("proposed_by_id", "proposed_at"),
        ("proposed_by_id", "decided_at"),
        ("approved_by_id", "decided_at"),
    ):
        op.create_index(f"ix_orders_{first}_{then}", "orders", [first, then], unique=False)
    op.create_index(
        "uq_orders_number",
        "orders",
        ["number"],
        unique=True,
        sqlite_where=sa.text("undoes_id IS NULL AND state NOT IN ('withdrawn','rejected','importing')"),
        postgresql_where=sa.text("undoes_id IS NULL AND state NOT IN ('withdrawn','rejected','importing')"),
    )
    op.create_index("ix_orders_undoes_id", "orders", ["undoes_id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("principal_id", ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("addresses", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name="fk_tokens_principal_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_principal_id", "tokens", ["principal_id"], unique=False)
    op.create_table(
        "tsig_keys",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("subscriber_id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", UTCDateTime(), nullable=False),
        sa.Column("valid_until", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name="fk_tsig_keys_subscriber_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tsig_keys"),
        sa.UniqueConstraint("name", name="uq_tsig_keys_name"),
    )
    op.create_index("ix_tsig_keys_subscriber_id", "tsig_keys", ["subscriber_id"], unique=False)
    op.create_table(
        "zone_serials",
        sa.Column("zone_id", ROW_ID, nullable=False),
        sa.Column("release_id", ROW_ID, nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_zone_serials_release_id"),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name="fk_zone_serials_zone_id"),
        sa.PrimaryKeyConstraint("zone_id", "release_id", name="pk_zone_serials"),
    )
    op.create_index("uq_zone_serials_zone_id_serial", "zone_serials", ["zone_id", "serial"], unique=True)
    op.create_table(
        "conditions",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("position", ROW_ID, nullable=False),
        sa.Column("parent_position", ROW_ID, nullable=True),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("version", ROW_ID, nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("text_id", sa.Text(), nullable=True),
        sa.Column("text_en", sa.Text(), nullable=True),
        sa.Column("responsible_party", sa.Text(), nullable=True),
        sa.Column("gating", sa.Boolean(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("delegate", sa.Text(), nullable=True),
        sa.Column("delegated_from", UTCDateTime(), nullable=True),
        sa.Column("delegated_until", UTCDateTime(), nullable=True),
        sa.Column("commitment_due_at", UTCDateTime(), nullable=True),
        sa.Column("claimed_by_id", ROW_ID, nullable=True),
        sa.Column("verified_by_id", ROW_ID, nullable=True),
        sa.CheckConstraint(
            "op <> 'leaf' OR state <> 'met' OR verified_by_id IS NOT NULL AND claimed_by_id IS NOT NULL",
            name=op.f("ck_conditions_met_by_two"),
        ),
        sa.CheckConstraint(
            "(delegate IS NULL) = (delegated_from IS NULL) AND (delegate IS NULL) = (delegated_until IS NULL)"
            " AND (delegate IS NULL OR delegated_from < delegated_until)",
            name=op.f("ck_conditions_delegated_for_a_time"),
        ),
        sa.CheckConstraint(
            "verified_by_id IS NULL OR verified_by_id <> claimed_by_id", name=op.f("ck_conditions_four_eyes")
        ),
        sa.ForeignKeyConstraint(["claimed_by_id"], ["principals.id"], name="fk_conditions_claimed_by_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_conditions_order_id"),
        sa.ForeignKeyConstraint(["verified_by_id"], ["principals.id"], name="fk_conditions_verified_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_conditions"),
        sa.UniqueConstraint("uid", name="uq_conditions_uid"),
    )
    op.create_index("uq_conditions_order_id_position", "conditions", ["order_id", "position"], unique=True)
    op.create_index(
        "ix_conditions_delegated_until",
        "conditions",
        ["delegated_until"],
        unique=False,
        sqlite_where=sa.text("state = 'met'"),
        postgresql_where=sa.text("state = 'met'"),
    )
    op.create_table(
        "in_force",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("began_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_in_force_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_in_force"),
    )
    op.create_index("ix_in_force_order_id", "in_force", ["order_id"], unique=False)
    op.create_table(
        "targets",
        sa.Column("id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("match", sa.SmallInteger(), nullable=False),
        sa.Column("released_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint("id >> 32 = order_id", name=op.f("ck_targets_numbered_by_order")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_targets_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
    )
    op.create_index("uq_targets_key_match_order_id", "targets", ["key", "match", "order_id"], unique=True)
    op.create_table(
        "evidence",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("condition_id", ROW_ID, nullable=False),
        sa.Column("submitted_at", UTCDateTime(), nullable=False),
        sa.Column("submitted_by_id", ROW_ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("file_type", sa.Text(), nullable=True),
        sa.Column("file_size", ROW_ID, nullable=True),
        sa.Column("file_content", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(file_name IS NULL) = (file_content IS NULL) AND (file_name IS NULL) = (file_type IS NULL)",
            name=op.f("ck_evidence_a_whole_file"),
        ),
        sa.ForeignKeyConstraint(["condition_id"], ["conditions.id"], name="fk_evidence_condition_id"),
        sa.ForeignKeyConstraint(["submitted_by_id"], ["principals.id"], name="fk_evidence_submitted_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_evidence"),
        sa.UniqueConstraint("uid", name="uq_evidence_uid"),
    )
    op.create_index("ix_evidence_condition_id", "evidence", ["condition_id"], unique=False)


def create_tables_of_lifts() -> None:
    """What lifts and wrong blocks leave to be looked at, and what releases were made of."""
    op.create_table(
        "reviews",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("version", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("condition_id", ROW_ID, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("missed_at", UTCDateTime(), nullable=True),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("opened_by_id", ROW_ID, nullable=True),
        sa.Column("closed_at", UTCDateTime(), nullable=True),
        sa.Column("closed_by_id", ROW_ID, nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("new_order_id", ROW_ID, nullable=True),
        sa.CheckConstraint("closed_by_id IS NULL OR closed_by_id <> opened_by_id", name=op.f("ck_reviews_four_eyes")),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (decision IS NULL) AND (closed_at IS NULL) = (closed_by_id IS NULL)",
            name=op.f("ck_reviews_closed_by_a_decision"),
        ),
        sa.ForeignKeyConstraint(["closed_by_id"], ["principals.id"], name="fk_reviews_closed_by_id"),
        sa.ForeignKeyConstraint(["condition_id"], ["conditions.id"], name="fk_reviews_condition_id"),
        sa.ForeignKeyConstraint(["new_order_id"], ["orders.id"], name="fk_reviews_new_order_id"),
        sa.ForeignKeyConstraint(["opened_by_id"], ["principals.id"], name="fk_reviews_opened_by_id"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_reviews_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("uid", name="uq_reviews_uid"),
    )
    op.create_index("ix_reviews_order_id", "reviews", ["order_id"], unique=False)
    op.create_index("ix_reviews_condition_id", "reviews", ["condition_id"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("recorded_at", UTCDateTime(), nullable=False),
        sa.Column("recorded_by_id", ROW_ID, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("names", ROW_ID, nullable=False),
        sa.Column("blocked_since", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_incidents_order_id"),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["principals.id"], name="fk_incidents_recorded_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("uid", name="uq_incidents_uid"),
    )
    op.create_index("ix_incidents_order_id", "incidents", ["order_id"], unique=False)
    op.create_table(
        "release_acts",
        sa.Column("release_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("order_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("ends", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_release_acts_release_id"),
        sa.PrimaryKeyConstraint("release_id", "order_id", "whole", name="pk_release_acts"),
    )
    op.create_index("ix_release_acts_order_id", "release_acts", ["order_id"], unique=False)
    op.create_index("ix_releases_published_at", "releases", ["published_at", "id"], unique=False)


def create_tables_of_the_guard() -> None:
    """What the publisher found that nothing explains, and the names of the rank file."""
    op.create_table(
        "stops",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("stopped_at", UTCDateTime(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("asked_by_id", ROW_ID, nullable=True),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("released_by_id", ROW_ID, nullable=True),
        sa.Column("released_at", UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "released_by_id IS NULL OR asked_by_id IS NOT NULL AND released_by_id <> asked_by_id",
            name=op.f("ck_stops_four_eyes"),
        ),
        sa.CheckConstraint("released_at IS NULL OR released_by_id IS NOT NULL", name=op.f("ck_stops_released_by_two")),
        sa.ForeignKeyConstraint(["asked_by_id"], ["principals.id"], name="fk_stops_asked_by_id"),
        sa.ForeignKeyConstraint(["released_by_id"], ["principals.id"], name="fk_stops_released_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_stops"),
    )
    op.create_table(
        "rank_files",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("imported_at", UTCDateTime(), nullable=False),
        sa.Column("imported_by_id", ROW_ID, nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("count", ROW_ID, nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("replaced_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["imported_by_id"], ["principals.id"], name="fk_rank_files_imported_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rank_files"),
    )
    op.create_index(
        "uq_rank_files_current",
        "rank_files",
        ["live"],
        unique=True,
        sqlite_where=sa.text("live AND replaced_at IS NULL"),
        postgresql_where=sa.text("live AND replaced_at IS NULL"),
    )
    op.create_table(
        "ranked_names",
        sa.Column("file_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY_TEXT, nullable=False),
        sa.Column("rank", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["rank_files.id"], name="fk_ranked_names_file_id"),
        sa.PrimaryKeyConstraint("file_id", "key", name="pk_ranked_names"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ranked_names_file_id_rank", "ranked_names", ["file_id", "rank"], unique=False)


def create_table_of_sops() -> None:
    """Templates of conditions, and those that ship."""
    table = op.create_table(
        "sops",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("number", ROW_ID, nullable=False),
        sa.Column("version", ROW_ID, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("title_id", sa.Text(), nullable=False),
        sa.Column("title_en", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("conditions", sa.Text(), nullable=False),
        sa.Column("profiles", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("proposed_at", UTCDateTime(), nullable=True),
        sa.Column("proposed_by_id", ROW_ID, nullable=True),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("decided_by_id", ROW_ID, nullable=True),
        sa.CheckConstraint("state IN ('proposed','confirmed','withdrawn')", name=op.f("ck_sops_state")),
        sa.CheckConstraint("(proposed_by_id IS NULL) = (proposed_at IS NULL)", name=op.f("ck_sops_shipped")),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_at IS NULL) OR proposed_by_id IS NULL", name=op.f("ck_sops_decided")
        ),
        sa.CheckConstraint(
            "state <> 'confirmed' OR proposed_by_id IS NULL"
            " OR decided_by_id IS NOT NULL AND decided_by_id <> proposed_by_id",
            name=op.f("ck_sops_four_eyes"),
        ),
        sa.ForeignKeyConstraint(["decided_by_id"], ["principals.id"], name="fk_sops_decided_by_id"),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["principals.id"], name="fk_sops_proposed_by_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sops"),
    )
    op.create_index("uq_sops_code_version", "sops", ["code", "version"], unique=True)
    for name, columns, state in (
        ("uq_sops_confirmed", ["code", "number"], "confirmed"),
        ("uq_sops_proposed", ["code"], "proposed"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "sops", columns, unique=True, sqlite_where=where, postgresql_where=where)
    op.bulk_insert(table, list(sop_templates.shipped()))
