"""A thousand secrets are planted, used rightly and wrongly, and then looked for in all that the service keeps and says.

A tenth of them on CI; `PULIH_TEST_SCALE=10` makes it a thousand.
"""

import base64
import io
import logging
import zipfile
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from sqlalchemy import select

from app import logs
from app.auth import tokens
from app.db import Database
from app.logs import redacted
from app.subscribers import keys, register
from app.tables import metadata
from tests import databases
from tests.policy.scale import Record, scaled, tell
from tests.service import HOST, NOW, ZONE, Service, an_order

SECRETS = 100
"""TSIG secrets and tokens, half and half, times PULIH_TEST_SCALE."""

ALGORITHMS: tuple[keys.Algorithm, ...] = ("hmac-sha256", "hmac-sha384", "hmac-sha512")


class Planted(list[bytes]):
    """Secrets in every form in which one could be written down."""

    def add_octets(self, octets: bytes) -> None:
        self += [octets, octets.hex().encode(), base64.b64encode(octets), base64.urlsafe_b64encode(octets).rstrip(b"=")]

    def add_token(self, text: str) -> None:
        self += [text.encode(), text.removeprefix(tokens.PREFIX).encode()]

    def found_in(self, kept: bytes) -> list[bytes]:
        return [secret for secret in self if secret in kept]


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Everything that is logged, at its most talkative, as it would be written."""
    stream = io.StringIO()
    handlers = [logging.StreamHandler(stream), logging.StreamHandler(stream)]
    handlers[0].setFormatter(logs.Text("%(message)s"))
    handlers[1].setFormatter(logs.Json())
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))  # what the test itself says
        root.addHandler(handler)
    yield stream
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(level)


def plant(service: Service, count: int) -> tuple[Planted, list[str]]:
    """Subscribers with a key and a token each; the tokens once more, to be used."""
    planted, texts = Planted(), []
    with service.database.write() as session:
        secret_key = keys.secret_key(session, service.settings.secret_key_path)
        for number in range(count // 2):
            network = str(ip_network((0x0A000000 + number, 32)))
            algorithm = ALGORITHMS[number % len(ALGORITHMS)]
            command = register.AddSubscriber(f"isp-{number}x", (network,), algorithm=algorithm)
            added = register.add(session, HOST, command, NOW, secret_key=secret_key)
            assert added.tsig is not None
            planted.add_octets(added.tsig.secret)
            planted.add_token(added.token)
            texts.append(added.token)
    planted.add_octets(secret_key.octets)
    return planted, texts


def use(service: Service, text: str) -> Iterator[bytes]:
    """Answers to a token used as it should be, and as it should not."""
    right = {"Authorization": f"Bearer {text}"}
    for path in ("subscribers/me", f"zones/{ZONE}/export.rpz", f"zones/{ZONE}/export.csv", "orders"):
        yield service.request("GET", path, by=None, headers=right).content
    for wrong in (f"Basic {text}", f"Bearer {text}x", text, f"Bearer {text[:-1]}"):
        yield service.request("GET", "orders", by=None, headers={"Authorization": wrong}).content
    yield service.request("GET", "categories", by=None, headers={"If-Match": text, "X-Request-Id": text}).content


def broken(service: Service, text: str) -> None:
    """A token where anything else belongs, in requests that fail; what they answer is told to who sent it alone."""
    service.get(f"names/{text}")
    service.get(f"orders?text={text}")
    service.get(f"orders/{text}?cursor={text}")
    service.post("orders", an_order(category=text, number=text[:60] * 4), by="operator-1")


def dump(database: Database) -> bytes:
    """Every value of every row, and of SQLite the files as they lie there."""
    rows = []
    with database.read() as session:
        for table in metadata.sorted_tables:
            for row in session.execute(select(table)):
                rows += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(rows)


def exports(service: Service) -> Iterator[bytes]:
    for name in ("rpz", "csv", "jsonl"):
        yield service.get(f"zones/{ZONE}/export.{name}").content
    for path in ("audit/events?limit=500", "subscribers?limit=500", "audit/figures.json", "/metrics", "audit/keys"):
        yield service.get(path).content
    with zipfile.ZipFile(io.BytesIO(service.get("audit/export").content)) as archive:
        for name in archive.namelist():
            yield archive.read(name)


def test_no_secret_lies_or_is_told_in_clear(service: Service, said: io.StringIO, record_property: Record) -> None:
    count = scaled(SECRETS)
    planted, texts = plant(service, count)
    service.block()
    service.publish()
    for text in texts:
        for answer in use(service, text):
            assert planted.found_in(answer) == []
    for text in texts[:: max(1, len(texts) // 10)]:
        broken(service, text)
    databases.run(service.database, "ALTER TABLE orders RENAME COLUMN reason_en TO planted")
    for text in texts[:10]:
        broken(service, text)
    databases.run(service.database, "ALTER TABLE orders RENAME COLUMN planted TO reason_en")

    assert "no such column: orders.reason_en" in said.getvalue() or databases.KIND == "postgresql"
    assert planted.found_in(said.getvalue().encode()) == []
    assert planted.found_in(dump(service.database)) == []
    for octets in exports(service):
        assert planted.found_in(octets) == []
    key_file = service.settings.secret_key_path
    files = [path for path in service.settings.data_dir.rglob("*") if path.is_file() and path != key_file]
    for path in files:
        assert planted.found_in(path.read_bytes()) == [], path
    tell(record_property, secrets=count, forms=len(planted), files=len(files), log_octets=len(said.getvalue()))


def test_a_secret_in_clear_is_found(service: Service, said: io.StringIO) -> None:
    """What the search above is worth."""
    planted = Planted()
    planted.add_octets(b"0123456789abcdef0123456789abcdef")
    logging.getLogger("pulih.test").warning("%s", planted[0])
    service.propose(authority=planted[1].decode())

    assert planted.found_in(said.getvalue().encode()) == planted[:1]
    assert planted.found_in(dump(service.database)) == planted[1:2]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("token pulih_" + "aZ3_-" * 8 + "xyz gone", "token [secret] gone"),
        ("key " + base64.b64encode(bytes(range(32))).decode() + ",", "key [secret],"),
        ("key " + base64.b64encode(bytes(range(48))).decode() + ",", "key [secret],"),
        ("key " + base64.b64encode(bytes(range(64))).decode() + ",", "key [secret],"),
        ("postgresql://pulih:s3cret@127.0.0.1:5432/pulih", "postgresql://[secret]@127.0.0.1:5432/pulih"),
        ("sha256:" + "ab" * 32, "sha256:" + "ab" * 32),
        ("pulih_http_limited_total of /api/v1/orders", "pulih_http_limited_total of /api/v1/orders"),
    ],
)
def test_what_looks_like_a_secret_is_not_logged(line: str, written: str) -> None:
    assert redacted(line) == written
