"""The proof of an answer about a name: what is in it, that the verifier takes it, and that it takes no other."""

import json
import random
from pathlib import Path

import pytest

from app.answers import proof as answers
from app.audit import proof, verify
from app.audit.verify import Bad
from app.cli import main
from app.db import Database
from app.journal import tree
from app.settings import Settings
from app.subscribers.register import AddSubscriber, add
from tests.audit.journals import checkpoint, contents, exported, fill, packed, signer, started
from tests.policy.scale import Record, scaled, seeded, tell
from tests.service import HOST, HOUR, NOW, Json, Service, environment_of, targets, text_of

PROOFS = 20


def taken(service: Service, path: Path, query: str = "") -> Json:
    """The proof of the answer about a name, as an auditor takes it; its answer."""
    response = service.get(f"names/a.b.example/proof?{query}")
    assert response.status_code == 200, response.text
    path.write_bytes(response.content)
    answer: Json = json.loads(contents(path)["answer.json"])
    return answer


def types(path: Path) -> list[str]:
    lines = contents(path)["events.jsonl"].splitlines()
    return [json.loads(line).get("type", "left out") for line in lines]


@pytest.fixture
def lived(service: Service) -> Service:
    """The name is blocked by a subtree above it, let go of after an hour; many other things happen."""
    service.block("other.example")
    order = service.block("*.b.example", *(f"n{number}.example" for number in range(20)), number="PROOF-1")
    service.publish()
    service.clock.forward(HOUR)
    service.block("more.example")
    service.lift(order, targets=targets("*.b.example"))
    service.publish()
    service.clock.forward(HOUR)
    service.block("last.example")
    return service


def test_what_decides_is_shown_and_all_else_left_out(lived: Service, tmp_path: Path) -> None:
    path = tmp_path / "proof.zip"
    with lived.database.write() as session:
        add(session, HOST, AddSubscriber("isp-one", ("192.0.2.1",)), NOW)
    answer = taken(lived, path, f"at={text_of(NOW)}&isp=isp-one")

    assert answer["decided"]["blocked"] is True
    assert (answer["held"]["answer"], answer["held"]["why"]) == ("not_known", "never_seen")
    assert answer["zones"][0]["digest"].startswith("sha256:")
    assert [kind for kind in types(path) if kind != "left out"] == ["log.key_made", "order.proposed", "order.approved"]
    assert verify.verify(path).startswith(
        f"OK: {tree_size(lived)} records ({tree_size(lived) - 3} of them left out) of "
    )
    assert "no other event" in answer["does_not_show"]

    later = taken(lived, path, f"at={text_of(NOW + HOUR)}")
    assert (later["decided"]["blocked"], later["decided"]["lifted"][0]["order_number"]) == (False, "PROOF-1")
    assert types(path).count("order.lifted_in_part") == 1
    assert verify.verify(path, key=json.loads(contents(path)["manifest.json"])["key"]).startswith("OK: ")


def tree_size(service: Service) -> int:
    with service.database.read() as session:
        return tree.size(session)


def test_that_the_name_is_among_those_of_its_order_is_proved(lived: Service, tmp_path: Path) -> None:
    """Anybody who changes the name, or the answer, is found; also one who signs nothing anew."""
    path = tmp_path / "proof.zip"
    taken(lived, path, f"at={text_of(NOW)}")
    files = contents(path)
    said = json.loads(files["consistency.json"])
    ((seq, ((index, count, line, way),)),) = said["targets"].items()
    assert count == 21
    other = {**said, "targets": {seq: [[index, count, line.replace("b.", "c.", 1), way]]}}
    changed = {**files, "consistency.json": json.dumps(other).encode()}
    with pytest.raises(Bad, match="is not among its names"):
        verify.verify(packed(tmp_path / "changed.zip", changed))
    elsewhere = {**said, "targets": {str(tree_size(lived) + 1): said["targets"][seq]}}
    with pytest.raises(Bad):
        verify.verify(packed(tmp_path / "changed.zip", {**files, "consistency.json": json.dumps(elsewhere).encode()}))
    answer = files["answer.json"].replace(b'"blocked": true', b'"blocked": false')
    with pytest.raises(Bad, match=r"answer\.json is not as it was signed"):
        verify.verify(packed(tmp_path / "changed.zip", {**files, "answer.json": answer}))


def test_of_very_many_names_it_is_said_not_to_be_proved(
    lived: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_PROVED", 20)
    answer = taken(lived, tmp_path / "proof.zip", f"at={text_of(NOW)}")

    assert answer["names_not_proved"] == [answer["decided"]["holders"][0]["order_id"]]
    assert json.loads(contents(tmp_path / "proof.zip")["consistency.json"])["targets"] == {}


def test_records_cannot_be_left_out_of_a_whole_export(database: Database, settings: Settings, tmp_path: Path) -> None:
    """Their hashes would lead to the same root: how many are left out is signed."""
    started(database, settings)
    fill(database, 40)
    with database.read() as session:
        some = b"".join(proof.stream(session, signer(database, settings), range(1, 30), {}, {}, None))
    (tmp_path / "some.zip").write_bytes(some)
    files, whole = contents(tmp_path / "some.zip"), contents(exported(database, settings, tmp_path / "whole.zip"))
    assert verify.verify(tmp_path / "some.zip").startswith("OK: ")
    records = {name: files[name] for name in verify.RECORDS}

    with pytest.raises(Bad, match=r"manifest\.json is not as it was signed"):
        verify.verify(packed(tmp_path / "changed.zip", {**whole, **records}))


def test_any_events_of_any_journal_lead_to_its_root(
    database: Database, settings: Settings, tmp_path: Path, record_property: Record
) -> None:
    """Also against a checkpoint of before; and a bit that is changed anywhere in the records is found."""
    started(database, settings)
    chance, path, shown = seeded("proofs"), tmp_path / "proof.zip", 0
    notes = [checkpoint(database, settings)]
    for _ in range(scaled(PROOFS)):
        fill(database, chance.randrange(4))
        since = chance.choice([None, chance.choice(notes)])
        with database.read() as session:
            seqs = chance.sample(range(1, tree.size(session) + 1), chance.randrange(tree.size(session)) % 6)
            path.write_bytes(b"".join(proof.stream(session, signer(database, settings), seqs, {}, {}, since)))
        assert verify.verify(path, outside=since).startswith("OK: ")
        notes.append(checkpoint(database, settings))
        shown += len(seqs)
        check_changed(chance, path, tmp_path / "changed.zip")
    tell(record_property, proofs=scaled(PROOFS), shown=shown)


def check_changed(chance: random.Random, path: Path, to: Path) -> None:
    files = contents(path)
    octets = bytearray(files["events.jsonl"])
    octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    with pytest.raises(Bad):
        verify.verify(packed(to, {**files, "events.jsonl": bytes(octets)}))


def test_on_the_command_line(
    lived: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**environment_of(lived.settings), "PULIH_TOKEN": lived.tokens["auditor-1"]}.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "proof.zip"
    moment = "2024-01-01T00:00:00Z"

    main.main(["audit", "proof", "--name", "a.b.example", "--at", moment, "-o", str(path)], standalone_mode=False)

    assert json.loads(contents(path)["answer.json"])["events"] == []
    assert verify.main([str(path)]) == 0
    assert "left out" in capsys.readouterr().out
