"""The zone digest: SHA-256 over 65,536 bucket digests, so that a change rehashes the buckets it touched only."""

import hashlib
from collections.abc import Collection, Iterable
from itertools import groupby

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.orders import targets
from app.publication.models import DigestBucket, RuleSpan
from app.publication.store import BUCKETS

EMPTY_BUCKET = bytes(32)


class ZoneDigest:
    """The bucket digests of the head, held in memory (2 MiB) between releases."""

    def __init__(self, session: Session) -> None:
        self._buckets = bytearray(BUCKETS * 32)
        for bucket, digest in session.execute(select(DigestBucket.bucket, DigestBucket.digest)):
            self._put(bucket, digest)

    def update(self, session: Session, touched: Collection[int]) -> bytes:
        """Rehash the touched buckets from the rules as they now stand, store them, and return the zone's digest."""
        for batch in targets.batches(sorted(touched)):
            query = select(RuleSpan.bucket, RuleSpan.key, RuleSpan.own, RuleSpan.wild).where(
                RuleSpan.bucket.in_(batch), RuleSpan.to_release.is_(None)
            )
            rows = session.execute(query.order_by(RuleSpan.bucket, RuleSpan.key))
            digests = {
                bucket: bucket_digest(row[1:] for row in same) for bucket, same in groupby(rows, key=lambda r: r[0])
            }
            session.execute(delete(DigestBucket).where(DigestBucket.bucket.in_(batch)))
            if digests:
                insert_rows(session, DigestBucket, [{"bucket": b, "digest": d} for b, d in digests.items()])
            for bucket in batch:
                self._put(bucket, digests.get(bucket, EMPTY_BUCKET))
        return hashlib.sha256(self._buckets).digest()

    def _put(self, bucket: int, digest: bytes) -> None:
        self._buckets[bucket * 32 : bucket * 32 + 32] = digest


def bucket_digest(rules: Iterable[tuple[str, int, int]]) -> bytes:
    """SHA-256 of a bucket's rules in key order, each as `KEY OWN WILD` and a line feed."""
    hashed = hashlib.sha256()
    for key, own, wild in rules:
        hashed.update(f"{key} {own} {wild}\n".encode())
    return hashed.digest()
