"""The helpers that start real daemons: they start, answer and end, and a missing server is seen."""

from pathlib import Path

import dns.message
import dns.query
import pytest

from tests import servers

ZONE = """$TTL 60
@ IN SOA localhost. hostmaster.localhost. 1 60 60 60 60
@ IN NS localhost.
www IN A 192.0.2.1
"""


def start(directory: Path) -> tuple[str, int]:
    (directory / "test.zone").write_text(ZONE)
    port = servers.free_port()
    zone = 'zone "served.example" { type primary; file "test.zone"; };'
    return servers.named_config(directory, port, "    recursion no;", zone), port


def test_named_answers_what_its_configuration_says(tmp_path: Path) -> None:
    config, port = start(tmp_path)

    with servers.named(tmp_path, config, port) as server:
        answer = dns.query.tcp(dns.message.make_query("www.served.example", "A"), "127.0.0.1", port=port, timeout=5)

        assert answer.answer[0].to_text() == "www.served.example. 60 IN A 192.0.2.1"
        server.wait_for_log("zone served.example/IN: loaded serial 1")


def test_named_is_gone_afterwards_even_when_the_test_fails(tmp_path: Path) -> None:
    config, port = start(tmp_path)

    with pytest.raises(ZeroDivisionError), servers.named(tmp_path, config, port) as server:
        raise ZeroDivisionError

    assert server.process.poll() is not None
    assert not servers.answers_dns(port)


def test_a_refused_configuration_fails_with_what_the_checker_says(tmp_path: Path) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match="unknown option 'nonsense'"),
        servers.named(tmp_path, "nonsense;", servers.free_port()),
    ):
        pass


def test_a_daemon_that_ends_as_it_starts_fails_with_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match="status 3 as it started:\nno such luck"),
        servers.running(["/bin/sh", "-c", "echo no such luck; exit 3"], tmp_path, servers.free_port()),
    ):
        pass


def test_a_missing_server_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no-such-daemon is not installed"):
        servers.find("no-such-daemon", "bind9")


def test_a_missing_server_skips_elsewhere_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no-such-daemon is not installed: scripts/test-deps installs it"):
        servers.find("no-such-daemon", "bind9")


def test_ports_are_free_high_and_different() -> None:
    ports = [servers.free_port() for _ in range(20)]

    assert min(ports) >= 10_000
    assert len(set(ports)) > 1
