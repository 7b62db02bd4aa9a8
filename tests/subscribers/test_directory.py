"""Who may take zones, read from the database as the transfer process holds it."""

import datetime as dt
import logging
from collections.abc import MutableMapping
from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import update

from app.db import Database
from app.errors import SettingInvalid
from app.settings import Settings
from app.subscribers import directory
from app.subscribers.directory import Directory, KnownKey, NotifyTarget, Subscriber
from app.subscribers.keys import RotateKey, rotate
from app.subscribers.models import KeyRow
from app.subscribers.register import remove
from app.subscribers.seal import SecretKey
from tests.subscribers.worlds import ROOT, registered

DAY = dt.timedelta(days=1)


def loaded(database: Database, settings: Settings, now: dt.datetime) -> Directory:
    with database.read() as session:
        return directory.Reader(settings.secret_key_path).read(session, now)


def test_an_empty_directory_needs_no_key_file(database: Database, settings: Settings, now: dt.datetime) -> None:
    assert loaded(database, settings, now) == Directory({}, {})
    assert not settings.secret_key_path.exists()


def test_subscribers_and_keys_as_they_were_registered(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(
        database,
        "isp-one",
        "192.0.2.0/24",
        "2001:db8::/32",
        now=now,
        notify=["192.0.2.53:53", "[2001:db8::53]:5353"],
        secret_key=secret_key,
    )
    registered(database, "isp-two", "198.51.100.7", now=now)

    assert added.tsig is not None
    assert loaded(database, settings, now) == Directory(
        {
            "isp-one": Subscriber(
                "isp-one",
                (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
                (NotifyTarget("192.0.2.53", 53), NotifyTarget("2001:db8::53", 5353)),
                keyed=True,
            ),
            "isp-two": Subscriber("isp-two", (ip_network("198.51.100.7/32"),), (), keyed=False),
        },
        {"isp-one-20261122": KnownKey("isp-one-20261122", "hmac-sha256", added.tsig.secret, "isp-one", now, None)},
    )


def test_by_address_alone_only_who_has_no_key_is_meant(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "signs", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "plain", "198.51.100.0/24", now=now)
    found = loaded(database, settings, now)

    assert found.by_address(ip_address("192.0.2.1")) is None
    assert found.by_address(ip_address("198.51.100.1")) == found.subscribers["plain"]
    assert found.by_address(ip_address("203.0.113.1")) is None


def test_in_a_rotation_both_keys_are_there_and_the_old_one_leaves_at_its_end(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        rotate(session, ROOT, RotateKey("isp-one", DAY), now, secret_key=secret_key)

    both = loaded(database, settings, now + DAY - dt.timedelta(seconds=1))
    assert {name: key.valid_until for name, key in both.keys.items()} == {
        "isp-one-20261122": now + DAY,
        "isp-one-20261122-2": None,
    }
    assert set(loaded(database, settings, now + DAY).keys) == {"isp-one-20261122-2"}


def test_a_removed_subscriber_is_gone_with_its_keys(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)
        session.execute(update(KeyRow).values(valid_until=None))

    assert loaded(database, settings, now) == Directory({}, {})


def test_nobody_writes_into_a_directory(database: Database, settings: Settings, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    found = loaded(database, settings, now)

    for mapping in (found.subscribers, found.keys):
        assert not isinstance(mapping, MutableMapping)


def test_a_secret_is_not_in_a_repr(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    assert added.tsig is not None
    assert repr(added.tsig.secret) not in repr(loaded(database, settings, now))


def test_a_key_that_cannot_be_opened_is_left_out_and_the_rest_holds(
    database: Database,
    settings: Settings,
    now: dt.datetime,
    secret_key: SecretKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "isp-two", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        session.execute(update(KeyRow).where(KeyRow.name.startswith("isp-one")).values(sealed_secret=bytes(60)))

    with caplog.at_level(logging.WARNING):
        found = loaded(database, settings, now)

    assert set(found.subscribers) == {"isp-one", "isp-two"}
    assert set(found.keys) == {"isp-two-20261122"}
    assert "does not open the secret of the TSIG key isp-one-20261122" in caplog.text


def test_with_the_key_file_lost_while_it_runs_a_removal_still_counts(
    database: Database,
    settings: Settings,
    now: dt.datetime,
    secret_key: SecretKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "isp-two", "192.0.2.0/24", now=now)
    registered(database, "isp-three", "198.51.100.0/24", now=now)
    settings.secret_key_path.unlink()
    with database.write() as session:
        remove(session, ROOT, "isp-two", now)

    with caplog.at_level(logging.WARNING):
        found = loaded(database, settings, now)

    assert (set(found.subscribers), found.keys) == ({"isp-one", "isp-three"}, {})
    assert "no TSIG key can be used" in caplog.text


def test_the_check_at_the_start_passes_without_keys_and_with_the_right_file(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    with database.read() as session:
        directory.check(session, settings.data_dir / "nowhere.key", now)
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.read() as session:
        directory.check(session, settings.secret_key_path, now)


def test_the_check_at_the_start_refuses_a_wrong_file_and_a_lost_one(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    settings.secret_key_path.write_bytes(bytes(32))

    with database.read() as session:
        with pytest.raises(SettingInvalid, match="does not open the secret of the TSIG key isp-one-20261122"):
            directory.check(session, settings.secret_key_path, now)
        settings.secret_key_path.unlink()
        with pytest.raises(SettingInvalid, match="cannot be read"):
            directory.check(session, settings.secret_key_path, now)


def test_a_key_of_a_removed_subscriber_is_not_checked(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)
    settings.secret_key_path.unlink()

    with database.read() as session:
        directory.check(session, settings.secret_key_path, now)


def test_what_did_not_change_is_not_made_anew(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    """A directory of a thousand ISPs would else be opened and arranged at each commit."""
    reader = directory.Reader(settings.secret_key_path)

    def read(at: dt.datetime = now) -> Directory:
        with database.read() as session:
            return reader.read(session, at)

    def is_read_anew(at: dt.datetime = now) -> bool:
        before = read(now)
        return read(at) is not before

    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    first = read()
    assert read() is first
    registered(database, "isp-two", "198.51.100.7", now=now)
    assert read().subscribers.keys() == {"isp-one", "isp-two"}
    with database.write() as session:
        session.execute(update(KeyRow).values(valid_until=now + DAY))
    assert read().keys["isp-one-20261122"].valid_until == now + DAY
    assert not is_read_anew()
    assert is_read_anew(now + DAY)
    assert not read(now + DAY).keys


def test_a_key_that_could_not_be_opened_is_tried_again(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    reader, hidden = directory.Reader(settings.secret_key_path), settings.secret_key_path.with_suffix(".away")
    settings.secret_key_path.rename(hidden)
    with database.read() as session:
        assert not reader.read(session, now).keys
        hidden.rename(settings.secret_key_path)
        assert reader.read(session, now).keys
