"""From the windows of a pass to answers and scores: values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from qa_lightning.answers import QuestionAnswers, complete_examples, select_answers
from qa_lightning.callbacks.further_metrics import further_figures
from qa_lightning.callbacks.gathering import GatheredWindows
from qa_lightning.callbacks.scored import (
    Gold,
    Ints,
    Scored,
    SplitData,
    best_threshold,
    window_examples,
)
from qa_lightning.candidates import WindowCandidates, to_characters


@dataclass(frozen=True)
class AnswerSettings:
    """Hold how answers are chosen.

    Attributes:
        n_best: answers kept for each question.
        window_scoring: how windows compete.
        threshold: of the null odds; None where none is known yet.
        threshold_is_fixed: the user's own; it is not fitted anew.
        temperature: of the confidences.
        no_answer: whether questions may have none.
    """

    n_best: int
    window_scoring: str
    threshold: float | None
    threshold_is_fixed: bool
    temperature: float
    no_answer: bool

    def answers(
        self, windows: WindowCandidates, split: SplitData, rows: Ints
    ) -> list[QuestionAnswers]:
        """Answer the questions of some examples."""
        return select_answers(
            windows,
            example_index_w=window_examples(split)[windows.feature_index_w],
            examples=split.examples,
            example_indices=rows,
            n_best=self.n_best,
            window_scoring=self.window_scoring,
            null_score_threshold=self.threshold,
            temperature=self.temperature,
            no_answer=self.no_answer,
        )


@dataclass(frozen=True)
class Assessment:
    """Hold the outcome of a pass.

    Attributes:
        answers: one record for each scored question.
        scores: name to figure, all of them logged.
        partial: some windows were not seen; only questions seen whole are scored.
        settings: how the answers were chosen, fitted values included.
        details: what ``scores.json`` holds beside the figures: slices, calibration, curves.
    """

    answers: Sequence[QuestionAnswers]
    scores: Mapping[str, float]
    partial: bool
    settings: AnswerSettings
    details: Mapping[str, Any] = field(default_factory=dict)


def assess(
    gathered: GatheredWindows,
    split: SplitData,
    *,
    settings: AnswerSettings,
    fit: bool,
    language: str | None,
    metrics: Sequence[str] = (),
) -> Assessment:
    """Answer and score the questions whose windows all arrived.

    Args:
        gathered: the windows of all processes, replicas included.
        split: the split's examples and features.
        settings: how answers are chosen; whether questions may have none is seen in the gold.
        fit: choose threshold and temperature anew (validation).
        language: adds scores by this language's rules.
        metrics: names of further metrics of ``evaluate``.
    """
    windows = to_characters(gathered.candidates, split.features)
    rows = complete_examples(windows.feature_index_w, window_examples(split))
    partial = len(windows.feature_index_w) < len(split.features)
    if not len(rows):
        return Assessment((), mean_loss(gathered), True, settings)
    gold = Gold.of(split.examples, rows)
    settings = replace(settings, no_answer=gold.has_unanswerable)
    answers = settings.answers(windows, split, rows)
    if gold.has_unanswerable and fit and not settings.threshold_is_fixed:
        settings = replace(settings, threshold=best_threshold(answers, gold))
        answers = settings.answers(windows, split, rows)
    scored = Scored(answers, gold, split, rows, language)
    details: dict[str, Any] = {"slices": scored.slices(), "threshold": settings.threshold}
    if fit:
        calibration = scored.fit_temperature()
        settings = replace(settings, temperature=calibration.temperature)
        answers = settings.answers(windows, split, rows)
        details["calibration"] = asdict(calibration)
    temperature = settings.temperature
    details |= {"temperature": temperature, **scored.curves(temperature)}
    scores = mean_loss(gathered) | scored.figures() | scored.intervals()
    scores["calibration_error"] = scored.calibration_error(temperature)
    scores |= further_figures(metrics, scored.predictions, gold.official)
    return Assessment(answers, scores, partial, settings, details)


def mean_loss(gathered: GatheredWindows) -> dict[str, float]:
    """Return the mean loss over distinct labelled windows, and how many have no label."""
    index_b = gathered.candidates.feature_index_b.numpy()
    loss_w = gathered.loss_b.numpy()[np.unique(index_b, return_index=True)[1]]
    labelled = ~np.isnan(loss_w)
    if not labelled.any():
        return {}
    return {
        "loss": float(loss_w[labelled].astype(np.float64).mean()),
        "windows_without_label": float((~labelled).sum()),
    }
