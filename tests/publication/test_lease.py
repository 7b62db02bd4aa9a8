"""The publisher's lease: one has it, the others stand by, and whoever lost it writes nothing."""

import datetime as dt
import subprocess
import sys
import threading

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from app.db import Database, database_now
from app.main import make_publisher, utc_now
from app.publication import lease as leases
from app.publication import loop
from app.publication.lease import Lease, LeaseLost
from app.publication.loop import Publishing
from app.publication.models import PublisherLease, Release
from app.publication.publisher import Publisher
from app.settings import Settings
from resolver_policy.targets import Decision, Match, Target
from tests import databases
from tests.publication.worlds import World
from tests.servers import wait_until
from tests.service import FrozenClock, running

A, B = (Target(name, Match.EXACT, Decision.BLOCK) for name in ("a.example", "b.example"))


def taken(database: Database, holder: str) -> Lease:
    lease = leases.take(database, holder)
    assert lease is not None
    return lease


def end_lease(database: Database, by: dt.timedelta = dt.timedelta()) -> None:
    """Let a lease end now, or `by` later, by the database's own clock."""
    with database.write() as session:
        session.execute(update(PublisherLease).values(expires_at=database_now(session) + by))


def test_one_has_it_and_the_others_stand_by(database: Database) -> None:
    first = taken(database, "one")

    assert leases.take(database, "two") is None
    assert leases.take(database, "one") is None
    first.renew()
    assert leases.take(database, "two") is None


def test_a_lease_that_has_ended_is_taken_under_the_next_epoch(database: Database) -> None:
    first = taken(database, "one")
    end_lease(database)
    second = taken(database, "two")

    assert second.epoch == first.epoch + 1
    with pytest.raises(LeaseLost):
        first.renew()
    second.renew()


def test_a_lease_that_has_ended_holds_until_somebody_takes_it(database: Database) -> None:
    """Nobody else has published, so whoever was only slow goes on."""
    first = taken(database, "one")
    end_lease(database)

    first.renew()

    assert leases.take(database, "two") is None


def test_a_lease_that_is_given_up_is_taken_at_once(database: Database) -> None:
    taken(database, "one").give_up()

    assert leases.take(database, "two") is not None


def test_giving_up_what_another_has_changes_nothing(database: Database) -> None:
    first = taken(database, "one")
    end_lease(database)
    taken(database, "two")

    first.give_up()

    assert leases.take(database, "three") is None


def test_an_end_that_a_clock_which_ran_ahead_has_set_counts_for_nothing(database: Database) -> None:
    taken(database, "one")
    end_lease(database, dt.timedelta(days=1))

    assert leases.take(database, "two") is not None


def test_an_epoch_never_goes_back_and_has_one_holder(database: Database) -> None:
    taken(database, "one")

    for statement in (
        "UPDATE publisher_lease SET epoch = epoch - 1",
        "UPDATE publisher_lease SET holder = 'two'",
        "DELETE FROM publisher_lease",
    ):
        with pytest.raises(IntegrityError, match=r"lease|epoch"):
            databases.run(database, statement)


def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    got: list[Lease | None] = []
    threads = [
        threading.Thread(target=lambda name=f"p{number}": got.append(leases.take(database, name)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [lease for lease in got if lease is not None] == [next(filter(None, got))]
    assert len(got) == 8


def test_the_process_of_a_lease_that_is_gone_frees_it(database: Database) -> None:
    program = "from app.publication import lease; print(lease.this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        taken(database, holder)
        assert leases.take(database, leases.this_process()) is None
        process.communicate("\n")

    assert leases.take(database, leases.this_process()) is not None


@pytest.mark.parametrize("part", [0, 1, 2])
def test_of_processes_elsewhere_nothing_is_known(part: int) -> None:
    """Another host, another kernel, another namespace of processes."""
    parts = leases.this_process().split(" ")
    parts[3] = str(2**22 + 1)
    assert leases.has_ended(" ".join(parts))
    parts[part] += "x"

    assert not leases.has_ended(" ".join(parts))


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life() -> None:
    *rest, started = leases.this_process().split(" ")

    assert leases.has_ended(" ".join([*rest, str(int(started) - 1)]))
    assert not leases.has_ended(" ".join([*rest, started]))


@pytest.fixture
def leased(world: World) -> tuple[World, Lease]:
    """A world whose publisher works under a lease."""
    lease = taken(world.database, "one")
    world.publisher = make_publisher(world.settings, lease.guarded())
    world.publisher.start(world.clock())
    return world, lease


def everything(world: World) -> object:
    with world.database.read() as session:
        releases = session.scalars(select(Release.id)).all()
    marks = {path.name: path.read_text() for path in (world.settings.data_dir / "marks").rglob("*") if path.is_file()}
    return releases, marks, rows(world)


def rows(world: World) -> object:
    """What publishers write: spans and notes of what was touched."""
    with world.database.engine.connect() as connection:
        return [
            connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("rule_spans", "touched")
        ]


def lose(world: World) -> None:
    end_lease(world.database)
    taken(world.database, "two")


def test_whoever_lost_the_lease_publishes_nothing(leased: tuple[World, Lease]) -> None:
    world, _ = leased
    world.add([A])
    lose(world)
    before = everything(world)

    with pytest.raises(LeaseLost):
        world.publish()

    assert everything(world) == before


def test_whoever_lost_the_lease_prepares_nothing_and_sweeps_nothing_away(
    leased: tuple[World, Lease], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a large release: neither the next step of its own, nor, started again, another's away."""
    world, lease = leased
    monkeypatch.setattr("app.publication.publisher.LARGE", 0)
    world.add([A, B])
    assert world.publisher.work()
    lose(world)
    before = everything(world)

    with pytest.raises(LeaseLost):
        work_on(world.publisher)
    with pytest.raises(LeaseLost):
        work_on(make_publisher(world.settings, lease.guarded()))

    assert everything(world) == before


def work_on(publisher: Publisher) -> None:
    """Prepare what there is to prepare, to its end."""
    while publisher.work():
        pass


def publishings(settings: Settings, database: Database, count: int) -> list[Publishing]:
    def make(writing: Database) -> Publisher:
        return make_publisher(settings, writing)

    return [Publishing(database, make, utc_now, f"thread {number}") for number in range(count)]


def test_of_three_one_publishes_and_another_takes_over_when_it_stops(settings: Settings, database: Database) -> None:
    stops = [threading.Event() for _ in range(3)]
    made = publishings(settings, database, 3)
    threads = [threading.Thread(target=each.run, args=(stop,)) for each, stop in zip(made, stops, strict=True)]
    for thread in threads:
        thread.start()
    wait_until(lambda: any(each.has_lease for each in made), 10, lambda: "nobody publishes")
    for expected in (2, 1):
        holder = next(index for index, each in enumerate(made) if each.has_lease)
        assert sum(each.has_lease for each in made) == 1
        stops[holder].set()
        threads[holder].join(10)
        assert not made[holder].has_lease
        wait_until(lambda: any(each.has_lease for each in made), 3, lambda: "nobody took over")
        assert sum(not stop.is_set() for stop in stops) == expected
    for stop in stops:
        stop.set()
    for thread in threads:
        thread.join(10)


def test_a_publisher_that_cannot_start_leaves_the_lease_to_others(database: Database) -> None:
    def fail(_database: Database) -> Publisher:
        raise OSError("planted fault")

    with pytest.raises(OSError, match="planted"):
        Publishing(database, fail, utc_now).take_over()

    assert leases.take(database, "two") is not None


def test_the_service_is_not_ready_while_its_publisher_does_not_run(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publishing, "run", lambda _self, _stop: None)
    with running(settings, database, FrozenClock(), with_publisher=True) as address:
        answer = ready(address)
    assert (answer.status_code, answer.text) == (503, "the publisher does not run\n")


def test_the_service_is_not_ready_while_its_publisher_is_stuck(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings, database, FrozenClock(), with_publisher=True) as address:
        assert ready(address).status_code == 200
        monkeypatch.setattr(loop, "LONGEST_SILENCE", 0.0)
        answer = ready(address)
    assert (answer.status_code, answer.text.startswith("the publisher has been stuck for")) == (503, True)


def test_the_service_is_ready_while_its_publisher_stands_by(settings: Settings, database: Database) -> None:
    taken(database, "another").guarded()
    make_publisher(settings, database).start(utc_now())
    with running(settings, database, FrozenClock(), with_publisher=True) as address:
        assert ready(address).text == "ok\n"


def ready(address: str) -> httpx.Response:
    with httpx.Client(verify=False) as client:
        return client.get(f"{address}/readyz")
