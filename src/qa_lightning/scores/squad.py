"""Exact match and F1 by the official rules of SQuAD 1.1 and 2.0.

Sources: ``evaluate-v1.1.py`` (Rajpurkar et al., 2016) and ``evaluate-v2.0.py`` (Rajpurkar, Jia and
Liang, 2018). Axis: ``e`` examples, in the order of the references.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np
import numpy.typing as npt

from qa_lightning.errors import InputError
from qa_lightning.languages import language_of
from qa_lightning.normalization import normalize_squad
from qa_lightning.scores.given import Given, gold_texts, predicted_texts
from qa_lightning.scores.language_rules import normalizer_of

_log = logging.getLogger(__name__)

OFFICIAL_NO_ANSWER_THRESHOLD = 1.0

Normalizer = Callable[[str], str]
Floats = npt.NDArray[np.float64]


class ExampleScores(NamedTuple):
    """Hold the scores of single examples.

    Attributes:
        ids: the examples' ids, in the order of the references.
        exact_e: 0 or 100.
        f1_e: 0 to 100.
    """

    ids: tuple[str, ...]
    exact_e: Floats
    f1_e: Floats


def squad_scores(
    predictions: Mapping[str, str | None],
    references: Mapping[str, Given],
    *,
    language: str | None = None,
    no_answer_scores: Mapping[str, float] | None = None,
    no_answer_threshold: float = OFFICIAL_NO_ANSWER_THRESHOLD,
) -> dict[str, float]:
    """Return the official SQuAD figures, 0 to 100.

    The rules of 1.1 hold where every question has an answer and no ``no_answer_scores`` are given,
    else those of 2.0, in whose files a gold text of nothing is no answer. They differ where a gold
    text is empty after normalisation, and 2.0 gives the further figures of its script:
    ``HasAns_…`` and ``NoAns_…``, and, if there are ``no_answer_scores``, ``best_exact``,
    ``best_f1`` and the thresholds that reach them.

    Args:
        predictions: an example's id to the answer's text, ``""`` or None for no answer.
        references: an example's id to its gold texts, none for an unanswerable question: a list, a
            text, an ``answers`` of the Hub or of a SQuAD file, or None.
        language: adds ``exact_match_<code>`` and ``f1_<code>`` by that language's rules.
        no_answer_scores: an example's id to its no-answer score, the higher the likelier (the
            script's ``na_probs``; null odds as well).
        no_answer_threshold: a prediction whose no-answer score is greater counts as no answer. The
            script's default is 1, meant for probabilities; with null odds pass the threshold that
            was used, or ``math.inf`` if it is applied already.

    Raises:
        InputError: there is no reference, or a no-answer score is missing, or, under the rules of
            2.0, a prediction; or predictions or references are of none of these forms.

    >>> squad_scores({"1": "the Ganges"}, {"1": ["Ganges", "river Ganges"]})
    {'exact_match': 100.0, 'f1': 100.0, 'total': 1.0}
    """
    predictions, references = predicted_texts(predictions), gold_texts(references)
    second_rules = no_answer_scores is not None or not _all_answered(references)
    raw = _raw_scores(predictions, references, normalize_squad, second_rules=second_rules)
    if not second_rules:
        figures = _means(raw, "exact_match")
    else:
        given = _with_threshold(raw, references, no_answer_scores, no_answer_threshold)
        figures = _second_figures(given, references)
        if no_answer_scores is not None:
            figures |= _best_thresholds(raw, predictions, references, no_answer_scores)
    if language is not None:
        raw = _raw_scores(
            predictions, references, normalizer_of(language), second_rules=second_rules
        )
        given = _with_threshold(raw, references, no_answer_scores, no_answer_threshold)
        suffix = language_of(language).code
        figures[f"exact_match_{suffix}"] = 100.0 * sum(given.exact_e.tolist()) / len(raw.ids)
        figures[f"f1_{suffix}"] = 100.0 * sum(given.f1_e.tolist()) / len(raw.ids)
    return figures


def example_scores(
    predictions: Mapping[str, str | None],
    references: Mapping[str, Given],
    *,
    language: str | None = None,
) -> ExampleScores:
    """Return each example's exact match and F1, 0 to 100, whose means are :func:`squad_scores`'.

    Args:
        predictions: an example's id to the answer's text, ``""`` or None for no answer.
        references: an example's id to its gold texts, none for an unanswerable question: a list, a
            text, an ``answers`` of the Hub or of a SQuAD file, or None.
        language: that language's rules in place of the official ones.

    Raises:
        InputError: there is no reference, or, under the rules of 2.0, a prediction is missing.
    """
    predictions, references = predicted_texts(predictions), gold_texts(references)
    normalize = normalize_squad if language is None else normalizer_of(language)
    second_rules = not _all_answered(references)
    raw = _raw_scores(predictions, references, normalize, second_rules=second_rules)
    return ExampleScores(raw.ids, 100.0 * raw.exact_e, 100.0 * raw.f1_e)


def _all_answered(references: Mapping[str, Sequence[str]]) -> bool:
    return all(any(text.strip() for text in golds) for golds in references.values())


def _raw_scores(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    normalize: Normalizer,
    *,
    second_rules: bool,
) -> ExampleScores:
    """Return each example's scores, 0 to 1 as in the scripts, the best over its gold texts."""
    _check(predictions, references, second_rules)
    scores = [
        _score(normalize(predictions[name]), [normalize(text) for text in golds], second_rules)
        if name in predictions
        else (0.0, 0.0)
        for name, golds in references.items()
    ]
    exact_e, f1_e = np.array(scores, dtype=np.float64).T
    return ExampleScores(tuple(references), exact_e, f1_e)


def _check(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], second_rules: bool
) -> None:
    """Refuse what the script of 2.0 breaks at; that of 1.1 counts a missing prediction as wrong.

    Where no prediction is of any question, the two are not of the same data, whatever the rules.
    """
    if not references:
        raise InputError("Expected at least one reference to score against; got none.")
    missing = [name for name in references if name not in predictions]
    if not missing:
        return
    written = {str(name): name for name in predictions}
    alike = next((name for name in missing if str(name) in written), None)
    if alike is not None:
        other = written[str(alike)]
        raise InputError(
            f"Expected ids of one type; {alike!r} of the references is {type(alike).__name__}, and "
            f"{other!r} of the predictions {type(other).__name__}. Make all of them texts."
        )
    if predictions and len(missing) == len(references):
        first, other = next(iter(references)), next(iter(predictions))
        raise InputError(
            "Expected predictions and references of the same questions; no id is in both: the "
            f"first are {other!r} and {first!r}."
        )
    found = (
        f"Expected a prediction for each of {len(references)} questions; {len(missing)} are "
        f"missing (first id {missing[0]!r})"
    )
    if second_rules:
        raise InputError(f"{found}. Predict an empty text where there is no answer.")
    _log.warning("%s. They count as wrong.", found)


def _score(prediction: str, golds: list[str], second_rules: bool) -> tuple[float, float]:
    """Return exact match and F1 of normalised texts, the best over the gold texts."""
    if second_rules:
        golds = [gold for gold in golds if gold] or [""]
    exact = float(prediction in golds)
    return exact, max(_token_f1(prediction.split(), gold.split(), second_rules) for gold in golds)


def _token_f1(prediction: list[str], gold: list[str], second_rules: bool) -> float:
    """Return the F1 of two bags of words; only the rules of 2.0 let two empty ones agree."""
    if second_rules and not (prediction and gold):
        return float(prediction == gold)
    common = sum((Counter(prediction) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(prediction), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def _with_threshold(
    raw: ExampleScores,
    references: Mapping[str, Sequence[str]],
    no_answer_scores: Mapping[str, float] | None,
    threshold: float,
) -> ExampleScores:
    """Count predictions over the threshold as no answer (``apply_no_ans_threshold``)."""
    if no_answer_scores is None:
        return raw
    missing = [name for name in raw.ids if not _is_number(no_answer_scores.get(name))]
    if missing:
        raise InputError(
            f"Expected a no-answer score, a number, for each of {len(raw.ids)} questions; "
            f"{len(missing)} have none (first id {missing[0]!r}). Leave `no_answer_scores` out for "
            "a model that knows no answer."
        )
    over_e = np.array([no_answer_scores[name] > threshold for name in raw.ids])
    right_e = np.array([not references[name] for name in raw.ids], dtype=np.float64)
    return ExampleScores(
        raw.ids, np.where(over_e, right_e, raw.exact_e), np.where(over_e, right_e, raw.f1_e)
    )


def _is_number(score: object) -> bool:
    """Tell a number of any library, a tensor's too, from None, texts and NaN."""
    return isinstance(score, SupportsFloat) and not math.isnan(float(score))


def _means(scores: ExampleScores, exact_name: str, prefix: str = "") -> dict[str, float]:
    # Python's sum adds in the order of the scripts: the same figure to the last digit.
    total = len(scores.ids)
    return {
        prefix + exact_name: 100.0 * sum(scores.exact_e.tolist()) / total,
        prefix + "f1": 100.0 * sum(scores.f1_e.tolist()) / total,
        prefix + "total": float(total),
    }


def _second_figures(
    scores: ExampleScores, references: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    figures = _means(scores, "exact_match")
    figures["exact"] = figures["exact_match"]  # the script's own name
    has_answer_e = np.array([bool(references[name]) for name in scores.ids])
    for prefix, which_e in (("HasAns_", has_answer_e), ("NoAns_", ~has_answer_e)):
        if which_e.any():
            ids = tuple(np.array(scores.ids, dtype=object)[which_e])
            part = ExampleScores(ids, scores.exact_e[which_e], scores.f1_e[which_e])
            figures |= _means(part, "exact", prefix)
    return figures


def _best_thresholds(
    raw: ExampleScores,
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    no_answer_scores: Mapping[str, float],
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, scores_e in (("exact", raw.exact_e), ("f1", raw.f1_e)):
        score_of = dict(zip(raw.ids, scores_e.tolist(), strict=True))
        best, threshold = _best_threshold(score_of, predictions, references, no_answer_scores)
        figures[f"best_{name}"] = best
        figures[f"best_{name}_thresh"] = threshold
    return figures


def _best_threshold(
    score_of: Mapping[str, float],
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    no_answer_scores: Mapping[str, float],
) -> tuple[float, float]:
    """Sweep the threshold as ``find_best_thresh`` does, its way with equal scores included."""
    current = best = float(sum(not golds for golds in references.values()))
    threshold = 0.0
    for name in sorted(no_answer_scores, key=no_answer_scores.__getitem__):
        if name not in score_of:
            continue
        if references[name]:
            current += score_of[name]
        elif predictions[name]:
            current -= 1.0
        if current > best:
            best, threshold = current, no_answer_scores[name]
    return 100.0 * best / len(score_of), float(threshold)
