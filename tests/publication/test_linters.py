"""Every zone that is published passes the linters of four servers, and is read back as exactly what was decided.

`PULIH_TEST_SCALE=56` makes it ten thousand zones, and one of a million names.
"""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.zone
import pytest

from app.db import Database
from app.main import make_publisher
from app.publication import export
from app.settings import Settings
from resolver_policy import wire
from resolver_policy.formats import Contents, rpz
from tests import databases
from tests.policy.scale import Record, scaled, seeded, tell
from tests.policy.zones import many_rules, records_of, zone
from tests.publication.worlds import World, random_act
from tests.servers import find
from tests.service import FrozenClock, Template, copy_of, settings_in

pytestmark = pytest.mark.long

RELEASES = 30
"""Each of three zones."""

NAMES, MOST_NAMES = 20_000, 1_000_000
ZONES = "block.rpz=nxdomain,nodata.rpz=nodata,landing.rpz=redirect:landing.example"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, zones=ZONES)


@pytest.fixture
def world(template: Template, settings: Settings, clock: FrozenClock) -> Iterator[World]:
    """Nothing but the first, empty release of three zones."""
    database: Database = copy_of(template, settings)
    world = World(database, make_publisher(settings, database), clock, template, settings)
    world.publisher.start(clock())
    yield world
    world.publisher.close()
    database.close()
    databases.drop(settings.database)


LINTERS = {
    "named": ("named-checkzone", "bind9-utils", '"$0" -D -q -o "$2.named" "$1" "$2"'),
    "nsd": ("nsd-checkzone", "nsd", '"$0" -p "$1" "$2" > "$2.nsd"'),
    "ldns": ("ldns-read-zone", "ldnsutils", '"$0" "$2" > "$2.ldns"'),
    "knot": ("kzonecheck", "knot-dnssecutils", '"$0" -o "$1" "$2"'),
}
"""How each is asked about a zone ($1) and its file ($2); all but kzonecheck write down what they have read."""


def lint(files: dict[Path, str], linter: str) -> None:
    """Let a linter read all files, each of a zone; the test fails where it refuses one."""
    command, package, ask = LINTERS[linter]
    each = f"while [ $# -gt 0 ]; do {ask} || exit 1; shift 2; done"
    arguments = [text for file, zone in files.items() for text in (zone, str(file))]
    done = subprocess.run(
        ["sh", "-c", each, find(command, package), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (linter, done.stdout[-2_000:], done.stderr[-2_000:])


def read_back(zone: str, file: Path) -> set[str]:
    """The records of a zone file, by dnspython, but for its apex."""
    read = dns.zone.from_text(file.read_text(), f"{zone}.", relativize=False)
    return {f"{name} {ttl} IN CNAME {rdata}" for name, ttl, rdata in read.iterate_rdatas("CNAME")}


def exported(world: World, folder: Path, number: int) -> Iterator[tuple[Path, str, set[str]]]:
    """Every zone of the newest release as it is exported: its file, its name, and the records that were decided."""
    rules, soa = world.rules(), wire.Soa(world.settings.mname, world.settings.rname)
    for setting in world.settings.zone_settings:
        file = folder / f"{number}.{setting.name}"
        with world.database.read() as session:
            found = export.current(session, world.settings.data_dir, setting.name, "rpz", soa)
            file.write_bytes(found.path.read_bytes())
        yield file, setting.name, records_of(rules, wire.Zone(setting.name, setting.action, soa))


def test_every_published_zone_passes_the_linters_and_is_what_was_decided(
    world: World, tmp_path: Path, record_property: Record
) -> None:
    random, wanted = seeded("linters"), dict[Path, tuple[str, set[str]]]()
    for number in range(scaled(RELEASES)):
        for _ in range(random.randint(1, 3)):
            random_act(world, random)
        world.publish()
        wanted |= {file: (name, records) for file, name, records in exported(world, tmp_path, number)}
    files = {file: name for file, (name, _) in wanted.items()}
    with ThreadPoolExecutor(len(LINTERS)) as together:
        list(together.map(lint, [files] * len(LINTERS), LINTERS))
    for file, (name, records) in wanted.items():
        for ending in ("", ".named", ".nsd", ".ldns"):
            assert read_back(name, file.with_name(file.name + ending)) == records, (file, ending)
    tell(record_property, zones_linted=len(files), linters=len(LINTERS))


def test_a_long_list_passes_them_too(tmp_path: Path, record_property: Record) -> None:
    made, of = many_rules(min(MOST_NAMES, scaled(NAMES))), zone()
    rules = {key: rule for key, rule in made.items() if key.endswith(".")}  # others were too long and are cut off
    file = tmp_path / of.origin
    with file.open("wb") as target:
        target.writelines(rpz.FORMAT.render(Contents(of, 1, sorted(rules.items()))))
    for linter in LINTERS:
        lint({file: of.origin}, linter)
    records = records_of(rules, of)
    for ending in (".named", ".nsd", ".ldns"):
        assert read_by_columns(file.with_name(file.name + ending)) == records, ending
    tell(record_property, names_in_a_zone=len(rules), records=len(records))


def read_by_columns(file: Path) -> set[str]:
    """The records that a linter has written down, each on a line, below an origin or none."""
    origin, records = "", set()
    with file.open() as lines:
        for owner, *rest in map(str.split, lines):
            if owner == "$ORIGIN":
                origin = rest[0]
            elif rest[2:3] == ["CNAME"]:
                records.add(" ".join([owner if owner.endswith(".") else f"{owner}.{origin}", *rest]))
    return records
