"""What a confidence is worth, and from which null odds on no answer is the better answer.

Axes: ``e`` examples, ``a`` answers of an example.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from qa_lightning.answers import QuestionAnswers
from qa_lightning.answers.merging import probabilities
from qa_lightning.errors import InputError

_LOG_TEMPERATURES = (math.log(0.02), math.log(50.0))
_ECE_BINS = 15

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Scores = tuple[Floats, Floats, Flags]  # of the spans (ea), of the no-answer (e), span given (e)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Hold a fitted temperature and what it does to confidences that it was not fitted on.

    Attributes:
        temperature: divides the scores in the softmax of the confidences.
        ece_before: expected calibration error with temperature 1, 0 to 1, on the reported half;
            None where that half is empty.
        ece_after: the same with the fitted temperature.
        fitted_count: questions of the half that it was fitted on.
        reported_count: questions of the half that the errors are reported on.
    """

    temperature: float
    ece_before: float | None
    ece_after: float | None
    fitted_count: int
    reported_count: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """Hold the threshold of the null odds that scores best.

    Attributes:
        threshold: no answer where the null odds are greater.
        score: mean score reached with it, in the unit of the scores given.
        answered: share of the questions that it answers, 0 to 1.
    """

    threshold: float
    score: float
    answered: float


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Hold what answering only the surest questions gives.

    Attributes:
        coverage: share of the questions answered, 0 to 1.
        risk: share of wrong ones among them, 0 to 1.
        confidence: the least confidence answered.
    """

    coverage: float
    risk: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Hold the answers whose confidences are near one another.

    Attributes:
        confidence: their mean confidence.
        accuracy: the share of right ones.
        count: their number.
    """

    confidence: float
    accuracy: float
    count: int


def fit_temperature(
    answers: Sequence[QuestionAnswers], is_correct: Mapping[str, bool]
) -> Calibration:
    """Fit the temperature under which a confidence is the probability that the answer is correct.

    The model: the probability of what was given (a span, or that there is no answer) is its share
    in the softmax of ``score / temperature`` over the question's n-best spans and the no-answer.
    The temperature minimises the binary log loss of being correct over one half of the questions
    (Guo et al., 2017, "On Calibration of Modern Neural Networks", with being correct in the place
    of the class), towards Platt's (1999) smoothed targets, so that a half without a single error
    does not ask for certainty. The error is reported on the other half. A question's half depends
    on its id alone.

    Args:
        answers: decided answers; their confidences are not looked at, only their scores.
        is_correct: by id, whether the text given is correct.
    """
    fitted = [answer for answer in answers if is_fitted_on(answer.id)]
    reported = held_out(answers)
    temperature = _best_temperature(fitted, _flags(fitted, is_correct)) if fitted else 1.0
    errors = (
        [
            expected_calibration_error(confidences(reported, t), _flags(reported, is_correct))
            for t in (1.0, temperature)
        ]
        if reported
        else [None, None]
    )
    return Calibration(temperature, errors[0], errors[1], len(fitted), len(reported))


def held_out(answers: Sequence[QuestionAnswers]) -> list[QuestionAnswers]:
    """Return the answers of the half that :func:`fit_temperature` does not look at."""
    return [answer for answer in answers if not is_fitted_on(answer.id)]


def confidences(answers: Sequence[QuestionAnswers], temperature: float) -> Floats:
    """Return the probability of what was given to each question, under a temperature."""
    return _confidences(_scores(answers), temperature)


def expected_calibration_error(confidence_e: npt.ArrayLike, is_correct_e: npt.ArrayLike) -> float:
    """Return the ECE over 15 bins of equal width (Naeini et al., 2015), 0 to 1."""
    # Seconds to import, and answering questions does not need it.
    from torchmetrics.functional.classification import binary_calibration_error

    error = binary_calibration_error(
        torch.as_tensor(np.asarray(confidence_e, dtype=np.float64)),
        torch.as_tensor(np.asarray(is_correct_e, dtype=np.int64)),
        n_bins=_ECE_BINS,
    )
    return float(error)


def reliability(
    confidence_e: npt.ArrayLike, is_correct_e: npt.ArrayLike, *, bins: int = _ECE_BINS
) -> list[ReliabilityBin]:
    """Return mean confidence and accuracy of the bins of equal width that are not empty."""
    confidence = np.asarray(confidence_e, dtype=np.float64)
    is_correct = np.asarray(is_correct_e, dtype=np.float64)
    bin_e = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return [
        ReliabilityBin(
            float(confidence[bin_e == place].mean()),
            float(is_correct[bin_e == place].mean()),
            int((bin_e == place).sum()),
        )
        for place in np.unique(bin_e).tolist()
    ]


def risk_coverage(
    confidence_e: npt.ArrayLike, is_correct_e: npt.ArrayLike, *, points: int = 100
) -> list[RiskPoint]:
    """Return the risk-coverage curve (El-Yaniv and Wiener, 2010), from the surest answer to all.

    Questions with one confidence are answered together or not at all. Of a longer curve about
    ``points`` evenly spaced points are kept, the last one among them.
    """
    confidence = np.asarray(confidence_e, dtype=np.float64)
    order_e = np.argsort(-confidence, kind="stable")
    falling = confidence[order_e]
    wrong = np.cumsum(1.0 - np.asarray(is_correct_e, dtype=np.float64)[order_e])
    lasts = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])
    kept = np.unique(np.linspace(0, len(lasts) - 1, min(points, len(lasts))).astype(np.int64))
    return [
        RiskPoint((last + 1) / len(falling), float(wrong[last] / (last + 1)), float(falling[last]))
        for last in lasts[kept].tolist()
    ]


def sweep_threshold(
    null_odds_e: npt.ArrayLike, has_answer_e: npt.ArrayLike, span_score_e: npt.ArrayLike
) -> Threshold:
    """Find the threshold of the null odds with the best mean score, over all that differ.

    As ``find_best_thresh`` of the SQuAD 2.0 script, but questions with equal odds are answered
    together or not at all, as they are when the threshold is used, and the threshold stands
    halfway to the next odds. Of equally good ones the lowest is taken.

    Args:
        null_odds_e: of each question; infinite where there is no span, so never an answer.
        has_answer_e: whether the question has an answer.
        span_score_e: score of the best span against the gold, 0 to 100; that of no answer is 100
            where there is none and 0 otherwise.

    Raises:
        InputError: there are no questions.
    """
    odds, has_answer = np.asarray(null_odds_e, np.float64), np.asarray(has_answer_e, np.bool_)
    if odds.size == 0:
        raise InputError("Expected at least one question to find a threshold on; got none.")
    gain = np.where(has_answer, np.asarray(span_score_e, np.float64), -100.0)
    distinct, group_e = np.unique(odds, return_inverse=True)
    distinct = distinct[np.isfinite(distinct)]
    gains = np.bincount(group_e, weights=gain, minlength=len(distinct))[: len(distinct)]
    totals = 100.0 * (~has_answer).sum() + np.concatenate([[0.0], np.cumsum(gains)])
    best = int(np.argmax(totals.round(9)))  # sums that differ by rounding are equal
    threshold = _between(distinct, best)
    return Threshold(threshold, float(totals[best] / odds.size), float((odds <= threshold).mean()))


def _between(distinct: Floats, count: int) -> float:
    """Return a threshold that the ``count`` lowest odds do not pass."""
    if count == 0:
        return float(distinct[0] - 1.0) if len(distinct) else 0.0
    low = float(distinct[count - 1])
    if count == len(distinct):
        return low
    middle = (low + float(distinct[count])) / 2
    return middle if middle < distinct[count] else low


def is_fitted_on(name: str) -> bool:
    """Say whether a question is of the half that :func:`fit_temperature` looks at."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % 2 == 0


def _flags(answers: Sequence[QuestionAnswers], is_correct: Mapping[str, bool]) -> Flags:
    return np.array([is_correct[answer.id] for answer in answers], dtype=np.bool_)


def _scores(answers: Sequence[QuestionAnswers]) -> Scores:
    most = max((len(answer.answers) for answer in answers), default=0)
    scores_ea = np.full((len(answers), max(1, most)), -np.inf)
    for row, answer in enumerate(answers):
        scores_ea[row, : len(answer.answers)] = answer.scores
    null_e = np.array([answer.null_score for answer in answers], dtype=np.float64)
    return scores_ea, null_e, np.array([answer.is_answerable for answer in answers], dtype=np.bool_)


def _confidences(scores: Scores, temperature: float) -> Floats:
    scores_ea, null_e, is_span_e = scores
    spans_ea, none_e = probabilities(scores_ea, null_e, temperature)
    return np.where(is_span_e, spans_ea[:, 0], none_e)


def _best_temperature(answers: Sequence[QuestionAnswers], is_correct_e: Flags) -> float:
    """Search the logarithm of the temperature, each time more closely around the best."""
    right = int(is_correct_e.sum())
    wrong = len(is_correct_e) - right
    target_e = np.where(is_correct_e, (right + 1) / (right + 2), 1 / (wrong + 2))
    scores = _scores(answers)
    low, high = _LOG_TEMPERATURES
    for _ in range(4):
        grid = np.linspace(low, high, 41)
        losses = [_log_loss(_confidences(scores, math.exp(at)), target_e) for at in grid]
        best, step = float(grid[int(np.argmin(losses))]), float(grid[1] - grid[0])
        low, high = best - step, best + step
    return math.exp(min(max(best, _LOG_TEMPERATURES[0]), _LOG_TEMPERATURES[1]))


def _log_loss(confidence_e: Floats, target_e: Floats) -> float:
    confidence_e = np.clip(confidence_e, 1e-12, 1 - 1e-12)
    losses = target_e * np.log(confidence_e) + (1 - target_e) * np.log1p(-confidence_e)
    return -float(losses.mean())
