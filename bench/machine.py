"""What a figure depends on besides the program: the machine, its load, the versions."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path


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
    return done.stdout.splitlines()[0]


def load() -> list[float]:
    """Processes that wanted a core, on average, in the last 1, 5 and 15 minutes."""
    return [round(average, 2) for average in os.getloadavg()]


def resident_mb(pid: int) -> int:
    """How much memory a process holds."""
    return int(_found(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())) // 1024


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return "0" if match is None else match[1]
