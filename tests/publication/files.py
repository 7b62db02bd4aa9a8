"""Snapshot files for tests, written from rules in memory, and a builder that writes them in the test's own process."""

from array import array
from collections.abc import Iterable
from pathlib import Path

from app.publication import building
from app.publication.builder import Builder
from app.publication.plan import Plan
from app.publication.snapshot import Identity, RulesOf, Serials, Snapshot
from app.publication.snapshot_writer import SnapshotWriter
from app.publication.store import Reading
from resolver_policy.delta import Rule
from resolver_policy.version import ZoneVersion
from resolver_policy.wire import Zone, render
from tests.policy.zones import Rules, zone

SERIALS = Serials(array("Q", [1, 2, 5]), array("Q", [0, 3, 9]), array("Q", [100, 102, 110]))


def identity(of: Zone | None = None, serial: int = 110) -> Identity:
    return Identity(of or zone(), 1, 5, serial, "00")


def from_rules(rules: Rules) -> RulesOf:
    """What a database would say that has these rules, whatever the release."""

    def between(_release_id: int, first_key: str, past_key: str | None) -> Iterable[tuple[str, Rule]]:
        return [
            (key, rule) for key, rule in sorted(rules.items()) if first_key <= key and (not past_key or key < past_key)
        ]

    return between


def written(path: Path, rules: Rules, of: Zone | None = None) -> Path:
    """A file of these rules."""
    return written_from(path, sorted(rules.items()), of)


def written_from(path: Path, rules: Iterable[tuple[str, Rule]], of: Zone | None = None) -> Path:
    """The same of rules one after the other."""
    with SnapshotWriter(path, identity(of)) as writer:
        for chunk in render(rules, of or zone()):
            writer.add(chunk)
        writer.finish(SERIALS)
    return path


def opened(path: Path, rules: Rules | None = None) -> Snapshot:
    """A file and what the database says of its rules: nothing, unless they are given."""
    return Snapshot(path, from_rules(rules or {}))


def version_of(file: Snapshot) -> ZoneVersion:
    return ZoneVersion.of(file.ranges(), file.identity.zone, file.identity.serial)


class Here(Builder):
    """Writes at once; counts how often, and how often from nothing. Where it is told to wait, it is not done yet."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading
        self._done: str | None = None
        self._waiting: Plan | None = None
        self.waits = False
        self.plans: list[Plan] = []

    def start(self, plan: Plan) -> None:
        if self._done is None and self._waiting is None:
            self.plans.append(plan)
            self._waiting = plan
            if not self.waits:
                self.finish()

    def finish(self) -> None:
        """Write what was asked for."""
        if self._waiting is not None:
            building.write(self._waiting, self._reading)
            self._done, self._waiting = self._waiting.identity.zone.origin, None

    @property
    def has_ended(self) -> bool:
        return self._done is not None

    def ended(self) -> str | None:
        done, self._done = self._done, None
        return done
