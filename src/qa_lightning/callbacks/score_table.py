"""A validation's scores as a terminal and a log file show them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from rich.table import Table

LOWER_IS_BETTER = ("loss", "calibration_error")
_MAIN = ("loss", "exact_match", "f1")


class Figure(NamedTuple):
    """Hold one line of the table of a validation.

    Attributes:
        name: of the score, without its stage.
        value: now.
        low: lower end of the 95 % interval, if one was computed.
        high: upper end.
        before: in the validation before, if there was one.
        best: of all validations of this run.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    before: float | None
    best: float


def plain_line(place: str, figures: list[Figure], *, windows_per_second: float) -> str:
    """Return a validation's main figures as one line.

    >>> plain_line("epoch 0, step 20", [Figure("f1", 31.25, None, None, None, 31.25)],
    ...     windows_per_second=40.4)
    'epoch 0, step 20: val/f1 31.2, 40 windows/s'
    """
    parts = [
        f"val/{figure.name} {_shown(figure.name, figure.value)}"
        for figure in figures
        if figure.name in _MAIN
    ]
    if math.isfinite(windows_per_second):
        parts.append(f"{windows_per_second:,.0f} windows/s")
    return f"{place}: {', '.join(parts)}"


def score_table(title: str, figures: list[Figure]) -> Table:
    """Return a validation's figures as a table, beside those before it."""
    table = Table(title=title, title_justify="left")
    table.add_column("score")
    for column in ("now", "95 % interval", "change", "best so far"):
        table.add_column(column, justify="right")
    for figure in without_repeats(figures):
        ends = [_shown(figure.name, x) for x in (figure.low, figure.high) if x is not None]
        table.add_row(
            figure.name,
            _shown(figure.name, figure.value),
            " to ".join(ends),
            _change(figure),
            _shown(figure.name, figure.best),
            style="bold" if figure.name in _MAIN else None,
        )
    return table


def without_repeats(figures: Iterable[Figure]) -> list[Figure]:
    """Return the figures without those that say the same as the official one of their kind.

    Repaired labels change nothing where none is, nor a language's rules where they are the
    official ones.

    >>> same = [Figure(name, 50.0, None, None, None, 60.0) for name in ("f1", "f1_en", "loss")]
    >>> [figure.name for figure in without_repeats(same)]
    ['f1', 'loss']
    """
    known = {figure.name: figure for figure in figures}
    return [
        figure
        for name, figure in known.items()
        if not any(
            name.startswith(f"{main}_") and figure._replace(name=main) == known.get(main)
            for main in _MAIN
        )
    ]


def _shown(name: str, value: float) -> str:
    return f"{value:.3f}" if name in LOWER_IS_BETTER else f"{value:.1f}"


def _change(figure: Figure) -> str:
    if figure.before is None:
        return ""
    change = figure.value - figure.before
    is_better = change < 0 if figure.name in LOWER_IS_BETTER else change > 0
    text = f"{change:+.3f}" if figure.name in LOWER_IS_BETTER else f"{change:+.1f}"
    return f"[green]{text}[/]" if is_better else text
