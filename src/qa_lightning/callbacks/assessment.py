"""From the windows of a pass to answers and scores: values in, values out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from qa_lightning.answers import QuestionAnswers, complete_examples, select_answers
from qa_lightning.callbacks.further_metrics import further_figures
from qa_lightning.callbacks.gathering import NO_LOSS, GatheredWindows
from qa_lightning.callbacks.scored import (
    Gold,
    Ints,
    Scored,
    SplitData,
    best_threshold,
    window_examples,
)
from qa_lightning.candidates import WindowCandidates, to_characters
from qa_lightning.errors import InputError
from qa_lightning.scores import bootstrap_interval

_SHOWN = ("exact_match", "f1", "loss")  # scores in an assessment's own words


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
    ) -> Sequence[QuestionAnswers]:
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


@dataclass(frozen=True, repr=False)
class Assessment:
    """Hold the outcome of a pass.

    Attributes:
        answers: one record for each scored question.
        scores: name to figure, all of them logged.
        partial: some windows were not seen; only questions seen whole are scored.
        settings: how the answers were chosen, fitted values included.
        details: what ``scores.json`` holds beside the figures: slices, calibration, curves.
        scored: the answers as they were scored; None where it is not kept.
    """

    answers: Sequence[QuestionAnswers]
    scores: Mapping[str, float]
    partial: bool
    settings: AnswerSettings
    details: Mapping[str, Any] = field(default_factory=dict)
    scored: Scored | None = None

    def __repr__(self) -> str:
        """Tell the main figures: slices and curves fill pages."""
        shown = {name: round(self.scores[name], 4) for name in _SHOWN if name in self.scores}
        return f"Assessment({shown}, {len(self.answers):,} answers, partial={self.partial})"


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
    example_index_f = window_examples(split)
    rows = complete_examples(windows.feature_index_w, example_index_f)
    loss = mean_loss(gathered, example_index_f)
    partial = len(windows.feature_index_w) < len(split.features)
    if not len(rows):
        return Assessment((), loss, True, settings)
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
    error, curves = scored.confidence_report(scored.reported(fit=fit), temperature)
    details |= {"temperature": temperature, **curves}
    scores = loss | scored.figures() | scored.intervals()
    scores["calibration_error"] = error
    scores |= further_figures(metrics, scored.predictions, gold.official)
    return Assessment(answers, scores, partial, settings, details, scored)


def check_readable(gathered: GatheredWindows) -> None:
    """Refuse to score a network that gives no finite numbers at all.

    Raises:
        InputError: the logits of each window, or the loss of each that is labelled, are infinite or
            NaN.
    """
    loss_w = gathered.loss_b[gathered.loss_b != NO_LOSS]
    if len(loss_w) and not loss_w.isfinite().any():
        raise InputError(_diverged("losses", len(loss_w)))
    logits_w = gathered.candidates.log_normalizer_b
    if len(logits_w) and not logits_w.isfinite().any():
        raise InputError(_diverged("logits", len(logits_w)))


def _diverged(what: str, windows: int) -> str:
    return (
        f"Expected finite {what} in evaluation; those of all {windows} windows are infinite or "
        "NaN. The network has diverged: go on from an earlier checkpoint, with a lower "
        "`model.learning_rate` or with `trainer.gradient_clip_val`."
    )


def mean_loss(gathered: GatheredWindows, example_index_f: Ints) -> dict[str, float]:
    """Return the mean loss over distinct labelled windows, and how many have no label.

    Args:
        gathered: the windows of all processes, replicas included.
        example_index_f: the example of each window of the data set.
    """
    index_b = gathered.candidates.feature_index_b.numpy()
    index_w, first_w = np.unique(index_b, return_index=True)
    loss_w = gathered.loss_b.numpy()[first_w].astype(np.float64)
    labelled = loss_w != NO_LOSS
    if not labelled.any():
        return {}
    example_w = np.unique(example_index_f[index_w[labelled]], return_inverse=True)[1]
    windows_e = np.bincount(example_w)
    loss_e = np.bincount(example_w, weights=loss_w[labelled]) / windows_e
    low, high = bootstrap_interval(loss_e, weights_e=windows_e)
    return {
        "loss": float(loss_w[labelled].mean()),
        "loss_low": low,
        "loss_high": high,
        "windows_without_label": float((~labelled).sum()),
    }
