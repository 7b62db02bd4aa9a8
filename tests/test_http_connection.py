"""Hostile HTTP: what is smuggled, cut, spun out, misaddressed or far too much is refused, and others are served on."""

import contextlib
import inspect
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app import http_connection
from app.front_door import MAX_BODY_OCTETS, host_of
from app.settings import Settings
from tests.conftest import Application
from tests.planted import planted
from tests.planted.connection import PLANTS
from tests.problem_documents import check_shape
from tests.service import ZONE, FrozenClock, Service, Template, copy_of, running, serving, settings_in

pytestmark = pytest.mark.long

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/orders HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /api/v1/categories HTTP/1.1\r\nHost: x\r\n\r\n"

REFUSED = {
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde" + SMUGGLED,
    "length and chunks": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a coding twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd" + SMUGGLED,
    "a folded line": GET + b"X-A: b\r\n c\r\nTransfer-Encoding:\r\n chunked, x\r\n\r\n",
    "a bare carriage return": GET + b"X-A: b\rTransfer-Encoding: chunked\r\n\r\n",
    "a NUL": GET + b"X-A: b\0c\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "another version": b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "nothing but noise": bytes(range(128, 256)) * 8,
    "a head without end": GET + b"X-A: " + b"a" * 70_000,
    "very many headers": GET + b"".join(b"X-%d: a\r\n" % number for number in range(9_000)),
    "a length that is none": POST + b"Content-Length: 0x10\r\n\r\n",
    "a length below nothing": POST + b"Content-Length: -1\r\n\r\n",
    "a chunk that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}
"""Each is answered with one refusal, if with anything, and what follows in the same connection never is."""


@pytest.fixture
def address(application: Application) -> tuple[str, int]:
    """Of what needs no database to answer."""
    host, _, port = application.address.removeprefix("http://").partition(":")
    return host, int(port)


def answers(address: tuple[str, int], octets: bytes, *, patience: float = 10, close: bool = False) -> bytes:
    """All that comes back for some octets until the service closes, or until `patience` seconds went by."""
    with socket.create_connection(address, timeout=patience) as connection:
        connection.sendall(octets)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def get(url: str, **headers: str) -> httpx.Response:
    """One request over a connection of its own, without the certificates that httpx would load for it."""
    with httpx.Client(verify=False) as client:
        return client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def read_all(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while octets := connection.recv(65_536):
            found += octets
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of patience in place of ten."""
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http_connection, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(http_connection, "LOOK_SECONDS", 0.05)


@pytest.mark.parametrize("what", REFUSED)
def test_what_two_servers_could_read_in_two_ways_is_refused(address: tuple[str, int], what: str) -> None:
    told = answers(address, REFUSED[what], close=True)

    assert told.count(b"HTTP/1.1 ") == told.count(b"HTTP/1.1 4"), told
    assert b"gambling" not in told
    assert get(f"http://{address[0]}:{address[1]}/healthz").text == "ok\n"


def test_a_plain_request_behind_another_is_two_requests(address: tuple[str, int]) -> None:
    """What the corpus above is measured by: pipelined requests are both answered."""
    told = answers(address, GET + b"\r\n" + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    assert told.count(b"HTTP/1.1 200") == 2
    assert b"gambling" in told


def test_every_prefix_of_a_request_is_nothing(address: tuple[str, int]) -> None:
    whole = POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    for length in range(0, len(whole) - 2, 7):
        assert b"HTTP/1.1 2" not in answers(address, whole[:length], close=True)


def test_no_part_of_a_zone_file_is_given(service: Service) -> None:
    """A thousand overlapping ranges of a large file are much work for little; so there are none."""
    service.block()
    service.publish()
    whole = service.get(f"zones/{ZONE}/export.rpz", by="isp-1")
    for ranges in ("bytes=0-10", "bytes=" + ",".join("0-" for _ in range(500)), "bytes=5-1", "x"):
        part = service.get(f"zones/{ZONE}/export.rpz", by="isp-1", Range=ranges)

        assert (part.status_code, part.content) == (200, whole.content)
        assert not {"content-range", "accept-ranges"} & set(part.headers)


def test_a_body_that_says_it_is_too_long_is_refused_unread(address: tuple[str, int]) -> None:
    told = answers(address, POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n[" % (MAX_BODY_OCTETS + 1))
    assert b'"too_large"' in told


def test_a_body_that_does_not_say_is_cut_off_where_it_has_become_too_long(service: Service) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 4 * MAX_BODY_OCTETS:
            sent += 65_536
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    answer = service.request("POST", "orders", by="operator-1", content=endless(), headers=headers)
    assert check_shape(answer)["code"] == "too_large"
    assert sent > MAX_BODY_OCTETS


@pytest.mark.parametrize("depth", [100, 10_000, 1_000_000])
def test_deep_json_is_refused_at_once(service: Service, depth: int) -> None:
    headers = {"Content-Type": "application/json"}
    for opening, closing in ((b"[", b"]"), (b'{"conditions":', b"}")):
        body = opening * depth + b"1" + closing * depth
        response = service.request("POST", "orders", by="operator-1", content=body, headers=headers)
        assert check_shape(response)["code"] in {"body_invalid", "too_large"}


def test_a_request_of_another_host_is_refused_where_hosts_are_named(template: Template, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, hosts="pulih.example, Other.example", public_url="https://front.example/x")
    database = copy_of(template, settings)
    with running(settings, database, FrozenClock()) as address:
        for host in ("pulih.example", "PULIH.example:8443", "other.example", "front.example", "127.0.0.1", "[::1]:80"):
            assert get(f"{address}/healthz", Host=host).status_code == 200
        for host in ("evil.example", "pulih.example.evil.example", "xpulih.example", "pulih.example:80:80", "-"):
            refused = get(f"{address}/healthz", Host=host)
            assert refused.status_code == 421
            assert check_shape(refused)["code"] == "host_unknown"
    database.close()


def test_a_host_has_no_port_and_no_case() -> None:
    assert [host_of(each) for each in ("A.b", "a.b:80", "[::1]:80", "[::1]", "")] == [
        "a.b",
        "a.b",
        "[::1]",
        "[::1]",
        "",
    ]


def test_no_answer_repeats_the_host_of_its_request(service: Service) -> None:
    """A path with a slash too many is not there, rather than elsewhere."""
    for path in ("/api/v1/orders/", "/api/docs/", "//evil.example/", "/healthz/"):
        answer = service.request("GET", path, by=None, headers={"Host": "evil.example"})
        assert answer.status_code in {401, 404}
        assert "location" not in answer.headers
        assert "evil.example" not in answer.text


@contextlib.contextmanager
def telling(settings: Settings) -> Iterator[str]:
    """An application that answers with the address it takes its client for."""

    async def tell(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})

    app = FastAPI()
    app.state.settings = settings
    app.mount("/", tell)
    with serving(app) as address:
        yield address


@pytest.mark.parametrize(
    ("proxies", "said", "taken_for"),
    [
        ("", "192.0.2.1", "127.0.0.1"),
        ("192.0.2.0/24", "198.51.100.1", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.0/8", "203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.1, 192.0.2.0/24", "203.0.113.9, 198.51.100.1, 192.0.2.1", "198.51.100.1"),
    ],
    ids=["nobody is believed", "nor who is not named", "one is", "no more than it says itself", "one behind another"],
)
def test_only_a_named_proxy_says_who_asks(tmp_path: Path, proxies: str, said: str, taken_for: str) -> None:
    with telling(settings_in(tmp_path, trusted_proxies=proxies)) as address:
        assert get(address, X_Forwarded_For=said).text == taken_for


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("begun", [b"", b"GET /heal", GET, POST + b"Content-Length: 90\r\n\r\n{"])
def test_who_spins_a_request_out_is_cut_off(address: tuple[str, int], begun: bytes) -> None:
    """An octet now and then does not help."""
    began = time.monotonic()
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(begun)
        with contextlib.suppress(OSError):
            while time.monotonic() < began + 8:
                time.sleep(0.1)
                connection.sendall(b"x")
        assert read_all(connection).count(b"HTTP/1.1 2") == 0
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("hasty")
def test_a_body_may_take_its_time_at_a_fair_rate(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "LEAST_RATE", 1_000.0)

    def slowly() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.15)
            yield b" " * 1_000

    headers = {"Authorization": f"Bearer {service.tokens['operator-1']}", "Content-Type": "application/json"}
    assert service.client.post("/api/v1/orders", content=slowly(), headers=headers).status_code == 422


@pytest.mark.usefixtures("hasty")
def test_who_does_not_take_an_answer_is_cut_off(address: tuple[str, int]) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(10)
        connection.connect(address)
        connection.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 60)
        time.sleep(2)
        taken = read_all(connection)
    assert taken.count(b"HTTP/1.1 200") < 60


def test_a_crowd_that_says_nothing_gives_way_to_who_comes(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "MOST_OF_ADDRESS", 20)
    crowd = [socket.create_connection(address) for _ in range(100)]
    try:
        for connection in crowd:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /heal")
        for _ in range(5):
            assert get(f"http://{address[0]}:{address[1]}/healthz").text == "ok\n"
        assert sum(is_open(connection) for connection in crowd) <= 20
    finally:
        for connection in crowd:
            connection.close()


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_no_web_socket_is_spoken(address: tuple[str, int]) -> None:
    upgrade = b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

    assert b" 101 " not in answers(address, GET + upgrade + b"Sec-WebSocket-Key: eA==\r\n\r\n")


class Caught(NamedTuple):
    """By which test a bug is caught, what that says, and which of its parameters it has."""

    test: Callable[..., None]
    says: str
    given: Mapping[str, object] = {}
    fixtures: tuple[str, ...] = ()


CAUGHT: Mapping[str, Caught] = {
    "patience-without-end": Caught(test_who_spins_a_request_out_is_cut_off, "< 5", {"begun": b""}, ("hasty",)),
    "room-for-everybody": Caught(test_a_crowd_that_says_nothing_gives_way_to_who_comes, "<= 20"),
    "any-proxy-believed": Caught(
        test_only_a_named_proxy_says_who_asks,
        "192.0.2.1",
        {"proxies": "", "said": "192.0.2.1", "taken_for": "127.0.0.1"},
    ),
    "any-host-answered": Caught(test_a_request_of_another_host_is_refused_where_hosts_are_named, "200 == 421"),
    "ranges-served": Caught(test_no_part_of_a_zone_file_is_given, "206"),
    "bodies-without-end": Caught(test_a_body_that_does_not_say_is_cut_off_where_it_has_become_too_long, "too_large"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_caught(plant: str, request: pytest.FixtureRequest) -> None:
    test, says, given, fixtures = CAUGHT[plant]
    needed = [name for name in inspect.signature(test).parameters if name not in given]
    arguments = {name: request.getfixturevalue(name) for name in (*fixtures, *needed)}
    with planted(plant), pytest.raises(AssertionError, match=says):
        test(**{name: arguments[name] for name in needed}, **given)
