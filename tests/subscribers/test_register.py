"""Taking subscribers on and letting them go."""

import datetime as dt
import json

import pytest
from sqlalchemy import select

from app.auth import tokens
from app.db import Database
from app.errors import Conflict, NotFound, Unauthenticated, Unprocessable
from app.journal.actor import Role
from app.subscribers.keys import Algorithm
from app.subscribers.models import KeyRow, SubscriberRow
from app.subscribers.register import AddSubscriber, add, outside_loopback, remove
from app.subscribers.seal import SecretKey
from tests.subscribers.worlds import ROOT, facts_of, hold_the_sample, journal_text, registered

HOUR = dt.timedelta(hours=1)


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(SubscriberRow.name).order_by(SubscriberRow.id)))


def test_a_subscriber_gets_a_key_and_a_token(database: Database, now: dt.datetime, secret_key: SecretKey) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    assert added.tsig is not None
    assert (added.tsig.name, added.tsig.algorithm) == ("isp-one-20261122", "hmac-sha256")
    assert len(added.tsig.secret) == 32
    with database.read() as session:
        actor = tokens.authenticate(session, added.token, now=now)
    assert (actor.name, actor.role) == ("isp-one", Role.ISP)


@pytest.mark.parametrize(("algorithm", "octets"), [("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64)])
def test_a_secret_is_as_long_as_the_hash(
    database: Database, now: dt.datetime, secret_key: SecretKey, algorithm: Algorithm, octets: int
) -> None:
    command = AddSubscriber("isp-one", ("192.0.2.0/24",), (), algorithm)
    with database.write() as session:
        added = add(session, ROOT, command, now, secret_key=secret_key)

    assert added.tsig is not None
    assert (added.tsig.algorithm, len(added.tsig.secret)) == (algorithm, octets)


def test_a_subscriber_without_a_key_gets_a_token_only(database: Database, now: dt.datetime) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now)

    assert added.tsig is None
    assert added.token.startswith("pulih_")


def test_the_secret_lies_sealed_and_the_journal_holds_neither_secret_nor_token(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, notify=["192.0.2.53:53"], secret_key=secret_key)

    assert added.tsig is not None
    assert facts_of(database, "subscriber.added") == [
        {
            "subscriber": "isp-one",
            "addresses": ["192.0.2.0/24"],
            "notify": ["192.0.2.53:53"],
            "key": "isp-one-20261122",
            "algorithm": "hmac-sha256",
            "layers": False,
            "overrides": False,
        }
    ]
    with database.read() as session:
        sealed = session.scalars(select(KeyRow.sealed_secret)).one()
    assert added.tsig.secret not in sealed
    assert secret_key.unseal(sealed, "isp-one-20261122") == added.tsig.secret
    assert added.token not in journal_text(database)


def test_secrets_are_not_in_a_repr(database: Database, now: dt.datetime, secret_key: SecretKey) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    assert added.tsig is not None
    assert added.token not in repr(added)
    assert repr(added.tsig.secret) not in repr(added)


def test_a_key_without_a_key_file_is_a_mistake_of_the_caller(database: Database, now: dt.datetime) -> None:
    command = AddSubscriber("isp-one", ("192.0.2.0/24",), (), "hmac-sha256")

    with pytest.raises(ValueError, match="key file"), database.write() as session:
        add(session, ROOT, command, now)
    assert names(database) == []


def test_addresses_and_targets_are_kept_as_people_write_them_once_each(database: Database, now: dt.datetime) -> None:
    registered(
        database,
        "isp-one",
        "192.0.2.1",
        "192.0.2.1/32",
        "2001:DB8::/32",
        now=now,
        notify=["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.53:53"],
    )

    with database.read() as session:
        row = session.scalars(select(SubscriberRow)).one()
    assert json.loads(row.addresses) == ["192.0.2.1/32", "2001:db8::/32"]
    assert json.loads(row.notify) == ["192.0.2.53:53", "[2001:db8::53]:53"]


@pytest.mark.parametrize("name", ["a", "isp-one", "isp2", "a" * 40])
def test_a_good_name(database: Database, now: dt.datetime, name: str) -> None:
    assert registered(database, name, "192.0.2.0/24", now=now).name == name


@pytest.mark.parametrize(
    "name", ["", "me", "ISP", "7", "9isp", "-isp", "isp-", "isp_one", "isp.one", "isp one", "ísp", "isp\n", "a" * 41]
)
def test_a_bad_name_is_refused_with_the_rule(database: Database, now: dt.datetime, name: str) -> None:
    with pytest.raises(Unprocessable, match="is not a subscriber's name: a letter") as caught:
        registered(database, name, "192.0.2.0/24", now=now)
    assert caught.value.faults[0].value == name


def test_no_address_at_all_is_refused(database: Database, now: dt.datetime) -> None:
    with pytest.raises(Unprocessable, match="at least one address range"):
        registered(database, "isp-one", now=now)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.7/24", "write 192.0.2.0/24"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("ns.isp.example", "does not appear to be"),
        ("192.0.2.0/33", "does not appear to be"),
        ("", "does not appear to be"),
        ("::ffff:192.0.2.0/120", "a range of IPv4 addresses"),
    ],
)
def test_a_bad_range_is_refused_with_what_was_meant(
    database: Database, now: dt.datetime, text: str, reason: str
) -> None:
    with pytest.raises(Unprocessable, match=reason) as caught:
        registered(database, "isp-one", "192.0.2.0/24", text, now=now)
    assert (caught.value.faults[0].pointer, caught.value.faults[0].value) == ("/addresses/1", text)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.53",
        "192.0.2.53:0",
        "192.0.2.53:70000",
        "localhost:53",
        "ns.isp.example:53",
        "0.0.0.0:53",
        "224.0.0.1:53",
    ],
)
def test_a_bad_notify_target_is_refused(database: Database, now: dt.datetime, text: str) -> None:
    with pytest.raises(Unprocessable, match="IP-ADDRESS:PORT") as caught:
        registered(database, "isp-one", "192.0.2.0/24", now=now, notify=[text])
    assert (caught.value.faults[0].pointer, caught.value.faults[0].value) == ("/notify/0", text)


def test_a_name_is_taken_once(database: Database, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    with pytest.raises(Conflict, match="there is a subscriber isp-one already"):
        registered(database, "isp-one", "198.51.100.0/24", now=now)


def test_a_name_of_another_role_is_refused_and_nothing_remains(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    with database.write() as session:
        tokens.create(session, ROOT, role=Role.AUDITOR, name="audit", expires_at=None, now=now)

    with pytest.raises(Conflict, match="audit is auditor"):
        registered(database, "audit", "192.0.2.0/24", now=now, secret_key=secret_key)
    assert names(database) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.0/24", "192.0.2.128/25"),
        ("192.0.2.7/32", "192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8:1::/48"),
    ],
)
def test_ranges_of_two_without_a_key_may_not_overlap(
    database: Database, now: dt.datetime, first: str, second: str
) -> None:
    registered(database, "isp-one", "203.0.113.0/24", first, now=now)

    with pytest.raises(Conflict, match=f"{second} overlaps {first} of isp-one"):
        registered(database, "isp-two", second, now=now)
    assert names(database) == ["isp-one"]


def test_ranges_that_only_touch_are_fine(database: Database, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/25", "2001:db8::/32", now=now)
    registered(database, "isp-two", "192.0.2.128/25", "2001:db9::/32", now=now)

    assert names(database) == ["isp-one", "isp-two"]


def test_ranges_overlap_freely_where_one_of_the_two_has_a_key(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "signs", "192.0.2.0/24", now=now, secret_key=secret_key)
    registered(database, "plain", "192.0.2.0/24", now=now)
    registered(database, "signs-too", "192.0.2.0/24", now=now, secret_key=secret_key)

    assert names(database) == ["signs", "plain", "signs-too"]


def test_a_range_is_free_again_once_its_holder_was_removed(database: Database, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)

    assert registered(database, "isp-two", "192.0.2.0/24", now=now).name == "isp-two"


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0"])
def test_everybody_at_once_needs_a_key(
    database: Database, now: dt.datetime, secret_key: SecretKey, everything: str
) -> None:
    with pytest.raises(Unprocessable, match="every address there is: that needs a key"):
        registered(database, "isp-one", everything, now=now)

    assert registered(database, "isp-one", everything, now=now, secret_key=secret_key).tsig is not None


def test_beside_the_sample_only_this_machine_subscribes(database: Database, now: dt.datetime) -> None:
    hold_the_sample(database, now)

    registered(database, "local", "127.0.0.0/8", "::1/128", now=now, notify=["127.0.0.1:10053", "[::1]:10053"])
    for addresses, notify, named in (
        (("127.0.0.1/32", "192.0.2.0/24"), (), "192.0.2.0/24"),
        (("0.0.0.0/1",), (), "0.0.0.0/1"),
        (("10.0.0.0/8",), (), "10.0.0.0/8"),
        (("127.0.9.1/32",), ("192.0.2.53:53",), "192.0.2.53:53"),
    ):
        with pytest.raises(Conflict, match=f"{named} is not on this machine, and this database holds the sample"):
            registered(database, "far", *addresses, now=now, notify=notify)
    assert names(database) == ["local"]


def test_who_would_stand_in_the_samples_way_is_named(database: Database, now: dt.datetime) -> None:
    registered(database, "local", "127.0.0.1/32", now=now, notify=["127.0.0.1:53"])
    registered(database, "far", "192.0.2.0/24", now=now)
    registered(database, "tells-far", "127.0.0.2/32", now=now, notify=["192.0.2.53:53"])
    registered(database, "gone", "198.51.100.0/24", now=now)

    with database.write() as session:
        remove(session, ROOT, "gone", now)
        assert outside_loopback(session) == ["far", "tells-far"]


def test_removing_ends_keys_and_tokens_and_keeps_the_row(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        second = tokens.create(session, ROOT, role=Role.ISP, name="isp-one", expires_at=None, now=now)
        other = tokens.create(session, ROOT, role=Role.ISP, name="isp-two", expires_at=None, now=now)

    with database.write() as session:
        remove(session, ROOT, "isp-one", now + HOUR)

    with database.read() as session:
        assert session.scalars(select(SubscriberRow.removed_at)).one() == now + HOUR
        assert session.scalars(select(KeyRow.valid_until)).one() == now + HOUR
        for token in (added.token, second):
            with pytest.raises(Unauthenticated, match="revoked"):
                tokens.authenticate(session, token, now=now)
        assert tokens.authenticate(session, other, now=now).name == "isp-two"
    assert facts_of(database, "subscriber.removed") == [{"subscriber": "isp-one"}]
    assert len(facts_of(database, "token.revoked")) == 2


def test_a_token_revoked_before_does_not_stand_in_the_way(database: Database, now: dt.datetime) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    with database.write() as session:
        [(token, _)] = tokens.listing(session)
        tokens.revoke(session, ROOT, token_id=token.id, now=now)
        remove(session, ROOT, "isp-one", now)

    assert facts_of(database, "subscriber.removed") == [{"subscriber": "isp-one"}]


@pytest.mark.parametrize("twice", [False, True])
def test_what_is_not_there_cannot_be_removed(database: Database, now: dt.datetime, *, twice: bool) -> None:
    if twice:
        registered(database, "isp-one", "192.0.2.0/24", now=now)
        with database.write() as session:
            remove(session, ROOT, "isp-one", now)

    with pytest.raises(NotFound, match="there is no subscriber isp-one"), database.write() as session:
        remove(session, ROOT, "isp-one", now)


def test_a_removed_name_comes_back_with_a_new_key_and_token(
    database: Database, now: dt.datetime, secret_key: SecretKey
) -> None:
    first = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        remove(session, ROOT, "isp-one", now)

    again = registered(database, "isp-one", "198.51.100.0/24", now=now + HOUR, secret_key=secret_key)

    assert first.tsig is not None
    assert again.tsig is not None
    assert (again.tsig.name, again.token == first.token) == ("isp-one-20261122-2", False)
    with database.read() as session:
        row = session.scalars(select(SubscriberRow)).one()
        old = session.scalars(select(KeyRow).where(KeyRow.name == first.tsig.name)).one()
    assert (json.loads(row.addresses), row.removed_at, row.created_at) == (["198.51.100.0/24"], None, now + HOUR)
    assert old.valid_until == now
