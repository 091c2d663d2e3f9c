"""A comparison in the terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from qa_lightning.comparison import Change, Comparison
from qa_lightning.reports.compared.wording import (
    NAMES,
    cautions,
    interval,
    is_sure,
    number,
    p_value,
    spread,
    verdict,
)

_MOST_MADE = 20


def comparison_parts(comparison: Comparison, *, show: int) -> Iterator[RenderableType]:
    """Yield what the terminal shows of a comparison.

    Args:
        comparison: of two settings.
        show: answers won, and as many lost, to read.
    """
    yield _overall(comparison)
    if comparison.parts:
        yield _parts(comparison)
    if comparison.made:
        yield _made(comparison)
    yield Text(f"{len(comparison.won):,} answers won, {len(comparison.lost):,} lost")
    for name, changes in (("won", comparison.won), ("lost", comparison.lost)):
        for change in changes[:show]:
            yield _change(name, change)
    for text in (verdict(comparison), *cautions(comparison)):
        yield Text(text)


def _overall(comparison: Comparison) -> Table:
    asked = f"{comparison.questions:,} questions ({comparison.stage})"
    names = f"A: {comparison.first.name}\nB: {comparison.second.name}"
    title = Text(f"{names}\n{asked} on {comparison.contexts:,} contexts")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("score")
    for column in ("A", "B", "B less A", "95 %", "p"):
        table.add_column(column, justify="right")
    has_seeds = any(entry.p_seeds is not None for entry in comparison.overall)
    if has_seeds:
        table.add_column("p of seeds", justify="right")
    for entry in comparison.overall:
        figures = (comparison.first.figures[entry.name], comparison.second.figures[entry.name])
        cells = [
            NAMES[entry.name],
            *(spread(entry.name, figure) for figure in figures),
            number(entry.name, entry.value, signed=True),
            interval(entry),
            p_value(entry.p),
        ]
        table.add_row(*cells, *([p_value(entry.p_seeds)] if has_seeds else []),
                      style="bold" if is_sure(entry) else None)  # fmt: skip
    return table


def _parts(comparison: Comparison) -> Table:
    table = Table(title="Parts of the data: F1", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("part", overflow="fold")
    for column in ("n", "A", "B", "B less A", "95 %", "p, corrected"):
        table.add_column(column, justify="right", no_wrap=True)
    kind = ""
    for entry in comparison.parts:
        if entry.name != "f1":
            continue
        if entry.kind != kind:
            kind = entry.kind
            table.add_row(f"[italic]{kind}")
        table.add_row(
            Text(f"  {entry.part}"),
            f"{entry.count:,}",
            number("f1", entry.first),
            number("f1", entry.second),
            number("f1", entry.value, signed=True),
            interval(entry),
            p_value(entry.p_corrected),
            style="bold" if is_sure(entry) else None,
        )
    return table


def _made(comparison: Comparison) -> Table:
    table = Table(title="What differs", title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    for row in comparison.made[:_MOST_MADE]:
        table.add_row(*map(Text, row))
    if len(comparison.made) > _MOST_MADE:
        table.add_row(f"… and {len(comparison.made) - _MOST_MADE} more")
    return table


def _change(name: str, change: Change) -> Panel:
    body = Text.assemble(
        (f"{change.question}\n", "bold"),
        f"gold: {' | '.join(dict.fromkeys(change.golds)) or 'no answer'}\n",
        f"A: {_answers(change.first)}\nB: {_answers(change.second)}",
    )
    title = Text(f"{name}: {change.id} (F1 {change.f1:+.0f})")
    return Panel(body, title=title, title_align="left")


def _answers(texts: tuple[str, ...]) -> str:
    return " | ".join(dict.fromkeys(text or "no answer" for text in texts))
