"""`pulih subscriber`, as it is typed."""

import base64
import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.auth import tokens
from app.cli import main
from app.cli.context import utc_now
from app.db import Database
from app.journal.actor import Role
from app.settings import Settings
from app.subscribers import directory
from app.subscribers.deliveries import record
from app.subscribers.sighting import Sighting, SightingKind
from tests import databases
from tests.service import settings_in
from tests.subscribers.worlds import facts_of, hold_the_sample, published, registered

ADD = ("add", "isp-one", "--address", "127.0.0.1/32", "--notify", "127.0.0.1:10053", "--tsig")


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch, database: Database) -> Database:
    """The commands find this test's database and nothing of whoever runs the tests."""
    monkeypatch.chdir(settings.data_dir)
    monkeypatch.setenv("PULIH_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("PULIH_DATABASE_URL", settings.database)
    return database


def pulih(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["subscriber", *arguments])


def good(*arguments: str) -> str:
    result = pulih(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_add_prints_the_key_and_the_token_as_json(settings: Settings, database: Database) -> None:
    printed = json.loads(good(*ADD, "--json"))

    assert set(printed) == {"name", "tsig", "token"}
    assert printed["name"] == "isp-one"
    assert set(printed["tsig"]) == {"name", "algorithm", "secret"}
    assert printed["tsig"]["algorithm"] == "hmac-sha256"
    with database.read() as session:
        found = directory.Reader(settings.secret_key_path).read(session, utc_now())
        actor = tokens.authenticate(session, printed["token"], now=utc_now())
    key = found.keys[printed["tsig"]["name"]]
    assert key.secret == base64.b64decode(printed["tsig"]["secret"], validate=True)
    assert (actor.name, actor.role) == ("isp-one", Role.ISP)


def test_add_without_a_key_says_null_and_needs_no_key_file(settings: Settings) -> None:
    printed = json.loads(good("add", "isp-one", "--address", "127.0.0.1", "--json"))

    assert printed["tsig"] is None
    assert not settings.secret_key_path.exists()


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_add_with_an_algorithm(algorithm: str) -> None:
    printed = json.loads(good(*ADD, algorithm, "--json"))

    assert printed["tsig"]["algorithm"] == algorithm


def test_add_tells_people_what_to_keep_and_what_comes_next() -> None:
    lines = good(*ADD).splitlines()

    assert lines[0] == "isp-one is registered."
    assert [line.split()[0] for line in lines[1:5]] == ["TSIG", "Algorithm", "Secret", "Token"]
    assert lines[4].endswith("(never shown again)")
    assert lines[5] == "Next: pulih subscriber config isp-one --for bind"
    assert "It asks unsigned, from its addresses." in good("add", "isp-two", "--address", "127.0.0.2")


def test_what_the_host_does_is_recorded_as_such(database: Database) -> None:
    good(*ADD)

    [facts] = facts_of(database, "subscriber.added")
    assert facts["subscriber"] == "isp-one"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("add", "isp-one"), 2, "Missing option '--address'"),
        (("add", "isp-one", "--address", "127.0.0.1", "--tsig", "hmac-md5"), 2, "'hmac-md5' is not one of"),
        (("add", "ISP", "--address", "127.0.0.1"), 1, "'ISP' is not a subscriber's name"),
        (("add", "isp-one", "--address", "127.0.0.1/8"), 1, "write 127.0.0.0/8"),
        (("add", "isp-one", "--address", "127.0.0.1", "--notify", "here"), 1, "a notify target is IP-ADDRESS:PORT"),
        (("remove", "isp-one"), 1, "there is no subscriber isp-one"),
        (("forget", "isp-one", "127.0.0.1"), 1, "there is no subscriber isp-one"),
        (("rotate-key", "isp-one"), 1, "there is no subscriber isp-one"),
        (("rotate-key", "isp-one", "--overlap", "a week"), 2, "is not a duration, as in 7d"),
        (("rotate-key", "isp-one", "--overlap", "365d"), 1, "an overlap is from 0 to 90 days"),
        (("config", "isp-one", "--for", "bind"), 1, "there is no subscriber isp-one"),
        (("config", "isp-one", "--for", "djbdns"), 2, "'djbdns' is not"),
        (("config", "isp-one"), 2, "Missing option '--for'"),
    ],
)
def test_what_is_refused_and_how(arguments: tuple[str, ...], status: int, told: str) -> None:
    result = pulih(*arguments)

    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr


def test_beside_the_sample_nobody_from_outside(database: Database) -> None:
    hold_the_sample(database, utc_now())

    assert pulih("add", "far", "--address", "192.0.2.0/24").exit_code == 1
    assert pulih(*ADD).exit_code == 0


def test_remove_ends_it() -> None:
    good(*ADD)

    assert good("remove", "isp-one").startswith("isp-one is removed")
    assert good("list") == "No ISP is registered yet: pulih subscriber add --help\n"
    assert pulih("remove", "isp-one").exit_code == 1


def test_rotate_key_prints_the_new_key_and_until_when_the_old_one_is_good(
    settings: Settings, database: Database
) -> None:
    old = json.loads(good(*ADD, "--json"))["tsig"]

    new = json.loads(good("rotate-key", "isp-one", "--overlap", "12h", "--json"))

    with database.read() as session:
        keys = directory.Reader(settings.secret_key_path).read(session, utc_now()).keys
    assert set(keys) == {old["name"], new["tsig"]["name"]}
    until = keys[old["name"]].valid_until
    assert until is not None
    assert new["others_until"] == until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert dt.timedelta(hours=11) < until - utc_now() < dt.timedelta(hours=12)
    assert keys[new["tsig"]["name"]].secret == base64.b64decode(new["tsig"]["secret"])


def test_rotate_key_in_words_a_week_by_default(database: Database) -> None:
    good(*ADD)

    assert "The older keys of isp-one are good until 20" in good("rotate-key", "isp-one")
    assert "hmac-sha512" in good("rotate-key", "isp-one", "--tsig", "hmac-sha512", "--overlap", "0")
    assert len(facts_of(database, "subscriber.key_rotated")) == 2


def test_config_prints_the_secret_that_add_printed() -> None:
    secret = json.loads(good(*ADD, "--json"))["tsig"]["secret"]

    assert f'secret "{secret}";' in good("config", "isp-one", "--for", "bind")
    assert "ede censored" in good("config", "isp-one", "--for", "bind", "--release", "9.20", "--part", "options")
    assert 'zone "block.rpz" {' in good(
        "config", "isp-one", "--for", "bind", "--zone", "block.rpz", "--part", "statements"
    )


def test_config_for_a_resolver_that_cannot_sign_prints_a_relay_in_front_of_it() -> None:
    good(*ADD)
    refused = pulih("config", "isp-one", "--for", "unbound")

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "`--relay knot` prints a Knot DNS that signs" in refused.stderr
    relayed = good("config", "isp-one", "--for", "unbound", "--relay", "knot", "--resolver", "127.0.0.1:5353")
    assert "address: 127.0.0.1@5353" in relayed
    assert 'name: "block.rpz"' in relayed


def test_a_lost_key_file_is_told_in_one_line(settings: Settings) -> None:
    good(*ADD)
    settings.secret_key_path.unlink()

    for arguments in (("rotate-key", "isp-one"), ("add", "isp-two", "--address", "127.0.0.2", "--tsig")):
        result = pulih(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "is gone, and secrets in the database are sealed with it" in result.stderr
    result = pulih("config", "isp-one", "--for", "bind")
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


def test_the_list_shows_who_has_what_and_what_is_wrong(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULIH_OVERDUE_AFTER", "15m")
    now = utc_now()
    published(database, "block.rpz", [(100, now - dt.timedelta(hours=1)), (101, now - dt.timedelta(minutes=30))])
    for number in (1, 2, 3):
        registered(database, f"isp-{number}", f"127.0.0.{number}", now=now - dt.timedelta(minutes=20))
    registered(database, "new", "127.0.0.9", now=now)

    def ixfr(name: str, serial: int) -> Sighting:
        return Sighting(now, name, "127.0.0.1", "block.rpz", SightingKind.IXFR, serial, 101)

    def refused(name: str, at: dt.datetime) -> Sighting:
        return Sighting(at, name, "127.0.0.1", "block.rpz", SightingKind.REFUSED, outcome="key: must sign")

    with database.write() as session:
        before = now - dt.timedelta(minutes=1)
        record(session, [refused("isp-1", before), ixfr("isp-1", 101), ixfr("isp-2", 100), refused("isp-3", now)], now)

    lines = good("list").splitlines()

    assert lines == [
        "NAME   SIGNS  ZONE       SERIAL  HAS  SENT  BEHIND     STILL  NOT YET",
        "isp-1  no     block.rpz  101     101  -     0, 0 s     0      0",
        "isp-2  no     block.rpz  101     100  101   1, 30 min  0      0        overdue",
        "isp-3  no     block.rpz  101     -    -     -          -      -        overdue; refused: key: must sign",
        "new    no     block.rpz  101     -    -     -          -      -",
    ]


def test_a_server_that_is_no_more_is_forgotten(database: Database) -> None:
    now = utc_now()
    published(database, "block.rpz", [(100, now), (101, now)])
    registered(database, "isp-one", "127.0.0.1", now=now)
    with database.write() as session:
        shown = Sighting(now, "isp-one", "127.0.0.1", "block.rpz", SightingKind.IXFR, 100, 101)
        record(session, [shown], now)
    assert good("list").splitlines()[1].split()[4] == "100"

    assert good("forget", "isp-one", "127.0.0.1") == "127.0.0.1 of isp-one counts no more, unless it asks again.\n"

    assert good("list").splitlines()[1].split()[4] == "-"
    assert pulih("forget", "isp-one", "127.0.0.9").exit_code == 1


def test_the_list_as_json_is_what_http_shows() -> None:
    good(*ADD)

    [item] = json.loads(good("list", "--json"))

    assert (item["name"], item["addresses"], item["zones"]) == ("isp-one", ["127.0.0.1/32"], [])
    assert "secret" not in json.dumps(item)


def test_the_list_goes_on_past_one_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.subscribers.PAGE", 2)
    for number in range(1, 6):
        registered(database, f"isp-{number}", f"127.0.0.{number}", now=utc_now())

    assert [item["name"] for item in json.loads(good("list", "--json"))] == [f"isp-{n}" for n in range(1, 6)]
    assert len(good("list").splitlines()) == 6


def test_a_database_that_was_never_upgraded_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = settings_in(tmp_path / "other")
    databases.make(other.database)
    monkeypatch.setenv("PULIH_DATABASE_URL", other.database)

    result = pulih("list")

    assert (result.exit_code, "run `pulih upgrade`" in result.stderr) == (1, True)


@pytest.mark.parametrize("command", [(), ("add",), ("list",), ("remove",), ("forget",), ("rotate-key",), ("config",)])
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    text = good(*command, "--help")

    assert "Usage:" in text
    assert len(text.splitlines()) > 4
