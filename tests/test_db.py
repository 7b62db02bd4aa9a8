"""The database: what its transactions keep and drop, and how another's commits are noticed."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from app.auth.models import Principal
from app.db import Database, Watch
from app.orders.models import InForce
from tests.servers import wait_until
from tests.service import NOW


def add(database: Database, name: str) -> None:
    with database.write() as session:
        session.add(Principal(name=name, role="auditor", created_at=NOW))


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Principal)) or 0


def test_what_is_written_is_kept(database: Database) -> None:
    before = count(database)
    add(database, "new-1")

    assert count(database) == before + 1


def test_a_transaction_that_fails_keeps_nothing(database: Database) -> None:
    before = count(database)
    with pytest.raises(IntegrityError), database.write() as session:
        session.add_all(Principal(name=name, role="auditor", created_at=NOW) for name in ("new-1", "auditor-1"))

    assert count(database) == before


def test_nothing_is_changed_while_reading(database: Database) -> None:
    with database.read() as session, pytest.raises(DBAPIError, match=r"read-?only"):
        session.execute(insert(Principal).values(name="new-1", role="auditor", created_at=NOW))
    add(database, "new-2")

    assert count(database) == 9


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.read() as session:
        query = select(func.count()).select_from(Principal)
        first = session.scalar(query)
        add(database, "new-1")
        assert session.scalar(query) == first


def test_writers_wait_for_each_other(database: Database) -> None:
    order: list[str] = []

    def second() -> None:
        add(database, "second")
        order.append("second")

    with database.write() as session:
        session.add(Principal(name="first", role="auditor", created_at=NOW))
        session.flush()
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as session:
        session.add(Principal(name="first", role="auditor", created_at=NOW))
        session.flush()
        assert count(database) == 8


def test_a_moment_without_a_time_zone_is_refused(database: Database) -> None:
    with database.read() as session, pytest.raises(StatementError, match="has no time zone"):
        session.scalar(select(InForce.id).where(InForce.began_at < NOW.replace(tzinfo=None)))


def test_a_moment_comes_back_in_utc(database: Database) -> None:
    jakarta = dt.timezone(dt.timedelta(hours=7))
    with database.write() as session:
        session.add(Principal(name="new-1", role="auditor", created_at=NOW.astimezone(jakarta)))
    with database.read() as session:
        stored = session.scalars(select(Principal.created_at).where(Principal.name == "new-1")).one()

    assert (stored, stored.tzinfo) == (NOW, dt.UTC)


@pytest.fixture
def watch(database: Database) -> Iterator[Watch]:
    """One that has been asked."""
    with closing(Watch(database)) as made:
        assert made.changed() is True
        yield made


def test_a_watch_sees_commits_of_others(database: Database, watch: Watch) -> None:
    assert watch.changed() is False
    add(database, "new-1")

    wait_until(watch.changed, 2, lambda: "the commit was not heard of")
    assert watch.changed() is False


def test_a_watch_waits_for_a_commit_and_no_longer(database: Database, watch: Watch) -> None:
    thread = threading.Timer(0.2, add, (database, "new-1"))
    thread.start()
    began = time.monotonic()

    assert watch.wait(threading.Event(), timeout=10) is True
    assert time.monotonic() - began < 2
    thread.join()


def test_a_watch_gives_up_when_its_time_is_over_or_it_is_told_to_stop(watch: Watch) -> None:
    stop = threading.Event()
    assert watch.wait(stop, timeout=0.1) is False
    stop.set()
    assert watch.wait(stop, timeout=10) is False
