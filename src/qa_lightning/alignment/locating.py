"""The answers of many examples, on one process or several."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from operator import attrgetter
from typing import Final

from qa_lightning.alignment.contexts import Context, read_context
from qa_lightning.alignment.locate import locate_answer
from qa_lightning.alignment.neighbours import NeighboursTally
from qa_lightning.alignment.occurrences import Wanted
from qa_lightning.alignment.offsets import Offsets
from qa_lightning.alignment.records import AlignedSpan
from qa_lightning.alignment.rows import Progress, Row, by_context

_CHUNK: Final = 256


def _locate_all(
    rows: Iterable[Row], language: str | None, offsets: Offsets
) -> list[list[AlignedSpan]]:
    """Locate the answers of some examples; the unit of work of one process."""
    located: list[list[AlignedSpan]] = []
    for context, asked in groupby(rows, key=attrgetter("context")):
        group = list(asked)
        known = _among(group, read_context(context, language), offsets)
        located += [
            [
                locate_answer(context, row.question, text, start, language=language, offsets=known)
                for text, start in zip(row.texts, row.starts, strict=True)
            ]
            for row in group
        ]
    return located


def _among(group: Sequence[Row], context: Context, offsets: Offsets) -> Offsets:
    """Return what is known of offsets with what the answers of one context show each other."""
    if offsets.scale is None:
        return offsets
    tally = NeighboursTally()
    for row in group:
        for index, (text, start) in enumerate(zip(row.texts, row.starts, strict=True)):
            if text.strip():
                tally.add(Wanted(text, context), start, stands=row.stands(index))
    return replace(offsets, neighbours=tally.of(context.text, offsets.scale))


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in portions, which cut no context but one with hundreds of questions."""
    first = 0
    while first < len(rows):
        end = min(first + _CHUNK, len(rows))
        most = min(end + _CHUNK, len(rows))
        while end < most and rows[end].context == rows[end - 1].context:
            end += 1
        yield rows[first:end]
        first = end


def locate_rows(
    rows: Sequence[Row],
    language: str | None,
    offsets: Offsets,
    *,
    num_proc: int | None,
    progress: Progress,
) -> list[list[AlignedSpan]]:
    """Return what is found for every answer of all rows, in their order."""
    order = by_context(rows)
    chunks = _chunks([rows[index] for index in order])
    work = partial(_locate_all, language=language, offsets=offsets)
    located: list[list[AlignedSpan]] = [[] for _ in rows]
    places = iter(order)

    def collect(parts: Iterable[list[list[AlignedSpan]]]) -> list[list[AlignedSpan]]:
        for part in parts:
            for found in part:
                located[next(places)] = found
            progress("questions", len(part))
        return located

    if num_proc is None or num_proc <= 1:
        return collect(map(work, chunks))
    # Spawned, since forking a process that holds torch or tokenizer threads may hang.
    with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn")) as pool:
        return collect(pool.map(work, chunks))
