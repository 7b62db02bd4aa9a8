"""Exports in the programs that read them, asked name by name: what they block against what the policy decides.

A format that cannot say all of a zone blocks less where its `limits` say so, and never more.
"""

import getpass
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import adblock
import pytest

from resolver_policy import formats
from resolver_policy.formats import Contents
from tests.policy.scale import Record, scaled, tell
from tests.policy.zones import zone
from tests.resolvers.policies import Policy, Question, made
from tests.resolvers.upstream import answer, opens, upstream
from tests.servers import find, free_port, running

SHOWN = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")

Blocks = Callable[[str], bool]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return made(scaled(40), 40)


def write(directory: Path, name: str, policy: Policy, action: str = "nxdomain") -> Path:
    chosen = formats.by_name(name)
    assert chosen is not None
    file = directory / f"block.rpz.{name}"
    contents = Contents(zone(action), 7, sorted(policy.rules.items()))
    file.write_bytes(b"".join(chosen.render(contents)))
    return file


@contextmanager
def dnsmasq(directory: Path, *arguments: str) -> Iterator[int]:
    """Dnsmasq with these arguments, asking `upstream`; yields its port."""
    port = free_port()
    with upstream() as above:
        common = (
            "--keep-in-foreground --no-resolv --no-hosts --cache-size=0 --listen-address=127.0.0.1 --bind-interfaces "
            f"--user={getpass.getuser()} --log-facility=- --pid-file= --server=127.0.0.1#{above} --port={port}"
        )
        command: list[str | Path] = [find("dnsmasq", "dnsmasq-base"), *common.split(), *arguments]
        with running(command, directory, port):
            yield port


@contextmanager
def unbound(directory: Path, extra: str, modules: str = "iterator") -> Iterator[int]:
    """Unbound with this in its configuration, asking `upstream`; yields its port."""
    port = free_port()
    with upstream() as above:
        config = directory / "unbound.conf"
        config.write_text(f"""server:
    directory: "{directory}"
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    num-threads: 1
    interface: 127.0.0.1@{port}
    do-not-query-localhost: no
    module-config: "{modules}"
{extra}
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{above}
""")
        checked = subprocess.run(
            [find("unbound-checkconf", "unbound"), config], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
        with running([find("unbound", "unbound"), "-d", "-c", config], directory, port):
            yield port


@contextmanager
def dnsdist(directory: Path, file: Path) -> Iterator[int]:
    """Dnsdist with the rules that docs/http.md shows, asking `upstream`; yields its port."""
    port = free_port()
    shown = re.search(r"^```lua\n(.*?)^```$", SHOWN, re.DOTALL | re.MULTILINE)
    assert shown
    rules = shown[1].replace("/etc/dnsdist/block.rpz.cdb", str(file))
    assert str(file) in rules
    with upstream() as above:
        config = directory / "dnsdist.conf"
        config.write_text(f"""setSecurityPollSuffix("")
setLocal("127.0.0.1:{port}")
newServer({{address="127.0.0.1:{above}", healthCheckMode="up"}})
{rules}""")
        command: list[str | Path] = [find("dnsdist", "dnsdist"), "--supervised", "--disable-syslog", "-C", config]
        with running(command, directory, port):
            yield port


def asked(policy: Policy, blocks: Blocks, record_property: Record) -> list[Question]:
    """Ask every question; nothing may be blocked that the policy leaves open. Gives what is open and should not be."""
    found = {question: blocks(question.name) for question in policy.questions}
    assert [question for question in found if found[question] and not question.blocked] == []
    less = [question for question in found if question.blocked and not found[question]]
    tell(record_property, asked=len(found), blocked=sum(found.values()), less=len(less))
    assert sum(found.values()) > len(found) / 20
    return less


def test_dnsmasq_blocks_what_the_policy_blocks(policy: Policy, tmp_path: Path, record_property: Record) -> None:
    with dnsmasq(tmp_path, f"--conf-file={write(tmp_path, 'dnsmasq', policy)}") as port:
        assert asked(policy, lambda name: not opens(port, name), record_property) == []


def test_dnsdist_blocks_what_the_policy_blocks(policy: Policy, tmp_path: Path, record_property: Record) -> None:
    with dnsdist(tmp_path, write(tmp_path, "cdb", policy)) as port:
        assert asked(policy, lambda name: not opens(port, name), record_property) == []


def test_unbound_reads_the_zone_from_a_file(policy: Policy, tmp_path: Path, record_property: Record) -> None:
    zone_file = f'rpz:\n    name: "block.rpz"\n    zonefile: "{write(tmp_path, "rpz", policy)}"'
    with unbound(tmp_path, zone_file, "respip iterator") as port:
        assert asked(policy, lambda name: not opens(port, name), record_property) == []


def test_unbound_leaves_open_what_is_blocked_only_below_a_name(
    policy: Policy, tmp_path: Path, record_property: Record
) -> None:
    with unbound(tmp_path, f'include: "{write(tmp_path, "unbound", policy)}"') as port:
        less = asked(policy, lambda name: not opens(port, name), record_property)

    def below_an_open_name(question: Question) -> bool:
        """No rule of its own, and the nearest above it: open itself, blocked below."""
        above, own, below = question.rules[0]
        return above != question.name and not own and below

    expected = [question for question in policy.questions if question.blocked and below_an_open_name(question)]
    assert sorted(less) == sorted(expected)
    assert expected


def test_hosts_blocks_the_names_themselves(policy: Policy, tmp_path: Path, record_property: Record) -> None:
    file = write(tmp_path, "hosts", policy)
    with dnsmasq(tmp_path, "--conf-file=/dev/null", f"--addn-hosts={file}") as port:
        less = asked(policy, lambda name: not opens(port, name), record_property)

    without_a_line = [
        question
        for question in policy.questions
        if question.blocked and not (question.rules[0][0] == question.name and question.rules[0][1])
    ]
    assert sorted(less) == sorted(without_a_line)


def test_a_filter_list_blocks_what_is_blocked_with_all_below_it(
    policy: Policy, tmp_path: Path, record_property: Record
) -> None:
    rules = adblock.FilterSet()
    rules.add_filter_list(write(tmp_path, "adblock", policy).read_text(), format="standard")
    engine = adblock.Engine(rules)

    def blocks(name: str) -> bool:
        return bool(engine.check_network_urls(f"https://{name}/", "https://reader.test/", "document").matched)

    less = asked(policy, blocks, record_property)
    assert [question for question in less if all(own and below for _, own, below in question.rules)] == []


def test_a_list_of_domains_holds_no_name_that_is_open(policy: Policy, tmp_path: Path, record_property: Record) -> None:
    listed = set(write(tmp_path, "domains", policy).read_text().splitlines()[:-1])
    asked(policy, lambda name: name in listed, record_property)


def test_unbound_answers_as_the_zone_does(policy: Policy, tmp_path: Path) -> None:
    with unbound(tmp_path, f'include: "{write(tmp_path, "unbound", policy, "nodata")}"') as port:
        assert answer(port, "q.1.2.3.4.example") == "192.0.2.1"
        assert answer(port, "q._dmarc._tcp.example") == "NODATA"
