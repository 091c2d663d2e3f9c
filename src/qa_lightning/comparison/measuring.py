"""The figures of a setting as sums over questions: whole, of parts, and of the confidences.

Axes as in ``resampling``; ``p`` parts of the data, the first of them the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from qa_lightning.calibration import is_fitted_on
from qa_lightning.comparison.resampling import Floats, Ints, group_numbers, group_sums
from qa_lightning.comparison.runs import EvaluatedRun
from qa_lightning.comparison.settings import Setting
from qa_lightning.scores import example_scores

SCORES: Final = ("exact_match", "f1")
_BINS: Final = 15  # as `calibration.expected_calibration_error`

Golds = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Questions:
    """Hold what two settings were asked.

    Attributes:
        ids: of the questions.
        golds: by id, the official gold texts.
        accepted: by id, these and the repaired texts of any of the runs.
        groups_q: a number for each question's context.
        parts: kind and value of each part, the whole (``("", "")``) first.
        is_in_pq: whether a question is in a part, 0 or 1.
        is_reported_q: whether its confidence is looked at: none was fitted on it.
    """

    ids: tuple[str, ...]
    golds: Golds
    accepted: Golds
    groups_q: Ints
    parts: tuple[tuple[str, str], ...]
    is_in_pq: Floats
    is_reported_q: Floats


def questions_of(settings: Sequence[Setting], ids: Sequence[str]) -> Questions:
    """Gather what the runs of some settings keep of the questions that they share.

    Parts are those of the first run; one that holds all questions is none.
    """
    runs = [run for setting in settings for run in setting.runs]
    first = runs[0].questions
    golds = {name: list(first[name]["golds"]) for name in ids}
    accepted = {name: _accepted(runs, name) for name in ids}
    members: dict[tuple[str, int, str], list[int]] = {}
    for place, name in enumerate(ids):
        for kind, (rank, value) in first[name]["parts"].items():
            members.setdefault((kind, int(rank), str(value)), []).append(place)
    kinds = list(dict.fromkeys(kind for kind, _, _ in members))
    ordered = sorted(members, key=lambda part: (kinds.index(part[0]), *part[1:]))
    parts = [part for part in ordered if len(members[part]) < len(ids)]
    is_in_pq = np.zeros((1 + len(parts), len(ids)))
    is_in_pq[0] = 1.0
    for row, part in enumerate(parts, 1):
        is_in_pq[row, members[part]] = 1.0
    reported = np.array([runs[0].stage != "val" or not is_fitted_on(name) for name in ids])
    return Questions(
        ids=tuple(ids),
        golds=golds,
        accepted=accepted,
        groups_q=group_numbers([str(first[name]["context"]) for name in ids]),
        parts=(("", ""), *((kind, value) for kind, _, value in parts)),
        is_in_pq=is_in_pq,
        is_reported_q=(reported if reported.any() else ~reported).astype(np.float64),
    )


def _accepted(runs: Sequence[EvaluatedRun], name: str) -> list[str]:
    """Return all texts that are right: gold, and repaired in some run."""
    records = [run.questions[name] for run in runs]
    repaired = (text for record in records for text in record.get("repaired", ()))
    return list(dict.fromkeys([*records[0]["golds"], *repaired]))


@dataclass(frozen=True)
class Measured:
    """Hold a setting's scores on the questions.

    Attributes:
        scores_sqm: exact match and F1 of each seed and question, 0 to 100.
        brier_sq: the squared distance of a confidence from being right.
        bins_sqk: being right less the confidence, in the column of the confidence's bin.
    """

    scores_sqm: Floats
    brier_sq: Floats
    bins_sqk: Floats


def measure(setting: Setting, questions: Questions) -> Measured:
    """Score each run of a setting anew, so that all are scored by the same rules."""
    scores, brier, bins = [], [], []
    for run in setting.runs:
        texts = {name: run.predictions[name] for name in questions.ids}
        official = example_scores(texts, questions.golds)
        right_q = example_scores(texts, questions.accepted).exact_e / 100
        given = [float(run.questions[name]["confidence"]) for name in questions.ids]
        confidence_q = np.clip(np.nan_to_num(np.array(given)), 0.0, 1.0)
        bin_q = np.minimum((confidence_q * _BINS).astype(np.int64), _BINS - 1)
        gap_qk = np.zeros((len(given), _BINS))
        gap_qk[np.arange(len(given)), bin_q] = right_q - confidence_q
        scores.append(np.stack([official.exact_e, official.f1_e], axis=-1))
        brier.append((right_q - confidence_q) ** 2)
        bins.append(gap_qk * questions.is_reported_q[:, None])
    return Measured(np.stack(scores), np.stack(brier) * questions.is_reported_q, np.stack(bins))


def summed(measured: Measured, questions: Questions) -> Floats:
    """Return the sums over each context (s, g, k), which :func:`figures` reads."""
    seeds = len(measured.scores_sqm)
    in_qp = questions.is_in_pq.T
    parted_sqk = (measured.scores_sqm[:, :, :, None] * in_qp[None, :, None, :]).reshape(
        seeds, len(questions.ids), -1
    )
    shared_qk = np.concatenate([in_qp, questions.is_reported_q[:, None]], axis=1)
    shared_sqk = np.broadcast_to(shared_qk, (seeds, *shared_qk.shape))
    columns = [parted_sqk, measured.brier_sq[:, :, None], measured.bins_sqk, shared_sqk]
    return group_sums(np.concatenate(columns, axis=-1), questions.groups_q)


def figures(sums_k: Floats, parts: int) -> Floats:
    """Return exact match of all parts, F1 of all parts, Brier score and calibration error."""
    ends = np.cumsum([len(SCORES) * parts, 1, _BINS, parts, 1])[:-1]
    scores, brier, bins, counts, reported = np.split(sums_k, ends, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = scores / np.concatenate([counts] * len(SCORES), axis=-1)
        error = np.abs(bins).sum(-1, keepdims=True) / reported
        return np.concatenate([means, brier / reported, error], axis=-1)
