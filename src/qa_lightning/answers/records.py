"""What is answered to a question."""

from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np
import numpy.typing as npt


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


class AnswerColumns(NamedTuple):
    """Hold the answers to several questions, one after the other, best first.

    Attributes:
        start_char_c: starts in their contexts.
        end_char_c: ends, exclusive.
        score_c: scores.
        confidence_c: confidences.
    """

    start_char_c: npt.NDArray[np.int64]
    end_char_c: npt.NDArray[np.int64]
    score_c: npt.NDArray[np.float64]
    confidence_c: npt.NDArray[np.float64]


class AnswerList(Sequence[Answer]):
    """Hold the answers to a question as numbers; an :class:`Answer` is made when it is asked for.

    Twenty records for each of 10,000 questions would cost more time than all that goes before.

    Args:
        texts: the answers' texts, best first.
        columns: the numbers of these answers and others.
        first: where this question's answers begin in the columns.
    """

    __slots__ = ("_columns", "_first", "_texts")

    def __init__(self, texts: list[str], columns: AnswerColumns, first: int) -> None:
        self._texts = texts
        self._columns = columns
        self._first = first

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, place: int | slice) -> Answer | tuple[Answer, ...]:
        if isinstance(place, slice):
            return tuple(self[at] for at in range(*place.indices(len(self))))
        text = self._texts[place]
        at = self._first + place % len(self._texts)
        starts, ends, scores, confidences = self._columns
        return Answer(text, starts.item(at), ends.item(at), scores.item(at), confidences.item(at))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


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
        return self.answers[0].text if self.is_answerable else ""

    @property
    def best_text(self) -> str:
        """The best span's text, whatever was decided; ``""`` where no span exists."""
        return self.answers[0].text if self.answers else ""

    @property
    def confidence(self) -> float:
        """The probability of what is given: of the answer, or of there being none."""
        return self.answers[0].confidence if self.is_answerable else self.no_answer_probability
