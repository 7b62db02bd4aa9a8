"""The zone digest: SHA-256 over 65,536 bucket digests, so that a change rehashes the buckets it touched only."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from sqlalchemy import CompoundSelect, Select, delete, select
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.orders import targets
from app.publication.models import DigestBucket, RuleSpan
from app.publication.store import BUCKETS

EMPTY_BUCKET = bytes(32)

Rows = Select[int, str, int, int]


class ZoneDigest:
    """The bucket digests of the newest release, held in memory (2 MiB) between releases."""

    def __init__(self, session: Session) -> None:
        self._buckets = bytearray(BUCKETS * 32)
        for bucket, digest in session.execute(select(DigestBucket.bucket, DigestBucket.digest)):
            self._put(bucket, digest)

    def update(self, session: Session, digests: Mapping[int, bytes]) -> bytes:
        """Store the digests of the buckets that changed, and return the zone's digest."""
        for batch in targets.batches(digests):
            session.execute(delete(DigestBucket).where(DigestBucket.bucket.in_(batch)))
        rows = [{"bucket": bucket, "digest": digest} for bucket, digest in digests.items() if digest != EMPTY_BUCKET]
        if rows:
            insert_rows(session, DigestBucket, rows)
        for bucket, digest in digests.items():
            self._put(bucket, digest)
        return hashlib.sha256(self._buckets).digest()

    def _put(self, bucket: int, digest: bytes) -> None:
        self._buckets[bucket * 32 : bucket * 32 + 32] = digest


def bucket_digests(session: Session, buckets: Collection[int], later: int | None = None) -> dict[int, bytes]:
    """Hash buckets anew: of the rules written last, or of those written beneath a `later` release in the making."""
    digests = dict.fromkeys(buckets, EMPTY_BUCKET)
    for batch in targets.batches(sorted(buckets)):
        rows = session.execute(_rules_in(batch, later))
        for bucket, same in groupby(rows, key=lambda row: row[0]):
            digests[bucket] = bucket_digest(row[1:] for row in same)
    return digests


def bucket_digest(rules: Iterable[tuple[str, int, int]]) -> bytes:
    """SHA-256 of a bucket's rules in key order, each as `KEY OWN WILD` and a line feed."""
    hashed = hashlib.sha256()
    for key, own, wild in rules:
        hashed.update(f"{key} {own} {wild}\n".encode())
    return hashed.digest()


def _rules_in(buckets: Collection[int], later: int | None) -> Rows | CompoundSelect[int, str, int, int]:
    columns = (RuleSpan.bucket, RuleSpan.key, RuleSpan.own, RuleSpan.wild)
    written_last = select(*columns).where(RuleSpan.bucket.in_(buckets), RuleSpan.to_release.is_(None))
    if later is None:
        return written_last.order_by(RuleSpan.bucket, RuleSpan.key)
    kept = written_last.where(RuleSpan.from_release < later)
    ended = select(*columns).where(
        RuleSpan.bucket.in_(buckets), RuleSpan.to_release == later, RuleSpan.from_release < later
    )
    return kept.union_all(ended).order_by("bucket", "key")
