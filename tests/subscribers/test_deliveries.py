"""What the ledger makes of what the transfer server saw."""

import datetime as dt
import logging

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.subscribers.deliveries import record
from app.subscribers.models import Delivery
from app.subscribers.register import remove
from app.subscribers.sighting import Sighting, SightingKind
from tests.subscribers.worlds import ROOT, delivery, published, registered

ZONE = "block.rpz"
SOA, AXFR, IXFR = SightingKind.SOA, SightingKind.AXFR, SightingKind.IXFR


@pytest.fixture
def database(database: Database, now: dt.datetime) -> Database:
    """With one subscriber and one zone."""
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    published(database, ZONE, [(100, now), (101, now), (102, now)])
    return database


class Story:
    """Sightings a second apart, each recorded at once or all in one batch."""

    def __init__(self, database: Database, now: dt.datetime) -> None:
        self.database = database
        self.now = now
        self.told: list[Sighting] = []

    def tell(
        self,
        kind: SightingKind,
        *,
        asked: int | None = None,
        sent: int | None = None,
        octets: int = 0,
        outcome: str = "done",
        zone: str = ZONE,
        subscriber: str | None = "isp-one",
    ) -> None:
        self.now += dt.timedelta(seconds=1)
        self.told.append(Sighting(self.now, subscriber, "192.0.2.53", zone, kind, asked, sent, octets, outcome))

    def ends(self) -> Delivery:
        """The ledger's row, the same whether told at once, one by one, or in any order within a batch."""
        with self.database.write() as session:
            record(session, list(reversed(self.told)), self.now)
        with self.database.read() as session:
            at_once = _values(delivery(session, "isp-one", ZONE))
        with self.database.write() as session:
            session.delete(delivery(session, "isp-one", ZONE))
        for sighting in self.told:
            with self.database.write() as session:
                record(session, [sighting], sighting.at)
        with self.database.read() as session:
            row = delivery(session, "isp-one", ZONE)
            assert _values(row) == at_once
            return row


def _values(row: Delivery) -> dict[str, object]:
    """Without what the ledger keeps account of: that goes by batches."""
    known = {column.key for column in Delivery.__table__.columns}
    known -= {"kept_at", "kept_rows", "folded", "unkept", "had_at", "refusal_kept_at"}
    return {key: getattr(row, key) for key in known}


@pytest.fixture
def story(database: Database, now: dt.datetime) -> Story:
    return Story(database, now)


def test_who_is_sent_a_zone_is_not_known_to_have_it_yet(story: Story) -> None:
    story.tell(AXFR, sent=100, octets=4000)

    row = story.ends()

    assert (row.asked_kind, row.asked_serial, row.asked_at) == ("axfr", None, story.now)
    assert (row.sent_serial, row.sent_octets, row.sent_at) == (100, 4000, story.now)
    assert (row.seen_serial, row.seen_at) == (None, story.now)


def test_a_poll_after_it_that_finds_the_same_serial_shows_that_it_has_it(story: Story) -> None:
    story.tell(AXFR, sent=100)
    story.tell(SOA, sent=100)

    row = story.ends()

    assert (row.seen_serial, row.seen_at) == (100, story.now)
    assert (row.asked_kind, row.asked_at) == ("soa", story.now)


def test_a_request_that_follows_the_poll_shows_that_it_has_it_not(story: Story) -> None:
    story.tell(AXFR, sent=100)
    story.tell(SOA, sent=100)
    story.tell(AXFR, sent=100)

    assert story.ends().seen_serial is None


def test_an_increment_that_follows_the_poll_shows_what_it_has_instead(story: Story) -> None:
    story.tell(IXFR, asked=100, sent=101)
    story.tell(SOA, sent=101)
    story.tell(IXFR, asked=100, sent=101)

    row = story.ends()

    assert (row.seen_serial, row.sent_serial) == (100, 101)


def test_a_poll_that_finds_something_newer_shows_nothing(story: Story) -> None:
    story.tell(AXFR, sent=100)
    story.tell(SOA, sent=101)

    assert story.ends().seen_serial is None


def test_a_poll_by_who_was_never_sent_anything_shows_nothing(story: Story) -> None:
    story.tell(SOA, sent=100)

    assert story.ends().seen_serial is None


def test_who_asks_for_an_increment_has_what_it_asks_from(story: Story) -> None:
    story.tell(IXFR, asked=100, sent=102, octets=90)

    row = story.ends()

    assert (row.seen_serial, row.sent_serial, row.asked_serial) == (100, 102, 100)


def test_who_asks_from_an_older_serial_than_before_has_only_that(story: Story) -> None:
    story.tell(IXFR, asked=102, sent=102)
    story.tell(IXFR, asked=100, sent=102)

    assert story.ends().seen_serial == 100


def test_who_is_current_was_sent_nothing(story: Story) -> None:
    story.tell(IXFR, asked=102, sent=102, octets=90)

    row = story.ends()

    assert (row.seen_serial, row.sent_serial) == (102, None)


def test_since_when_is_kept_while_it_stays_the_same(story: Story) -> None:
    story.tell(IXFR, asked=102, sent=102)
    first = story.now
    story.tell(IXFR, asked=102, sent=102)

    row = story.ends()

    assert (row.seen_at, row.asked_at) == (first, story.now)


def test_a_transfer_that_broke_off_was_not_sent(story: Story) -> None:
    story.tell(AXFR, sent=100)
    done = story.now
    story.tell(IXFR, asked=100, sent=None, octets=12, outcome="broken off before the end")

    row = story.ends()

    assert (row.sent_serial, row.sent_at, row.seen_serial) == (100, done, 100)


def test_an_answer_over_udp_that_did_not_fit_sent_nothing(story: Story) -> None:
    story.tell(IXFR, asked=100, sent=None)

    row = story.ends()

    assert (row.sent_serial, row.seen_serial) == (None, 100)


def test_a_serial_above_ours_is_shown_and_nothing_was_sent(story: Story) -> None:
    story.tell(IXFR, asked=2026112201, sent=102, outcome="it has serial 2026112201, which is above ours")

    row = story.ends()

    assert (row.seen_serial, row.sent_serial) == (2026112201, None)


def test_a_refusal_says_when_and_why_and_is_no_request(story: Story) -> None:
    story.tell(SightingKind.REFUSED, outcome="address: 192.0.2.53 must sign its transfers")

    row = story.ends()

    assert (row.refused_at, row.refusal) == (story.now, "address: 192.0.2.53 must sign its transfers")
    assert row.asked_at is None


def test_a_notify_says_when_and_what_came_of_it(story: Story) -> None:
    story.tell(SightingKind.NOTIFY, sent=102, outcome="no answer")
    story.tell(SightingKind.NOTIFY, sent=102)

    row = story.ends()

    assert (row.notified_at, row.notify_outcome) == (story.now, "done")
    assert (row.sent_serial, row.seen_serial) == (None, None)


def test_zones_are_kept_apart(database: Database, story: Story, now: dt.datetime) -> None:
    published(database, "landing.rpz", [(7, now)])
    story.tell(IXFR, asked=100, sent=102)
    story.tell(IXFR, asked=7, sent=7, zone="landing.rpz")

    assert story.ends().seen_serial == 100
    with database.read() as session:
        assert delivery(session, "isp-one", "landing.rpz").seen_serial == 7


@pytest.mark.parametrize(("subscriber", "zone"), [(None, ZONE), ("isp-two", ZONE), ("isp-one", "other.rpz")])
def test_strangers_and_zones_that_do_not_exist_are_logged_and_not_kept(
    database: Database, story: Story, caplog: pytest.LogCaptureFixture, subscriber: str | None, zone: str
) -> None:
    story.tell(SightingKind.REFUSED, subscriber=subscriber, zone=zone, outcome="address: not registered")

    with caplog.at_level(logging.WARNING), database.write() as session:
        record(session, story.told * 3, story.now)

    assert caplog.messages == [f"refused 192.0.2.53, which asked for '{zone}': address: not registered"]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_a_strangers_text_cannot_write_lines_of_its_own_into_the_log(
    database: Database, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    story.tell(SightingKind.REFUSED, subscriber=None, zone="x\nrefused nobody\x1b[2J" + "y" * 999, outcome="zone")

    with caplog.at_level(logging.WARNING), database.write() as session:
        record(session, story.told, story.now)

    assert caplog.messages[0].startswith("refused 192.0.2.53, which asked for 'x\\nrefused nobody\\x1b[2Jyyy")
    assert len(caplog.messages[0]) < 350


def test_a_flood_of_strangers_fills_no_log(
    database: Database, now: dt.datetime, caplog: pytest.LogCaptureFixture
) -> None:
    flood = [
        Sighting(now, None, f"198.51.100.{number}", ZONE, SightingKind.REFUSED, outcome="address: not registered")
        for number in range(200)
    ]

    with caplog.at_level(logging.WARNING), database.write() as session:
        record(session, flood, now)

    assert len(caplog.messages) == 21
    assert caplog.messages[-1] == "refused 180 others as well"


def test_what_a_stranger_was_answered_is_not_logged(
    database: Database, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    story.tell(SOA, sent=102, subscriber=None)

    with caplog.at_level(logging.INFO, logger="app"), database.write() as session:
        record(session, story.told, story.now)

    assert caplog.messages == []


def test_a_removed_subscriber_leaves_its_row_as_it_was(database: Database, story: Story) -> None:
    story.tell(IXFR, asked=100, sent=102)
    with database.write() as session:
        record(session, story.told, story.now)
        remove(session, ROOT, "isp-one", story.now)
    story.tell(IXFR, asked=102, sent=102)

    with database.write() as session:
        record(session, story.told[1:], story.now)

    with database.read() as session:
        assert delivery(session, "isp-one", ZONE).seen_serial == 100


def test_an_empty_batch_is_nothing(database: Database, now: dt.datetime) -> None:
    with database.write() as session:
        record(session, [], now)
