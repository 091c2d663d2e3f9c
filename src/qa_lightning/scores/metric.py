"""Our scorer in the dress of an ``evaluate`` metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from qa_lightning.errors import InputError
from qa_lightning.scores.given import texts_of
from qa_lightning.scores.squad import squad_scores

_DESCRIPTION = "Exact match and F1 by the official rules of SQuAD 1.1 and 2.0, by qa_lightning."
_CITATION = "Rajpurkar et al. (2016), arXiv:1606.05250; Rajpurkar, Jia and Liang (2018), 1806.03822"
_INPUTS = """
    predictions: dicts of ``id``, ``prediction_text`` and, if known, ``no_answer_probability``.
    references: dicts of ``id`` and ``answers`` {``text``, ``answer_start``}, empty lists where the
        question has no answer; also a text, texts, or dicts with ``text``.
"""

_SCORE = "no_answer_probability"

Row = dict[str, Any]
Rows = Sequence[dict[str, Any]]


def squad_metric(*, language: str | None = None) -> Any:
    """Return an ``evaluate.Metric`` that computes :func:`qa_lightning.scores.squad_scores`.

    Used like ``evaluate.load("squad")`` and ``evaluate.load("squad_v2")``, with the same rows, but
    without a network, a lock file or a script. ``evaluate`` is imported here, since that takes
    seconds.

    Args:
        language: adds figures by that language's rules.
    """
    import evaluate

    class SquadMetric(evaluate.Metric):  # type: ignore[misc]
        """Collect rows, then score them."""

        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=_DESCRIPTION,
                citation=_CITATION,
                inputs_description=_INPUTS,
                features=_row_types(),
            )

        def add(self, *, prediction: Row, reference: Row) -> None:
            """Add one row."""
            super().add(prediction=_with_score(prediction), reference=_with_lists(reference))

        def add_batch(self, *, predictions: Rows, references: Rows) -> None:
            """Add rows."""
            filled = [_with_score(row) for row in predictions]
            super().add_batch(
                predictions=filled, references=[_with_lists(row) for row in references]
            )

        def _compute(self, *, predictions: Rows, references: Rows) -> dict[str, float]:
            return _score_rows(predictions, references, language)

    # In memory: no cache file, so no lock file either.
    return SquadMetric(keep_in_memory=True)


def _row_types() -> datasets.Features:
    text = datasets.Value("string")
    answers = {
        "text": datasets.List(text),
        "answer_start": datasets.List(datasets.Value("int32")),
    }
    return datasets.Features(
        {
            "predictions": {"id": text, "prediction_text": text, _SCORE: datasets.Value("float64")},
            "references": {"id": text, "answers": answers},
        }
    )


def _with_score(prediction: Row) -> Row:
    # `evaluate` can choose between types of rows, but not where one lacks a key of the other.
    _check_keys(prediction, "predictions", "prediction_text")
    # A missing text would be written as the word "None".
    return {_SCORE: None, **prediction, "prediction_text": prediction["prediction_text"] or ""}


def _with_lists(reference: Row) -> Row:
    """Bring gold answers of any form to lists; the places count for nothing here."""
    _check_keys(reference, "references", "answers")
    texts = list(texts_of(reference["answers"], str(reference["id"])))
    return {"id": reference["id"], "answers": {"text": texts, "answer_start": [0] * len(texts)}}


def _check_keys(row: object, what: str, key: str) -> None:
    if isinstance(row, Mapping) and "id" in row and key in row:
        return
    kind = "string" if isinstance(row, str) else type(row).__name__
    found = sorted(map(str, row)) if isinstance(row, Mapping) else f"a {kind}, {row!r:.60}"
    raise InputError(
        f"Expected {what} as dicts with `id` and `{key}`; got {found}. Texts by id are what "
        "`squad_scores` takes."
    )


def _score_rows(predictions: Rows, references: Rows, language: str | None) -> dict[str, float]:
    scores = {row["id"]: row[_SCORE] for row in predictions if row[_SCORE] is not None}
    return squad_scores(
        {row["id"]: row["prediction_text"] for row in predictions},
        {row["id"]: row["answers"]["text"] for row in references},
        language=language,
        no_answer_scores=scores or None,
    )
