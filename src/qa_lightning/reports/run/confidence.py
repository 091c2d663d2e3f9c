"""What the confidences of a run are worth, and its threshold of no answer."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from qa_lightning.reports.run.charts import Chart, Line, lines_svg
from qa_lightning.reports.run.findings import Findings, Judged
from qa_lightning.scores import example_scores

_PRECISIONS: Final = (0.95, 0.9, 0.8)


def confidence(found: Findings) -> list[tuple[str, Markup, str]]:
    """Return the charts of reliability and of precision: title, chart, caption."""
    if found.run is None:
        return []
    bins = found.run.scores.get("reliability") or []
    risks = found.run.scores.get("risk_coverage") or []
    charts = []
    if bins:
        points = [(float(part["confidence"]), float(part["accuracy"])) for part in bins]
        told = "; ".join(f"said {x:.2f}, right {y:.2f}" for x, y in points)
        equal = Line("as said", [(0.0, 0.0), (1.0, 1.0)], is_faint=True)
        square = (0.0, 1.0)
        chart = Chart("Reliability", "mean confidence", [Line("right", points), equal], told,
                      y_range=square, x_range=square)  # fmt: skip
        charts.append(("Reliability", lines_svg(chart), "share of right answers, by confidence"))
    if risks:
        points = [(float(point["coverage"]), 1 - float(point["risk"])) for point in risks]
        told = f"all answered: {points[-1][1]:.2f} right"
        chart = Chart("Precision", "share answered, surest first", [Line("right", points)], told,
                      y_range=(0.0, 1.0), x_range=(0.0, 1.0),
                      levels=[("90 %", 0.9)])  # fmt: skip
        charts.append(
            ("Precision and coverage", lines_svg(chart), "share of right answers among those given")
        )
    return charts


def coverage_at(found: Findings, precision: float) -> dict[str, float] | None:
    """Return the point with the most questions answered at a precision, if there is one."""
    points = (found.run.scores.get("risk_coverage") or []) if found.run else []
    held = [point for point in points if 1 - float(point["risk"]) >= precision - 1e-9]
    return max(held, key=lambda point: float(point["coverage"]), default=None)


def precisions(found: Findings) -> list[str]:
    """Return what can be answered at some precisions."""
    is_known = found.run is not None and bool(found.run.scores.get("risk_coverage"))
    told, none = [], []
    for precision in _PRECISIONS if is_known else ():
        most = coverage_at(found, precision)
        if most is None:
            none.append(f"{100 * precision:.0f} %")
            continue
        covered = 100 * float(most["coverage"])
        told.append(
            f"At {100 * precision:.0f} % precision it answers {covered:.0f} % "
            f"of the questions: those with a confidence of {float(most['confidence']):.2f} or more."
        )
    if none:
        told.append(f"At {', '.join(none)} precision it can answer none of the questions.")
    return told


def threshold(found: Findings) -> tuple[Markup, str] | None:
    """Return F1 over the threshold of the null odds, where questions may have no answer."""
    if found.run is None or all(each.has_answer for each in found.judged):
        return None
    odds = found.run.null_odds
    gains = sorted((float(odds.get(each.id, 0.0)), _gain(each)) for each in found.judged)
    silent = 100.0 * sum(not each.has_answer for each in found.judged)
    totals = silent + np.cumsum([gain for _, gain in gains])
    finite = [
        (odd, float(total) / len(gains))
        for (odd, _), total in zip(gains, totals, strict=True)
        if abs(odd) < 1e6
    ]
    step = max(1, len(finite) // 200)
    points: Sequence[tuple[float, float]] = finite[::step]
    if len(points) < 2:
        return None
    used = found.run.scores.get("threshold")
    marks = [("used", float(used))] if isinstance(used, int | float) else []
    best = max(points, key=lambda point: point[1])
    told = f"best F1 {best[1]:.1f} at {best[0]:.2f}"
    chart = Chart("F1", "threshold of the null odds", [Line("F1", points)], told, marks=marks)
    words = f"No answer is given above the threshold. {told[0].upper()}{told[1:]}"
    return lines_svg(chart), f"{words}; used: {used:.2f}." if marks else f"{words}."


def _gain(each: Judged) -> float:
    """Return what answering a question with its best span adds to silence, 0 to 100."""
    if not each.has_answer:
        return -100.0
    spans = [entry for entry in each.n_best if entry.get("text")]
    best = spans[0]["text"] if spans else ""
    if best == each.given:
        return float(each.f1)
    return float(example_scores({each.id: best}, {each.id: each.record["golds"]}).f1_e[0])
