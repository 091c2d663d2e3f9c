"""The answers of many examples, on one process or several."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Final

from qa_lightning.alignment.locate import locate_answer
from qa_lightning.alignment.offsets import Offsets
from qa_lightning.alignment.records import AlignedSpan
from qa_lightning.alignment.rows import Progress, Row, by_context

_CHUNK: Final = 256


def _locate_all(
    rows: Iterable[Row], language: str | None, offsets: Offsets
) -> list[list[AlignedSpan]]:
    """Locate the answers of some examples; the unit of work of one process."""
    return [
        [
            locate_answer(
                row.context, row.question, text, start, language=language, offsets=offsets
            )
            for text, start in zip(row.texts, row.starts, strict=True)
        ]
        for row in rows
    ]


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]


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
