"""One list of names, and the servers that carry it: each is started when a row first asks for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench import names, peers, sink
from bench.figures import PULIH, Figure
from bench.primary import ZONE, Primary
from bench.pulih import Filled, Pulih, copied, fill
from bench.sink import Wanted
from tests.servers import free_port

LARGE = 1_000_000
"""Above so many names the only peer is Knot: others need minutes to load them."""

RECORDS_A_NAME = 2
APEX_FULL = 3
"""SOA, NS, and the SOA again."""

SPACING = 1.2
"""Seconds between changes: Pulih publishes one serial a second at most."""

ENOUGH = 20.0
"""Seconds that a server may have needed for a kind of work, before it is asked for no more of it."""


@dataclass
class Run:
    """`folder` holds everything and is empty at first. `rounds` is how often each work is done where not its own way.

    Servers stay until the run is closed, so that rows that are measured one after the other share them.
    """

    folder: Path
    count: int
    rounds: int | None = None
    stack: ExitStack = field(default_factory=ExitStack)
    notified: dict[str, int] = field(default_factory=dict)
    _primaries: dict[str, Primary] = field(default_factory=dict)
    _copies: int = 0

    def __enter__(self) -> "Run":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def times(self, usual: int) -> int:
        """How often to do something that is usually done so often."""
        return usual if self.rounds is None else min(usual, self.rounds)

    @cached_property
    def filled(self) -> Filled:
        """Pulih's data directory with the list in it."""
        say(f"  Pulih imports, approves and publishes {self.count:,} names ...")
        filled = fill(self.folder / "filled", names.made_up(self.count), self.count)
        say(f"  ... in {filled.seconds:.1f} s")
        return filled

    @cached_property
    def zone_file(self) -> Path:
        """The same zone for servers that read a file."""
        file = self.folder / f"{ZONE}.zone"
        names.write_zone(file, ZONE, names.made_up(self.count))
        return file

    @property
    def pulih(self) -> Pulih:
        """The one that the rows share; what a row blocks it lifts again."""
        found = self.primary(PULIH)
        assert isinstance(found, Pulih)
        return found

    def peers(self, *wanted: str) -> list[Primary]:
        """Those of these peers that are measured at this length."""
        return [self.primary(name) for name in wanted if self.count <= LARGE or name == "Knot"]

    def primary(self, name: str) -> Primary:
        if name not in self._primaries:
            self._primaries[name] = self._started(name)
        return self._primaries[name]

    @contextmanager
    def another_pulih(self) -> Iterator[Pulih]:
        """One with a copy of the list for itself."""
        with copied(self.filled, self.fresh_folder("pulih")) as pulih:
            yield pulih

    def fresh_folder(self, name: str) -> Path:
        """Where nothing is yet."""
        self._copies += 1
        return self.folder / f"{name}-{self._copies}"

    def whole(self, primary: Primary) -> Wanted:
        """What a full transfer asks for, and must bring."""
        return Wanted(ZONE, sink.serial_of(primary.port, ZONE), RECORDS_A_NAME * self.count + APEX_FULL)

    def _started(self, name: str) -> Primary:
        if name == PULIH:
            return self.stack.enter_context(self.another_pulih())
        say(f"  {name} loads the zone ...")
        self.notified[name] = free_port()
        start, folder = peers.STARTS[name], self.fresh_folder(name.lower())
        made = self.stack.enter_context(start(folder, self.filled.key, self.zone_file, self.notified[name]))
        say(f"  ... in {made.seconds_to_serving:.1f} s")
        return made


def in_turns(figure: Figure, primaries: Sequence[Primary], rounds: int) -> Iterator[Primary]:
    """Who is to do the work of this figure next: each in turn, whose turn is first changing from round to round.

    So whatever else the machine does hits all; one that has needed long enough in all is spared.
    """
    for number in range(rounds):
        first = number % len(primaries)
        for primary in [*primaries[first:], *primaries[:first]]:
            if figure.sum_of(primary.name) < ENOUGH:
                yield primary


def space() -> None:
    """Let the second since the last serial go by."""
    time.sleep(SPACING)


def say(text: str) -> None:
    print(text, flush=True)
