"""The zone as a file over HTTP: entity tags, 304, HEAD, lengths, gzip, and the same bytes every time."""

import gzip
import hashlib
import os
import stat
import threading
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app.publication import zones
from app.settings import Settings
from resolver_policy import formats
from resolver_policy.formats import cdb
from tests.service import ZONE, Service, problem

PATH = f"zones/{ZONE}/export.rpz"
IDENTITY = {"Accept_Encoding": "identity"}


@pytest.fixture
def filled(service: Service) -> Service:
    service.block("a.example", "*.b.example")
    service.exception("ok.b.example")
    service.publish()
    return service


class Fetched(NamedTuple):
    """An answer, its octets as they came."""

    status_code: int
    headers: httpx.Headers
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


def fetch(service: Service, method: str = "GET", path: str = PATH, **headers: str) -> Fetched:
    """A request with these headers; what comes is not unpacked."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent.setdefault("Accept-Encoding", "identity")
    sent["Authorization"] = f"Bearer {service.tokens['isp-1']}"
    with service.client.stream(method, f"/api/v1/{path}", headers=sent) as response:
        return Fetched(response.status_code, response.headers, b"".join(response.iter_raw()))


def test_the_zone_is_a_master_file(filled: Service) -> None:
    response = fetch(filled)

    assert response.headers["Content-Type"].startswith("text/dns")
    serial = filled.read(f"zones/{ZONE}")["serial"]
    assert [line for line in response.text.splitlines() if not line.startswith(";")] == [
        f"block.rpz. 60 IN SOA localhost. normalisation.invalid. {serial} 300 60 2592000 60",
        "block.rpz. 60 IN NS localhost.",
        "a.example.block.rpz. 60 IN CNAME .",
        "b.example.block.rpz. 60 IN CNAME .",
        "*.b.example.block.rpz. 60 IN CNAME .",
        "ok.b.example.block.rpz. 60 IN CNAME rpz-passthru.",
        "*.ok.b.example.block.rpz. 60 IN CNAME .",
    ]


def test_an_export_says_its_serial_its_length_and_its_digest(filled: Service) -> None:
    response = fetch(filled)

    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.headers["X-Content-SHA256"] == hashlib.sha256(response.content).hexdigest()
    assert response.headers["X-Zone-Serial"] == str(filled.read(f"zones/{ZONE}")["serial"])
    assert "Last-Modified" in response.headers
    assert response.headers["ETag"].startswith('"')


def test_the_other_format_has_the_names(filled: Service) -> None:
    response = fetch(filled, path=f"zones/{ZONE}/export.domains")

    assert [line for line in response.text.splitlines() if not line.startswith("#")] == ["a.example", "b.example"]


def test_a_format_that_is_not_there_is_not_found(filled: Service) -> None:
    answer = problem(filled.get(f"zones/{ZONE}/export.nonsense", by="isp-1"), 404, "not_found")

    assert "rpz" in answer["detail"]


def test_an_export_that_was_seen_is_not_sent_again(filled: Service) -> None:
    tag = fetch(filled).headers["ETag"]

    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = fetch(filled, If_None_Match=header)
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", tag)
    assert fetch(filled, If_None_Match='"other"').status_code == 200


def test_a_change_has_another_tag(filled: Service) -> None:
    tag = fetch(filled).headers["ETag"]
    filled.block("c.example")
    filled.publish()

    response = fetch(filled, If_None_Match=tag)
    assert response.status_code == 200
    assert response.headers["ETag"] != tag


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_has_the_headers_of_get_and_no_body(filled: Service, encoding: str) -> None:
    get, head = (fetch(filled, method, Accept_Encoding=encoding) for method in ("GET", "HEAD"))

    assert head.content == b""
    for name in ("ETag", "Content-Length", "Content-Type", "X-Zone-Serial", "X-Content-SHA256", "Last-Modified"):
        assert head.headers[name] == get.headers[name]


def test_gzip_holds_the_same_octets(filled: Service) -> None:
    plain, packed = fetch(filled), fetch(filled, Accept_Encoding="br, GZIP;q=0.5")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Length"] == str(len(packed.content))
    assert packed.headers["Vary"] == "Accept-Encoding, Authorization"
    assert gzip.decompress(packed.content) == plain.content
    assert packed.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize("accepted", ["identity", "", "br", "gzip;q=0", "gzip; q=0.0", "x-gzip"])
def test_gzip_comes_only_to_those_who_take_it(filled: Service, accepted: str) -> None:
    response = fetch(filled, Accept_Encoding=accepted)

    assert "Content-Encoding" not in response.headers
    assert response.text.startswith("block.rpz. 60 IN SOA")


def test_either_tag_says_that_an_export_was_seen(filled: Service) -> None:
    plain, packed = (fetch(filled, Accept_Encoding=coding).headers["ETag"] for coding in ("identity", "gzip"))

    for tag in (plain, packed):
        for coding in ("identity", "gzip"):
            assert fetch(filled, If_None_Match=tag, Accept_Encoding=coding).status_code == 304


def files(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "exports" / ZONE).glob("*"))


def test_the_same_state_gives_the_same_octets(filled: Service, settings: Settings) -> None:
    kept = {path.name: path.read_bytes() for path in _fetched(filled, settings)}
    for path in files(settings):
        path.unlink()

    assert {path.name: path.read_bytes() for path in _fetched(filled, settings)} == kept


def _fetched(service: Service, settings: Settings) -> list[Path]:
    fetch(service)
    fetch(service, path=f"zones/{ZONE}/export.domains")
    return files(settings)


def test_a_file_is_written_once_for_a_serial(filled: Service, settings: Settings) -> None:
    fetch(filled)
    before = {path: path.stat().st_mtime_ns for path in files(settings)}
    fetch(filled)

    assert {path: path.stat().st_mtime_ns for path in files(settings)} == before


def test_old_files_are_dropped_and_the_newest_kept(service: Service, settings: Settings) -> None:
    for number in range(6):
        service.block(f"n{number}.example")
        service.publish()
        fetch(service)

    names = [path.name for path in files(settings)]
    assert len(names) == 3 * 5
    assert {name.partition(".")[0].rpartition("-")[0] for name in names} == {
        f"1-{service.read(f'zones/{ZONE}')['serial'] - back}" for back in range(3)
    }


def test_many_at_once_all_get_the_whole_file(filled: Service, settings: Settings) -> None:
    """The first request for a serial writes the file; here thirty-two are the first, and come again while others do."""
    digests: list[str] = []

    def get() -> None:
        headers = {"Authorization": f"Bearer {filled.tokens['isp-1']}"}
        with httpx.Client(base_url=filled.address, headers=headers, timeout=60, verify=False) as client:
            for _ in range(4):
                answer = client.get(f"/api/v1/{PATH}")
                digests.append(f"{answer.status_code} {hashlib.sha256(answer.content).hexdigest()}")

    threads = [threading.Thread(target=get) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(digests) == {f"200 {hashlib.sha256(fetch(filled).content).hexdigest()}"}
    assert [path.name for path in files(settings) if path.name.startswith(".")] == []


def test_files_are_durable_before_their_digest_says_that_they_are_whole(
    filled: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    not_durable: list[set[Path]] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def looked(path: Path, target: Path) -> Path:
        if target.suffix == ".sha256":
            not_durable.append({each for each in (path.parent, *files(settings)) if each.stat().st_ino not in synced})
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", looked)
    fetch(filled)

    assert not_durable == [set()]
    assert {stat.S_IMODE(each.stat().st_mode) for each in files(settings)} == {0o640}


def test_nothing_that_an_operator_wrote_is_in_a_zone(service: Service) -> None:
    service.block("a.example", number="SECRET-1", authority="SECRET", reason={"id": "SECRET", "en": "SECRET"})
    service.publish()

    for chosen in formats.FORMATS:
        octets = fetch(service, path=f"zones/{ZONE}/export.{chosen.name}").content
        assert octets
        assert (b"SECRET" in octets) is (chosen.name in {"csv", "jsonl"}), chosen.name


@pytest.mark.parametrize("chosen", formats.FORMATS, ids=lambda chosen: str(chosen.name))
def test_every_format_comes_with_its_type_and_is_not_guessed_at(filled: Service, chosen: formats.Format) -> None:
    response = fetch(filled, path=f"zones/{ZONE}/export.{chosen.name}")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(chosen.media_type)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Content-SHA256"] == hashlib.sha256(response.content).hexdigest()


def test_a_zone_that_a_format_cannot_hold_is_refused_and_leaves_no_file(
    filled: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdb, "LONGEST_FILE", 2_100)

    problem(filled.get(f"zones/{ZONE}/export.cdb", by="isp-1"), 413, "too_large")

    assert files(settings) == []


def test_the_last_line_carries_the_serial(filled: Service) -> None:
    response = fetch(filled)

    assert response.text.splitlines()[-1].startswith(
        f"; end: serial={response.headers['X-Zone-Serial']} lines=7 sha256="
    )


def test_a_layer_is_not_exported(filled: Service) -> None:
    """Its reader would be waited for by no rebase."""
    with filled.database.write() as session:
        zones.publish_layers(session, filled.clock())
    filled.publish()
    for layer in ("base", "urgent"):
        told = problem(filled.get(f"zones/{layer}.{ZONE}/export.rpz", by="isp-1"), 409, "state_conflict")
        assert f"take {ZONE}" in told["detail"]
