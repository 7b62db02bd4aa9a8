"""What was measured, what was asked of it, and whether that is held. Times are kept in seconds, memory in MB."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from statistics import median
from typing import Literal, NamedTuple

PULIH = "Pulih"

Unit = Literal["s", "ms", "MB"]
FACTORS: dict[Unit, float] = {"s": 1, "ms": 1000, "MB": 1}
P99 = 0.99


class Must(NamedTuple):
    """At most `most`, in seconds or MB; where `of` names a server, at most so many times what that server needs."""

    most: float
    aim: float | None = None
    of: str | None = None


@dataclass
class Figure:
    """One kind of work, and what each server needed for it, time after time; less is better.

    With `tail` the slowest of a hundred is printed too.
    """

    work: str
    unit: Unit
    must: Must | None = None
    tail: bool = False
    taken: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: str, *values: float) -> None:
        self.taken.setdefault(server, []).extend(values)

    def sum_of(self, server: str) -> float:
        return sum(self.taken.get(server, ()))

    def median_of(self, server: str) -> float:
        return median(self.taken[server])

    def p99_of(self, server: str) -> float:
        """Of fewer than a hundred this is the largest."""
        ordered = sorted(self.taken[server])
        return ordered[round(P99 * (len(ordered) - 1))]

    def ratio(self, server: str) -> float | None:
        """Pulih's median over this server's: below 1 is better. None where one of them was not measured."""
        if PULIH not in self.taken or not self.taken.get(server):
            return None
        return self.median_of(PULIH) / self.median_of(server)

    @property
    def held(self) -> bool | None:
        """Whether Pulih's median is within the must; False where it was not measured; None where nothing is asked."""
        if self.must is None:
            return None
        return self._within(self.must.most)

    @property
    def reached(self) -> bool | None:
        """The same of the aim."""
        if self.must is None or self.must.aim is None:
            return None
        return self._within(self.must.aim)

    def document(self) -> dict[str, object]:
        scale = FACTORS[self.unit]
        return {
            "work": self.work,
            "unit": self.unit,
            "must": None if self.must is None else self.must._asdict(),
            "held": self.held,
            "aim_reached": self.reached,
            "median": {server: round(self.median_of(server) * scale, 3) for server in self.taken},
            "p99": {server: round(self.p99_of(server) * scale, 3) for server in self.taken},
            "ratio": {server: _rounded(self.ratio(server)) for server in self.taken if server != PULIH},
            "taken": {server: [round(one * scale, 3) for one in taken] for server, taken in self.taken.items()},
        }

    def lines(self, servers: Sequence[str]) -> list[str]:
        """For people: each server's median, the ratio to the first peer, the must and what became of it."""
        peer = next((each for each in servers if each != PULIH and self.taken.get(each)), None)
        ratio = None if peer is None else self.ratio(peer)
        asked = "" if self.must is None else f"{self._asked(self.must.most)} (aim {self._asked(self.must.aim)})"
        line = self._line(self.work, self.median_of, servers)
        line += f"{'' if ratio is None else f'{ratio:.2f}':>8}  {asked:<32}{self.verdict}"
        return [line.rstrip(), *([self._line(f"{self.work}, p99", self.p99_of, servers)] if self.tail else [])]

    def _line(self, work: str, value: Callable[[str], float], servers: Sequence[str]) -> str:
        cells = [shown(value(each), self.unit) if self.taken.get(each) else "-" for each in servers]
        return f"{work + ', ' + self.unit:<62}" + "".join(f"{cell:>12}" for cell in cells)

    @property
    def unmeasured(self) -> bool:
        """Whether something is asked that Pulih, or the peer that it is held against, was not measured for."""
        if self.must is None:
            return False
        return not self.taken.get(PULIH) or (self.must.of is not None and not self.taken.get(self.must.of))

    @property
    def verdict(self) -> str:
        if self.held is None:
            return ""
        if self.unmeasured:
            return "NOT MEASURED"
        if not self.held:
            return "MISSED"
        return "held, aim reached" if self.reached else "held"

    def _within(self, limit: float) -> bool:
        if self.must is None or self.unmeasured:
            return False
        if self.must.of is None:
            return self.median_of(PULIH) <= limit
        ratio = self.ratio(self.must.of)
        return ratio is not None and ratio <= limit

    def _asked(self, limit: float | None) -> str:
        if limit is None:
            return "-"
        assert self.must is not None
        return f"{limit:g} x {self.must.of}" if self.must.of is not None else f"{limit * FACTORS[self.unit]:g}"


def shown(value: float, unit: Unit) -> str:
    """Three digits or so."""
    scaled = value * FACTORS[unit]
    digits = 0 if scaled <= 0 else min(3, max(0, 2 - floor(log10(scaled))))
    return f"{scaled:,.{digits}f}"


def table(figures: Sequence[Figure]) -> str:
    """Every figure a line, every server that was measured a column, Pulih first."""
    servers = list(dict.fromkeys([PULIH, *(each for figure in figures for each in figure.taken)]))
    heading = f"{'median':<62}" + "".join(f"{each:>12}" for each in servers) + f"{'ratio':>8}  {'must':<32}"
    return "\n".join([heading.rstrip(), *(line for figure in figures for line in figure.lines(servers))])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
