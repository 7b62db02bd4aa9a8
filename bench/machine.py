"""What the system says: the machine, its load, the versions; age, memory and processor time of a process."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STARTED_FIELD = 19
"""Where `starttime` stands in /proc/PID/stat behind the name, counted from 0 (proc(5), field 22)."""

IDLE = 0.05
"""Of one core."""

WATCHED = 0.5
"""Seconds over which a process must be idle, to count as idle."""


def facts() -> dict[str, object]:
    """The machine and what is installed on it."""
    return {
        "processor": _found(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": int(_found(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())) // 1024,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def version(command: Sequence[str | Path]) -> str:
    """The first line that a program says of itself."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0]


def load() -> list[float]:
    """Processes that wanted a core, on average, in the last 1, 5 and 15 minutes."""
    return [round(average, 2) for average in os.getloadavg()]


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for children in _of_threads(pid, "children"):
        for child in children.split():
            found += family(int(child))
    return found


def resident_mb(pids: Sequence[int]) -> float:
    """How much memory these processes hold; what they share counts for each."""
    return sum(_status_mb(pid, "VmRSS") for pid in pids)


def highest_mb(pids: Sequence[int]) -> float:
    """How much each of these processes has held at its highest, added up."""
    return sum(_status_mb(pid, "VmHWM") for pid in pids)


def processor_seconds(pid: int) -> float:
    """What a process and its descendants have computed; threads that have ended are left out."""
    return sum(int(spent.split()[0]) for each in family(pid) for spent in _of_threads(each, "schedstat")) / 1e9


def age(pid: int) -> float:
    """Seconds since a process was started, as exact as the system's ticks: 0.01 s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[STARTED_FIELD]) / TICKS


def wait_idle(pid: int, patience: float = 600) -> None:
    """Return once a process and its descendants compute next to nothing any more; TimeoutError after `patience`."""
    deadline = time.monotonic() + patience
    before = processor_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(WATCHED)
        now = processor_seconds(pid)
        if now - before < IDLE * WATCHED:
            return
        before = now
    raise TimeoutError(f"process {pid} was still busy after {patience:.0f} s")


def _of_threads(pid: int, name: str) -> Iterator[str]:
    """What /proc says of each thread of a process; nothing of one that has ended meanwhile."""
    for file in Path(f"/proc/{pid}/task").glob(f"*/{name}"):
        with suppress(OSError):
            yield file.read_text()


def _status_mb(pid: int, field: str) -> float:
    return int(_found(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())) / 1024


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return "0" if match is None else match[1]
