"""How much the random tests do (PULIH_TEST_SCALE), by what chance (PULIH_TEST_SEED), and what they tell."""

import os
import random
import sys
from collections.abc import Callable

Record = Callable[[str, object], None]


def scaled(count: int) -> int:
    return max(1, round(count * float(os.environ.get("PULIH_TEST_SCALE", "1"))))


def seeded(seed: object) -> random.Random:
    """Chance that is the same in each run, and another in each where PULIH_TEST_SEED says so (`make soak`)."""
    return random.Random(f"{seed} {os.environ.get('PULIH_TEST_SEED', '')}")


def tell(record_property: Record, **counts: int) -> None:
    """Keep counts in the report of the run, and show them (`pytest -s`)."""
    for name, count in counts.items():
        record_property(name, count)
    sys.stdout.write("\n" + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + "\n")
