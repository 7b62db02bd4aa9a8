"""The zone digest: SHA-256 over 65,536 bucket digests, so that a change rehashes the buckets it touched only."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from sqlalchemy import CompoundSelect, Select, delete, select
from sqlalchemy.orm import Session

from app.db import insert_rows
from app.orders import targets
from app.publication.models import DigestPage, RuleSpan
from app.publication.store import BUCKETS

OCTETS = 32
PAGE = 256 * OCTETS
EMPTY_BUCKET = bytes(OCTETS)

Rows = Select[int, str, int, int]


class ZoneDigest:
    """The bucket digests of the newest release, held in memory (2 MiB) between releases, stored in 256 pages."""

    def __init__(self, session: Session) -> None:
        self._buckets = bytearray(BUCKETS * OCTETS)
        for page in session.scalars(select(DigestPage)):
            self._buckets[page.number * PAGE : (page.number + 1) * PAGE] = page.digests

    def update(self, session: Session, digests: Mapping[int, bytes]) -> bytes:
        """Store the digests of the buckets that changed, and return the zone's digest."""
        for bucket, digest in digests.items():
            self._buckets[bucket * OCTETS : (bucket + 1) * OCTETS] = digest
        numbers = sorted({bucket * OCTETS // PAGE for bucket in digests})
        for batch in targets.batches(numbers):
            session.execute(delete(DigestPage).where(DigestPage.number.in_(batch)))
            insert_rows(session, DigestPage, [{"number": number, "digests": self._page(number)} for number in batch])
        return hashlib.sha256(self._buckets).digest()

    def _page(self, number: int) -> bytes:
        return bytes(self._buckets[number * PAGE : (number + 1) * PAGE])


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
