"""Every kind of configuration, read by the software it is for; what this machine cannot run is judged as text."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.opcode
import dns.query
import dns.rcode
import pytest

from app.db import Database
from app.errors import Conflict, NotFound, SettingInvalid, Unprocessable
from app.settings import Settings
from app.subscribers.config import PrintConfig, config
from app.subscribers.seal import SecretKey
from tests.servers import find, free_port
from tests.servers_resolvers import checked, pdns_recursor_config, unbound, unbound_config
from tests.servers_secondaries import knot_config, nsd_config
from tests.subscribers.worlds import ROOT, registered

Print = Callable[..., str]


@pytest.fixture
def printed(database: Database, settings: Settings, now: dt.datetime, secret_key: SecretKey) -> Print:
    """Prints for `keyed`, which signs, or `plain`, which does not; both are notified at port 5354."""
    registered(database, "keyed", "192.0.2.0/24", now=now, notify=["192.0.2.53:5354"], secret_key=secret_key)
    registered(database, "plain", "198.51.100.0/24", now=now, notify=["198.51.100.53:5354"])

    def print_(
        name: str, software: str, public: str = "203.0.113.9:53", *, layers: bool = False, **options: str
    ) -> str:
        with database.write() as session:
            seen = settings.model_copy(update={"dns_public": public, "public_url": "https://pulih.example/"})
            return config(session, ROOT, PrintConfig(name, software, layers=layers, **options), now, settings=seen)

    return print_


def test_unbound_asks_by_its_address(printed: Print, tmp_path: Path) -> None:
    text = printed("plain", "unbound")

    settings = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert settings == [
        "server:",
        '    module-config: "respip validator iterator"   # respip applies policy zones',
        "    access-control: 203.0.113.9/32 refuse_non_local   # NOTIFY, but no recursion",
        "rpz:",
        '    name: "block.rpz"',
        "    primary: 203.0.113.9@53",
        "    allow-notify: 203.0.113.9",
        "    # With it a restart without us still blocks (tetap memblokir setelah mulai ulang). It is written whole at",
        "    # each change, 0.4 s for 300,000 names: where that is too long leave it out, or put a relay in front.",
        '    zonefile: "/var/lib/unbound/block.rpz.zone"',
        "    rpz-log: yes",
        '    rpz-log-name: "pulih"',
    ]
    check_unbound(tmp_path, text)


def test_unbound_with_a_key_is_told_of_the_relay(printed: Print) -> None:
    with pytest.raises(Conflict, match=r"keyed signs with a key, and Unbound knows no TSIG: .* `--relay knot` prints"):
        printed("keyed", "unbound")


def test_behind_a_relay_knot_signs_and_unbound_asks_it_on_loopback(printed: Print, tmp_path: Path) -> None:
    relay = printed("keyed", "unbound", relay="knot", part="relay")
    resolver = printed("keyed", "unbound", relay="knot", part="resolver")

    whole = printed("keyed", "unbound", relay="knot")
    assert f"# ===== /etc/knot/pulih.conf =====\n{relay}" in whole
    assert f"# ===== /etc/unbound/unbound.conf.d/pulih.conf =====\n{resolver}" in whole
    assert "listen: [ 127.0.0.1@5354, 192.0.2.53@5354 ]" in relay
    assert "address: 203.0.113.9@53\n    key: keyed-20261122" in relay
    assert "primary: 127.0.0.1@5354" in resolver
    assert "key" not in resolver
    assert "zonefile" not in resolver, "the relay has one; Unbound stops while it writes"
    check_unbound(tmp_path, resolver)
    check_knot(tmp_path, relay)


def check_unbound(directory: Path, text: str) -> None:
    (directory / "pulih.conf").write_text(text)
    whole = unbound_config(directory, free_port(), 53, f'include: "{directory}/pulih.conf"')
    (directory / "unbound.conf").write_text(whole)
    checked([find("unbound-checkconf", "unbound"), directory / "unbound.conf"], directory, whole)


def check_knot(directory: Path, text: str) -> None:
    (directory / "pulih.conf").write_text(text)
    whole = knot_config(directory, free_port(), f'include: "{directory}/pulih.conf"')
    (directory / "knot.conf").write_text(whole)
    checked([find("knotc", "knot"), "-c", directory / "knot.conf", "conf-check"], directory, whole)


@pytest.mark.parametrize(("line", "answer"), [("", dns.rcode.REFUSED), ("as printed", dns.rcode.NOERROR)])
def test_unbound_refuses_a_notify_from_an_address_that_access_control_does_not_know(
    printed: Print, tmp_path: Path, line: str, answer: dns.rcode.Rcode
) -> None:
    """The line that is printed is what makes it listen; here loopback is closed as any other address is."""
    text = printed("plain", "unbound").replace("203.0.113.9", "127.0.0.1").replace("/var/lib/unbound", str(tmp_path))
    if not line:
        text = re.sub(r" +access-control: .*\n", "", text)
    port = free_port()
    closed = "server:\n    access-control: 127.0.0.0/8 refuse\n"

    with unbound(tmp_path, unbound_config(tmp_path, port, 53, closed + text), port):
        notify = dns.message.make_query("block.rpz.", "SOA")
        notify.set_opcode(dns.opcode.NOTIFY)
        assert dns.query.udp(notify, "127.0.0.1", port=port, timeout=5).rcode() == answer


@pytest.mark.parametrize("name", ["keyed", "plain"])
def test_knot_accepts_what_is_printed_for_it(printed: Print, tmp_path: Path, name: str) -> None:
    text = printed(name, "knot")

    check_knot(tmp_path, text)
    assert text.count("key: keyed-20261122") == (2 if name == "keyed" else 0)
    assert 'include: "/etc/knot/pulih.conf"' in text


@pytest.mark.parametrize("name", ["keyed", "plain"])
def test_nsd_accepts_what_is_printed_for_it(printed: Print, tmp_path: Path, name: str) -> None:
    text = printed(name, "nsd", resolver="192.0.2.60:53")

    (tmp_path / "nsd.conf").write_text(nsd_config(tmp_path, free_port(), text))
    checked([find("nsd-checkconf", "nsd"), tmp_path / "nsd.conf"], tmp_path, text)
    key = "keyed-20261122" if name == "keyed" else "NOKEY"
    assert f"request-xfr: 203.0.113.9@53 {key}\n    allow-notify: 203.0.113.9 {key}\n" in text
    assert "store-ixfr: yes" in text
    assert "notify: 192.0.2.60@53 NOKEY\n    provide-xfr: 192.0.2.60 NOKEY\n" in text


def test_powerdns_4_polls_has_time_and_says_why(printed: Print, tmp_path: Path) -> None:
    policy, settings = (printed("keyed", "powerdns", part=part) for part in ("policy", "settings"))

    assert (
        re.sub(r'tsigsecret = "[^"]+"', 'tsigsecret = "..."', policy)
        == """\
rpzPrimary({"203.0.113.9:53"}, "block.rpz", {
    tsigname = "keyed-20261122",
    tsigalgo = "hmac-sha256",
    tsigsecret = "...",
    refresh = 10, -- seconds: it hears no NOTIFY, so it polls (tidak mendengar NOTIFY)
    axfrTimeout = 600, -- seconds in all, for increments too: at the default of 20 a large zone never arrives
    extendedErrorCode = 16, -- EDE: Censored
    extendedErrorExtra = "Diblokir atas perintah / blocked by order: https://pulih.example",
    seedFile = "/var/lib/pulih/block.rpz", -- it blocks after a restart without us
    dumpFile = "/var/lib/pulih/block.rpz", -- (tetap memblokir setelah mulai ulang)
})
"""
    )
    assert settings == "packetcache-ttl=5\n"
    (tmp_path / "recursor.conf").write_text(pdns_recursor_config(free_port(), 53, settings))
    binary = find("pdns_recursor", "pdns-recursor")
    checked([binary, "--config=check", f"--config-dir={tmp_path}"], tmp_path, settings)
    whole = printed("keyed", "powerdns")
    assert policy in whole
    assert settings in whole
    assert "includeSOA = true" in printed("keyed", "powerdns", release="4.9")


def test_powerdns_without_a_key_has_no_tsig(printed: Print) -> None:
    assert "tsig" not in printed("plain", "powerdns", part="policy")
    assert "tsig:" not in printed("plain", "powerdns", release="5.2")


def test_powerdns_from_5_1_on_reads_yaml_and_is_notified(printed: Print) -> None:
    text = printed("keyed", "powerdns", release="5.1.3")

    settings = "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))
    assert (
        re.sub(r'secret: "[^"]+"', 'secret: "..."', settings)
        == """\
incoming:
  allow_notify_for: [ "block.rpz" ]
  allow_notify_from: [ "203.0.113.9" ]
packetcache:
  ttl: 5
  negative_ttl: 5
recursor:
  rpzs:
    - name: "block.rpz"
      addresses: [ "203.0.113.9:53" ]
      tsig:
        name: "keyed-20261122"
        algo: "hmac-sha256"
        secret: "..."
      refresh: 60   # seconds, should no NOTIFY arrive (bila NOTIFY tidak sampai)
      axfrTimeout: 600   # seconds in all, for increments too: at the default of 20 a large zone never arrives
      extendedErrorCode: 16   # EDE: Censored
      extendedErrorExtra: "Diblokir atas perintah / blocked by order: https://pulih.example"
      includeSOA: true
      seedFile: "/var/lib/pulih/block.rpz"   # it blocks after a restart without us
      dumpFile: "/var/lib/pulih/block.rpz"   # (tetap memblokir setelah mulai ulang)"""
    )
    assert "pulih.lua" in printed("keyed", "powerdns", release="5.0.9")


def test_ipv6_is_written_as_each_reads_it(printed: Print, tmp_path: Path) -> None:
    server = "[2001:db8::9]:5300"

    assert "primary: 2001:db8::9@5300" in printed("plain", "unbound", public=server)
    assert "access-control: 2001:db8::9/128" in printed("plain", "unbound", public=server)
    assert '{"[2001:db8::9]:5300"}' in printed("keyed", "powerdns", public=server)
    check_unbound(tmp_path, printed("plain", "unbound", public=server))
    check_knot(tmp_path, printed("keyed", "knot", public=server))
    (tmp_path / "nsd.conf").write_text(nsd_config(tmp_path, free_port(), printed("keyed", "nsd", public=server)))
    checked([find("nsd-checkconf", "nsd"), tmp_path / "nsd.conf"], tmp_path, "")


def test_knot_resolver_5_keeps_exceptions_in_reach_of_forwarding(printed: Print) -> None:
    assert (
        printed("keyed", "knot-resolver", part="policy")
        == """\
local pulih = policy.rpz(
    policy.DENY_MSG('Diblokir atas perintah / blocked by order: https://pulih.example', kres.extended_error.CENSORED),
    '/var/lib/pulih/block.rpz', true) -- true: it is read again when it changes (dibaca ulang bila berubah)
policy.add(function (request, query)
    local action = pulih(request, query)
    -- PASS would also pass by your rules behind this one, as those that forward (pengecualian tetap diteruskan)
    if action ~= policy.PASS then return action end
end)
"""
    )


def test_knot_resolver_6_is_warned_of(printed: Print) -> None:
    text = printed("keyed", "knot-resolver", release="6.0.15")

    assert "reads an exact rule as a rule for everything below it, and skips\n# exceptions" in text
    assert "    - file: /var/lib/pulih/block.rpz\n      watchdog: true\n" in text
    assert "TAKE CARE" not in printed("keyed", "knot-resolver")


def test_systemd_accepts_the_units(printed: Print, tmp_path: Path) -> None:
    service, timer = tmp_path / "pulih-fetch.service", tmp_path / "pulih-fetch.timer"
    script = tmp_path / "pulih-fetch"
    for file, part in ((service, "service"), (timer, "timer"), (script, "script")):
        file.write_text(printed("keyed", "knot-resolver", part=part).replace("/usr/local/sbin", str(tmp_path)))
    script.chmod(0o755)

    said = checked([find("systemd-analyze", "systemd"), "verify", service, timer], tmp_path, service.read_text())

    assert said == ""
    assert checked(["sh", "-n", script], tmp_path, script.read_text()) == ""


def test_a_redirect_is_not_printed_for_knot_resolver_5_which_ignores_it(
    database: Database, settings: Settings, now: dt.datetime
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now)
    settings = settings.model_copy(update={"zones": "block.rpz=nxdomain,landing.rpz=redirect:landing.example"})

    def asked(release: str, zone: str) -> str:
        with database.write() as session:
            command = PrintConfig("isp-one", "knot-resolver", release, zone)
            return config(session, ROOT, command, now, settings=settings)

    with pytest.raises(Conflict, match=r"landing.rpz redirects to landing.example, and Knot Resolver 5.6 ignores"):
        asked("5.6", "landing.rpz")
    assert "landing.rpz" in asked("6.3", "landing.rpz")
    assert "block.rpz" in asked("5.6", "block.rpz")


@pytest.mark.parametrize(
    ("notify", "resolver", "listen", "said"),
    [
        ([], "127.0.0.1:53", "[ 127.0.0.1@5301 ]", "Nobody is notified"),
        (["192.0.2.53:53"], "127.0.0.1:53", "[ 127.0.0.1@5301 ]", "Register again with --notify ADDRESS:5301"),
        (["192.0.2.53:53"], "192.0.2.60:53", "[ 127.0.0.1@53, 192.0.2.53@53 ]", ""),
        (["192.0.2.53:5354"], "127.0.0.1:53", "[ 127.0.0.1@5354, 192.0.2.53@5354 ]", ""),
        (["127.0.0.1:5354"], "127.0.0.1:53", "[ 127.0.0.1@5354 ]", ""),
    ],
)
def test_a_relay_listens_where_notify_goes_unless_the_resolver_has_that_port(
    database: Database,
    settings: Settings,
    now: dt.datetime,
    notify: list[str],
    resolver: str,
    listen: str,
    said: str,
) -> None:
    registered(database, "isp-one", "192.0.2.0/24", now=now, notify=notify)

    with database.write() as session:
        text = config(session, ROOT, PrintConfig("isp-one", "knot", resolver=resolver), now, settings=settings)

    assert f"listen: {listen}\n" in text
    assert said in text
    assert said or ("Register again" not in text and "Nobody is notified" not in text)


def test_what_does_not_fit_together_is_refused(
    printed: Print, database: Database, settings: Settings, now: dt.datetime
) -> None:
    with pytest.raises(Unprocessable, match=r"bind behind 'knot'; there is --for unbound --relay knot"):
        printed("keyed", "bind", relay="knot")
    with pytest.raises(Unprocessable, match=r"unbound behind 'nsd'"):
        printed("keyed", "unbound", relay="nsd")
    with pytest.raises(NotFound, match=r"unbound has no part 'relay'"):
        printed("plain", "unbound", part="relay")
    with pytest.raises(Unprocessable, match=r"powerdns 4.5 is too old: from 4.6 on"):
        printed("keyed", "powerdns", release="4.5")
    with pytest.raises(SettingInvalid, match=r"'not a port' is not HOST:PORT"):
        printed("keyed", "knot", resolver="not a port")
    quoted = settings.model_copy(update={"public_url": 'https://pulih.example/"})os.exit()--'})
    with database.write() as session, pytest.raises(SettingInvalid, match=r"PULIH_PUBLIC_URL .* is not an address"):
        config(session, ROOT, PrintConfig("keyed", "powerdns"), now, settings=quoted)


@pytest.mark.parametrize("release", ["1.17", "1.26.0"])
def test_unbound_has_one_form_for_all_releases(printed: Print, release: str) -> None:
    assert printed("plain", "unbound", release=release, part="resolver") == printed("plain", "unbound", part="resolver")
