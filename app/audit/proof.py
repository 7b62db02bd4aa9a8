"""Some events of the journal as a signed zip, each proved to be in it: the others are left out, subtree by subtree.

It is an export in which stretches of records are replaced by the hashes of perfect subtrees, so the same verifier comes
to the same root.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import export, verify
from app.db import streamed
from app.journal import notes, signing, tree
from app.journal.append import leaf_hash
from app.journal.merkle import Span
from app.journal.models import Event
from app.journal.notes import Signer
from app.orders import targets

Names = Mapping[str, list[list[Any]]]
"""Of a proposal's event: index, count, line and path of some of its names (`app.orders.propose.target_line`)."""


def stream(
    session: Session, signer: Signer, shown: Collection[int], answer: object, names: Names, since: str | None
) -> Iterator[bytes]:
    """The octets of the zip; `since` is an earlier checkpoint, to be proved consistent. Keys are always shown."""
    size = tree.size(session)
    seqs = sorted({*shown, *(seq for seq, _ in signing.keys(session))})
    older = 0 if since is None else notes.parse(since).size
    pieces = list(_pieces(seqs, size, older))
    consistency = {**export.consistency(session, size, since), "targets": names}
    files: tuple[tuple[str, Iterable[bytes]], ...] = (
        ("consistency.json", [export.as_json(consistency)]),
        ("answer.json", [export.as_json(answer)]),
        ("events.jsonl", (line for line, _ in _records(session, pieces))),
        ("events.csv", (verify.HEADER, *(row for _, row in _records(session, pieces)))),
    )
    yield from export.signed(session, signer, size, files, omitted=size - len(seqs))


def _pieces(seqs: Collection[int], size: int, older: int) -> Iterator[int | Span]:
    """The events that are shown, by number, and the stretches of leaves between them; cut where an earlier journal
    ended, so that its root can be told."""
    first = 0
    for seq in (*seqs, size + 1):
        cuts = sorted({first, seq - 1, *([older] if first < older < seq - 1 else [])})
        yield from (Span(*each) for each in pairwise(cuts))
        if seq <= size:
            yield seq
        first = seq


def _records(session: Session, pieces: Collection[int | Span]) -> Iterator[tuple[bytes, bytes]]:
    """Each as its line and its row."""
    bodies: dict[int, bytes] = {}
    for some in targets.batches(each for each in pieces if isinstance(each, int)):
        query = select(Event.seq, Event.body).where(Event.seq.in_(some))
        bodies |= {row.seq: row.body.encode() for row in streamed(session, query)}
    for piece in pieces:
        if isinstance(piece, Span):
            yield _left_out(session, piece)
        else:
            yield bodies[piece] + b"\n", verify.row_of(_read(bodies[piece]), leaf_hash(bodies[piece]))


def _read(body: bytes) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(body)
    return read


def _left_out(session: Session, span: Span) -> tuple[bytes, bytes]:
    perfect = list(_perfect(span))
    hashes = tree.hashes(session, perfect)
    levels = [(each.past - each.first).bit_length() - 1 for each in perfect]
    nodes = ",".join(f'[{level},"{node.hex()}"]' for level, node in zip(levels, hashes, strict=True))
    return b'{"omitted":[%s]}\n' % nodes.encode(), b'"omitted: %d"\r\n' % (span.past - span.first)


def _perfect(span: Span) -> Iterator[Span]:
    """The largest perfect subtrees of a tree that a stretch of leaves is made of, from left to right."""
    first, past = span
    while first < past:
        width = 1 << (past - first).bit_length() - 1
        while first % width:
            width >>= 1
        yield Span(first, first + width)
        first += width
