"""Small charts without a plotting library: one layout, which SVG and raster images are made of."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 48, 50
_BAR_TOP, _BAR_HEIGHT, _BAR_LABEL = 34, 16, 266
_BLACK, _GREY = "#333333", "#bbbbbb"
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a line of a chart: its name and its points ``(x, y)`` from left to right."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Hold a chart of lines.

    Attributes:
        title: what it shows.
        x_label: of the horizontal axis, which runs from 0 to 1.
        y_label: of the vertical axis, which runs from 0 to 1.
        lines: drawn in this order.
        diagonal: also draw where x equals y.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """Hold a chart of bars.

    Attributes:
        title: what it shows.
        value_label: what the bars measure, 0 to 100.
        bars: label and value, from top to bottom.
    """

    title: str
    value_label: str
    bars: tuple[tuple[str, float], ...]


Chart = Curves | Bars


class Stroke(NamedTuple):
    """Hold a line through points, in pixels."""

    points: tuple[Point, ...]
    color: str
    width: float = 1.0


class Box(NamedTuple):
    """Hold a filled rectangle, in pixels."""

    left: float
    top: float
    width: float
    height: float
    color: str


class Label(NamedTuple):
    """Hold a text at a point, in pixels; ``anchor`` is ``start``, ``middle`` or ``end``."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    color: str = _BLACK


Shape = Stroke | Box | Label


class Drawing(NamedTuple):
    """Hold a chart laid out on an area of whole pixels."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def draw(chart: Chart) -> Drawing:
    """Lay a chart out."""
    if isinstance(chart, Bars):
        height = _BAR_TOP + (_BAR_HEIGHT + 4) * len(chart.bars) + 10
        return Drawing(WIDTH, height, tuple(_bar_shapes(chart)))
    return Drawing(WIDTH, HEIGHT, tuple(_curve_shapes(chart)))


def to_svg(drawing: Drawing) -> str:
    """Return a drawing as an SVG document that stands alone."""
    shapes = "\n".join(f"  {_svg_element(shape)}" for shape in drawing.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{drawing.width}" '
        f'height="{drawing.height}" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'  <rect width="100%" height="100%" fill="white"/>\n{shapes}\n</svg>\n'
    )


def _svg_element(shape: Shape) -> str:
    if isinstance(shape, Label):
        return (
            f'<text x="{shape.x:g}" y="{shape.y:g}" text-anchor="{shape.anchor}" '
            f'fill="{shape.color}">{escape(shape.text)}</text>'
        )
    if isinstance(shape, Box):
        return (
            f'<rect x="{shape.left:g}" y="{shape.top:g}" width="{shape.width:.2f}" '
            f'height="{shape.height:g}" fill="{shape.color}"/>'
        )
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points)
    return (
        f'<polyline points="{points}" fill="none" stroke="{shape.color}" '
        f'stroke-width="{shape.width:g}"/>'
    )


def _curve_shapes(chart: Curves) -> Iterator[Shape]:
    yield Label(_LEFT, 20, chart.title)
    yield from _grid()
    yield Label((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 12, chart.x_label, "middle")
    yield Label(8, _TOP - 10, chart.y_label)
    if chart.diagonal:
        yield Stroke(_placed([(0.0, 0.0), (1.0, 1.0)]), _GREY, 1.5)
    for number, line in enumerate(chart.lines):
        color = COLORS[number % len(COLORS)]
        points = _placed(line.points)
        if points:
            yield Stroke(points, color, 2.0)
        for x, y in points if len(points) <= 20 else ():
            yield Box(x - 2.5, y - 2.5, 5, 5, color)
        if len(chart.lines) > 1:
            yield Label(WIDTH - _RIGHT, 20 + 14 * number, line.name, "end", color)


def _grid() -> Iterator[Shape]:
    for step in range(6):
        at = step / 5
        yield Stroke(_placed([(at, 0.0), (at, 1.0)]), _GREY, 0.5)
        yield Stroke(_placed([(0.0, at), (1.0, at)]), _GREY, 0.5)
        (x, y), (left, below) = _placed([(at, at), (0.0, 0.0)])
        yield Label(x, below + 16, f"{at:g}", "middle")
        yield Label(left - 8, y + 4, f"{at:g}", "end")


def _placed(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return finite points of the unit square in pixels."""
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    return tuple(
        (_LEFT + width * _within(x), _TOP + height * (1 - _within(y)))
        for x, y in points
        if math.isfinite(x) and math.isfinite(y)
    )


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))


def _bar_shapes(chart: Bars) -> Iterator[Shape]:
    yield Label(_LEFT, 20, f"{chart.title}: {chart.value_label}")
    room = WIDTH - _BAR_LABEL - 60
    for number, (name, value) in enumerate(chart.bars):
        top = _BAR_TOP + number * (_BAR_HEIGHT + 4)
        yield Label(_BAR_LABEL - 6, top + 12, name, "end")
        yield Box(_BAR_LABEL, top, room * _within(value / 100), _BAR_HEIGHT, COLORS[0])
        yield Label(_BAR_LABEL + room * _within(value / 100) + 6, top + 12, f"{value:.1f}")
