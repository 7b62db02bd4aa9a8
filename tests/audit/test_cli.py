"""`pulih audit`: checkpoints, proofs, keys, signed exports and figures on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.audit import verify
from app.cli import main
from app.journal import notes
from app.settings import Settings
from tests.audit.journals import checkpoint, contents, packed, signer
from tests.service import Service, environment_of


@pytest.fixture
def pulih(service: Service, settings: Settings) -> "Pulih":
    return Pulih(service, settings)


class Pulih:
    """Runs commands with the tokens of a service."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service, self.settings = service, settings

    def __call__(self, *arguments: object, by: str | None = None) -> Result:
        environment = environment_of(self.settings)
        if by is not None:
            environment["PULIH_TOKEN"] = self.service.tokens[by]
        return CliRunner().invoke(main, ["audit", *map(str, arguments)], env=environment)


def test_a_journal_is_taken_out_and_checked(service: Service, pulih: Pulih, tmp_path: Path) -> None:
    service.block()
    file, held = tmp_path / "journal.zip", tmp_path / "held.txt"
    held.write_text(pulih("checkpoint").output)
    service.publish()

    done = pulih("export", "-o", file, "--since", held, by="auditor-1")
    key = pulih("key").output.strip()
    said = pulih("verify", file, "--key", key, "--checkpoint", held)

    assert (done.exit_code, done.output) == (0, "")
    assert (said.exit_code, said.output) == (0, f"{verify.verify(file)}\n")
    assert json.loads(contents(file)["consistency.json"])["from"] == held.read_text()


def test_a_journal_that_was_changed_is_refused_by_its_record(pulih: Pulih, tmp_path: Path) -> None:
    file = tmp_path / "journal.zip"
    pulih("export", "-o", file, by="auditor-1")
    files = contents(file)
    changed = files["events.jsonl"].replace(b'"name":"clock"', b'"name":"click"', 1)
    said = pulih("verify", packed(file, {**files, "events.jsonl": changed}))

    number = changed[: changed.index(b"click")].count(b"\n") + 1
    assert (said.exit_code, said.output.splitlines()[0]) == (
        1,
        f"BAD: record {number}: its line and its row in the table differ",
    )


@pytest.mark.parametrize("by", ["operator-1", "approver-1", "isp-1", "admin-1"])
@pytest.mark.parametrize("command", [("export", "-o", "x.zip"), ("export",), ("proof", "1")])
def test_only_an_auditor_takes_events_out(
    pulih: Pulih, by: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = pulih(*command, by=by)

    assert (refused.exit_code, "this is for auditor" in refused.output) == (1, True)
    assert not (tmp_path / "x.zip").exists()


def test_a_proof_leads_to_the_checkpoint_beside_it(pulih: Pulih, settings: Settings, service: Service) -> None:
    service.block()
    proof = json.loads(pulih("proof", 5, by="auditor-1").output)
    _, size, root = verify.read(proof["checkpoint"])

    path = service.read(f"audit/proofs/inclusion?seq=5&size={size}")["path"]
    assert (proof["seq"], proof["size"], proof["path"]) == (5, size, path)
    assert notes.is_signed(proof["checkpoint"], signer(service.database, settings).public)
    assert root.hex() == json.loads(pulih("proof", 5, by="auditor-1").output)["root"]


def test_a_key_is_shown_and_changed_and_the_host_is_in_the_journal(pulih: Pulih, service: Service) -> None:
    before = pulih("key").output
    after = pulih("rotate-key").output

    assert before != after == pulih("key").output
    assert pulih("key", "--pem").output == service.read("audit/keys", by=None)["items"][-1]["pem"]
    (event,) = service.read("audit/events?type=log.key_rotated")["items"]
    assert event["actor"]["role"] == "host"
    assert (event["facts"]["before"], event["facts"]["key"]) == (before.strip(), after.strip())


def test_figures_of_an_export_need_no_database(service: Service, pulih: Pulih, tmp_path: Path) -> None:
    service.lift(service.block())
    file = tmp_path / "journal.zip"
    pulih("export", "-o", file, by="auditor-1")
    alone = {"PULIH_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}

    for format_name in ("csv", "json"):
        read = CliRunner().invoke(main, ["audit", "figures", str(file), "--format", format_name], env=alone)
        assert read.output == pulih("figures", "--format", format_name).output
        assert "gambling" in read.output
    assert not (tmp_path / "none.db").exists()


def test_a_checkpoint_of_the_past_is_printed(pulih: Pulih, service: Service, settings: Settings) -> None:
    service.block()

    assert pulih("checkpoint", "--size", 3).output == checkpoint(service.database, settings, 3)
    assert pulih("checkpoint", "--size", 999).exit_code == 1


def test_a_zone_file_comes_with_its_signature(service: Service, settings: Settings, tmp_path: Path) -> None:
    service.block()
    service.publish()
    file = tmp_path / "block.rpz"
    arguments = ["export", "block.rpz", "--format", "rpz", "-o", str(file)]
    CliRunner().invoke(main, arguments, env=environment_of(settings))

    public = signer(service.database, settings).public
    assert public.is_of((tmp_path / "block.rpz.sig").read_bytes(), file.read_bytes())
