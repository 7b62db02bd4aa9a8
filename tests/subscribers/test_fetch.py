"""The script that keeps Knot Resolver's file fresh: only a whole, promised and newer file takes the old one's place."""

import gzip
import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.settings import Endpoint
from app.subscribers.snippets import knot_resolver
from app.subscribers.snippets.snippet import Facts
from resolver_policy.actions import Action
from tests.servers import find


def zone(serial: int, *names: str) -> bytes:
    """An export as it is served: its last line tells serial, lines and digest of what stands above it."""
    soa = f"block.rpz. 60 IN SOA localhost. normalisation.invalid. {serial} 3600 60 2592000 60\n"
    body = (soa + "".join(f"{name}.block.rpz. 60 IN CNAME .\n" for name in names)).encode()
    digest = hashlib.sha256(body).hexdigest()
    return body + f"; end: serial={serial} lines={1 + len(names)} sha256={digest}\n".encode()


@dataclass
class Site:
    """What is served, and what was asked."""

    port: int = 0
    body: bytes = b""
    promised: str | None = None
    status: int = 200
    cut: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)

    def serve(self, body: bytes) -> None:
        self.body, self.promised = body, hashlib.sha256(body).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers as `site` says, gzip where asked."""

    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers))
        etag = f'"{hashlib.sha256(site.body).hexdigest()[:8]}-gzip"'
        if site.status == 200 and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.send_header("ETag", etag)
            self.end_headers()
            return
        packed = gzip.compress(site.body)
        self.send_response(site.status)
        self.send_header("ETag", etag)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(packed)))
        if site.promised is not None:
            self.send_header("X-Content-SHA256", site.promised)
        self.end_headers()
        self.wfile.write(packed[: len(packed) - site.cut])

    def log_request(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    handler = type("OwnHandler", (Handler,), {"site": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.port = server.server_port
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Fetch:
    """The printed script, in a folder of its own."""

    site: Site
    folder: Path

    def __call__(self) -> tuple[int, str]:
        """Exit status, and what it said."""
        done = subprocess.run(["sh", self.folder / "script"], capture_output=True, text=True, check=False, timeout=30)
        assert [path for path in self.folder.iterdir() if path.name.startswith(".fetch")] == []
        return done.returncode, done.stdout + done.stderr

    @property
    def file(self) -> bytes:
        return (self.folder / "block.rpz").read_bytes()


@pytest.fixture
def fetch(site: Site, tmp_path: Path) -> Fetch:
    find("curl", "curl")
    facts = Facts(
        subscriber="isp-one",
        zone="block.rpz",
        action=Action("nxdomain"),
        server=Endpoint("127.0.0.1", 5300),
        site=f"http://127.0.0.1:{site.port}",
        tsig=None,
        addresses=("127.0.0.1/32",),
        notify=(),
        release=(5, 6),
        resolver=Endpoint("127.0.0.1", 53),
    )
    (tmp_path / "header").write_text("Authorization: Bearer the-token\n")
    script = knot_resolver.script(facts).replace("/etc/knot-resolver/pulih.header", str(tmp_path / "header"))
    (tmp_path / "script").write_text(script.replace("/var/lib/pulih", str(tmp_path)))
    return Fetch(site, tmp_path)


def test_a_whole_file_is_put_in_place_readable_by_others(site: Site, fetch: Fetch) -> None:
    site.serve(zone(7, "one.example", "two.example"))

    assert fetch() == (0, "pulih-fetch: block.rpz has serial 7\n")

    assert fetch.file == site.body
    assert (fetch.folder / "block.rpz").stat().st_mode & 0o777 == 0o644
    assert site.asked[0]["Authorization"] == "Bearer the-token"
    assert "gzip" in site.asked[0]["Accept-Encoding"]


def test_where_nothing_is_new_nothing_is_fetched_or_said(site: Site, fetch: Fetch) -> None:
    site.serve(zone(7, "one.example"))
    fetch()
    before = (fetch.folder / "block.rpz").stat()

    assert fetch() == (0, "")

    assert site.asked[1]["If-None-Match"].startswith('"')
    assert (fetch.folder / "block.rpz").stat().st_ino == before.st_ino


def test_a_newer_file_takes_its_place_in_one_step(site: Site, fetch: Fetch) -> None:
    site.serve(zone(7, "one.example"))
    fetch()
    before = (fetch.folder / "block.rpz").stat().st_ino
    site.serve(zone(8, "one.example", "two.example"))

    assert fetch() == (0, "pulih-fetch: block.rpz has serial 8\n")
    assert fetch.file == site.body
    assert (fetch.folder / "block.rpz").stat().st_ino != before, "renamed, never written in place"


def promise_another(site: Site) -> None:
    site.promised = "0" * 64


def promise_nothing(site: Site) -> None:
    site.promised = None


def cut_the_transfer(site: Site) -> None:
    site.cut = 20


def drop_the_last_line(site: Site) -> None:
    site.serve(b"".join(site.body.splitlines(keepends=True)[:-1]))


def drop_a_rule(site: Site) -> None:
    lines = site.body.splitlines(keepends=True)
    site.serve(b"".join(lines[:1] + lines[2:]))


def change_a_rule(site: Site) -> None:
    site.serve(site.body.replace(b"two.example", b"too.example"))


def tell_another_serial(site: Site) -> None:
    site.serve(site.body.replace(b"end: serial=8", b"end: serial=9"))


def step_back(site: Site) -> None:
    site.serve(zone(6, "one.example", "two.example"))


def refuse(site: Site) -> None:
    site.status = 401


def break_down(site: Site) -> None:
    site.status = 500


def serve_a_page(site: Site) -> None:
    site.serve(b"<html>\n<p>maintenance</p>\n</html>\n")


def serve_nothing(site: Site) -> None:
    site.serve(b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (promise_another, "not the SHA-256 that was promised"),
        (promise_nothing, "not the SHA-256 that was promised"),
        (cut_the_transfer, "not fetched"),
        (drop_the_last_line, "cut off"),
        (drop_a_rule, "cut off"),
        (change_a_rule, "cut off"),
        (tell_another_serial, "cut off"),
        (step_back, "older"),
        (refuse, "HTTP status 401"),
        (break_down, "HTTP status 500"),
        (serve_a_page, "cut off"),
        (serve_nothing, "cut off"),
    ],
)
def test_what_is_wrong_leaves_the_old_file_and_says_what(
    site: Site, fetch: Fetch, spoil: Callable[[Site], None], said: str
) -> None:
    site.serve(zone(7, "one.example"))
    fetch()
    old = fetch.file
    site.serve(zone(8, "one.example", "two.example"))
    good = site.body
    spoil(site)

    status, text = fetch()

    assert (status, text.splitlines()[-1]) == (1, f"pulih-fetch: {said}: the old file stays")
    assert fetch.file == old
    site.status, site.cut = 200, 0
    site.serve(good)
    assert fetch() == (0, "pulih-fetch: block.rpz has serial 8\n"), "what failed once is asked for again"


def test_a_server_that_is_away_leaves_the_old_file(site: Site, fetch: Fetch) -> None:
    site.serve(zone(7, "one.example"))
    fetch()
    script = fetch.folder / "script"
    script.write_text(script.read_text().replace(f":{site.port}/", ":1/"))

    status, text = fetch()

    assert (status, text.splitlines()[-1]) == (1, "pulih-fetch: not fetched: the old file stays")
    assert fetch.file == site.body


def test_a_lost_file_is_fetched_again(site: Site, fetch: Fetch) -> None:
    site.serve(zone(7, "one.example"))
    fetch()
    (fetch.folder / "block.rpz").unlink()

    assert fetch() == (0, "pulih-fetch: block.rpz has serial 7\n")
    assert fetch.file == site.body
