"""The Merkle root of a list that is read once (RFC 6962 section 2.1), in memory that grows with its logarithm."""

from collections.abc import Iterable
from hashlib import sha256
from itertools import count


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
            nodes = [_parent(left, right) for left, right in zip(nodes[::2], nodes[1::2], strict=True)]

    def digest(self) -> bytes:
        """The root; the root of no leaves is the hash of no octets."""
        peaks = [peak for peak in self._peaks if peak is not None]
        if not peaks:
            return sha256().digest()
        node = peaks[0]
        for left in peaks[1:]:
            node = _parent(left, node)
        return node


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root of all of `leaves`."""
    tree = MerkleRoot()
    tree.extend(leaves)
    return tree.digest()


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
