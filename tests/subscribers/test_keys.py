"""Keys rotated with two alive, and the key file found again."""

import datetime as dt

import pytest
from sqlalchemy import select

from app.db import Database
from app.errors import Conflict, NotFound, SettingInvalid, Unprocessable
from app.settings import Settings
from app.subscribers import keys, seal
from app.subscribers.keys import RotateKey, Tsig, rotate
from app.subscribers.models import KeyRow
from app.subscribers.queries import live_by_name
from app.subscribers.seal import SecretKey
from tests.subscribers.worlds import ROOT, facts_of, journal_text, registered

DAY = dt.timedelta(days=1)


def rotated(database: Database, now: dt.datetime, secret_key: SecretKey, overlap: dt.timedelta = 7 * DAY) -> Tsig:
    with database.write() as session:
        return rotate(session, ROOT, RotateKey("isp-one", overlap), now, secret_key=secret_key)


def ends(database: Database) -> dict[str, dt.datetime | None]:
    """Every key and when it ends."""
    with database.read() as session:
        return {key.name: key.valid_until for key in session.scalars(select(KeyRow).order_by(KeyRow.id))}


def test_a_rotation_leaves_two_keys_alive_until_the_overlap_is_over(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    new = rotated(database, now + 30 * DAY, secret_key)

    assert new.name == "isp-one-20261222"
    assert ends(database) == {"isp-one-20261122": now + 37 * DAY, "isp-one-20261222": None}
    assert facts_of(database, "subscriber.key_rotated") == [
        {
            "subscriber": "isp-one",
            "key": "isp-one-20261222",
            "algorithm": "hmac-sha256",
            "others_until": "2026-12-29T03:00:00.000000Z",
        }
    ]
    assert new.secret.hex() not in journal_text(database)


def test_without_an_overlap_the_old_key_ends_at_once(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    rotated(database, now, secret_key, dt.timedelta(0))

    assert ends(database) == {"isp-one-20261122": now, "isp-one-20261122-2": None}


def test_a_second_rotation_never_lengthens_what_ends_sooner(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    rotated(database, now, secret_key, DAY)

    rotated(database, now, secret_key, 7 * DAY)

    assert ends(database) == {
        "isp-one-20261122": now + DAY,
        "isp-one-20261122-2": now + 7 * DAY,
        "isp-one-20261122-3": None,
    }


def test_a_leaked_key_is_replaced_at_once_in_the_middle_of_a_rotation(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    rotated(database, now, secret_key, 7 * DAY)

    rotated(database, now + DAY, secret_key, dt.timedelta(0))

    assert ends(database) == {
        "isp-one-20261122": now + DAY,
        "isp-one-20261122-2": now + DAY,
        "isp-one-20261123": None,
    }


def test_a_rotation_may_change_the_algorithm_and_the_next_one_keeps_it(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        first = rotate(session, ROOT, RotateKey("isp-one", DAY, "hmac-sha512"), now, secret_key=secret_key)
        second = rotate(session, ROOT, RotateKey("isp-one", DAY), now, secret_key=secret_key)

    assert (first.algorithm, len(first.secret)) == ("hmac-sha512", 64)
    assert (second.algorithm, len(second.secret)) == ("hmac-sha512", 64)


def test_key_names_of_names_that_begin_alike_do_not_disturb_each_other(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "isp-20261122", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "isp-20261122-2", "192.0.2.0/24", now=now, secret_key=secret_key)

    with database.write() as session:
        new = rotate(session, ROOT, RotateKey("isp", DAY), now, secret_key=secret_key)

    assert new.name == "isp-20261122-2"
    assert len(ends(database)) == 4


def test_a_subscriber_without_a_key_has_none_to_rotate(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    with pytest.raises(Conflict, match="registered without a key: remove it, and add it with --tsig"):
        rotated(database, now, secret_key)


def test_a_subscriber_that_does_not_exist_has_none_either(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    with pytest.raises(NotFound, match="there is no subscriber isp-one"):
        rotated(database, now, secret_key)


@pytest.mark.parametrize("overlap", [-DAY, 91 * DAY])
def test_an_overlap_has_bounds(
    database: Database, now: dt.datetime, secret_key: SecretKey, overlap: dt.timedelta
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    with pytest.raises(Unprocessable, match="from 0 to 90 days"):
        rotated(database, now, secret_key, overlap)
    assert ends(database) == {"isp-one-20261122": None}


def test_the_key_file_is_made_where_nothing_was_ever_sealed(database: Database, settings: Settings) -> None:
    with database.read() as session:
        made = keys.secret_key(session, settings.secret_key_path)

    assert seal.read(settings.secret_key_path) == made


def test_a_lost_key_file_is_never_replaced_in_silence(
    database: Database, now: dt.datetime, settings: Settings, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    settings.secret_key_path.unlink()

    with database.read() as session, pytest.raises(SettingInvalid, match=r"secret.key is gone.*put back"):
        keys.secret_key(session, settings.secret_key_path)
    assert not settings.secret_key_path.exists()


def test_the_newest_key_is_opened_for_printing(
    database: Database, now: dt.datetime, settings: Settings, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    new = rotated(database, now, secret_key)

    with database.read() as session:
        assert keys.opened(session, live_by_name(session, "isp-one"), settings.secret_key_path) == new
