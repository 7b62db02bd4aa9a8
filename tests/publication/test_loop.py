"""The publisher's thread under a running application: at once where it may, at most one release a second."""

import datetime as dt
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from sqlalchemy import select

from app.db import Database
from app.main import utc_now
from app.publication import loop
from app.publication.models import Release
from app.settings import Settings
from tests import databases
from tests.servers import wait_until
from tests.service import ZONE, FrozenClock, Service, Template, running, text_of


class RealClock(FrozenClock):
    """The real clock."""

    def __call__(self) -> dt.datetime:
        return utc_now()


@pytest.fixture
def live(settings: Settings, database: Database, template: Template) -> Iterator[Service]:
    """An application that publishes by itself, with the real clock."""
    clock = RealClock()
    with running(settings, database, clock, with_publisher=True) as address:
        service = Service(address, settings, database, clock, template.tokens)
        yield service
        service.close()


def releases(service: Service) -> list[Release]:
    with service.database.read() as session:
        return list(session.scalars(select(Release).order_by(Release.id)))


def wait_for(service: Service, names: int, timeout: float = 10) -> float:
    """Seconds until the zone has so many names."""
    began = time.monotonic()
    wait_until(lambda: releases(service)[-1].names == names, timeout, lambda: f"{names} names were never published")
    return time.monotonic() - began


def rest() -> None:
    """Let the second since the last release go by."""
    time.sleep(loop.SPACING + 0.1)


def an_active(service: Service, name: str) -> None:
    service.block(name, review_due_at=text_of(utc_now() + dt.timedelta(days=100)))


def test_a_lone_change_is_published_at_once(live: Service) -> None:
    rest()
    an_active(live, "a.example")

    assert wait_for(live, 1) < 0.5


def test_changes_in_quick_succession_are_a_second_apart(live: Service) -> None:
    for number in range(25):
        an_active(live, f"n{number}.example")
        time.sleep(0.08)
    wait_for(live, 25)

    made = [release.published_at for release in releases(live)]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(made[1:])]
    assert min(gaps) >= 0.95
    assert max(gaps) < 2


def test_a_publisher_that_is_started_again_keeps_the_spacing(
    settings: Settings, database: Database, template: Template
) -> None:
    clock = RealClock()
    for number in range(3):
        with running(settings, database, clock, with_publisher=True) as address:
            service = Service(address, settings, database, clock, template.tokens)
            an_active(service, f"n{number}.example")
            wait_for(service, number + 1)
            service.close()

    made = [release.published_at for release in releases(service)]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(made)]
    assert min(gaps) >= 0.95


def test_what_falls_due_is_done_at_its_moment(live: Service) -> None:
    rest()
    live.block(
        "a.example",
        effective_at=text_of(utc_now() + dt.timedelta(seconds=1)),
        expires_at=text_of(utc_now() + dt.timedelta(seconds=3)),
        review_due_at=text_of(utc_now() + dt.timedelta(days=100)),
    )

    assert 0.5 < wait_for(live, 1) < 2.5
    assert wait_for(live, 0) < 3.5


def test_a_database_that_fails_is_tried_again(live: Service, caplog: pytest.LogCaptureFixture) -> None:
    rest()
    databases.refuse(live.database, "INSERT", "releases")
    an_active(live, "a.example")
    wait_until(lambda: "it will be tried again" in caplog.text, 10, lambda: "nothing was logged")
    assert len(releases(live)) == 1
    ill = live.get("/readyz", by=None)
    assert (ill.status_code, ill.text[:20]) == (503, "the publisher fails:")

    databases.allow(live.database, "releases")

    assert wait_for(live, 1) < 3
    live.block("b.example", review_due_at=text_of(utc_now() + dt.timedelta(days=100)))
    wait_for(live, 2)
    assert live.get("/readyz", by=None).text == "ok\n"


def test_a_mark_that_cannot_be_written_does_not_end_the_publisher(
    live: Service, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    rest()
    folder = settings.data_dir / "marks" / "publisher"
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    an_active(live, "a.example")
    wait_until(lambda: "it will be tried again" in caplog.text, 10, lambda: "nothing was logged")
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)
    an_active(live, "b.example")

    wait_for(live, 2)


def test_the_application_is_ready_once_something_is_published(live: Service) -> None:
    assert live.get("/readyz", by=None).text == "ok\n"
    assert live.read(f"zones/{ZONE}")["names"] == 0
