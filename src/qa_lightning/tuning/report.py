"""A search as a page: its trials, what mattered, and whether the best is more than chance."""

import math
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from qa_lightning.comparison import Comparison
from qa_lightning.reports.compared import wording
from qa_lightning.reports.pages import render
from qa_lightning.reports.run.charts import Chart, Line, Row, lines_svg, rows_svg
from qa_lightning.tuning.study import best_beside_second, importances, states
from qa_lightning.tuning.trials import folder_of


def study_page(study: optuna.Study, output: Path) -> str:
    """Return the page of a search; nothing is loaded from elsewhere.

    Args:
        study: with a finished trial at least.
        output: folder of the trials' runs.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if best_of(trial) is not None]
    weights = importances(study)
    rows = [Row(key, 100 * share, 100 * share, 100 * share, 0) for key, share in weights.items()]
    return render(
        "study.html.jinja",
        title=f"Search in {output}",
        best=study.best_trial,
        told=noise(best_beside_second(study, output)),
        history=_history(trials),
        importance=rows_svg("What mattered, %", rows, level=0.0, counts=False) if rows else None,
        marginals=[(key, _marginal(trials, key)) for key in _numbers(trials)],
        shown=_shown,
        keys=sorted({key for trial in trials for key in trial.params}),
        trials=[(trial, best_of(trial), folder_of(output, trial.number)) for trial in trials],
        states=states(study),
    )


def best_of(trial: FrozenTrial) -> float | None:
    """Return the best score of a trial's validations, also of one that was ended early."""
    value = trial.user_attrs.get("best", trial.value)
    return None if value is None else float(value)


def noise(comparison: Comparison | None) -> str | None:
    """Return a warning if the best trial is no better than the second by more than chance."""
    if comparison is None:
        return None
    f1 = next(entry for entry in comparison.overall if entry.name == "f1")
    if wording.is_sure(f1) and f1.low > 0:
        return None
    gain = wording.number("f1", f1.value, signed=True)
    return (
        f"The best is within the noise of the second: F1 {gain} (95 %: {wording.interval(f1)}) on "
        f"the same {comparison.questions:,} questions with equal seeds, each at its best "
        "validation. "
        "Repeat both with other seeds before choosing, and compare them: `qa-lightning compare`."
    )


def _history(trials: list[FrozenTrial]) -> Any:
    values = [(float(trial.number), best_of(trial) or 0.0) for trial in trials]
    best, so_far = [], 0.0
    for number, value in values:
        so_far = max(so_far, value)
        best.append((number, so_far))
    told = f"the best of {len(values)} is {so_far:.1f}"
    lines = [Line("trial", values), Line("best so far", best, is_faint=True)]
    return lines_svg(Chart("F1", "trial", lines, told))


def _numbers(trials: list[FrozenTrial]) -> list[str]:
    """Return the keys whose values are numbers that differ."""
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    found = []
    for key in keys:
        values = [trial.params[key] for trial in trials if key in trial.params]
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if numbers and len(set(values)) > 1:
            found.append(key)
    return found


def _marginal(trials: list[FrozenTrial], key: str) -> Any:
    """Return the scores over a key's values: over their logarithm if it was searched so."""
    having = [trial for trial in trials if key in trial.params]
    is_log = any(getattr(trial.distributions[key], "log", False) for trial in having)
    points = sorted((float(trial.params[key]), best_of(trial) or 0.0) for trial in having)
    best = max(points, key=lambda point: point[1])
    drawn = [(math.log10(x), y) for x, y in points] if is_log else points
    label = f"log10 of {key}" if is_log else key
    lines = [Line("trials", drawn, is_scatter=True)]
    return lines_svg(Chart(key, label, lines, f"best at {best[0]:.3g}"))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
