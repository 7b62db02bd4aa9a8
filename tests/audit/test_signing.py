"""The key of the journal: made once, in a file of its own, handed on by a signature that the journal keeps."""

import base64
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app import keyfile
from app.audit import verify
from app.db import Database
from app.errors import Conflict, SettingInvalid, Unprocessable
from app.journal import notes, signing
from app.journal.append import Entry, append
from app.journal.events import EventType
from app.journal.models import LogKey
from app.journal.notes import PublicKey, Signer
from app.settings import Settings
from tests import databases
from tests.audit.journals import checkpoint, contents, exported, fill, signer, started
from tests.service import HOST, NOW, settings_in

ROOT = Path(__file__).parents[2]
NAME = "127.0.0.1/pulih"


def rotated(database: Database, settings: Settings) -> PublicKey:
    with database.write() as session:
        return signing.rotate(session, HOST, settings.log_key_path, NOW)


def keys(database: Database) -> list[PublicKey]:
    with database.read() as session:
        return [key for _, key in signing.keys(session)]


def test_the_first_start_makes_a_key_for_one_account_alone_and_says_so(database: Database, settings: Settings) -> None:
    started(database, settings)
    started(database, settings)

    assert stat.S_IMODE(settings.log_key_path.stat().st_mode) == 0o600
    assert [key.name for key in keys(database)] == [NAME]
    assert signer(database, settings).public == keys(database)[0]


def test_two_hosts_that_start_at_once_make_one_key(database: Database, settings: Settings) -> None:
    threads = [threading.Thread(target=started, args=(database, settings)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys(database)) == 1


def test_the_private_half_is_in_no_table(database: Database, settings: Settings) -> None:
    started(database, settings)
    secret = settings.log_key_path.read_bytes()
    with database.read() as session:
        rows = session.execute(select(LogKey)).scalars().all()

    assert all(secret not in (row.public, row.name.encode()) for row in rows)
    assert secret.hex() not in repr(signer(database, settings))


def test_a_journal_keeps_its_name(database: Database, settings: Settings, tmp_path: Path) -> None:
    """Whatever address the service is reached by later; and another name that is asked for is refused."""
    started(database, settings)
    started(database, settings_in(tmp_path, public_url="https://elsewhere.example"))
    assert checkpoint(database, settings).startswith(f"{NAME}\n")

    with pytest.raises(SettingInvalid, match=f"called {NAME} since"):
        started(database, settings_in(tmp_path, log_origin="other.example/log"))


def test_a_name_can_be_chosen_at_the_first_start(database: Database, tmp_path: Path) -> None:
    chosen = settings_in(tmp_path, log_origin="log.example/national")
    started(database, chosen)

    assert checkpoint(database, chosen).startswith("log.example/national\n")


@pytest.mark.parametrize("name", ["a b", "a+b", "a\nb"])
def test_a_name_that_no_note_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingInvalid, match="white space or a plus sign"):
        settings_in(tmp_path, log_origin=name)


def test_a_rotation_is_in_the_journal_signed_by_the_key_before(database: Database, settings: Settings) -> None:
    started(database, settings)
    before, old_note = signer(database, settings).public, checkpoint(database, settings)

    after = rotated(database, settings)

    assert signer(database, settings).public == after != before
    assert keys(database) == [before, after]
    assert not settings.log_key_path.with_name("log.key.next").exists()
    note = checkpoint(database, settings)
    assert notes.is_signed(note, after)
    assert not notes.is_signed(note, before)
    assert notes.is_signed(old_note, before)


def test_whoever_knows_the_first_key_can_check_what_a_later_one_signed(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    started(database, settings)
    first, held = signer(database, settings).public.vkey, checkpoint(database, settings)
    for _ in range(2):
        rotated(database, settings)
        signer(database, settings)

    said = verify.verify(exported(database, settings, tmp_path / "journal.zip"), first, held)

    assert said.endswith(keys(database)[-1].vkey)


def test_a_key_that_the_one_before_did_not_sign_is_found(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by whoever holds the database, and the new key, but not the old one."""
    started(database, settings)
    fill(database, 3)
    thief = Signer.of(NAME, bytes(range(32)))
    with monkeypatch.context() as patch:
        patch.setattr(signing, "needed", lambda *_: Signer(thief.name, thief.private))
        rotated(database, settings)
    signer(database, settings)

    with pytest.raises(verify.Bad, match="did not sign this key") as bad:
        verify.verify(exported(database, settings, tmp_path / "journal.zip"))
    assert bad.value.args[0] == contents(tmp_path / "journal.zip")["events.jsonl"].count(b"\n")


def test_a_journal_has_one_first_key(database: Database, settings: Settings, tmp_path: Path) -> None:
    """A second one, which nothing had to sign, would be whoever's."""
    started(database, settings)
    facts = {"log": NAME, "key": signer(database, settings).public.vkey}
    with database.write() as session:
        seq = append(session, HOST, Entry(EventType.LOG_KEY_MADE, facts), NOW)

    with pytest.raises(verify.Bad, match="did not sign this key") as bad:
        verify.verify(exported(database, settings, tmp_path / "journal.zip"))
    assert bad.value.args[0] == seq


def test_the_file_of_another_key_signs_nothing(database: Database, settings: Settings) -> None:
    started(database, settings)
    settings.log_key_path.write_bytes(bytes(32))

    with pytest.raises(Conflict, match="does not hold the journal's key"):
        checkpoint(database, settings)


def test_a_rotation_that_was_broken_off_before_its_file_moved_is_completed(
    database: Database, settings: Settings
) -> None:
    started(database, settings)
    after = rotated(database, settings)
    assert settings.log_key_path.with_name("log.key.next").exists()

    assert signer(database, settings).public == after
    assert not settings.log_key_path.with_name("log.key.next").exists()


def test_a_rotation_that_was_not_kept_changes_nothing(database: Database, settings: Settings) -> None:
    started(database, settings)
    before = signer(database, settings).public
    databases.refuse(database, "INSERT", "log_keys")
    with pytest.raises(IntegrityError):
        rotated(database, settings)

    assert signer(database, settings).public == before
    assert keys(database) == [before]


def test_a_host_without_the_key_signs_nothing_and_makes_none(
    database: Database, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started(database, settings)
    other = settings_in(tmp_path, log_key_file=str(tmp_path / "elsewhere" / "log.key"))

    started(database, other)
    with pytest.raises(Conflict, match="does not hold the journal's key"):
        checkpoint(database, other)

    assert "this host signs nothing until it does" in caplog.text
    assert not other.log_key_path.exists()
    assert len(keys(database)) == 1


@pytest.mark.parametrize("step", ["os.fsync", "Path.hardlink_to", "Path.unlink"])
def test_whoever_is_killed_while_making_a_key_leaves_no_secret_behind(tmp_path: Path, step: str) -> None:
    killed = f"{step} = lambda *_, **__: os.kill(os.getpid(), 9)"
    code = (
        f"import os, sys; from pathlib import Path; from app import keyfile; {killed}; keyfile.make(Path(sys.argv[1]))"
    )
    path = tmp_path / "log.key"
    subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert [each.name for each in tmp_path.iterdir()] != [path.name]
    assert keyfile.make(path) == path.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_hidden_files_of_others_stay_where_a_key_is_made(tmp_path: Path) -> None:
    """An editor's, a person's spare copy, or what rsync is putting back."""
    names = {".log.key.bak", ".log.key.swp", ".log.key.Ab12Cd", ".log.key.draft-", ".other.key.draft-abcdefgh"}
    for name in names:
        (tmp_path / name).write_bytes(bytes(32))
    (tmp_path / ".log.key.draft-abc_efg1").write_bytes(bytes(32))
    keyfile.make(tmp_path / "log.key")
    assert {each.name for each in tmp_path.iterdir()} == {*names, "log.key"}


def test_a_key_file_that_others_can_read_is_refused(database: Database, settings: Settings) -> None:
    started(database, settings)
    settings.log_key_path.chmod(0o644)

    with pytest.raises(SettingInvalid, match="open to other accounts"):
        started(database, settings)


def test_before_the_first_start_there_is_no_checkpoint(database: Database, settings: Settings) -> None:
    with pytest.raises(Conflict, match="no key yet"):
        checkpoint(database, settings)


def test_a_note_is_as_its_specification_shows_it() -> None:
    """The example of C2SP signed-note: its key, its text, its signature."""
    key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\u2014 PeterNeumann "
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    peter = PublicKey("PeterNeumann", base64.b64decode(key.rsplit("+", 1)[1])[1:])

    assert peter.vkey == key
    assert notes.is_signed(note, peter)
    assert not notes.is_signed(note.replace("answer", "Answer"), peter)


@pytest.mark.parametrize("note", ["", "a\n", "a\nb\nc\n", "a\n-1\n" + "A" * 43 + "=\n", "a\n1\nAAAA\n", "a\n1\n!\n\n"])
def test_what_is_no_checkpoint_is_refused(note: str) -> None:
    with pytest.raises(Unprocessable, match="is not a checkpoint"):
        notes.parse(note)
