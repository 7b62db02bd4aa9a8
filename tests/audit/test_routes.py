"""The journal's proofs over HTTP: for anyone who wants to hold a checkpoint, for auditors, and with every export."""

import base64
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from app.audit import verify
from app.journal import notes, signing
from app.journal.append import leaf_hash
from app.journal.notes import PublicKey
from tests.audit.journals import contents, signer
from tests.service import HOST, HOUR, NOW, Json, Service, problem

SECRETS = ("Budi Santoso", "budi@mail.example", '127.0.0.1"')


def note_of(service: Service, query: str = "") -> str:
    """A checkpoint as anybody gets it."""
    answer = service.get(f"audit/checkpoint{query}", by=None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    return answer.text


def size_of(note: str) -> int:
    return verify.read(note)[1]


def path_of(answer: Json) -> list[bytes]:
    return [base64.b64decode(each) for each in answer["path"]]


def key_of(service: Service) -> PublicKey:
    return signer(service.database, service.settings).public


def test_a_checkpoint_is_for_anyone_and_grows_with_every_act(service: Service) -> None:
    first = note_of(service)
    service.propose()
    second = note_of(service)

    assert notes.is_signed(first, key_of(service))
    assert size_of(second) == size_of(first) + 1
    assert note_of(service, f"?size={size_of(first)}") == first


def test_the_same_journal_has_the_same_checkpoint(service: Service) -> None:
    assert note_of(service) == note_of(service)


def test_whoever_kept_a_checkpoint_can_have_the_next_one_proved(service: Service) -> None:
    first = note_of(service)
    service.lift(service.block())
    second = note_of(service)
    (_, older, before), (_, size, after) = verify.read(first), verify.read(second)

    answer = service.read(f"audit/proofs/consistency?from={older}&to={size}", by=None)

    assert verify.consistent(older, size, path_of(answer), before) == (before, after)
    assert service.read(f"audit/proofs/consistency?from={older}", by=None) == answer


def test_an_auditor_can_have_an_event_proved(service: Service) -> None:
    service.block()
    _, size, root = verify.read(note_of(service))
    event = service.events()[-1]
    body = json.dumps({key: event[key] for key in event if key != "leaf"}, ensure_ascii=False, separators=(",", ":"))

    answer = service.read(f"audit/proofs/inclusion?seq={event['seq']}&size={size}")

    assert leaf_hash(body.encode()).hex() == answer["leaf"] == event["leaf"]
    assert verify.included(bytes.fromhex(answer["leaf"]), event["seq"] - 1, size, path_of(answer)) == root


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint?size=0",
        "checkpoint?size=10000",
        "proofs/inclusion?seq=10000",
        "proofs/inclusion?seq=3&size=2",
        "proofs/consistency?from=3&to=2",
        "proofs/consistency?from=1&to=10000",
        "export?since=nonsense",
    ],
)
def test_what_the_journal_never_had_is_refused(service: Service, path: str) -> None:
    problem(service.get(f"audit/{path}"), 422, "body_invalid")


def test_a_checkpoint_that_is_not_of_this_journal_is_not_proved(service: Service) -> None:
    name, size, root = verify.read(note_of(service))
    forged = notes.Signer.of(name, bytes(32)).note(notes.Checkpoint(name, size, root).text)

    response = service.client.get(
        "/api/v1/audit/export",
        params={"since": forged},
        headers={"Authorization": f"Bearer {service.tokens['auditor-1']}"},
    )

    assert "no key of this journal signed" in problem(response, 422, "body_invalid")["detail"]


def exported(service: Service, path: Path, since: str | None = None) -> Path:
    response = service.client.get(
        "/api/v1/audit/export",
        params={} if since is None else {"since": since},
        headers={"Authorization": f"Bearer {service.tokens['auditor-1']}"},
    )
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    path.write_bytes(response.content)
    return path


def test_the_export_is_the_same_for_the_same_state_and_verifies(service: Service, tmp_path: Path) -> None:
    before = note_of(service)
    service.lift(service.block("\u00fcn\u00ef.example", reason={"id": "=1+1", "en": 'a "b"'}))
    service.publish()

    first, second = exported(service, tmp_path / "1.zip", before), exported(service, tmp_path / "2.zip", before)

    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {file.date_time for file in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert verify.verify(first, key_of(service).vkey, note_of(service)).startswith(f"OK: {size_of(note_of(service))} ")


def test_the_export_holds_what_the_journal_holds(service: Service, tmp_path: Path) -> None:
    service.block()
    service.publish()
    files = contents(exported(service, tmp_path / "journal.zip"))

    shown = service.read("audit/events?limit=500")["items"]
    assert [json.loads(line) for line in files["events.jsonl"].splitlines()] == [
        {key: event[key] for key in event if key != "leaf"} for event in shown
    ]
    head = service.read("zones/block.rpz")
    assert files["zones.csv"].decode().splitlines()[-1].split(",") == [
        "block.rpz",
        str(head["serial"]),
        "2026-11-22T03:00:00.000000Z",
        "1",
        "1",
        head["digest"],
    ]
    assert json.loads(files["manifest.json"])["size"] == len(shown)
    assert files["key.pem"].decode() == key_of(service).pem


def test_no_text_about_a_person_is_in_the_export(service: Service, tmp_path: Path) -> None:
    service.approve(service.propose(reporter="Budi Santoso", contact="budi@mail.example"))

    files = contents(exported(service, tmp_path / "journal.zip"))

    assert b'"reporter":"sha256:' in files["events.jsonl"]
    for name, octets in files.items():
        assert not [secret for secret in SECRETS if secret.encode() in octets], name


def test_a_spreadsheet_computes_nothing_of_it(service: Service, tmp_path: Path) -> None:
    service.block(authority="=cmd|' /C calc'!A0")
    files = contents(exported(service, tmp_path / "journal.zip"))

    assert b"'=cmd" in files["figures.csv"]
    for formula in verify.FORMULA:
        row = verify.row_of({"facts": {}, "type": formula + "x", "actor": {"name": " " + formula}}, b"")
        assert f'"\'{formula}x"'.encode() in row
        assert f'"\' {formula}"'.encode() in row


def test_a_zone_as_a_file_is_signed_and_openssl_says_so(service: Service, tmp_path: Path) -> None:
    """As docs/record.md shows it."""
    service.block("a.example", "*.b.example")
    service.publish()
    export, pem = tmp_path / "block.rpz", tmp_path / "key.pem"
    answer = service.get("zones/block.rpz/export.rpz", by="isp-1")
    signature = service.get("zones/block.rpz/export.rpz.sig", by="isp-1")
    export.write_bytes(answer.content)
    (tmp_path / "block.rpz.sig").write_bytes(signature.content)
    pem.write_text(service.read("audit/keys", by=None)["items"][-1]["pem"])

    assert (
        signature.headers["etag"]
        == service.get("zones/block.rpz/export.rpz", by="isp-1", accept_encoding="x").headers["etag"]
    )
    assert answer.headers["x-content-ed25519"] == base64.b64encode(signature.content).decode()
    assert openssl(tmp_path) == (0, "Signature Verified Successfully\n")
    export.write_bytes(answer.content.replace(b"a.example", b"c.example"))
    assert openssl(tmp_path) == (1, "Signature Verification Failure\n")


def openssl(folder: Path) -> tuple[int, str]:
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "block.rpz"]
    done = subprocess.run(
        [*command, "-sigfile", "block.rpz.sig"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_a_file_of_nothing_is_signed_as_well(service: Service) -> None:
    """A table of no rows; and the next one, of some, by a signature of its own."""
    for count in (0, 1):
        answer = service.get("zones/block.rpz/export.jsonl", accept_encoding="identity")
        assert answer.content.count(b"\n") == count
        assert key_of(service).is_of(base64.b64decode(answer.headers["x-content-ed25519"]), answer.content)
        service.block()
        service.publish()


def test_an_isp_gets_the_checkpoint_with_its_export(service: Service) -> None:
    service.block()
    service.publish()
    answer = service.get("zones/block.rpz/export.domains", by="isp-1")
    again = service.get("zones/block.rpz/export.domains", by="isp-1", if_none_match=answer.headers["etag"])

    assert base64.b64decode(answer.headers["x-log-checkpoint"]).decode() == note_of(service)
    assert (again.status_code, again.headers["x-log-checkpoint"]) == (304, answer.headers["x-log-checkpoint"])


def test_a_signature_is_made_once_and_goes_with_its_file(service: Service) -> None:
    folder = service.settings.data_dir / "exports" / "block.rpz"
    for number in range(5):
        service.block(f"n{number}.example")
        service.clock.forward(HOUR)
        service.publish()
        for _ in range(2):
            service.get("zones/block.rpz/export.domains", by="isp-1")

    assert len(list(folder.glob("*.domains.*.sig"))) == len(list(folder.glob("*.domains"))) == 3


def test_after_a_rotation_the_new_key_signs_what_the_old_one_had_signed(service: Service) -> None:
    service.block()
    service.publish()
    before = service.get("zones/block.rpz/export.rpz.sig").content
    with service.database.write() as session:
        signing.rotate(session, HOST, service.settings.log_key_path, NOW)
    answer = service.get("zones/block.rpz/export.rpz", accept_encoding="identity")

    assert service.get("zones/block.rpz/export.rpz.sig").content != before
    assert key_of(service).is_of(base64.b64decode(answer.headers["x-content-ed25519"]), answer.content)


def test_a_host_without_the_key_exports_without_a_signature(service: Service) -> None:
    service.block()
    service.publish()
    service.settings.log_key_path.rename(service.settings.log_key_path.with_name("away"))

    answer = service.get("zones/block.rpz/export.rpz", by="isp-1")

    assert answer.status_code == 200
    assert not {"x-content-ed25519", "x-log-checkpoint"} & {*answer.headers}
    problem(service.get("audit/checkpoint", by=None), 409, "state_conflict")
    problem(service.get("zones/block.rpz/export.rpz.sig"), 409, "state_conflict")
    problem(service.get("audit/export"), 409, "state_conflict")
