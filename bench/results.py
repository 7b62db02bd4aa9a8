"""What a row gave, for programs: one JSON file a row, with every single value in it."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine, peers
from bench.figures import Figure

FOLDER = Path(__file__).parent / "results"


def write(
    row: str, count: int, figures: Sequence[Figure], seconds: float, now: dt.datetime, folder: Path = FOLDER
) -> Path:
    """`seconds` are what the whole row took, its servers' start among them."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{row}-{count}-{now:%Y%m%dT%H%M%SZ}.json"
    document = {
        "row": row,
        "names": count,
        "at": now.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "held": all(figure.held is not False for figure in figures),
        "figures": [figure.document() for figure in figures],
        "machine": machine.facts(),
        "load": machine.load(),
        "versions": peers.versions(),
    }
    file.write_text(json.dumps(document, indent=1) + "\n")
    return file


def newest(row: str, count: int, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The last result of a row at a length; None where there is none."""
    files = sorted(folder.glob(f"{row}-{count}-*.json"))
    if not files:
        return None
    found: dict[str, Any] = json.loads(files[-1].read_text())
    return found
