"""Where the network saw an answer begin and end: the probabilities of its sentence's tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_lightning.answerer.cutting import Document, WindowCutter
from qa_lightning.answerer.records import Answers, PlacedAnswer, TokenProbability
from qa_lightning.answerer.running import WindowRunner
from qa_lightning.screening import Stretch


class _Place(NamedTuple):
    """Hold the tokens of an answer and of its sentence in their document, ends exclusive."""

    start: int
    end: int
    first: int
    last: int


def explained(
    answers: Answers,
    documents: Sequence[Document],
    cutter: WindowCutter,
    runner: WindowRunner,
) -> tuple[PlacedAnswer, ...]:
    """Add to answers the probabilities of their sentence's tokens.

    An answer's window is the one that shows most tokens on its narrower side. Probabilities are
    the softmax over the window's tokens, question and no-answer included.

    Args:
        answers: of one question, ``document`` being the place in ``documents``.
        documents: each with its tokens.
        cutter: cut their windows.
        runner: runs the network.
    """
    return tuple(
        answer._replace(
            tokens=_tokens(answer, answers.question, documents[answer.document], cutter, runner)
        )
        for answer in answers
    )


def _tokens(
    answer: PlacedAnswer,
    question: str,
    document: Document,
    cutter: WindowCutter,
    runner: WindowRunner,
) -> tuple[TokenProbability, ...]:
    first, last = tokens_within(document, *answer.sentence[1:])
    start, end = tokens_within(document, answer.start_char, answer.end_char)
    place = _Place(start, end, first, last)
    chosen: list[Stretch] = []

    def choose(_: Sequence[str], stretches: Sequence[Stretch]) -> NDArray[np.bool_]:
        chosen.append(_clearest(stretches[0], place))
        is_chosen: NDArray[np.bool_] = stretches[0].start_w == chosen[0].start_w
        return is_chosen

    rows = next(iter(cutter.cut([question], [document], choose=choose).rows))
    probabilities_2n = runner.probabilities(rows)
    begin = int(chosen[0].start_w[0])
    shown = range(max(first, begin), min(last, begin + probabilities_2n.shape[1]))
    return tuple(
        TokenProbability(
            document.text[slice(*document.offsets_n2[token].tolist())],
            *document.offsets_n2[token].tolist(),
            *probabilities_2n[:, token - begin].tolist(),
        )
        for token in shown
    )


def _clearest(windows: Stretch, place: _Place) -> Stretch:
    """Return the one window that holds an answer with most tokens on its narrower side."""
    room_w = np.minimum(place.start - windows.start_w, windows.end_w - place.end)
    best = int(room_w.argmax())
    return windows._replace(
        start_w=windows.start_w[best : best + 1], end_w=windows.end_w[best : best + 1]
    )


def tokens_within(document: Document, start_char: int, end_char: int) -> tuple[int, int]:
    """Return the first token that touches a span, and one past the last."""
    start_n, end_n = document.offsets_n2.T
    first = int(np.searchsorted(end_n, start_char, side="right"))
    return first, max(first + 1, int(np.searchsorted(start_n, end_char, side="left")))
