"""A run on one page, from its files alone."""

from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from qa_lightning.comparison import flat, read_runs
from qa_lightning.errors import InputError
from qa_lightning.reports.pages import render
from qa_lightning.reports.run.answers import shown_answers
from qa_lightning.reports.run.charts import FEWEST, Chart, Line, Row, lines_svg, rows_svg
from qa_lightning.reports.run.confidence import confidence, precisions, threshold
from qa_lightning.reports.run.findings import (
    Findings,
    Series,
    outcomes_by_part,
    read_findings,
    read_made,
)
from qa_lightning.reports.run.rules import RULES, advice
from qa_lightning.reports.run.summary import better_before, cards, duration, summary
from qa_lightning.scores import bootstrap_interval

_CURVES: Final = (
    ("Loss", ("train/loss", "val/loss")),
    ("Exact match and F1", ("val/f1", "val/exact_match")),
    ("Learning rate", ("train/learning_rate",)),
    ("Gradient norm", ("train/gradient_norm",)),
    ("Windows per second", ("train/windows_per_second",)),
)

Pairs = list[tuple[str, str]]


def run_page(folder: Path, *, stage: str | None = None) -> str:
    """Return the page of a run: what was trained, its scores, its answers, what to try next.

    Nothing is loaded from elsewhere; all texts are escaped.

    Args:
        folder: the run's.
        stage: of the evaluation, ``val`` or ``test``; None: the test if there is one.

    Raises:
        InputError: the folder is no run's.
    """
    found = _findings(folder, stage)
    scores = found.run.scores if found.run else {}
    return render(
        "run.html.jinja",
        title=f"Run {folder.resolve().name}",
        stage=found.run.stage if found.run else None,
        scores=scores,
        summary=summary(found),
        better=better_before(found),
        cards=cards(found),
        advice=advice(found),
        rules=RULES,
        made=_made(found),
        audit=_audit(found),
        curves=_curves(found),
        slices=_slices(found),
        confidence=confidence(found),
        precisions=precisions(found),
        threshold=threshold(found),
        answers=(shown := shown_answers(found)),
        fewest=FEWEST,
        asked=len(found.judged),
        shown=len(shown),
        config=sorted(flat({k: v for k, v in found.made.items() if k != "provenance"}).items()),
    )


def _findings(folder: Path, stage: str | None) -> Findings:
    try:
        (run,) = read_runs([folder], stage=stage)
    except InputError:
        if not folder.is_dir() or not read_made(folder) or stage is not None:
            raise
        return read_findings(folder, None)  # a training without a whole validation
    return read_findings(run.folder, run)


def _made(found: Findings) -> Pairs:
    """Return what was trained on what, in lines."""
    known = found.provenance
    scores = found.run.scores if found.run else {}
    network = found.setting("model.model_name_or_path") or "from scratch"
    data = found.setting("data.data_files") or found.setting("data.dataset")
    lines: list[tuple[str, Any]] = [
        ("model", network),
        ("data", ", ".join(map(str, data.values())) if isinstance(data, dict) else data),
        *((f"  {name}", _size(split)) for name, split in (known.get("splits") or {}).items()),
        ("windows", _windows(found)),
        ("seed", found.setting("seed_everything")),
        ("trained to", f"step {scores['global_step']:,}" if "global_step" in scores else None),
        ("padding", _usual(found.series("train/padding_share"), "{:.1%} of the tokens")),
        ("speed", _usual(found.series("train/windows_per_second"), "{:,.0f} windows/s")),
        ("training took", duration(found.series("speed/fit_seconds"))),
        ("memory", _last(found.series("speed/peak_memory_gib"), "{:.2f} GiB at most")),
        ("machine", _listed(known.get("machine"))),
        ("processes", known.get("processes")),
        ("commit", known.get("git_commit")),
        ("versions", _listed(known.get("versions"))),
        ("data's fingerprint", _listed(known.get("data_fingerprint"))),
    ]
    return [(name, str(value)) for name, value in lines if value not in (None, "")]


def _windows(found: Findings) -> str | None:
    length, shared = (found.setting(f"data.{name}") for name in ("max_length", "doc_stride"))
    return f"{length} tokens, {shared} of them shared" if length else None


def _listed(values: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in flat(values or {}).items())


def _size(split: Any) -> str:
    return f"{split.get('questions', 0):,} questions in {split.get('windows', 0):,} windows"


def _last(series: Series, words: str) -> str | None:
    return words.format(series[-1][1]) if series else None


def _usual(series: Series, words: str) -> str | None:
    """Return the median: the last of a run's steps may be like no other."""
    return words.format(float(np.median([value for _, value in series]))) if series else None


def _audit(found: Findings) -> Pairs:
    """Return what alignment did to the training labels."""
    audit = found.provenance.get("label_audit")
    if not isinstance(audit, dict):
        return []
    lines = [("policy", audit.get("policy")), ("answers", audit.get("answers"))]
    lines += [(f"  {status}", n) for status, n in (audit.get("by_status") or {}).items() if n]
    names = ("repaired", "dropped", "without_span", "unanswerable", "unheld")
    lines += [(name.replace("_", " "), audit[name]) for name in names if audit.get(name)]
    known = ((name, value) for name, value in lines if value is not None)
    return [(name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in known]


def _curves(found: Findings) -> list[tuple[str, Markup, list[str]]]:
    """Return title, chart and legend of the curves of training."""
    charts = []
    for title, keys in _CURVES:
        lines = [_line(found, key) for key in keys if found.series(key)]
        if not lines or sum(len(line.points) for line in lines) < 2:
            continue
        told = "; ".join(f"{line.name} ends at {line.points[-1][1]:.3g}" for line in lines)
        ceiling = found.ceiling.get("f1") if "val/f1" in keys else None
        levels = [("best F1 in reach", ceiling)] if isinstance(ceiling, int | float) else []
        ends = (0.0, float(max(line.points[-1][0] for line in lines)))
        chart = Chart(title, "step", lines, told, levels=levels, x_range=ends)
        charts.append((title, lines_svg(chart), [line.name for line in lines]))
    return charts


def _line(found: Findings, key: str) -> Line:
    points = found.series(key)
    ends = [dict(found.series(f"{key}_{end}")) for end in ("low", "high")]
    band = [(ends[0][x], ends[1][x]) for x, _ in points if x in ends[0] and x in ends[1]]
    return Line(key, points, band if len(band) == len(points) else ())


def _slices(found: Findings) -> list[tuple[str, Markup]]:
    """Return a small multiple of F1 for each kind of part that has several."""
    if found.run is None:
        return []
    whole = float(found.run.scores.get("f1") or 0.0)
    charts = []
    for kind, group in groupby(outcomes_by_part(found), key=lambda part: part[0]):
        rows = []
        for _, value, members in group:
            f1 = [each.f1 for each in members]
            contexts = [each.record["context"] for each in members]
            low, high = bootstrap_interval(f1, groups_e=contexts)
            rows.append(Row(value.replace("_", " "), float(np.mean(f1)), low, high, len(f1)))
        if len(rows) > 1:
            title = kind.replace("_", " ")
            charts.append((title, rows_svg(f"F1 by {title}", rows, level=whole)))
    return charts
