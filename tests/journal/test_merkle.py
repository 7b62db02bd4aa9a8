"""The Merkle root against the definition of RFC 6962 section 2.1, written down as it stands there."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.journal.merkle import MerkleRoot, merkle_root


def defined(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + defined(leaves[:split]) + defined(leaves[split:])).digest()


@pytest.mark.parametrize("count", [*range(70), 127, 128, 129, 1000, 1024, 1025])
def test_the_root_is_the_defined_one(count: int) -> None:
    leaves = [f"leaf {number}".encode() for number in range(count)]

    assert merkle_root(leaves) == defined(leaves)


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_the_root_of_any_leaves_is_the_defined_one(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == defined(leaves)


def test_the_root_may_be_asked_for_at_any_time() -> None:
    tree, leaves = MerkleRoot(), [bytes([number]) for number in range(20)]
    for count, leaf in enumerate(leaves):
        assert (tree.count, tree.digest()) == (count, defined(leaves[:count]))
        tree.extend([leaf])


def test_the_known_answer_of_one_octet_is_met() -> None:
    assert merkle_root([b"\x00"]).hex() == "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"


@given(st.lists(st.lists(st.binary(max_size=4), max_size=20), max_size=8))
def test_leaves_may_come_in_pieces_of_any_length(pieces: list[list[bytes]]) -> None:
    tree = MerkleRoot()
    for piece in pieces:
        tree.extend(piece)

    assert tree.digest() == defined([leaf for piece in pieces for leaf in piece])
