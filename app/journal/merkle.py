"""The Merkle root of a list that is read once (RFC 6962 section 2.1), in memory that grows with its logarithm."""

import hashlib
from collections.abc import Iterable


class MerkleRoot:
    """Takes leaves one by one; `digest()` is the root of what it was given so far."""

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf, given by its octets."""
        height, node = 0, hashlib.sha256(b"\x00" + leaf).digest()
        while self._peaks and self._peaks[-1][0] == height:
            node = _parent(self._peaks.pop()[1], node)
            height += 1
        self._peaks.append((height, node))
        self.count += 1

    def digest(self) -> bytes:
        """The root; the root of no leaves is the hash of no octets."""
        if not self._peaks:
            return hashlib.sha256().digest()
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = _parent(left, node)
        return node


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root of all of `leaves`."""
    tree = MerkleRoot()
    for leaf in leaves:
        tree.add(leaf)
    return tree.digest()


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
