"""How cost grows with the length of the list, as an SVG: a panel for each kind of work, both axes logarithmic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

Points = Mapping[int, float]
"""Names -> what a server needed."""

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 44, 40, 40
INSET = 22
"""So that the first values do not stand on the numbers beside them."""

COLUMNS = 2
LARGE = 100
HEADING = 34
COLOURS = ("#0b6e4f", "#b5532a", "#5a5a8c")
BESIDE = (16, -7)
"""How far below, and above, its points the values of the first two servers stand; those of others would cover them."""

GRID, INK = "#d8d8d8", "#222222"


@dataclass(frozen=True)
class Panel:
    """One kind of work: its name and unit, each server's points, and the limit that was set, if any."""

    work: str
    unit: str
    series: Mapping[str, Points]
    limit: float | None = None


@dataclass(frozen=True)
class Scale:
    """Powers of ten, from 10**low to 10**high, on so many pixels from `start` on."""

    low: int
    high: int
    start: float
    length: float

    def at(self, value: float) -> float:
        return self.start + (log10(value) - self.low) / (self.high - self.low) * self.length

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def svg(title: str, panels: Sequence[Panel]) -> str:
    """The whole drawing. Raises ValueError where there is nothing to draw."""
    if not panels:
        raise ValueError("there is no result to draw")
    rows = ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEADING + rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<title>{escape(title)}</title><rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 24, title, size=15),
    ]
    for number, panel in enumerate(panels):
        across, down = number % COLUMNS * WIDTH, HEADING + number // COLUMNS * HEIGHT
        parts += [f'<g transform="translate({across} {down})">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    values = [value for points in panel.series.values() for value in points.values()]
    names = [count for points in panel.series.values() for count in points]
    limits = [] if panel.limit is None else [panel.limit]
    across = _scale(names, LEFT + INSET, WIDTH - LEFT - RIGHT - INSET)
    up = _scale([*values, *limits], HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT)
    parts = [_text(LEFT, TOP - 16, f"{panel.work}, {panel.unit}", size=13)]
    parts += [_vertical(across.at(tick), f"{tick:,.0f}") for tick in across.ticks]
    parts += [_horizontal(up.at(tick), f"{tick:,g}") for tick in up.ticks]
    if panel.limit is not None:
        at = up.at(panel.limit)
        parts.append(_line([(LEFT, at), (WIDTH - RIGHT, at)], INK, ' stroke-dasharray="4 4"'))
        parts.append(_text(WIDTH - RIGHT, at - 4, f"must {panel.limit:,g}", anchor="end"))
    for number, (server, points) in enumerate(panel.series.items()):
        colour = COLOURS[number % len(COLOURS)]
        placed = [(across.at(count), up.at(value), value) for count, value in sorted(points.items())]
        parts.append(_line([(x, y) for x, y, _ in placed], colour, ' stroke-width="2"'))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y, _ in placed]
        parts.append(_text(WIDTH - RIGHT - 50 * number, TOP - 16, server, colour, "end"))
        if number < len(BESIDE):
            parts += [_text(x, y + BESIDE[number], _value(value), colour, "middle") for x, y, value in placed]
    return parts


def _value(value: float) -> str:
    """Two digits or three."""
    return f"{value:,.0f}" if value >= LARGE else f"{value:.2g}"


def _scale(values: Sequence[float], start: float, length: float) -> Scale:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return Scale(low, max(high, low + 1), start, length)


def _vertical(x: float, label: str) -> str:
    line = _line([(x, TOP), (x, HEIGHT - BOTTOM)], GRID)
    return line + _text(x, HEIGHT - BOTTOM + 16, label, anchor="middle")


def _horizontal(y: float, label: str) -> str:
    return _line([(LEFT, y), (WIDTH - RIGHT, y)], GRID) + _text(LEFT - 6, y + 4, label, anchor="end")


def _line(points: Sequence[tuple[float, float]], colour: str, more: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{more}/>'


def _text(x: float, y: float, text: str, colour: str = INK, anchor: str = "start", size: int = 12) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}>{escape(text)}</text>"
