"""The tree that is stored beside the journal: the defined one, at the same cost however long the journal is."""

import random
from collections.abc import Sequence

import pymerkle
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.audit import verify
from app.db import Database
from app.errors import NotFound, Unprocessable
from app.journal import merkle, tree
from app.journal.models import Event, TreeNode
from app.settings import Settings
from tests import databases
from tests.audit.journals import fill, fill_fast, started
from tests.policy.scale import Record, scaled, seeded, tell
from tests.publication.test_cost import Meter, metered

SIZES = 36
TREES = 150
SHORT, LONG, MORE = 256, 8_192, 16


def bodies(database: Database) -> list[bytes]:
    with database.read() as session:
        return [body.encode() for body in session.scalars(select(Event.body).order_by(Event.seq))]


def peer(leaves: Sequence[bytes]) -> pymerkle.InmemoryTree:
    """The same tree, made by others; it counts leaves from one."""
    made = pymerkle.InmemoryTree(algorithm="sha256")
    made.append_entries(list(leaves))
    return made


def test_roots_and_proofs_of_every_size_are_those_of_another_implementation(
    database: Database, record_property: Record
) -> None:
    fill(database, SIZES)
    leaves = bodies(database)
    other, compared, last = peer(leaves), 0, len(leaves)
    with database.read() as session:
        for size in range(1, last + 1):
            root = tree.root(session, size)
            assert root == other.get_root(size)
            for older in range(1, size + 1):
                path, before = tree.consistency(session, older, size), other.get_root(older)
                assert verify.consistent(older, size, path, before) == (before, root)
                assert path == []
                compared += 1
        for seq in range(1, last + 1):
            leaf, path = tree.leaf(session, seq), tree.inclusion(session, seq, last)
            assert [leaf, *path] == other.prove_inclusion(seq, last).path
            assert verify.included(leaf, seq - 1, last, path) == root
            assert path == []
            compared += 1
    tell(record_property, proofs=compared)


def tampered(chance: random.Random, hashes: Sequence[bytes]) -> list[bytes]:
    """The same with one bit of one hash changed."""
    changed, octet = [bytearray(each) for each in hashes], chance.randrange(32)
    chance.choice(changed)[octet] ^= 1 << chance.randrange(8)
    return [bytes(each) for each in changed]


def test_the_verifier_agrees_with_another_implementation_on_random_trees(record_property: Record) -> None:
    """Each proof as it is, which both take, and with a bit changed, which both refuse."""
    chance, judged = seeded("trees"), 0
    for _ in range(scaled(TREES)):
        leaves = [chance.randbytes(chance.randrange(40)) for _ in range(chance.randrange(2, 400))]
        other, size = peer(leaves), len(leaves)
        assert merkle.merkle_root(leaves) == other.get_root(size)
        judged += agree_on_inclusion(chance, other, size) + agree_on_consistency(chance, other, leaves)
    tell(record_property, proofs=judged)


def agree_on_inclusion(chance: random.Random, other: pymerkle.InmemoryTree, size: int) -> int:
    seq, root = chance.randrange(1, size + 1), other.get_root(size)
    proof = other.prove_inclusion(seq, size)
    leaf, *path = proof.path
    proof.verify(leaf, root)
    assert verify.included(leaf, seq - 1, size, path.copy()) == root
    wrong = tampered(chance, path)
    proof.path = [leaf, *wrong]
    with pytest.raises(pymerkle.InvalidProof):
        proof.verify(leaf, root)
    assert verify.included(leaf, seq - 1, size, wrong) != root
    return 2


def agree_on_consistency(chance: random.Random, other: pymerkle.InmemoryTree, leaves: Sequence[bytes]) -> int:
    size = len(leaves)
    older = chance.randrange(1, size)
    roots = before, after = other.get_root(older), other.get_root(size)
    proof = other.prove_consistency(older, size)
    proof.verify(before, after)
    path = [merkle.merkle_root(leaves[span.first : span.past]) for span in merkle.consistency(older, size)]
    assert verify.consistent(older, size, path.copy(), before) == roots
    assert verify.consistent(older, size, tampered(chance, path), before) != roots
    with pytest.raises(pymerkle.InvalidProof):
        proof.verify(*tampered(chance, roots))
    assert verify.consistent(older, size, path.copy(), before) != tuple(tampered(chance, roots))
    with pytest.raises(IndexError):
        verify.consistent(older, size, path[1:], before)
    return 4


def test_the_cost_of_an_event_does_not_grow_with_the_journal(database: Database, record_property: Record) -> None:
    """Behind any power of two the same heights are met again: statements and work stay those of a short journal."""
    statements, work = [], []
    for size in (SHORT, LONG):
        fill_fast(database, size)
        fill(database, MORE)
        meter = cost_of(database, MORE)
        statements.append(len(meter.statements))
        work.append(meter.work)

    tell(record_property, statements_short=statements[0], statements_long=statements[1])
    tell(record_property, work_short=work[0], work_long=work[1])
    assert statements[1] <= statements[0]
    assert work[1] <= 1.3 * work[0]


def test_a_proof_is_one_question(database: Database) -> None:
    """Beside the one that asks how long the journal is."""
    fill_fast(database, SHORT)
    with metered(database) as meter, database.read() as session:
        tree.inclusion(session, 77, SHORT - 5)
        tree.consistency(session, 127, SHORT - 5)

    assert len([each for each in meter.statements if "FROM" in each]) == 4


def size_of(database: Database) -> int:
    with database.read() as session:
        return tree.size(session)


def cost_of(database: Database, count: int) -> Meter:
    with metered(database) as meter:
        fill(database, count)
    return meter


def test_of_every_two_events_one_completes_a_subtree(database: Database) -> None:
    fill(database, 64 - size_of(database))

    with database.read() as session:
        levels = session.scalars(select(TreeNode.level).order_by(TreeNode.level)).all()
    assert [levels.count(level) for level in range(1, 8)] == [32, 16, 8, 4, 2, 1, 0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tree_nodes SET hash = hash",
        "DELETE FROM tree_nodes",
        "INSERT INTO tree_nodes VALUES (1, 1000, x'00')",
        "INSERT INTO tree_nodes VALUES (0, 0, x'00')",
        "INSERT OR REPLACE INTO tree_nodes SELECT * FROM tree_nodes",
        "UPDATE log_keys SET public = x'00'",
        "DELETE FROM log_keys",
        "INSERT INTO log_keys VALUES (1, 'mine', x'00')",
    ],
)
def test_the_database_refuses_every_change_of_the_tree(database: Database, settings: Settings, statement: str) -> None:
    started(database, settings)
    fill(database, 3)
    with pytest.raises(IntegrityError, match="journal"):
        databases.run(database, statement)


def test_what_was_never_there_is_refused_by_name(database: Database) -> None:
    fill(database, 5)
    last = size_of(database)
    with database.read() as session:
        for seq, size in ((0, 3), (4, 3), (1, last + 1)):
            with pytest.raises(Unprocessable):
                tree.inclusion(session, seq, size)
            with pytest.raises(Unprocessable):
                tree.consistency(session, seq, size)
        with pytest.raises(NotFound):
            tree.leaf(session, last + 1)
