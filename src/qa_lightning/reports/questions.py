"""What is kept of each scored question, so that a run can be read and compared without its data."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.answers import QuestionAnswers
from qa_lightning.scores import ExampleScores
from qa_lightning.scores.slices import Parts

MOST_EXCERPTS: Final = 5_000
"""Questions whose text around the answers is kept; of more they are chosen by their ids alone, so
that two runs have the same ones."""

_AROUND: Final = 300  # characters on each side of a span
_AT_ONCE: Final = 256

Ints = npt.NDArray[np.int64]
Json = dict[str, Any]


class WindowSpans(NamedTuple):
    """Hold what characters of its context each window sees.

    Attributes:
        example_w: the window's row in the split's examples, rising.
        start_char_w: its first character.
        end_char_w: behind its last.
    """

    example_w: Ints
    start_char_w: Ints
    end_char_w: Ints

    def of(self, example: int) -> list[list[int]]:
        """Return start and end of the windows of an example."""
        first, end = np.searchsorted(self.example_w, [example, example + 1])
        spans = zip(self.start_char_w[first:end], self.end_char_w[first:end], strict=True)
        return [[int(start), int(stop)] for start, stop in spans]


def question_records(
    answers: Sequence[QuestionAnswers],
    examples: datasets.Dataset,
    *,
    scores: ExampleScores,
    repaired: Mapping[str, Sequence[str]],
    parts: Sequence[Parts],
    windows: WindowSpans,
) -> Iterator[tuple[str, Json]]:
    """Yield each question's id, and what ``questions.json`` holds of it.

    That is ``question``; ``context``, a hash of its text; ``golds`` and ``repaired``, the texts
    that count as right; ``spans`` of the gold answers: ``[start_char, end_char, status,
    confidence]``, null where none is trusted; ``given``, the answer's ``[start_char, end_char]`` or
    null; ``exact_match`` and ``f1`` by the official rules; ``confidence``; ``parts``: kind to
    ``[place, name]`` of the slice; ``windows``: ``[start_char, end_char]`` each; and, of at most
    `MOST_EXCERPTS` questions, ``excerpts``: ``[start_char, text]`` around the spans.

    Args:
        answers: one record a question.
        examples: the split's, which ``example_index`` counts.
        scores: of the same questions in the same order.
        repaired: by id, the gold texts and those of the spans that alignment repairs.
        parts: of the same questions in the same order.
        windows: of the split.
    """
    shown = _shown([answer.id for answer in answers])
    for first in range(0, len(answers), _AT_ONCE):
        block = answers[first : first + _AT_ONCE]
        rows = examples.with_format(None).select([answer.example_index for answer in block])
        for place, (answer, row) in enumerate(zip(block, rows, strict=True), first):
            yield (
                answer.id,
                {
                    **_record(answer, row, with_excerpts=answer.id in shown),
                    "repaired": list(repaired[answer.id])[len(set(row["answers"]["text"])) :],
                    "exact_match": float(scores.exact_e[place]),
                    "f1": float(scores.f1_e[place]),
                    "parts": {kind: list(bucket) for kind, bucket in parts[place].items()},
                    "windows": windows.of(answer.example_index),
                },
            )


def _shown(ids: Sequence[str]) -> set[str]:
    """Return the ids whose texts are kept, whatever the order of the questions."""
    if len(ids) <= MOST_EXCERPTS:
        return set(ids)
    return set(
        sorted(ids, key=lambda name: (zlib.crc32(name.encode(errors="replace")), name))[
            :MOST_EXCERPTS
        ]
    )


def _record(answer: QuestionAnswers, row: Mapping[str, Any], *, with_excerpts: bool) -> Json:
    context, best = row["context"], answer.answer
    found = row.get("repaired_spans") or row.get("spans") or {}
    columns = (found.get(name, []) for name in ("start_char", "end_char", "status", "confidence"))
    spans = [list(span) for span in zip(*columns, strict=True)]
    given = None if best is None else [best.start_char, best.end_char]
    record: Json = {
        "question": row["question"],
        "context": blake2b(context.encode(errors="surrogatepass"), digest_size=8).hexdigest(),
        "golds": list(row["answers"]["text"]),
        "spans": spans,
        "given": given,
        "confidence": answer.confidence,
    }
    if with_excerpts:
        marked = [span[:2] for span in spans if span[0] is not None]
        record["excerpts"] = excerpts(context, [*marked, *([given] if given else [])])
    return record


def excerpts(context: str, spans: Sequence[Sequence[int]]) -> list[list[Any]]:
    """Return the parts of a text around some spans, as ``[start_char, text]``; without, its start.

    >>> excerpts("abc", [[0, 1]])
    [[0, 'abc']]
    >>> [start for start, _ in excerpts("x" * 2_000, [[10, 12], [1500, 1510], [1400, 1401]])]
    [0, 1100]
    """
    joined: list[list[int]] = []
    for start, end in sorted(map(tuple, spans)) or [(0, 2 * _AROUND)]:
        low, high = max(0, start - _AROUND), min(len(context), end + _AROUND)
        if joined and low <= joined[-1][1]:
            joined[-1][1] = max(high, joined[-1][1])
        else:
            joined.append([low, high])
    return [[low, context[low:high]] for low, high in joined]
