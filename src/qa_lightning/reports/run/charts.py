"""Charts of a page: SVG that takes the page's colours and can be read aloud."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from markupsafe import Markup

_WIDTH: Final = 360
_HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 34
_ROW: Final = 22
_NAMES: Final = 120
FEWEST: Final = 20
"""Questions of a row; those of fewer are drawn faintly."""
COLORS: Final = ("var(--blue)", "var(--orange)", "var(--green)")

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Hold a line of a chart.

    Attributes:
        name: for the legend.
        points: from left to right; those that are not finite are left out.
        band: ends of an interval at each point, if they are known.
        is_faint: it stands behind the others.
        is_scatter: points alone.
    """

    name: str
    points: Sequence[Point]
    band: Sequence[Point] = ()
    is_faint: bool = False
    is_scatter: bool = False


@dataclass(frozen=True)
class Chart:
    """Hold a chart of lines.

    Attributes:
        title: what it shows.
        x_label: of the horizontal axis.
        lines: drawn in this order.
        told: what it says, in a sentence, for those who do not see it.
        levels: horizontal lines: name and height.
        marks: vertical lines: name and place.
        y_range: of the vertical axis; None: of the lines.
        x_range: of the horizontal axis; None: of the lines.
    """

    title: str
    x_label: str
    lines: Sequence[Line]
    told: str
    levels: Sequence[tuple[str, float]] = ()
    marks: Sequence[tuple[str, float]] = ()
    y_range: Point | None = None
    x_range: Point | None = None


@dataclass(frozen=True)
class Row:
    """Hold one row of dots: a part of the data, its value and its interval."""

    name: str
    value: float
    low: float
    high: float
    count: int


def lines_svg(chart: Chart) -> Markup:
    """Return a chart of lines."""
    return Markup("\n".join(_Lines(chart).shapes()))


def rows_svg(title: str, rows: Sequence[Row], *, level: float, counts: bool = True) -> Markup:
    """Return dots with intervals on an axis from 0 to 100, one row each; a line at a level."""
    height = 14 + _ROW * len(rows) + 20
    room = _WIDTH - _NAMES - 48
    at = [_NAMES + room * min(100.0, max(0.0, value)) / 100 for value in (0, 50, 100, level)]
    told = "; ".join(f"{row.name}: {row.value:.0f} of {row.count}" for row in rows)
    shapes = [_opening(height, f"{title}: {told}")]
    shapes += [_stroke(x, 8, x, height - 20, "var(--grid)") for x in at[:3]]
    shapes.append(_stroke(at[3], 8, at[3], height - 20, "var(--soft)", dash="3 3"))
    shapes += [
        _text(x, height - 6, f"{value}", "middle")
        for x, value in zip(at[:3], (0, 50, 100), strict=True)
    ]
    for number, row in enumerate(rows):
        y = 20 + _ROW * number
        low, middle, high = (_NAMES + room * v / 100 for v in (row.low, row.value, row.high))
        is_faint = counts and row.count < FEWEST
        shapes += [
            f'<g opacity="{0.45 if is_faint else 1}">',
            _text(_NAMES - 8, y + 4, row.name, "end"),
            _stroke(low, y, high, y, "var(--blue)", width=2),
            f'<circle cx="{middle:.1f}" cy="{y}" r="3.5" fill="var(--blue)"/>',
            _text(_WIDTH, y + 4, f"{row.value:.0f}" + f"  ({row.count:,})" * counts, "end"),
            "</g>",
        ]
    return Markup("\n".join([*shapes, "</svg>"]))


class _Lines:
    """Lay a chart of lines out."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        points = [
            point
            for line in chart.lines
            for point in [*line.points, *((x, y) for (x, _), ends in _banded(line) for y in ends)]
            if all(map(math.isfinite, point))
        ]
        heights = [y for _, y in points] + [y for _, y in chart.levels]
        self.x = chart.x_range or _range([x for x, _ in points] + [x for _, x in chart.marks])
        self.y = chart.y_range or _range(heights)

    def shapes(self) -> Iterator[str]:
        """Yield the elements."""
        yield _opening(_HEIGHT, f"{self.chart.title}: {self.chart.told}")
        bottom = _HEIGHT - _BOTTOM
        for value in _ticks(*self.y):
            _, y = self.place((0, value))
            yield _stroke(_LEFT, y, _WIDTH - _RIGHT, y, "var(--grid)")
            yield _text(_LEFT - 6, y + 4, _label(value), "end")
        for value in _ticks(*self.x):
            x, _ = self.place((value, 0))
            yield _stroke(x, bottom, x, bottom + 4, "var(--soft)")
            yield _text(x, bottom + 16, _label(value), "middle")
        yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, self.chart.x_label, "middle")
        for name, value in self.chart.levels:
            _, y = self.place((0, value))
            yield _stroke(_LEFT, y, _WIDTH - _RIGHT, y, "var(--green)", dash="5 3")
            yield _text(_WIDTH - _RIGHT, y - 4, name, "end")
        for name, value in self.chart.marks:
            x, _ = self.place((value, 0))
            yield _stroke(x, _TOP, x, bottom, "var(--soft)", dash="3 3")
            anchor = "start" if x < _WIDTH * 0.6 else "end"
            yield _text(x + (4 if anchor == "start" else -4), bottom - 6, name, anchor)
        for number, line in enumerate(self.chart.lines):
            yield from self._line(line, COLORS[number % len(COLORS)])
        yield "</svg>"

    def _line(self, line: Line, color: str) -> Iterator[str]:
        edge = [self.place((x, ends[0])) for (x, _), ends in _banded(line)]
        edge += [self.place((x, ends[1])) for (x, _), ends in reversed(_banded(line))]
        if edge:
            yield f'<polygon points="{_points(edge)}" fill="{color}" opacity=".15"/>'
        placed = [self.place(point) for point in line.points if all(map(math.isfinite, point))]
        look = (
            'stroke-width="1" stroke-dasharray="4 3" opacity=".7"'
            if line.is_faint
            else ('stroke-width="2"')
        )
        color = "var(--soft)" if line.is_faint else color
        if not line.is_scatter:
            yield f'<polyline points="{_points(placed)}" fill="none" stroke="{color}" {look}/>'
        for x, y in placed if (len(placed) <= 24 or line.is_scatter) and not line.is_faint else ():
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{color}"/>'

    def place(self, point: Point) -> Point:
        """Return a point in pixels, held within the axes."""
        shares = (
            min(1.0, max(0.0, (value - low) / ((high - low) or 1.0)))
            for value, (low, high) in zip(point, (self.x, self.y), strict=True)
        )
        x, y = shares
        return (
            _LEFT + x * (_WIDTH - _LEFT - _RIGHT),
            _TOP + (1 - y) * (_HEIGHT - _TOP - _BOTTOM),
        )


def _banded(line: Line) -> list[tuple[Point, Point]]:
    pairs = zip(line.points, line.band, strict=False)
    return [(point, ends) for point, ends in pairs if all(map(math.isfinite, (*point, *ends)))]


def _range(values: Sequence[float]) -> Point:
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers within a range.

    >>> _ticks(0, 100), _ticks(0.1, 0.37)
    ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [0.1, 0.2, 0.3])
    """
    rough = (high - low) / 5 or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + place) * step, 12) for place in range(max(0, count))]


def _label(value: float) -> str:
    """Return a number shortly.

    >>> _label(2500), _label(0.00002), _label(0.5)
    ('2.5k', '2e-05', '0.5')
    """
    if abs(value) >= 1_000:
        return f"{value / 1_000:g}k"
    if value and abs(value) < 0.0001:
        return f"{value:.0e}"
    return f"{value:g}"


def _opening(height: int, told: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(told, quote=True)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )


def _stroke(
    x1: float, y1: float, x2: float, y2: float, color: str, *, width: int = 1, dash: str = ""
) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}"{dashes}/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
