"""How much the random tests do: constants, multiplied by PULIH_TEST_SCALE, and told with what they found."""

import os
import sys
from collections.abc import Callable

Record = Callable[[str, object], None]


def scaled(count: int) -> int:
    return max(1, round(count * float(os.environ.get("PULIH_TEST_SCALE", "1"))))


def tell(record_property: Record, **counts: int) -> None:
    """Keep counts in the report of the run, and show them (`pytest -s`)."""
    for name, count in counts.items():
        record_property(name, count)
    sys.stdout.write("\n" + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + "\n")
