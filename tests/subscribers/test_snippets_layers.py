"""What is printed for the zone in layers, as each software's own checker reads it."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from app.db import Database
from app.errors import Conflict
from app.main import make_publisher
from app.publication import zones
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.layered import ChangeSubscriber, change
from app.subscribers.queries import live_by_name
from app.subscribers.seal import SecretKey
from tests.servers import find, free_port, named_config
from tests.servers_resolvers import checked, pdns_recursor_config, unbound_config
from tests.servers_secondaries import knot_config, nsd_config
from tests.subscribers.worlds import ROOT, facts_of, registered

Print = Callable[..., str]


@pytest.fixture
def printed(database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey) -> Print:
    """Prints for `keyed`, which signs, or `plain`, which does not."""
    make_publisher(settings, database).start(now)
    registered(database, "keyed", "192.0.2.0/24", now=now, notify=["192.0.2.53:5354"], secret_key=secret_key)
    registered(database, "plain", "198.51.100.0/24", now=now, notify=["198.51.100.53:5354"])

    def print_(name: str, software: str, **options: str) -> str:
        with database.write() as session:
            return config(session, ROOT, PrintConfig(name, software, layers=True, **options), now, settings=settings)

    return print_


def settings_of(text: str, sign: str = "#") -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(sign)]


def test_bind_asks_urgent_first_and_takes_it_at_once(printed: Print, tmp_path: Path) -> None:
    options = printed("keyed", "bind", part="options")
    text = printed("keyed", "bind", part="statements")

    assert options == (
        'response-policy { zone "urgent.block.rpz" policy given log yes min-update-interval 0; '
        'zone "base.block.rpz" policy given log yes min-update-interval 0; } qname-wait-recurse no break-dnssec yes;\n'
    )
    assert [line for line in settings_of(text) if line.startswith("zone")] == [
        'zone "urgent.block.rpz" {',
        'zone "base.block.rpz" {',
    ]
    (tmp_path / "named.conf").write_text(named_config(tmp_path, free_port(), options, text))
    checked([find("named-checkconf", "bind9-utils"), tmp_path / "named.conf"], tmp_path, text)


def test_bind_9_20_says_censored_of_both(printed: Print) -> None:
    assert printed("keyed", "bind", part="options", release="9.20").count("min-update-interval 0 ede censored;") == 2


def test_unbound_has_a_clause_of_each_and_hears_notify(printed: Print, tmp_path: Path) -> None:
    text = printed("plain", "unbound", part="resolver")

    found = settings_of(text)
    assert [line for line in found if line.startswith("name:")] == [
        'name: "urgent.block.rpz"',
        'name: "base.block.rpz"',
    ]
    assert found.count("allow-notify: 127.0.0.1") == 2
    assert "override" not in text
    whole = unbound_config(tmp_path, free_port(), 53, text)
    (tmp_path / "unbound.conf").write_text(whole)
    checked([find("unbound-checkconf", "unbound"), tmp_path / "unbound.conf"], tmp_path, whole)


def test_knot_in_front_of_unbound_hands_on_both(printed: Print, tmp_path: Path) -> None:
    relay = printed("keyed", "unbound", relay="knot", part="relay")

    assert [line for line in settings_of(relay) if line.startswith("- domain")] == [
        "- domain: urgent.block.rpz",
        "- domain: base.block.rpz",
    ]
    assert relay.count("zone:\n") == 1
    whole = knot_config(tmp_path, free_port(), relay)
    (tmp_path / "knot.conf").write_text(whole)
    checked([find("knotc", "knot"), "-c", tmp_path / "knot.conf", "conf-check"], tmp_path, whole)


def test_nsd_hands_on_both(printed: Print, tmp_path: Path) -> None:
    text = printed("keyed", "nsd", part="statements")

    assert text.count("zone:\n") == text.count("provide-xfr:") == 2
    whole = nsd_config(tmp_path, free_port(), text)
    (tmp_path / "nsd.conf").write_text(whole)
    checked([find("nsd-checkconf", "nsd"), tmp_path / "nsd.conf"], tmp_path, whole)


def test_powerdns_polls_urgent_every_5_seconds(printed: Print, tmp_path: Path) -> None:
    text = printed("keyed", "powerdns", part="policy")

    found = settings_of(text, "--")
    assert [line.split(",")[1].strip() for line in found if line.startswith("rpzPrimary")] == [
        '"urgent.block.rpz"',
        '"base.block.rpz"',
    ]
    assert [line.partition(",")[0] for line in found if line.startswith("refresh")] == ["refresh = 5", "refresh = 60"]
    (tmp_path / "pulih.lua").write_text(text)
    whole = pdns_recursor_config(free_port(), 53, printed("keyed", "powerdns", part="settings"))
    (tmp_path / "recursor.conf").write_text(whole)
    binary = find("pdns_recursor", "pdns-recursor")
    checked([binary, "--config=check", f"--config-dir={tmp_path}"], tmp_path, whole)


def test_powerdns_from_5_1_on_is_notified_of_both(printed: Print) -> None:
    text = printed("keyed", "powerdns", release="5.1")
    assert 'allow_notify_for: [ "urgent.block.rpz", "base.block.rpz" ]' in text
    assert text.index('- name: "urgent.block.rpz"') < text.index('- name: "base.block.rpz"')


@pytest.mark.parametrize(
    ("name", "software", "sign"),
    [
        ("keyed", "bind", "the SOA of urgent.block.rpz in the additional section"),
        ("plain", "unbound", "anything else of it than rpz-passthru"),
        ("keyed", "powerdns", "EDE: 16"),
    ],
)
def test_the_canary_check_stands_with_the_others(printed: Print, name: str, software: str, sign: str) -> None:
    text = printed(name, software)
    check = text[text.index("canary.pulih.example") :]
    assert sign in check
    assert f"pulih subscriber change {name} --no-layers --overrides" in check
    assert "block.rpz in layers (urgent.block.rpz in front of base.block.rpz)" in text


def test_who_is_printed_layers_takes_them(printed: Print, database: Database) -> None:
    printed("keyed", "bind")
    with database.read() as session:
        assert live_by_name(session, "keyed").layered
        assert not live_by_name(session, "plain").layered
        assert [zone.name for zone in zones.active(session)] == ["base.block.rpz", "block.rpz", "urgent.block.rpz"]
    assert facts_of(database, "subscriber.changed") == [
        {"subscriber": "keyed", "layers": True, "overrides": False, "settling_seconds": None}
    ]
    assert facts_of(database, "subscriber.config_printed")[0]["layers"] is True


def test_what_cannot_have_layers_is_not_printed(printed: Print, database: Database, now: dt.datetime) -> None:
    with pytest.raises(Conflict, match="there is nothing that layers could spare it"):
        printed("keyed", "knot-resolver")
    with database.write() as session:
        change(session, ROOT, ChangeSubscriber("keyed", overrides=True), now)
    with pytest.raises(Conflict, match="keyed says that it overrides what zones say"):
        printed("keyed", "bind")
    with database.read() as session:
        assert [zone.name for zone in zones.active(session)] == ["block.rpz"]
