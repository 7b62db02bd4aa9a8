"""The Merkle tree over the journal: what an event adds to it, its root at any size, and proofs (RFC 9162 2.1).

Every perfect subtree is stored once it is complete, so a root or a proof reads some forty rows of a million events.
"""

from collections.abc import Sequence

from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.errors import Fault, NotFound, Unprocessable
from app.journal import merkle
from app.journal.merkle import Node, Span
from app.journal.models import Event, JournalHead, TreeNode


def grow(session: Session, size: int, leaf: bytes) -> None:
    """Store the subtrees that the event with sequence number `size` completes, one on average."""
    beside = merkle.waiting(size)
    if not beside:
        return
    known, node, rows = _read(session, beside), leaf, []
    for each in beside:
        node = merkle.parent(known[each], node)
        rows.append({"level": each.level + 1, "position": each.position // 2, "hash": node})
    insert_rows(session, TreeNode, rows)


def size(session: Session) -> int:
    """How many events there are."""
    return session.scalars(select(JournalHead.size)).one()


def root(session: Session, size: int) -> bytes:
    """The root over the first `size` events."""
    return hashes(session, [Span(0, size)])[0]


def inclusion(session: Session, seq: int, size: int) -> list[bytes]:
    """The proof that event `seq` is the leaf `seq - 1` of the tree of `size` events; raises Unprocessable."""
    _check(session, seq, size, "seq", "size")
    return hashes(session, merkle.inclusion(seq - 1, size))


def consistency(session: Session, older: int, size: int) -> list[bytes]:
    """The proof that the tree of `older` events is the beginning of that of `size` events; raises Unprocessable."""
    _check(session, older, size, "from", "to")
    return hashes(session, merkle.consistency(older, size))


def check_size(session: Session, size: int) -> None:
    """Raise Unprocessable for a size that the journal never had."""
    _check(session, size, size, "size", "size")


def leaf(session: Session, seq: int) -> bytes:
    """The hash of one event; raises NotFound."""
    found = session.scalar(select(Event.leaf).where(Event.seq == seq))
    if found is None:
        raise NotFound(f"there is no event {seq}")
    return found


def _check(session: Session, lower: int, upper: int, *names: str) -> None:
    last = size(session)
    for name, value, limit in ((names[1], upper, last), (names[0], lower, upper)):
        if not 1 <= value <= limit:
            fault = Fault("out_of_range", str(value), f"/{name}")
            raise Unprocessable(f"{name} is {value}: it may be 1 to {limit}", faults=(fault,))


def hashes(session: Session, spans: Sequence[Span]) -> list[bytes]:
    """The hash of each span, read at once."""
    known = _read(session, [node for span in spans for node in span.nodes()])
    return [merkle.joined([known[node] for node in span.nodes()]) for span in spans]


def _read(session: Session, nodes: Sequence[Node]) -> dict[Node, bytes]:
    leaves = [node.position + 1 for node in nodes if node.level == 0]
    of_events = select(literal(0), Event.seq - 1, Event.leaf).where(Event.seq.in_(leaves))
    above = [node for node in nodes if node.level]
    of_nodes = select(TreeNode.level, TreeNode.position, TreeNode.hash).where(
        tuple_(TreeNode.level, TreeNode.position).in_(above)
    )
    return {Node(level, position): node for level, position, node in session.execute(of_events.union_all(of_nodes))}
