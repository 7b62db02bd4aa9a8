"""A zone in a file: what the process that serves it holds in memory does not grow with the list."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resolver_policy.wire import LONGEST_MESSAGE
from tests.policy.scale import Record, scaled, tell
from tests.policy.zones import SUBTREE
from tests.publication.files import written_from

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
NAMES = scaled(120_000)
CHANGES = 60
MOST_MB = 4
"""Of 7 MB that the zone is: the index, and the messages that changed."""

MOST_KEPT = 64
"""Where every message changed; of a large zone a thousand are kept, which would be all of this one."""

PROGRAM = """
import json, sys
from pathlib import Path
from resolver_policy.delta import EMPTY_RULE, Change
from resolver_policy import version as zone_version
from resolver_policy.version import ZoneVersion
from resolver_policy.xfr import answer
from tests.policy.test_xfr import ask
from tests.policy.zones import SUBTREE
from tests.publication.files import opened, version_of

def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

if sys.argv[2] == "dirty":
    zone_version.MOST_KEPT = int(sys.argv[4])
began = peak()
now = version_of(opened(Path(sys.argv[1])))
if sys.argv[2] == "memory":
    now = ZoneVersion.from_rules(now.rules(), now.zone, now.serial)
sent = sum(len(message) for message in answer(ask("AXFR"), now).messages)
for serial in range(len(now.ranges) if sys.argv[2].startswith("dirty") else int(sys.argv[3])):
    key = f"com.n{serial * 1999:07}-x."
    if sys.argv[2].startswith("dirty"):
        key = now.ranges[serial].first_key.rstrip(".") + "-x."
    now = now.changed([Change(key, EMPTY_RULE, SUBTREE)], now.serial + 1)
sent += sum(len(message) for message in answer(ask("AXFR"), now).messages)
print(json.dumps({"grown_mb": peak() - began, "sent_mb": sent / 2**20}))
"""


@pytest.mark.parametrize("kept", ["file", "dirty", "memory", "dirty and kept"])
def test_memory_does_not_grow_with_the_zone(tmp_path: Path, kept: str, record_property: Record) -> None:
    """Also where all of it changed since the file was written. The same zone in memory, rendered or with all of its
    changed messages kept, shows that the measure would tell."""
    path = written_from(tmp_path / "zone", ((f"com.n{number:07}.", SUBTREE) for number in range(NAMES)))
    command = [sys.executable, "-c", PROGRAM, str(path), kept, str(CHANGES), str(MOST_KEPT)]
    figures = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    tell(record_property, **{f"grown_kb_{kept.replace(' ', '_')}": int(figures["grown_mb"] * 1024)})
    assert figures["sent_mb"] > 2 * NAMES * 30 / 2**20
    assert CHANGES * LONGEST_MESSAGE < MOST_MB * 2**20
    assert (figures["grown_mb"] < MOST_MB) == (kept in {"file", "dirty"})
