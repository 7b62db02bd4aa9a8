"""Two transfer processes never share one DATA_DIR."""

import subprocess
import sys
from pathlib import Path

import pytest

from app import logs
from app.errors import SettingInvalid
from app.settings import Settings
from app.transfer import __main__ as transfer
from app.transfer import alone

HOLDER = """
import sys
from pathlib import Path
from app.transfer import alone
held = alone.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_second_process_in_a_directory_is_refused_until_the_first_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.1)
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "var")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(SettingInvalid, match="var: another transfer process works there"):
            alone.hold(tmp_path / "var")
        alone.hold(tmp_path / "other").close()
        first.kill()
    alone.hold(tmp_path / "var").close()


@pytest.mark.usefixtures("database")
def test_transfer_process_says_why_it_does_not_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alone, "WAIT", 0.1)
    monkeypatch.setattr(logs, "to_stderr", lambda: None)
    monkeypatch.setattr(transfer, "Settings", lambda: settings)
    served: list[Settings] = []
    monkeypatch.setattr(transfer, "serve", lambda chosen, _database: served.append(chosen))
    with alone.hold(settings.data_dir):
        assert transfer.main() == transfer.REFUSED
    assert "each needs its own" in caplog.text
    assert transfer.main() == 0
    assert served == [settings]
