"""Configurations as they are printed, read by the real `named-checkconf`."""

import base64
import datetime as dt
import re
import subprocess
from pathlib import Path

import pytest

from app.db import Database
from app.errors import Conflict, NotFound, SettingInvalid, Unprocessable
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.keys import Algorithm, RotateKey, rotate
from app.subscribers.models import SubscriberRow
from app.subscribers.seal import SecretKey
from tests.servers import find, named_config
from tests.subscribers.worlds import ROOT, facts_of, journal_text, registered

PRINT = PrintConfig("isp-one", "bind")
RESPONSE_POLICY = (
    'response-policy { zone "block.rpz" policy given log yes min-update-interval 0; } '
    "qname-wait-recurse no break-dnssec yes;"
)


def printed(database: Database, settings: Settings, now: dt.datetime, command: PrintConfig = PRINT) -> str:
    with database.write() as session:
        return config(session, ROOT, command, now, settings=settings)


def part(database: Database, settings: Settings, now: dt.datetime, name: str) -> str:
    return printed(database, settings, now, PrintConfig("isp-one", "bind", part=name))


def checkconf(directory: Path, text: str) -> str:
    """What `named-checkconf` has against a configuration; nothing where it is good."""
    file = directory / "named.conf"
    file.write_text(text)
    found = subprocess.run(
        [find("named-checkconf", "bind9-utils"), file], capture_output=True, text=True, check=False, cwd=directory
    )
    assert (found.returncode == 0) == (found.stdout + found.stderr == ""), found.stderr
    return found.stdout + found.stderr


def test_the_whole_text(database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, notify=["192.0.2.53:53"], secret_key=secret_key)

    assert added.tsig is not None
    secret = base64.b64encode(added.tsig.secret).decode()
    assert (
        printed(database, settings, now)
        == f"""\
// Pulih, zone block.rpz for isp-one: BIND 9.18
//
// 1. Save all of this as /etc/bind/pulih.conf (simpan semua ini); it holds a secret:
//        chown root:bind, chmod 640
//    and add to /etc/bind/named.conf:
//        include "/etc/bind/pulih.conf";
// 2. Put this one line inside options {{ ... }}, in Debian /etc/bind/named.conf.options
//    (taruh satu baris ini di dalam options):
//        {RESPONSE_POLICY}
//    Lists of your own go in front of ours, in the same braces: the first match wins.
//    Keep `policy given`: any other policy turns exceptions into blocks.
// 3. named-checkconf && rndc reconfig

key "isp-one-20261122" {{
    algorithm hmac-sha256;
    secret "{secret}";
}};

zone "block.rpz" {{
    type secondary;
    file "block.rpz.db";
    // NOTIFY from this address needs no allow-notify (tidak perlu allow-notify)
    primaries {{ 127.0.0.1 port 5300 key "isp-one-20261122"; }};
    request-ixfr yes;           // changes only, not the whole zone (hanya perubahan)
    min-retry-time 60;          // BIND would wait 500 s after a failed poll
    notify no;
    allow-query {{ localhost; }}; // the list is not for customers (bukan untuk pelanggan)
    allow-transfer {{ none; }};
}};

// Check (periksa), each with what it should say:
//   dig @127.0.0.1 -p 5300 -y hmac-sha256:isp-one-20261122:{secret} block.rpz SOA +norecurse
//       status: NOERROR and one SOA. REFUSED names the reason: address, key or zone.
//       Registered addresses (alamat terdaftar): 192.0.2.0/24
//       NOTIFY goes to (dikirim ke): 192.0.2.53:53
//   rndc zonestatus block.rpz
//       the serial of the line above
//   dig @127.0.0.1 NAME-FROM-THE-LIST
//       the blocked answer, with the SOA of block.rpz in the additional section
"""
    )


def test_the_whole_text_and_its_parts_pass_named_checkconf_together(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey, tmp_path: Path
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    (tmp_path / "pulih.conf").write_text(printed(database, settings, now))
    (tmp_path / "pulih-options.conf").write_text(part(database, settings, now, "options"))

    text = named_config(tmp_path, 10053, 'include "pulih-options.conf";', 'include "pulih.conf";')

    assert checkconf(tmp_path, text) == ""


def test_the_line_in_the_comment_is_the_part_for_options(
    database: Database, settings: Settings, now: dt.datetime
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    line = part(database, settings, now, "options")

    assert line == RESPONSE_POLICY + "\n"
    assert f"//        {line}" in printed(database, settings, now)


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_every_algorithm_is_one_that_bind_knows(
    database: Database,
    settings: Settings,
    now: dt.datetime,
    secret_key: SecretKey,
    tmp_path: Path,
    algorithm: Algorithm,
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        command = RotateKey("isp-one", dt.timedelta(0), algorithm)
        rotate(session, ROOT, command, now, secret_key=secret_key)

    text = printed(database, settings, now)

    assert f"algorithm {algorithm};" in text
    assert checkconf(tmp_path, text) == ""


def test_without_a_key_none_is_mentioned(
    database: Database, settings: Settings, now: dt.datetime, tmp_path: Path
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    text = printed(database, settings, now)

    assert "key " not in text.replace("address, key or zone", "")
    assert "-y" not in text
    assert "NOTIFY goes to (dikirim ke): nobody: without NOTIFY a change takes up to 300 s" in text
    assert checkconf(tmp_path, text) == ""


def test_an_ipv6_server(database: Database, settings: Settings, now: dt.datetime, tmp_path: Path) -> None:
    registered(database, "isp-one", "2001:db8::/32", now=now)
    settings = settings.model_copy(update={"dns_public": "[2001:db8::1]:53"})

    text = printed(database, settings, now)

    assert "primaries { 2001:db8::1 port 53; };" in text
    assert "dig @2001:db8::1 -p 53 block.rpz SOA" in text
    assert checkconf(tmp_path, text) == ""


def test_what_is_seen_from_outside_is_printed_not_what_is_listened_on(
    database: Database, settings: Settings, now: dt.datetime
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    listening = settings.model_copy(update={"dns_listen": "0.0.0.0:53"})

    with pytest.raises(SettingInvalid, match=r"0.0.0.0:53 is every address .* set PULIH_DNS_PUBLIC"):
        printed(database, listening, now)
    public = listening.model_copy(update={"dns_public": "203.0.113.9:53"})
    assert "primaries { 203.0.113.9 port 53; };" in printed(database, public, now)


def test_a_name_for_this_machine_becomes_its_address(database: Database, settings: Settings, now: dt.datetime) -> None:
    registered(database, "isp-one", "127.0.0.1", now=now)
    settings = settings.model_copy(update={"dns_listen": "localhost:5300"})

    assert "primaries { 127.0.0.1 port 5300; };" in printed(database, settings, now)


@pytest.mark.parametrize("release", [None, "9.18", "9.18.49", "9.18.49-1~deb12u3-Debian", "9.19.1"])
def test_bind_before_9_20_is_not_told_of_ede_which_it_does_not_know(
    database: Database, settings: Settings, now: dt.datetime, release: str | None
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    assert "ede" not in printed(database, settings, now, PrintConfig("isp-one", "bind", release)).replace("needed", "")


@pytest.mark.parametrize("release", ["9.20", "9.20.3", "9.21", "10.0"])
def test_bind_from_9_20_on_says_that_the_answer_is_censored(
    database: Database, settings: Settings, now: dt.datetime, tmp_path: Path, release: str
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    line = printed(database, settings, now, PrintConfig("isp-one", "bind", release, part="options"))

    assert line == (
        'response-policy { zone "block.rpz" policy given log yes min-update-interval 0 ede censored; } '
        "qname-wait-recurse no break-dnssec yes;\n"
    )
    installed = subprocess.run([find("named", "bind9"), "-v"], capture_output=True, text=True, check=True).stdout
    if "BIND 9.18" in installed:
        assert "'ede'" in checkconf(tmp_path, named_config(tmp_path, 10053, line, ""))


@pytest.mark.parametrize(
    ("release", "reason"), [("9.16", "too old: from 9.18 on"), ("new", "is not a release, as in 9.18")]
)
def test_a_release_that_it_is_not_written_for_is_refused(
    database: Database, settings: Settings, now: dt.datetime, release: str, reason: str
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    with pytest.raises(Unprocessable, match=reason):
        printed(database, settings, now, PrintConfig("isp-one", "bind", release))


def test_the_first_zone_is_meant_unless_another_is_named(
    database: Database, settings: Settings, now: dt.datetime
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    settings = settings.model_copy(update={"zones": "block.rpz=nxdomain,landing.rpz=redirect:landing.example"})

    assert 'zone "block.rpz" {' in printed(database, settings, now)
    other = printed(database, settings, now, PrintConfig("isp-one", "bind", zone="landing.rpz"))
    assert 'zone "landing.rpz" {' in other
    assert "block.rpz" not in other
    with pytest.raises(NotFound, match=r"there is no zone other.rpz: block.rpz, landing.rpz"):
        printed(database, settings, now, PrintConfig("isp-one", "bind", zone="other.rpz"))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (PrintConfig("isp-two", "bind"), "there is no subscriber isp-two"),
        (PrintConfig("isp-one", "djbdns"), "there is no configuration for 'djbdns': bind"),
        (PrintConfig("isp-one", "bind", part="zone"), "has no part 'zone': statements, options"),
    ],
)
def test_what_does_not_exist_is_not_printed(
    database: Database, settings: Settings, now: dt.datetime, command: PrintConfig, reason: str
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)

    with pytest.raises(NotFound, match=reason):
        printed(database, settings, now, command)
    assert facts_of(database, "subscriber.config_printed") == []


def test_every_printing_is_recorded_with_the_key_and_without_its_secret(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    added = registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)

    text = printed(database, settings, now)
    part(database, settings, now, "options")

    assert added.tsig is not None
    secret = base64.b64encode(added.tsig.secret).decode()
    assert secret in text
    assert secret not in journal_text(database)
    common = {"subscriber": "isp-one", "for": "bind", "zone": "block.rpz", "layers": False}
    assert facts_of(database, "subscriber.config_printed") == [
        common | {"key": "isp-one-20261122", "part": "whole"},
        common | {"key": None, "part": "options"},
    ]


def test_in_a_rotation_the_newest_key_is_printed(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    with database.write() as session:
        rotate(session, ROOT, RotateKey("isp-one", dt.timedelta(7)), now, secret_key=secret_key)

    assert set(re.findall(r"isp-one-[0-9-]+", printed(database, settings, now))) == {"isp-one-20261122-2"}


def test_a_wrong_key_file_prints_nothing(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, secret_key=secret_key)
    settings.secret_key_path.write_bytes(bytes(32))

    with pytest.raises(SettingInvalid, match="does not open the secret"):
        printed(database, settings, now)
    assert facts_of(database, "subscriber.config_printed") == []


def test_a_subscriber_that_must_sign_and_has_no_key_gets_no_text_without_one(
    database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey
) -> None:
    """Illustrative subscribers of a sample are such."""
    with database.write() as session:
        row = SubscriberRow(
            name="isp-one", addresses='["127.0.0.1/32"]', notify="[]", keyed=True, created_at=now, removed_at=None
        )
        session.add(row)

    with pytest.raises(Conflict, match="isp-one has to sign and has no key: `pulih subscriber rotate-key isp-one`"):
        printed(database, settings, now)
    with database.write() as session:
        tsig = rotate(session, ROOT, RotateKey("isp-one", dt.timedelta(0)), now, secret_key=secret_key)
    assert tsig.algorithm == "hmac-sha256"
    assert f'key "{tsig.name}"' in printed(database, settings, now)
