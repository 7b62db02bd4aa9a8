"""What somebody alters past the service, by a database client or in a file: found, named, and told what to do."""

import json
import shutil

import pytest
from sqlalchemy import select

from app.journal import signing, tree
from app.journal.append import leaf_hash
from app.journal.models import Event, TreeNode
from app.orders.models import Order
from tests.fsck.looking import alter, looked, wrong, wrong_once
from tests.policy.scale import Record
from tests.service import Service

pytestmark = pytest.mark.database

HELD = "number = 'EX-HELD'"
OF_HELD = f"(SELECT id FROM orders WHERE {HELD})"
LIFTED = "(SELECT max(seq) FROM events WHERE type = 'order.ended')"
ANOTHER = "max(id) + 1, max(order_id), 'example.planted.'"
NEWEST = "(SELECT max(id) FROM releases)"

ALTERED = {
    "an order ended": (
        "orders",
        f"UPDATE orders SET state = 'ended', ground = 'wrong_block', ended_at = proposed_at WHERE {HELD}",
        {"orders": "order EX-HELD: its row says state ended; event ", "rules": "is published as it is not"},
    ),
    "an order that never expires": (
        "orders",
        f"UPDATE orders SET due_at = NULL WHERE {HELD}",
        {"orders": "order EX-HELD: its row says that the clock looks at it at nothing"},
    ),
    "another authority": (
        "orders",
        f"UPDATE orders SET authority = 'Nobody' WHERE {HELD}",
        {"orders": "order EX-HELD: its row says authority 'Nobody'; event "},
    ),
    "an approver who was another": (
        "orders",
        f"UPDATE orders SET approved_by_id = (SELECT id FROM principals WHERE name = 'approver-2') WHERE {HELD}",
        {"orders": "order EX-HELD: its row says approved_by approver-2; event "},
    ),
    "a time in force taken away": (
        "in_force",
        f"DELETE FROM in_force WHERE order_id = {OF_HELD}",
        {"orders": "order EX-HELD: its row of time in force says nothing, its events 2026-11-22"},
    ),
    "a name let go of": (
        "targets",
        f"UPDATE targets SET released_at = '2026-11-22 03:00:00' WHERE order_id = {OF_HELD}",
        {"orders": "held.example (subtree): its row says released 2026-11-22", "rules": "held.example: published is"},
    ),
    "a name put into an order": (
        "targets",
        f"INSERT INTO targets (id, order_id, key, match) SELECT {ANOTHER}, 0 FROM targets WHERE order_id = {OF_HELD}",
        {
            "orders": "order EX-HELD: its 2 names are not the 1 of event ",
            "rules": "planted.example: published is nothing",
        },
    ),
    "a condition that nobody met": (
        "conditions",
        "UPDATE conditions SET state = 'met', claimed_by_id = 1, verified_by_id = 3 WHERE code = 'content_removed'",
        {"orders": "condition content_removed: its row says state met; event "},
    ),
    "a rule dropped": (
        "rule_spans",
        "DELETE FROM rule_spans WHERE key = 'example.held.'",
        {"rules": "held.example: published is nothing, decided a block", "release": "names are 0"},
    ),
    "a rule planted": (
        "rule_spans",
        f"INSERT INTO rule_spans (key, from_release, own, wild) VALUES ('example.planted.', {NEWEST}, 1, 0)",
        {"rules": "planted.example: published is a block for it", "release": "its digest are"},
    ),
    "an order counted as published": (
        "orders",
        "UPDATE orders SET published = NOT published WHERE number = 'EX-LIFTED'",
        {"rules": "is published as it is not"},
    ),
    "an event altered": (
        "events",
        f"UPDATE events SET body = replace(body, 'a mistake', 'as asked') WHERE seq = {LIFTED}",
        {"journal": "its text is not the one that was hashed"},
    ),
    "an event that is about no order": (
        "events",
        f"UPDATE events SET order_id = NULL WHERE seq = {LIFTED}",
        {"journal": "its row names no order", "orders": "order EX-LIFTED: its row says state ended"},
    ),
    "an event taken away": (
        "events",
        f"DELETE FROM events WHERE seq = {LIFTED}",
        {
            "journal": "the journal's head: says",
            "orders": "order EX-LIFTED: its row says state ended",
            "tree": "its stored hash is",
        },
    ),
    "a node of the tree": (
        "tree_nodes",
        "DELETE FROM tree_nodes WHERE level = 1 AND position = 2",
        {"tree": "tree over events 5 to 6: its stored hash is another"},
    ),
    "a text behind a hash": (
        "event_personal",
        "UPDATE event_personal SET text = 'somebody else'",
        {"journal": "the text behind network_address is not the one that was hashed"},
    ),
    "serials that were shown": (
        "zone_serials",
        "UPDATE zone_serials SET serial = serial - 1000",
        {"serial block.rpz": "was shown, and the database knows none above"},
    ),
}
"""What is altered: in which table, how, and by which check it is found with which words."""


@pytest.fixture
def place(service: Service) -> Service:
    """A block that stands, with an end to come, and one that was lifted; all of it published."""
    service.block("*.held.example", number="EX-HELD", expires_at="2027-05-01T00:00:00Z")
    service.lift(service.block("lifted.example", number="EX-LIFTED"))
    service.publish()
    return service


def test_what_is_well_is_found_well(place: Service) -> None:
    made = looked(place)

    assert wrong(place) == {}
    assert [made[name].state for name in ("journal", "tree", "orders", "rules", "release", "serial block.rpz")] == (
        ["ok"] * 6
    )


def test_what_was_altered_is_found(place: Service, record_property: Record) -> None:
    place.database.close()
    for what, (table, statement, told) in ALTERED.items():
        found = wrong_once(place, table, statement)
        for name, words in told.items():
            assert any(words in line for line in found.get(name, ())), (what, found)
    record_property("alterations", len(ALTERED))


def forged(place: Service, *, with_the_tree: bool) -> None:
    """An event that says another ground, hashed anew, with its order's row to match."""
    with place.database.read() as session:
        event = session.scalars(select(Event).where(Event.type == "order.ended")).one()
        size = tree.size(session)
    body = event.body.replace('"ground":"wrong_block"', '"ground":"conditions_met"')
    assert body != event.body
    alter(place.database, "orders", "UPDATE orders SET ground = 'conditions_met' WHERE number = 'EX-LIFTED'")
    alter(place.database, "events", "SELECT 1")
    with place.database.write() as session:
        row = session.get_one(Event, event.seq)
        row.body, row.leaf = body, leaf_hash(body.encode())
    if with_the_tree:
        alter(place.database, "tree_nodes", "DELETE FROM tree_nodes")
        with place.database.write() as session:
            for leaf in session.scalars(select(Event).order_by(Event.seq)):
                tree.grow(session, leaf.seq, leaf.leaf)
                session.flush()
            assert tree.size(session) == size
            assert session.scalar(select(TreeNode.hash).limit(1))


def test_an_event_forged_with_the_row_it_is_about_is_found_by_the_tree(place: Service) -> None:
    forged(place, with_the_tree=False)

    assert set(wrong(place)) == {"tree"}


def test_a_journal_written_anew_is_found_by_a_checkpoint_that_somebody_kept_and_by_the_marks_of_this_host_alone(
    place: Service,
) -> None:
    with place.database.read() as session:
        kept = signing.checkpoint(session, signing.needed(session, place.settings.log_key_path))
    assert wrong(place, checkpoint=kept) == {}
    forged(place, with_the_tree=True)

    assert set(wrong(place)) == {"mark"}
    shutil.rmtree(place.settings.data_dir / "marks")  # they lie on the same host, for whoever holds that
    assert wrong(place) == {}
    assert {looked(place)[name].state for name in ("checkpoint", "mark")} == {"not_checked"}
    (found,) = wrong(place, checkpoint=kept)["checkpoint"]
    assert found.endswith("are not those that were signed")


def test_an_act_without_an_event_is_found(place: Service) -> None:
    """A row put in by hand has nobody who proposed it."""
    columns = [column.name for column in Order.__table__.columns]
    said = ", ".join({"id": "99", "uid": "'planted'", "number": "'EX-99'"}.get(name, name) for name in columns)
    alter(place.database, "orders", f"INSERT INTO orders ({', '.join(columns)}) SELECT {said} FROM orders WHERE {HELD}")

    assert "order EX-99: its row says active, and no event says that it was proposed" in wrong(place)["orders"]


def test_what_is_wrong_is_counted_and_the_first_of_it_told(place: Service) -> None:
    for number in range(30):
        place.propose(number=f"EX-{number}-MANY")
    alter(place.database, "orders", "UPDATE orders SET authority = 'Nobody' WHERE state = 'proposed'")

    check = looked(place)["orders"]

    assert (check.count, len(check.wrong)) == (30, 20)
    assert json.dumps(check.document())


def test_a_row_that_cannot_be_read_ends_its_check_and_no_other(place: Service) -> None:
    place.database.close()
    found = wrong_once(place, "rule_spans", "UPDATE rule_spans SET own = 7")

    assert all("a row of the tables: cannot be read" in found[name][0] for name in ("rules", "release"))
    assert set(found) == {"rules", "release"}
