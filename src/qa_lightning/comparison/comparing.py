"""Two settings on the same questions → differences, and the answers that were won and lost."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from qa_lightning.comparison.measuring import (
    SCORES,
    Measured,
    Questions,
    figures,
    measure,
    questions_of,
    summed,
)
from qa_lightning.comparison.records import Change, Compared, Comparison, Difference, Figure
from qa_lightning.comparison.resampling import (
    LEAST_GROUPS,
    Floats,
    Ints,
    difference_intervals,
    figure_intervals,
    holm,
    seed_test,
    swap_tests,
)
from qa_lightning.comparison.runs import EvaluatedRun
from qa_lightning.comparison.settings import Setting, differences_made, settings_of
from qa_lightning.errors import InputError

CONFIDENCE: Final = ("brier_score", "calibration_error")
LEVEL: Final = 0.05


def compare_runs(
    runs: Sequence[EvaluatedRun], *, common: bool = False, by_run: bool = False
) -> list[Comparison]:
    """Compare each setting with the first one, on the same questions.

    Args:
        runs: two or more, of one stage.
        common: leave out questions that not all runs have, instead of refusing them.
        by_run: runs that differ by their seed alone are settings of their own too.

    Raises:
        InputError: there is one run, or the runs answered different questions.
    """
    if len(runs) < 2:
        raise InputError(f"Expected two runs or more to compare; got {len(runs)}. Name another.")
    ids, left_out = shared_ids(runs, common=common)
    settings = settings_of(runs, by_run=by_run)
    questions = questions_of(settings, ids)
    measured = [measure(setting, questions) for setting in settings]
    return _corrected(
        [
            _compare(
                (settings[0], settings[place]),
                (measured[0], measured[place]),
                questions,
                letter=letter(place),
                stage=runs[0].stage,
                left_out=left_out,
            )
            for place in range(1, len(settings))
        ]
    )


def letter(place: int) -> str:
    """Return by what a setting is called.

    >>> [letter(place) for place in (0, 1, 25, 26, 52)]
    ['A', 'B', 'Z', 'AA', 'BA']
    """
    before, own = divmod(place, 26)
    return (letter(before - 1) if before else "") + chr(ord("A") + own)


def shared_ids(runs: Sequence[EvaluatedRun], *, common: bool) -> tuple[list[str], int]:
    """Return the questions that all runs have alike, and the number of the others.

    Alike are the question, the context and the gold texts.

    Raises:
        InputError: there are others and ``common`` is false, or there is none alike.
    """
    every = dict.fromkeys(name for run in runs for name in run.questions)
    ids = [name for name in every if len({_asked(run, name) for run in runs}) == 1]
    others = [name for name in every if name not in set(ids)]
    if ids and (common or not others):
        return ids, len(others)
    first = others[0] if others else "–"
    absent = [str(run.folder) for run in runs if first not in run.questions]
    why = f"is not in {absent[0]}" if absent else "has another text, context or gold in each"
    advice = "Compare runs that were evaluated on the same data" + (
        f", or add --common to score the {len(ids):,} that all have." if ids else "."
    )
    raise InputError(
        f"Expected the same questions in all runs; of {len(every):,} questions {len(others):,} "
        f"are not in all of them alike (id {first!r} {why}). {advice}"
    )


def _asked(run: EvaluatedRun, name: str) -> tuple[Any, ...] | None:
    record = run.questions.get(name)
    if record is None:
        return None
    return (record["question"], record["context"], *map(str, record["golds"]))


def _compare(
    settings: tuple[Setting, Setting],
    measured: tuple[Measured, Measured],
    questions: Questions,
    *,
    letter: str,
    stage: str,
    left_out: int,
) -> Comparison:
    paired = settings[0].seeds == settings[1].seeds and None not in settings[0].seeds
    sums = [summed(each, questions) for each in measured]
    differences = _differences(measured, sums, questions, paired=paired)
    changes = _changes(settings, measured, questions)
    return Comparison(
        stage=stage,
        questions=len(questions.ids),
        left_out=left_out,
        contexts=int(questions.groups_q.max()) + 1,
        paired_seeds=paired,
        first=_compared("A", settings[0], sums[0], len(questions.parts)),
        second=_compared(letter, settings[1], sums[1], len(questions.parts)),
        overall=tuple(each for each in differences if not each.kind),
        parts=tuple(each for each in differences if each.kind),
        won=tuple(each for each in changes if (each.f1, each.exact_match) > (0.0, 0.0)),
        lost=tuple(each for each in reversed(changes) if (each.f1, each.exact_match) < (0.0, 0.0)),
        made=tuple(differences_made(*settings)),
    )


def _by_seed(sums_sgk: Floats, parts: int) -> Floats:
    return figures(sums_sgk.sum(1), parts)


def _compared(letter: str, setting: Setting, sums_sgk: Floats, parts: int) -> Compared:
    values_sv = _by_seed(sums_sgk, parts)
    intervals = figure_intervals(sums_sgk, partial(figures, parts=parts))
    places = [*(rank * parts for rank in range(len(SCORES))), -2, -1]
    return Compared(
        letter,
        setting.name,
        setting.seeds,
        {
            name: Figure(
                float(values_sv[:, place].mean()),
                *intervals[place],
                float(values_sv[:, place].std(ddof=1)) if len(values_sv) > 1 else None,
                tuple(values_sv[:, place].tolist()),
            )
            for name, place in zip((*SCORES, *CONFIDENCE), places, strict=True)
        },
    )


def _differences(
    measured: tuple[Measured, Measured],
    sums: Sequence[Floats],
    questions: Questions,
    *,
    paired: bool,
) -> list[Difference]:
    count = len(questions.parts)
    first_sv, second_sv = (_by_seed(each, count) for each in sums)
    intervals = difference_intervals(
        sums[1], sums[0], partial(figures, parts=count), paired_seeds=paired
    )
    contexts_p = _contexts(questions)
    p_values = _tests(sums, contexts_p)
    sizes = questions.is_in_pq.sum(1)
    sized = zip(questions.parts, sizes.tolist(), contexts_p.tolist(), strict=True)
    of_parts = [(*part, int(size), int(contexts)) for part, size, contexts in sized]
    named = [(name, *about) for name in SCORES for about in of_parts]
    reported = int(questions.is_reported_q.sum())
    named += [(name, "", "", reported, int(contexts_p[0])) for name in CONFIDENCE]
    return [
        Difference(
            *about,
            first=float(first_sv[:, place].mean()),
            second=float(second_sv[:, place].mean()),
            value=float(second_sv[:, place].mean() - first_sv[:, place].mean()),
            low=intervals[place].low,
            high=intervals[place].high,
            p=p_values[place],
            p_corrected=None,
            p_seeds=None
            if about[1]
            else seed_test(second_sv[:, place], first_sv[:, place], paired=paired),
        )
        for place, about in enumerate(named)
    ]


def _contexts(questions: Questions) -> Ints:
    """Return on how many contexts the questions of each part are."""
    pairs = [np.unique(questions.groups_q[is_in_q > 0]).size for is_in_q in questions.is_in_pq]
    return np.array(pairs, dtype=np.int64)


def _tests(sums: Sequence[Floats], contexts_p: Ints) -> list[float | None]:
    """Return p of each figure, where it could be below the level at all.

    Scores and the Brier score are means: the sums' differences have the signs that are swapped.
    """
    parts = len(contexts_p)
    linear = len(SCORES) * parts + 1
    gaps_gv = (sums[1].mean(0) - sums[0].mean(0))[:, :linear]
    p_values: list[float | None] = [*swap_tests(gaps_gv), None]
    small_p = contexts_p < LEAST_GROUPS
    small_p[0] = False  # of the whole it is told that it has few
    for place in np.flatnonzero(np.tile(small_p, len(SCORES))).tolist():
        p_values[place] = None
    return p_values


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with p corrected for what was looked at, for each score apart.

    That is of all questions the number of settings; of parts that of all parts of all settings.
    """
    whole = len(comparisons) > 1
    overall = _holm_of([each.overall for each in comparisons]) if whole else None
    parts = _holm_of([each.parts for each in comparisons])
    return [
        replace(each, overall=overall[place] if overall else each.overall, parts=parts[place])
        for place, each in enumerate(comparisons)
    ]


def _holm_of(
    families: Sequence[tuple[Difference, ...]],
) -> list[tuple[Difference, ...]]:
    found = [[*each] for each in families]
    for name in (*SCORES, *CONFIDENCE):
        tested = [
            (family, place, entry.p)
            for family, entries in enumerate(families)
            for place, entry in enumerate(entries)
            if entry.name == name and entry.p is not None
        ]
        for (family, place, _), p in zip(tested, holm([p for _, _, p in tested]), strict=True):
            found[family][place] = replace(found[family][place], p_corrected=p)
    return [tuple(each) for each in found]


def _changes(
    settings: tuple[Setting, Setting], measured: tuple[Measured, Measured], questions: Questions
) -> list[Change]:
    """Return the questions with another score, those that the second has better first."""
    gap_qm = measured[1].scores_sqm.mean(0) - measured[0].scores_sqm.mean(0)
    changed = np.flatnonzero(np.abs(gap_qm).max(1) > 0)
    order = sorted(changed.tolist(), key=lambda place: (-gap_qm[place, 1], -gap_qm[place, 0]))
    return [_change(place, gap_qm[place], settings, questions) for place in order]


def _change(
    place: int, gap_m: Floats, settings: tuple[Setting, Setting], questions: Questions
) -> Change:
    name = questions.ids[place]
    record = settings[0].runs[0].questions[name]
    kept = next(
        (each for s in settings for run in s.runs if (each := run.questions[name].get("excerpts"))),
        (),
    )
    return Change(
        id=name,
        question=str(record["question"]),
        golds=tuple(questions.golds[name]),
        first=tuple(run.predictions[name] for run in settings[0].runs),
        second=tuple(run.predictions[name] for run in settings[1].runs),
        exact_match=float(gap_m[0]),
        f1=float(gap_m[1]),
        excerpts=tuple((int(start), str(text)) for start, text in kept),
    )
