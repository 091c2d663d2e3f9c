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
    p_of,
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
            yield _change(name, change, comparison)
    for text in (verdict(comparison), *cautions(comparison)):
        yield Text(text)


def _overall(comparison: Comparison) -> Table:
    asked = f"{comparison.questions:,} questions ({comparison.stage})"
    pair = (comparison.first, comparison.second)
    names = "\n".join(f"{each.letter}: {each.name}" for each in pair)
    title = Text(f"{names}\n{asked} on {comparison.contexts:,} contexts")
    table = _table(title)
    table.add_column("score", no_wrap=True)
    is_corrected = any(entry.p_corrected is not None for entry in comparison.overall)
    for column in _columns(comparison):
        table.add_column(column, justify="right")
    table.add_column("95 %", justify="right", no_wrap=True)
    table.add_column("p, corrected" if is_corrected else "p", justify="right")
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
            p_of(entry),
        ]
        table.add_row(*cells, *([p_value(entry.p_seeds)] if has_seeds else []),
                      style="bold" if is_sure(entry) else None)  # fmt: skip
    return table


def _table(title: Text) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)


def _columns(comparison: Comparison) -> tuple[str, str, str]:
    first, second = comparison.first.letter, comparison.second.letter
    return first, second, f"{second} less {first}"


def _parts(comparison: Comparison) -> Table:
    table = _table(Text("Parts of the data: F1"))
    table.add_column("part", no_wrap=True)
    for column in ("n", *_columns(comparison), "95 %", "p, corrected"):
        table.add_column(column, justify="right", no_wrap=True)
    kind = ""
    for entry in comparison.parts:
        if entry.name != "f1":
            continue
        if entry.kind != kind:
            kind = entry.kind
            table.add_row(Text(kind.replace("_", " "), style="italic"))
        table.add_row(
            Text(f"  {entry.part.replace('_', ' ')}"),
            f"{entry.count:,}",
            number("f1", entry.first),
            number("f1", entry.second),
            number("f1", entry.value, signed=True),
            interval(entry),
            p_of(entry),
            style="bold" if is_sure(entry) else None,
        )
    return table


def _made(comparison: Comparison) -> Table:
    table = _table(Text("What differs"))
    for column in ("", *_columns(comparison)[:2]):
        table.add_column(column, overflow="fold")
    for row in comparison.made[:_MOST_MADE]:
        table.add_row(*map(Text, row))
    if len(comparison.made) > _MOST_MADE:
        table.add_row(f"… and {len(comparison.made) - _MOST_MADE} more")
    return table


def _change(name: str, change: Change, comparison: Comparison) -> Panel:
    first, second = comparison.first.letter, comparison.second.letter
    body = Text.assemble(
        (f"{change.question}\n", "bold"),
        f"gold: {' | '.join(dict.fromkeys(change.golds)) or 'no answer'}\n",
        f"{first}: {_answers(change.first)}\n{second}: {_answers(change.second)}",
    )
    title = Text(f"{name}: {change.id} (F1 {change.f1:+.0f})")
    return Panel(body, title=title, title_align="left")


def _answers(texts: tuple[str, ...]) -> str:
    return " | ".join(dict.fromkeys(text or "no answer" for text in texts))
