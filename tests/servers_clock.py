"""A clock that a test moves under a running process (libfaketime), without its timers noticing."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import find, missing

LIBRARIES = "lib*/**/faketime/libfaketimeMT.so.1"
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"
"""Debian's libfaketime (0.9.10) has `time.sleep` fail, which sleeps until a moment of the monotonic clock."""


@dataclass(frozen=True)
class MovedClock:
    """What processes with this `environment` take for the time; it runs on by itself. Its directory is its own."""

    directory: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """For each process that is to have this clock."""
        find("faketime", "faketime")
        library = next(Path("/usr").glob(LIBRARIES), None)
        if library is None:
            missing("libfaketime is not installed: scripts/test-deps installs it (package faketime)")
        (self.directory / "sitecustomize.py").write_text(SLEEP)
        return {
            "PYTHONPATH": str(self.directory),
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.directory / "offset"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, moment: dt.datetime) -> None:
        """Let it be that moment now. The file is replaced: nobody reads half of it."""
        ahead = (moment - dt.datetime.now(dt.UTC)).total_seconds()
        new = self.directory / "offset.new"
        new.write_text(f"{ahead:+.0f}\n")
        new.replace(self.directory / "offset")
