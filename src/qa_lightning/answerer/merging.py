"""Answers with their surroundings, of one document and of many."""

from collections.abc import Sequence

import numpy as np

from qa_lightning.answerer.loading import DecisionSettings
from qa_lightning.answerer.records import (
    Answers,
    PlacedAnswer,
    Snippet,
    sentence_of,
    snippet_around,
)
from qa_lightning.answers import QuestionAnswers
from qa_lightning.answers.merging import probabilities


def placed(
    question: str,
    context: str,
    answers: QuestionAnswers,
    *,
    n_best: int,
    knows_no_answer: bool,
    windows: int,
    windows_read: int,
) -> Answers:
    """Put a question's answers into their document; texts are slices of the raw context."""
    whole = Snippet(context, 0, len(context))
    return Answers(
        question=question,
        n_best=tuple(
            PlacedAnswer(
                text=context[answer.start_char : answer.end_char],
                start_char=answer.start_char,
                end_char=answer.end_char,
                score=answer.score,
                confidence=answer.confidence,
                snippet=snippet_around(context, answer.start_char, answer.end_char),
                sentence=sentence_of(context, answer.start_char, answer.end_char),
            )
            for answer in answers.answers[:n_best]
        ),
        is_answerable=answers.is_answerable,
        no_answer_probability=answers.no_answer_probability,
        null_score=answers.null_score,
        knows_no_answer=knows_no_answer,
        windows=windows,
        windows_read=windows_read,
        texts={0: whole},
    )


def merge_documents(
    question: str, each: Sequence[Answers], decision: DecisionSettings, *, n_best: int
) -> Answers:
    """Merge a question's answers from several documents as windows of one are merged.

    The null score is the least of the documents that have a span; confidences are shared out anew
    among the best spans of all and the no-answer.

    Args:
        question: what was asked.
        each: answers of each document, ``decision.n_best`` of them at least.
        decision: how it is decided.
        n_best: answers wanted.
    """
    found = [
        answer._replace(document=number)
        for number, answers in enumerate(each)
        for answer in answers.n_best
    ]
    found.sort(key=lambda answer: (-answer.score, answer.document, answer.start_char))
    found = found[: max(n_best, decision.n_best)]
    null_score = min((answers.null_score for answers in each if answers.n_best), default=0.0)
    confidences, no_answer = probabilities(
        np.array([[answer.score for answer in found]]), np.array([null_score]), decision.temperature
    )
    threshold = decision.null_score_threshold or 0.0
    given = tuple(
        answer._replace(confidence=float(confidence))
        for answer, confidence in zip(found[:n_best], confidences[0], strict=False)
    )
    return Answers(
        question=question,
        n_best=given,
        is_answerable=bool(found)
        and (not decision.no_answer or null_score - found[0].score <= threshold),
        no_answer_probability=float(no_answer[0]),
        null_score=null_score,
        knows_no_answer=decision.no_answer,
        windows=sum(answers.windows for answers in each),
        windows_read=sum(answers.windows_read for answers in each),
        texts={number: each[number].texts[0] for number in sorted({a.document for a in given})},
    )
