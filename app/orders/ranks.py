"""The rank file: a list of popular names that the ministry imports, `RANK,NAME` a line, the most popular being 1.

It is stored in short transactions that no reader sees, takes the place of the one before in one, and its first names
are soft-protected. Of the one before, who brought it, when and its digest stay.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.auth.models import Principal
from app.db import Clock, Database, insert_tuples
from app.errors import Fault, Unprocessable, faults_of
from app.journal.actor import Actor
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.moment import moment
from app.orders import imports_lines, targets
from app.orders.guarding import Guard
from app.orders.imports_sorting import KeySorter
from app.orders.rank_models import RankedName, RankFile
from resolver_policy import guard as policy
from resolver_policy import names
from resolver_policy.errors import NameInvalid, PolicyError

LOWEST_RANK = 9_999_999_999
ROWS_AT_ONCE = 5_000
OCTETS_AT_ONCE = 1_048_576
GIVEN_UP_AFTER = dt.timedelta(hours=1)
COLUMNS = ("file_id", "key", "rank")


def import_file(
    database: Database, actor: Actor, stream: BinaryIO, name: str, *, clock: Clock, smaller: bool = False
) -> RankFile:
    """Let the names of a seekable file take the place of the ones before; all of them, or none.

    Raises Unprocessable, naming the line, for one that is no `RANK,NAME`, or where the file has less than half as many
    names as the one before and this was not asked for (`smaller`): it may have been cut off on its way.
    """
    assert actor.principal_id is not None
    digest = _digest(stream)
    with database.read() as session:
        before = current(session)
        if before is not None and before.sha256 == digest:
            return before
    with KeySorter() as sorter:
        for number, octets in enumerate(imports_lines.of_file(stream), 1):
            entry = _entry(number, octets)
            if entry is not None:
                sorter.add(*entry)
        _check_count(sorter.count, before, smaller=smaller)
        file_id = _stage(database, actor, sorter, name, digest, clock())
    with database.write() as session:
        brought = _replace(session, actor, file_id, sorter.count, moment(session, clock))
    sweep(database, clock())
    return brought


def current(session: Session) -> RankFile | None:
    """The file that counts."""
    return session.scalars(select(RankFile).where(RankFile.live, RankFile.replaced_at.is_(None))).one_or_none()


def up_to_date(database: Database, guard: Guard) -> Guard:
    """The guard with the first names of the file that counts now; itself where it has them."""
    with database.read() as session:
        file = current(session)
        digest = "" if file is None else file.sha256.hex()
        if digest == guard.ranks:
            return guard
        entries = [] if file is None else list(_entries(session, file, guard.limits.ranked))
    return guard.with_ranked(entries, digest)


def document(session: Session) -> dict[str, Any] | None:
    """The file that counts, as the interface shows it."""
    file = current(session)
    if file is None:
        return None
    return {
        "name": file.name,
        "imported_at": file.imported_at,
        "imported_by": session.get_one(Principal, file.imported_by_id).name,
        "sha256": file.sha256.hex(),
        "count": file.count,
    }


def sweep(database: Database, now: dt.datetime) -> None:
    """Take away the names of files that do not count (any more), a little at a time, and what a crash left."""
    with database.read() as session:
        abandoned = ~RankFile.live & (RankFile.imported_at <= now - GIVEN_UP_AFTER)
        gone = session.execute(select(RankFile.id, RankFile.live).where(RankFile.replaced_at.is_not(None) | abandoned))
        files = [(file_id, live) for file_id, live in gone]
    for file_id, live in files:
        while _delete_some(database, file_id):
            pass
        if not live:
            with database.write() as session:
                session.execute(delete(RankFile).where(RankFile.id == file_id))


def _digest(stream: BinaryIO) -> bytes:
    stream.seek(0)
    digest = hashlib.sha256()
    while piece := stream.read(OCTETS_AT_ONCE):
        digest.update(piece)
    return digest.digest()


def _entry(number: int, octets: bytes) -> tuple[str, int] | None:
    """The key and rank of a line; None for one that is empty, or a comment."""
    try:
        text = imports_lines.decoded(number, octets, b"#").strip(imports_lines.BLANKS)
        if not text:
            return None
        rank, comma, name = text.partition(",")
        if not comma or not rank.isascii() or not rank.isdecimal() or not 0 < int(rank) <= LOWEST_RANK:
            raise NameInvalid(f"{text[:200]!r} is not RANK,NAME", value=text[:200], rule="rank_and_name")
        return names.sort_key(names.canonical(name)), int(rank)
    except PolicyError as error:
        why = f"line {number}: {error.detail}"
        raise Unprocessable(why, code=error.code, faults=faults_of(error, line=number)) from error


def _check_count(count: int, before: RankFile | None, *, smaller: bool) -> None:
    if not count:
        raise Unprocessable("the file holds no name", faults=(Fault("empty"),))
    if before is not None and count * 2 < before.count and not smaller:
        why = f"{count} names take the place of {before.count}: was the file cut off? (--smaller if not)"
        raise Unprocessable(why, faults=(Fault("smaller", str(count)),))


def _stage(database: Database, actor: Actor, sorter: KeySorter, name: str, digest: bytes, now: dt.datetime) -> int:
    with database.write() as session:
        file = RankFile(
            name=name, imported_at=now, imported_by_id=actor.principal_id, sha256=digest, count=0, live=False
        )
        session.add(file)
        session.flush()
        file_id = file.id
    for some in targets.batches(_each_once(sorter), ROWS_AT_ONCE):
        with database.write() as session:
            insert_tuples(session, RankedName, COLUMNS, [(file_id, key, rank) for key, rank in some])
    return file_id


def _each_once(sorter: KeySorter) -> Iterator[tuple[str, int]]:
    """Entries in key order; of a name that stands there twice the better rank counts, which comes first."""
    previous = ""
    for key, rank in sorter.entries():
        if key != previous:
            yield key, rank
        previous = key


def _replace(session: Session, actor: Actor, file_id: int, count: int, now: dt.datetime) -> RankFile:
    before, file = current(session), session.get_one(RankFile, file_id)
    if before is not None:
        before.replaced_at = now
        session.flush()
    file.live, file.count, file.imported_at = True, count, now
    facts = {
        "file": file.name,
        "sha256": file.sha256.hex(),
        "count": count,
        "replaced": None if before is None else before.sha256.hex(),
    }
    append(session, actor, Entry(EventType.GUARD_RANKS_IMPORTED, facts), now)
    session.flush()
    return file


def _entries(session: Session, file: RankFile, lowest: int) -> Iterator[policy.Entry]:
    best = select(RankedName.key, RankedName.rank).where(RankedName.file_id == file.id, RankedName.rank <= lowest)
    for key, rank in session.execute(best):
        yield policy.Entry(names.from_key(key), policy.RANKED, f"rank {rank} of {file.name}")


def _delete_some(database: Database, file_id: int) -> int:
    with database.write() as session:
        some = select(RankedName.key).where(RankedName.file_id == file_id).limit(ROWS_AT_ONCE)
        keys = session.scalars(some).all()
        if keys:
            session.execute(
                delete(RankedName).where(RankedName.file_id == file_id, RankedName.key.in_(some)),
                execution_options={"synchronize_session": False},
            )
        return len(keys)
