"""What is answered to a question, and to many.

Axes: ``e`` examples of a block, ``c`` answers of a block's examples, one after the other.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, repeat
from typing import NamedTuple, overload

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.answers.merging import Spans

RowRequest = slice | list[int]
_CONTEXTS_KEPT = 32


class Answer(NamedTuple):
    """Hold one answer: a span of the raw context.

    Attributes:
        text: ``context[start_char:end_char]``.
        start_char: start in the raw context.
        end_char: end, exclusive.
        score: the span's score under the window scoring.
        confidence: its probability among the n-best spans and the no-answer, 0 to 1.
    """

    text: str
    start_char: int
    end_char: int
    score: float
    confidence: float


class SpanTexts:
    """Cut the texts of answers when they are asked for, out of contexts that are read once more.

    Of twenty texts a question most are never asked for; to cut and keep all of them would be a
    seventh of the time of post-processing, and 2 kB a question. The contexts of some neighbouring
    questions are kept, for whoever asks for one after the other.

    Args:
        examples: with the column ``context``; as much of ``datasets.Dataset`` as this reads.
    """

    def __init__(self, examples: datasets.Dataset) -> None:
        self._examples = examples
        self._kept: tuple[RowRequest | None, int, list[str]] = (None, 0, [])

    def cut(self, rows: RowRequest, example: int, start: int, end: int) -> str:
        """Return ``context[start:end]`` of one of some rows."""
        first = example - example % _CONTEXTS_KEPT
        kept_rows, kept_first, contexts = self._kept
        if kept_rows is not rows or kept_first != first:
            contexts = self._examples[_part(rows, first, first + _CONTEXTS_KEPT)]["context"]
            self._kept = rows, first, contexts  # at once: threads may share this
        return contexts[example - first][start:end]


def _part(rows: RowRequest, first: int, end: int) -> RowRequest:
    if isinstance(rows, slice):
        return slice(rows.start + first, min(rows.start + end, rows.stop))
    return rows[first:end]


class AnswerColumns(NamedTuple):
    """Hold the answers to several questions, one after the other, best first.

    Attributes:
        spans: where they are in the contexts, and their scores.
        confidence_c: confidences.
        rows: the questions' rows in the examples.
        texts: what cuts their texts.
    """

    spans: Spans
    confidence_c: npt.NDArray[np.float64]
    rows: RowRequest
    texts: SpanTexts


class AnswerList(Sequence[Answer]):
    """Hold the answers to a question as numbers; an :class:`Answer` is made when it is asked for.

    A pickle or a deep copy is a tuple of them.

    Args:
        best_text: the first answer's text.
        columns: the numbers of these answers and others.
        first: where this question's answers begin in the columns.
        end: where they end.
    """

    __slots__ = ("_best_text", "_columns", "_end", "_first")

    def __init__(self, best_text: str, columns: AnswerColumns, first: int, end: int) -> None:
        self._best_text = best_text
        self._columns = columns
        self._first = first
        self._end = end

    @property
    def scores(self) -> list[float]:
        """The answers' scores."""
        scores: list[float] = self._columns.spans.score_c[self._first : self._end].tolist()
        return scores

    def __len__(self) -> int:
        return self._end - self._first

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, place: int | slice) -> Answer | tuple[Answer, ...]:
        if isinstance(place, slice):
            return tuple(self[at] for at in range(*place.indices(len(self))))
        at = range(self._first, self._end)[place]
        spans, confidence_c, rows, texts = self._columns
        start, end = spans.start_c.item(at), spans.end_c.item(at)
        if at == self._first:
            text = self._best_text
        else:
            text = texts.cut(rows, spans.example_c.item(at), start, end)
        return Answer(text, start, end, spans.score_c.item(at), confidence_c.item(at))

    def __iter__(self) -> Iterator[Answer]:
        spans, confidence_c, rows, texts = self._columns
        ours = slice(self._first, self._end)
        numbers = (
            column[ours].tolist()
            for column in (spans.start_c, spans.end_c, spans.score_c, confidence_c)
        )
        text: str | None = self._best_text
        for start, end, score, confidence in zip(*numbers, strict=True):
            if text is None:
                text = texts.cut(rows, spans.example_c.item(self._first), start, end)
            yield Answer(text, start, end, score, confidence)
            text = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type, tuple[tuple[Answer, ...]]]:
        return tuple, (tuple(self),)


class QuestionAnswers(NamedTuple):
    """Hold what is answered to one question.

    Attributes:
        id: the example's id.
        example_index: its row in the examples.
        answers: the n-best distinct spans, best first; empty where no span exists.
        null_score: score of the no-answer, the minimum over the windows.
        null_odds: null score less the best span's (``null_odds.json`` of run_qa); infinite where
            no span exists.
        no_answer_probability: among the n-best spans and the no-answer, 0 to 1.
        is_answerable: whether the best span is given as the answer.
    """

    id: str
    example_index: int
    answers: Sequence[Answer]
    null_score: float
    null_odds: float
    no_answer_probability: float
    is_answerable: bool

    @property
    def answer(self) -> Answer | None:
        """The answer given, or none."""
        return self.answers[0] if self.is_answerable else None

    @property
    def text(self) -> str:
        """The text that is scored: the answer's, or ``""`` for no answer, as SQuAD writes it."""
        return self.best_text if self.is_answerable else ""

    @property
    def best_text(self) -> str:
        """The best span's text, whatever was decided; ``""`` where no span exists."""
        return self.answers[0].text if self.answers else ""

    @property
    def scores(self) -> list[float]:
        """The scores of all answers, in their order."""
        if isinstance(self.answers, AnswerList):
            return self.answers.scores
        return [answer.score for answer in self.answers]

    @property
    def confidence(self) -> float:
        """The probability of what is given: of the answer, or of there being none."""
        return self.answers[0].confidence if self.is_answerable else self.no_answer_probability


class AnswerBlock(NamedTuple):
    """Hold what is answered to some questions; see :class:`QuestionAnswers`.

    Attributes:
        id_e: the examples' ids.
        example_index_e: their rows.
        best_text_e: the best spans' texts, ``""`` where there is no span.
        columns: the answers to all.
        bounds_e: where each question's answers begin in the columns, and where the last's end.
        null_score_e: scores of the no-answer.
        null_odds_e: null scores less the best spans'.
        no_answer_e: probabilities of the no-answer.
        is_answerable_e: whether the best spans are given.
    """

    id_e: list[str]
    example_index_e: list[int]
    best_text_e: list[str]
    columns: AnswerColumns
    bounds_e: list[int]
    null_score_e: list[float]
    null_odds_e: list[float]
    no_answer_e: list[float]
    is_answerable_e: list[bool]

    def records(self, which: slice) -> Iterator[QuestionAnswers]:
        """Yield the records of some questions."""
        bounds = self.bounds_e
        lists = self.best_text_e[which], repeat(self.columns), bounds[:-1][which], bounds[1:][which]
        numbers = self.null_score_e, self.null_odds_e, self.no_answer_e, self.is_answerable_e
        return map(
            QuestionAnswers,
            self.id_e[which],
            self.example_index_e[which],
            map(AnswerList, *lists),
            *(column[which] for column in numbers),
        )

    def predictions(self) -> Iterator[tuple[str, str]]:
        """Yield the ids and the texts that are scored."""
        texts = zip(self.best_text_e, self.is_answerable_e, strict=True)
        return zip(self.id_e, [text if given else "" for text, given in texts], strict=True)


class AnsweredQuestions(Sequence[QuestionAnswers]):
    """Hold the answers to many questions as columns; a record is made when it is asked for.

    Ten thousand records, and the garbage collector's look at each of them, would cost more time
    than all that goes before. A pickle or a deep copy is a list of the records.

    Args:
        blocks: the questions, in their order.
    """

    __slots__ = ("_blocks", "_ends")

    def __init__(self, blocks: Sequence[AnswerBlock]) -> None:
        self._blocks = [block for block in blocks if block.id_e]
        self._ends = list(accumulate(len(block.id_e) for block in self._blocks))

    def predictions(self) -> dict[str, str]:
        """Return the text that is scored by the example's id: ``predictions.json`` of SQuAD."""
        return dict(chain.from_iterable(block.predictions() for block in self._blocks))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> QuestionAnswers: ...
    @overload
    def __getitem__(self, place: slice) -> list[QuestionAnswers]: ...
    def __getitem__(self, place: int | slice) -> QuestionAnswers | list[QuestionAnswers]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        block = bisect_right(self._ends, place)
        at = place - self._ends[block]  # from the block's end
        return next(self._blocks[block].records(slice(at, at + 1 or None)))

    def __iter__(self) -> Iterator[QuestionAnswers]:
        return chain.from_iterable(block.records(slice(None)) for block in self._blocks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<answers to {len(self):,} questions>"

    def __reduce__(self) -> tuple[type, tuple[list[QuestionAnswers]]]:
        return list, (list(self),)
