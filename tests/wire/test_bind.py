"""BIND as a secondary, and dig as a client: what real ones make of our transfers."""

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.subscribers.directory import Directory, KnownKey, NotifyTarget, Subscriber
from app.transfer.process import Transfer
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy.version import ZoneVersion
from tests.policy.zones import EVERY_RULE, EXACT, SUBTREE, Rules, changes_to, many_rules, records_of, version
from tests.servers import Server, find, free_port, named, named_config
from tests.wire.feeds import ISP_ONE, KEYED, KEYLESS, LONG_AGO, SECRET, MadeFeed, directory, serving

pytestmark = pytest.mark.long

KEY = f"hmac-sha256:{ISP_ONE.name}:{base64.b64encode(SECRET).decode()}"


def dig(port: int, *arguments: str) -> str:
    command: list[str | Path] = [
        find("dig", "bind9-dnsutils"),
        "@127.0.0.1",
        "-p",
        str(port),
        "+tries=1",
        "+time=5",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def records(text: str) -> set[str]:
    """The CNAME records in what dig prints."""
    return {" ".join(line.split()) for line in text.splitlines() if re.search(r"\sCNAME\s", line)}


@contextmanager
def secondary(directory: Path, primary: int, key: KnownKey | None, port: int) -> Iterator[Server]:
    """BIND following `block.rpz`; only NOTIFY moves it in the time of a test."""
    keys, signed = "", ""
    if key is not None:
        secret = base64.b64encode(key.secret).decode()
        keys = f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{secret}"; }};\n'
        signed = f' key "{key.name}"'
    zone = f"""zone "block.rpz" {{ type secondary; primaries {{ 127.0.0.1 port {primary}{signed}; }};
    file "block.rpz.db"; masterfile-format text; request-ixfr yes; notify no; allow-transfer {{ any; }}; }};"""
    with named(directory, named_config(directory, port, "    recursion no;", keys + zone), port) as server:
        yield server


def served_to_bind(rules: Rules, port: int, key: KnownKey | None) -> MadeFeed:
    """One subscriber that is told on the port of BIND."""
    place = (NotifyTarget("127.0.0.1", port),)
    subscriber = Subscriber("isp-one", directory().subscribers["isp-one"].networks, place, keyed=key is not None)
    return MadeFeed(
        {"block.rpz": version(rules, serial=100)}, Directory({"isp-one": subscriber}, {key.name: key} if key else {})
    )


def publish(server: Transfer, feed: MadeFeed, new: ZoneVersion) -> None:
    feed.zones = {"block.rpz": new}
    server.announce("block.rpz")


@pytest.mark.parametrize("algorithm", [None, "hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_bind_loads_the_zone_and_follows_it_by_ixfr(tmp_path: Path, algorithm: str | None) -> None:
    key = KnownKey("isp-one-key", algorithm, SECRET, "isp-one", LONG_AGO, None) if algorithm else None
    rules, port = many_rules(3000), free_port()
    feed = served_to_bind(rules, port, key)
    with serving(feed) as server, secondary(tmp_path, server.port, key, port) as bind:
        bind.wait_for_log("transferred serial 100")
        assert records(dig(port, "block.rpz", "AXFR")) == records_of(rules, feed.zones["block.rpz"].zone)
        first = feed.wait_for(lambda sighting: sighting.kind == "axfr")
        assert (first.sent_serial, first.outcome) == (100, "done")
        for serial in range(101, 106):
            changed = _other(rules, serial)
            publish(server, feed, feed.zones["block.rpz"].changed(changes_to(rules, changed), serial))
            rules = changed
            bind.wait_for_log(f"transferred serial {serial}")
        assert records(dig(port, "block.rpz", "AXFR")) == records_of(rules, feed.zones["block.rpz"].zone)
        increments = [seen for seen in feed.sightings if seen.kind == "ixfr"]
        assert [(seen.asked_serial, seen.sent_serial) for seen in increments] == [
            (serial, serial + 1) for serial in range(100, 105)
        ]
        assert max(seen.octets for seen in increments) < 2000
        assert not re.search(r"error|fail|expected a TSIG|out of sync", _about_transfers(bind.log()))


def _other(rules: Rules, serial: int) -> Rules:
    """A few names gone, a few new ones, and some whose records change their targets."""
    names = sorted(rules)
    changed = dict(rules)
    for name in names[serial : serial + 3]:
        del changed[name]
    for name in names[-5:]:
        changed[name] = EVERY_RULE[(EVERY_RULE.index(changed[name]) + 1) % len(EVERY_RULE)]
    return changed | {f"example.new{serial}.": SUBTREE}


def _about_transfers(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "block.rpz" in line)


def test_bind_that_was_away_catches_up_in_one_increment(tmp_path: Path) -> None:
    rules, port = many_rules(2000), free_port()
    feed = served_to_bind(rules, port, ISP_ONE)
    with serving(feed) as server:
        with secondary(tmp_path, server.port, ISP_ONE, port) as bind:
            bind.wait_for_log("transferred serial 100")
        for serial in range(101, 131):
            changed = _other(rules, serial)
            feed.zones = {"block.rpz": feed.zones["block.rpz"].changed(changes_to(rules, changed), serial)}
            rules = changed
        feed.sightings.clear()
        with secondary(tmp_path, server.port, ISP_ONE, port) as bind:
            server.announce("block.rpz")
            bind.wait_for_log("transferred serial 130")
            assert records(dig(port, "block.rpz", "AXFR")) == records_of(rules, feed.zones["block.rpz"].zone)
        (increment,) = [seen for seen in feed.sightings if seen.kind == "ixfr"]
        assert (increment.asked_serial, increment.sent_serial) == (100, 130)


def test_zone_that_becomes_empty_reaches_bind(tmp_path: Path) -> None:
    port = free_port()
    feed = served_to_bind({"me.t.": EXACT}, port, ISP_ONE)
    with serving(feed) as server, secondary(tmp_path, server.port, ISP_ONE, port) as bind:
        bind.wait_for_log("transferred serial 100")
        publish(server, feed, feed.zones["block.rpz"].changed([Change("me.t.", EXACT, EMPTY_RULE)], 101))
        bind.wait_for_log("transferred serial 101")
        assert records(dig(port, "block.rpz", "AXFR")) == set()


def test_bind_with_the_wrong_key_gets_nothing(tmp_path: Path) -> None:
    port = free_port()
    feed = served_to_bind({"me.t.": EXACT}, port, ISP_ONE)
    wrong = KnownKey(ISP_ONE.name, "hmac-sha256", b"x" * 32, "isp-one", LONG_AGO, None)
    with serving(feed) as server, secondary(tmp_path, server.port, wrong, port) as bind:
        refused = feed.wait_for(lambda sighting: sighting.kind == "refused")
        assert refused.outcome == "key: the signature by 'isp-one-key' is wrong"
        assert "transferred serial" not in bind.log()


def test_dig_agrees_on_every_kind_of_answer() -> None:
    feed = MadeFeed()
    with serving(feed) as server:
        full = dig(server.port, "-y", KEY, "block.rpz", "AXFR")
        assert "XFR size: 44 records" in full
        assert "WARNING" not in full
        assert "XFR size: 5 records" in dig(server.port, "-y", KEY, "block.rpz", "IXFR=10")
        udp = dig(server.port, "-b", KEYLESS, "block.rpz", "IXFR=10", "+notcp", "+edns", "+ednsopt=65001:00")
        assert records(udp) == {"new.example.block.rpz. 60 IN CNAME ."}
        assert "EXPIRE: 2592000" in dig(server.port, "block.rpz", "SOA", "+expire")
        assert "TCP KEEPALIVE: 120.0 secs" in dig(server.port, "block.rpz", "SOA", "+tcp", "+keepalive")
        assert "EDE: 20 (Not Authoritative): (zone: not served here)" in dig(server.port, "other.rpz", "SOA")


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (KEY.replace("MDEy", "MDEz"), "BADSIG"),
        (KEY.replace(ISP_ONE.name, "nobody"), "BADKEY"),
        (KEY.replace("sha256", "sha512"), "BADKEY"),
        (KEY.replace("hmac-sha256", "hmac-md5"), "BADKEY"),
    ],
)
def test_dig_is_told_what_is_wrong_with_its_key(key: str, error: str) -> None:
    with serving(MadeFeed()) as server:
        said = dig(server.port, "-b", KEYED, "-y", key, "block.rpz", "SOA")
        assert "status: NOTAUTH" in said
        assert error in said
        assert "CNAME" not in dig(server.port, "-b", KEYED, "-y", key, "block.rpz", "AXFR")
