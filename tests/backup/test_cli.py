"""`pulih backup` and `pulih restore` as their users see them."""

from pathlib import Path

import pytest

from app.auth import tokens
from tests.backup.worlds import run
from tests.publication.test_zones import change
from tests.publication.worlds import World
from tests.service import HOST

REASON = ("--reason", "The disk failed")


def test_the_way_out_and_back(world: World, tmp_path: Path) -> None:
    settings, file = world.settings, str(tmp_path / "a.backup")
    change(world, 0)
    assert "OK: " in run(settings, "backup", file).output
    assert "events until " in run(settings, "backup", "verify", file).output
    assert "is there already" in run(settings, "backup", file, status=1).output
    with world.database.write() as session:
        tokens.revoke(session, HOST, token_id=1, now=world.clock())
    assert "in use" in run(settings, "restore", file, *REASON, status=1).output
    world.database.close()

    told = run(settings, "restore", file, *REASON).output

    assert "lost: 1 events of the " in told
    assert "1 token.revoked: tokens that are valid again: revoke them at once" in told
    assert "the database before is kept: " in told


@pytest.mark.parametrize("arguments", [("backup",), ("backup", "verify"), ("backup", "a", "b"), ("restore", *REASON)])
def test_what_makes_no_sense_is_told_as_such(world: World, arguments: tuple[str, ...]) -> None:
    assert "Usage: " in run(world.settings, *arguments, status=2).output


def test_a_file_that_is_no_backup_is_refused_in_one_line(world: World, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    world.database.close()

    refused = run(world.settings, "restore", str(tmp_path / "a"), *REASON, status=1).output

    assert refused.endswith("is damaged, or no backup of Pulih: it does not end with the hash of the rest\n")


def test_nothing_is_to_be_recorded_where_nothing_is_lost(world: World) -> None:
    assert "there is no gap to record" in run(world.settings, "restore", "--record", *REASON, status=1).output


def test_a_reason_is_one_line(world: World) -> None:
    run(world.settings, "restore", "--record", "--reason", "a\nb", status=1)
