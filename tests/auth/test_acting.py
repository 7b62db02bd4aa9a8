"""What an act takes with it."""

import threading
import time

from fastapi import Response

from app.auth.acting import Act
from app.db import Database
from tests.service import NOW, FrozenClock


def test_an_act_that_waits_for_the_writer_keeps_it_from_nothing(database: Database, clock: FrozenClock) -> None:
    with database.write() as waiting:
        waiter = threading.Thread(target=lambda: Act(waiting, clock, Response()).now)
        with database.write() as writing:
            writing.connection()
            waiter.start()
            time.sleep(0.3)
            asker = threading.Thread(target=lambda: Act(writing, clock, Response()).now, daemon=True)
            asker.start()
            asker.join(5)
            stuck = asker.is_alive()
        waiter.join()
    assert not stuck


def test_the_moment_of_an_act_is_one(database: Database, clock: FrozenClock) -> None:
    with database.write() as session:
        act = Act(session, clock, Response())
        assert act.now == NOW
        clock.forward(NOW - NOW.replace(hour=0))
        assert act.now == NOW
