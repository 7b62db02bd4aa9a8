"""Merkle trees (RFC 6962 section 2.1): the root of a list that is read once, in memory that grows with its logarithm;
and which subtrees a root or a proof of RFC 9162 (sections 2.1.3, 2.1.4) is made of."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import count
from typing import NamedTuple


class Node(NamedTuple):
    """A perfect subtree: that of the leaves from `position << level` on, `1 << level` of them."""

    level: int
    position: int


class Span(NamedTuple):
    """The leaves from `first` on and before `past`, as one subtree of a tree."""

    first: int
    past: int

    def nodes(self) -> list[Node]:
        """The perfect subtrees that it is made of, from left to right."""
        found, first = [], self.first
        while first < self.past:
            level = (self.past - first).bit_length() - 1
            found.append(Node(level, first >> level))
            first += 1 << level
        return found


class MerkleRoot:
    """Takes leaves in order; `digest()` is the root of what it was given so far."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[bytes | None] = []

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaves, given by their octets. Of each height one tree at most waits for another beside it."""
        nodes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        self.count += len(nodes)
        for height in count():
            if not nodes:
                break
            if height == len(self._peaks):
                self._peaks.append(None)
            waiting = self._peaks[height]
            if waiting is not None:
                nodes.insert(0, waiting)
            self._peaks[height] = nodes.pop() if len(nodes) % 2 else None
            nodes = [parent(left, right) for left, right in zip(nodes[::2], nodes[1::2], strict=True)]

    def digest(self) -> bytes:
        """The root; the root of no leaves is the hash of no octets."""
        return joined([peak for peak in reversed(self._peaks) if peak is not None])


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root of all of `leaves`."""
    tree = MerkleRoot()
    tree.extend(leaves)
    return tree.digest()


def joined(subtrees: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that shrink from left to right; of none, the hash of no octets."""
    if not subtrees:
        return sha256().digest()
    node = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        node = parent(left, node)
    return node


def waiting(size: int) -> list[Node]:
    """The perfect subtrees, from the leaf up, that the last leaf of a tree of this size completes a larger one with."""
    found, level = [], 0
    while size >> level and not (size >> level) % 2:
        found.append(Node(level, (size >> level) - 2))
        level += 1
    return found


def inclusion(index: int, size: int) -> list[Span]:
    """What proves that leaf `index` (from 0) is in the tree of `size` leaves: siblings from the leaf up."""
    first, past, found = 0, size, []
    while past - first > 1:
        split = first + _left(past - first)
        inside, beside = Span(first, split), Span(split, past)
        if index >= split:
            inside, beside = beside, inside
        found.append(beside)
        first, past = inside
    return found[::-1]


def consistency(older: int, size: int) -> list[Span]:
    """What proves that the tree of `older` leaves (from 1) is the beginning of the one of `size` leaves."""
    first, past, found = 0, size, []
    while older < past:
        split = first + _left(past - first)
        if older <= split:
            found.append(Span(split, past))
            past = split
        else:
            found.append(Span(first, split))
            first = split
    return ([Span(first, past)] if first else []) + found[::-1]


def _left(count: int) -> int:
    """How many of `count` leaves are in the left subtree: the largest power of two below it."""
    return 1 << (count - 1).bit_length() - 1


def parent(left: bytes, right: bytes) -> bytes:
    """The hash of a node from those of its two children."""
    return sha256(b"\x01" + left + right).digest()
