"""One transfer process a DATA_DIR: marks, snapshot files and increments in it are those of one process."""

import fcntl
import time
from pathlib import Path
from typing import IO

from app.errors import SettingInvalid

WAIT = 5.0
"""Seconds for the one before to end: whoever supervised it may have gone first."""

POLL = 0.05


def hold(data_dir: Path) -> IO[bytes]:
    """Take a directory for this process: until what is given is closed, or the process ends, however that happens.

    Raises SettingInvalid where another one has it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    file = (data_dir / "transfer.lock").open("ab")
    deadline = time.monotonic() + WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                file.close()
                raise SettingInvalid(
                    f"PULIH_DATA_DIR {data_dir}: another transfer process works there; each needs its own"
                ) from error
            time.sleep(POLL)
        else:
            return file
