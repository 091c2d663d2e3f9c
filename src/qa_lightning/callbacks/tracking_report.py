"""From an assessment or a network to what trackers show: values in, values out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.callbacks.assessment import Assessment
from qa_lightning.callbacks.scored import Gold, SplitData, window_examples
from qa_lightning.reports.curves import (
    no_answer_chart,
    reliability_chart,
    risk_coverage_chart,
    slice_chart,
)
from qa_lightning.reports.drawing import Chart
from qa_lightning.reports.tables import (
    Table,
    answer_rows,
    answer_table,
    interval_table,
    slice_table,
)
from qa_lightning.scores import example_scores
from qa_lightning.trackers import Report

Watched = Literal["gradients", "parameters", "all"]


def report_of(
    assessment: Assessment,
    split: SplitData,
    *,
    stage: str,
    step: int,
    answers: Table,
    figures: Mapping[str, float],
) -> Report:
    """Return what trackers show of a whole evaluation.

    Args:
        assessment: its outcome; at least one question.
        split: the split's examples and features.
        stage: ``val`` or ``test``.
        step: number of the last optimizer step.
        answers: the table of answers.
        figures: further figures.
    """
    parts = assessment.details.get("slices", [])
    group = f"calibration/{stage}"
    calibration = {f"{group}/{name}": value for name, value in _calibration(assessment).items()}
    curves = {f"{group}/{name}": chart for name, chart in _curves(assessment, split).items()}
    return Report(
        stage,
        step,
        scalars={**figures, **calibration},
        tables={
            f"{stage}/answers": answers,
            f"{stage}/slices": slice_table(parts),
            f"{stage}/intervals": interval_table(assessment.scores),
        },
        charts={f"{stage}/slices_f1": slice_chart(parts), **curves},
        scores={f"{stage}/{name}": value for name, value in assessment.scores.items()},
    )


def without_texts(report: Report) -> Report:
    """Return a report without the table of answers, which has texts of the data."""
    texts = f"{report.stage}/answers"
    return replace(report, tables={k: v for k, v in report.tables.items() if k != texts})


def answers_worth_a_look(
    assessment: Assessment,
    split: SplitData,
    *,
    previous: Mapping[str, str],
    limit: int,
    seed: int,
) -> Table:
    """Return the table of the worst, the changed and some random answers.

    Args:
        assessment: the outcome of an evaluation.
        split: the split's examples and features.
        previous: by id, the texts given in the last evaluation.
        limit: the most answers to show.
        seed: of the random ones.
    """
    rows = answer_rows(
        assessment.answers,
        split.examples,
        window_count_e=np.bincount(window_examples(split), minlength=len(split.examples)),
        previous=previous,
        limit=limit,
        seed=seed,
    )
    return answer_table(rows)


def label_figures(audit: AlignmentAudit) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of the labels that a run was trained on: those with a panel, the others.

    The others stand in the configuration too, as ``provenance.label_audit``.
    """
    compared = {
        "trusted_share": audit.trusted / max(1, audit.answers),
        "repaired": audit.repaired,
        "dropped": audit.dropped,
        "without_span": audit.without_span,
    }
    further = {
        "answers": audit.answers,
        "unanswerable": audit.unanswerable,
        **{f"status_{name}": count for name, count in audit.by_status.items()},
        **{f"ceiling_{name}": value for name, value in audit.ceilings.items()},
    }
    named, others = (
        {f"label/{name}": float(value) for name, value in figures.items()}
        for figures in (compared, further)
    )
    return named, others


def watched_tensors(module: nn.Module, watch: Watched) -> list[tuple[str, Tensor]]:
    """Return gradients or parameters of the trainable parameters, on the CPU in float32.

    Their finite values: a distribution has no place for others, which 16-bit training meets as a
    matter of course. ``train/gradient_norm`` tells of them. All processes have to call this for a
    module in shards.
    """
    found: list[tuple[str, Tensor]] = []
    for name, parameter in module.named_parameters():
        if watch != "parameters" and parameter.grad is not None:
            found.append((f"gradients/{name}", parameter.grad))
        if watch != "gradients" and parameter.requires_grad:
            found.append((f"parameters/{name}", parameter))
    finite = ((name, _finite(_whole(value.detach()).float().cpu())) for name, value in found)
    return [(name, values) for name, values in finite if values.numel()]


def in_shards(module: nn.Module) -> bool:
    """Say whether each process has its own share of a module's parameters."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def _whole(values: Tensor) -> Tensor:
    return values.full_tensor() if isinstance(values, DTensor) else values


def _finite(values: Tensor) -> Tensor:
    is_finite = values.isfinite()
    return values if is_finite.all() else values[is_finite]


def _calibration(assessment: Assessment) -> dict[str, float]:
    figures = {
        "temperature": assessment.settings.temperature,
        "threshold": assessment.settings.threshold if assessment.settings.no_answer else None,
        "mean_confidence": np.mean([answer.confidence for answer in assessment.answers]),
    }
    # That after the temperature is logged: `calibration_error`.
    figures["held_out_ece_before"] = assessment.details.get("calibration", {}).get("ece_before")
    return {name: float(value) for name, value in figures.items() if value is not None}


def _curves(assessment: Assessment, split: SplitData) -> dict[str, Chart]:
    details = assessment.details
    bins, risks = details.get("reliability", []), details.get("risk_coverage", [])
    charts: dict[str, Chart] = {
        "reliability": reliability_chart((part["confidence"], part["accuracy"]) for part in bins),
        "risk_coverage": risk_coverage_chart((point["coverage"], point["risk"]) for point in risks),
    }
    if assessment.settings.no_answer:
        charts["no_answer"] = _no_answer(assessment, split)
    return charts


def _no_answer(assessment: Assessment, split: SplitData) -> Chart:
    rows = np.array([answer.example_index for answer in assessment.answers], dtype=np.int64)
    gold = Gold.of(split.examples, rows).official
    spans = {answer.id: answer.best_text for answer in assessment.answers}
    return no_answer_chart(
        [answer.null_odds for answer in assessment.answers],
        [bool(texts) for texts in gold.values()],
        example_scores(spans, gold).exact_e,
    )
