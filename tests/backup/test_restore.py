"""A restore: all as it was, the gap recorded and written down, the database before kept, serials above those shown."""

import json
import shutil
from pathlib import Path

import pytest

import migrations
from app import migrate, schema
from app.auth import tokens
from app.backup import restore as restoring
from app.backup import sqlite
from app.backup.restore import Restored
from app.db import Database
from app.errors import Conflict, Refused
from app.journal.actor import Role
from app.publication import set_back, stops
from app.publication.follower import Follower
from app.publication.marks import Marks
from app.settings import Settings
from resolver_policy.targets import Decision, Match, Target
from tests import databases
from tests.backup.worlds import REASON, Backup, backed_up, events, put_back, silent, started
from tests.publication.test_restored import restore as put_back_by_hand
from tests.publication.test_restored import snapshot
from tests.publication.test_zones import change, serials
from tests.publication.worlds import World
from tests.service import HOST, ZONE

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    op.add_column("publisher_lease", sa.Column("note", sa.Text))
"""

needs_a_file = pytest.mark.skipif(databases.KIND != "sqlite", reason="about a database that is a file")


@pytest.fixture
def backup(world: World, tmp_path: Path) -> Backup:
    """Of a world that blocks one name; since then another was blocked, and the first one lifted."""
    change(world, 0)
    made = backed_up(world, tmp_path / "a.backup")
    change(world, 1)
    world.lift(world.held[0])
    world.publish()
    return made


def test_what_was_backed_up_is_back_and_goes_on_above_what_was_shown(world: World, backup: Backup) -> None:
    shown = serials(world.database)[-1]
    put_back(world, backup.path)

    restored = started(world, backup.held)

    assert serials(restored.database)[-1] == shown + 1
    follower = Follower(world.settings, Marks(world.settings.data_dir / "marks", "transfer"), restored.database.read)
    with restored.database.read() as session:
        follower.refresh(session)
        assert stops.standing(session) == []
    assert dict(follower.zones[ZONE].rules()) == restored.rules() != {}
    change(restored, 2)
    assert serials(restored.database)[-1] == shown + 2
    restored.database.close()


def test_the_gap_is_in_the_journal(world: World, backup: Backup) -> None:
    with world.database.read() as session:
        shown = set_back.journal(session)
    done = put_back(world, backup.path)

    assert done.gap is not None
    restored = started(world, backup.held)
    recorded = {
        "reason": REASON,
        "backup": {"made_at": backup.manifest.made_at, "sha256": backup.manifest.sha256},
        "restored": {"size": backup.manifest.size, "root": backup.manifest.root},
        "shown": {"size": shown.size, "root": shown.root.hex()},
        "common": backup.manifest.size,
        "lost": {"events": shown.size - backup.manifest.size, "sha256": done.gap.sha256},
        "zones": {ZONE: {"restored": backup.manifest.serials[ZONE], "shown": serials_of(done)}},
    }
    assert events(restored.database, "log.restored") == [recorded]
    restored.database.close()


def serials_of(done: Restored) -> int:
    assert done.gap is not None
    return done.gap.serials[ZONE]


def test_what_is_lost_is_written_down_and_told(world: World, backup: Backup) -> None:
    with world.database.write() as session:
        tokens.create(session, HOST, role=Role.AUDITOR, name="auditor-9", expires_at=None, now=world.clock())
    done = put_back(world, backup.path)

    assert done.gap is not None
    assert done.gap_file is not None
    lines = [json.loads(line) for line in done.gap_file.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(backup.manifest.size + 1, done.gap.before.size + 1))
    assert lines[-1]["type"] == "token.created"
    told = "\n".join(done.gap.to_look_at())
    assert "1 order.ended: lifts that are undone" in told
    assert "1 order.approved: approvals that are lost" in told
    assert "1 token.created" in told
    assert "token.revoked" not in told


def test_the_database_before_is_kept(world: World, backup: Backup) -> None:
    with world.database.read() as session:
        before = set_back.journal(session)
    done = put_back(world, backup.path)

    assert done.aside is not None
    url = f"sqlite:///{done.aside}"
    if databases.KIND == "postgresql":
        url = world.settings.database.replace(database_name(world.settings), done.aside.removeprefix("database "))
    kept = Database(url)
    with kept.read() as session:
        assert set_back.journal(session) == before
    kept.close()
    databases.drop(url)


def database_name(settings: Settings) -> str:
    return settings.database.rpartition("/")[2].partition("?")[0]


def test_nothing_is_restored_under_a_running_service(world: World, backup: Backup) -> None:
    size = len(events(world.database, "order.approved"))  # by a connection that stays open
    with pytest.raises(Refused, match="in use"):
        restoring.restore(world.settings, backup.path, HOST, REASON, world.clock, silent)

    assert len(events(world.database, "order.approved")) == size


@needs_a_file
def test_a_restore_that_fails_leaves_all_as_it_was(
    world: World, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_database: Database) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(migrate, "upgrade", broken)
        with pytest.raises(OSError, match="the disk is gone"):
            put_back(world, backup.path)

    folder = world.settings.data_dir
    assert [path.name for path in folder.iterdir() if "restor" in path.name or "lost" in path.name] == []
    again = started(world, tuple(world.held))
    assert events(again.database, "log.restored") == []
    again.database.close()


@needs_a_file
def test_a_database_that_cannot_be_read_is_kept_and_what_is_lost_is_not_known(world: World, backup: Backup) -> None:
    world.database.close()
    path = sqlite.Files(world.settings.database, world.settings.log_key_path, world.clock).path
    path.write_bytes(b"nothing of a database" * 1000)
    done = put_back(world, backup.path)

    assert done.gap is None
    assert done.aside is not None
    assert Path(done.aside).read_bytes().startswith(b"nothing of a database")
    assert done.shown is not None
    restored = started(world, backup.held)
    assert events(restored.database, "log.restored")[0]["shown"]["size"] == done.shown.size > backup.manifest.size
    restored.database.close()


@needs_a_file
def test_a_backup_is_restored_where_nothing_was(world: World, backup: Backup, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "elsewhere")
    done = restoring.restore(settings, backup.path, HOST, REASON, world.clock, silent)

    assert (done.aside, done.gap, done.shown) == (None, None, None)
    database = Database(settings.database)
    assert len(events(database, "log.restored")) == 1
    database.close()


def test_a_backup_from_a_branch_that_was_left_is_restored_as_well(world: World, backup: Backup, tmp_path: Path) -> None:
    """It shares only its beginning with the database that it replaces."""
    other = backed_up(world, tmp_path / "b.backup")
    put_back(world, backup.path)
    restored = started(world, backup.held)
    change(restored, 3)
    done = put_back(restored, other.path)

    assert done.gap is not None
    assert done.gap.common == backup.manifest.size
    again = started(restored, other.held)
    assert [facts["common"] for facts in events(again.database, "log.restored")] == [backup.manifest.size]
    again.database.close()


def test_what_was_put_back_by_hand_is_recorded_before_the_start_and_stops_nothing(world: World) -> None:
    copy = snapshot(world)
    change(world, 0)
    restored = put_back_by_hand(world, copy)
    restored.held.clear()
    restoring.record(world.settings, restored.database, HOST, REASON, world.clock)
    restored.publisher.start(world.clock())

    with restored.database.read() as session:
        assert stops.standing(session) == []
    assert restored.add({Target("n9.example", Match.EXACT, Decision.BLOCK)})
    assert restored.publish() != {}
    (facts,) = events(restored.database, "log.restored")
    assert facts["shown"]["size"] > facts["restored"]["size"]
    assert facts["zones"][ZONE]["shown"] > facts["zones"][ZONE]["restored"]
    restored.database.close()


def test_there_is_nothing_to_record_where_nothing_is_lost(world: World) -> None:
    change(world, 0)
    with pytest.raises(Conflict, match="there is no gap to record"):
        restoring.record(world.settings, world.database, HOST, REASON, world.clock)


def test_what_the_publisher_found_first_two_approvers_release(world: World) -> None:
    copy = snapshot(world)
    change(world, 0)
    restored = put_back_by_hand(world, copy)
    restored.publisher.start(world.clock())

    with pytest.raises(Conflict, match="pulih guard release 1"):
        restoring.record(world.settings, restored.database, HOST, REASON, world.clock)
    restored.database.close()


def test_a_crash_after_the_swap_is_no_gap_that_nobody_recorded(
    world: World, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Marks, "set_journal", killed)
        patched.setattr(Marks, "raise_to", killed)
        with pytest.raises(KeyboardInterrupt):
            put_back(world, backup.path)

    restored = started(world, backup.held)
    with restored.database.read() as session:
        assert stops.standing(session) == []
    restored.database.close()


def test_an_older_backup_is_brought_to_this_program(
    world: World, backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = shutil.copytree(Path(migrations.__file__).parent, tmp_path / "newer")
    (newer / "versions" / "0002_notes.py").write_text(MIGRATION)
    monkeypatch.setattr(migrations, "__file__", str(newer / "__init__.py"))
    monkeypatch.setattr(schema, "NEWEST", "0002")

    put_back(world, backup.path)

    database = Database(world.settings.database)
    schema.check(database)
    databases.run(database, "UPDATE publisher_lease SET note = 'here'")
    assert len(events(database, "log.restored")) == 1
    database.close()
