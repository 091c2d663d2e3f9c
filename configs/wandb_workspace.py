"""Lay the panels of a project out in W&B, in the groups in which they are read.

    pip install wandb-workspaces
    python configs/wandb_workspace.py --entity ME --project qa_lightning --language pt

The keys are those that a run logs (a test compares them); the layout itself was never tried on a
server, only built.
"""

import argparse
from typing import Any

# Section, then panel: the keys that it draws. {language} is the data's.
PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "Scores": {
        "F1": ("val/f1", "val/f1_repaired", "val/f1_{language}"),
        "Exact match": (
            "val/exact_match",
            "val/exact_match_repaired",
            "val/exact_match_{language}",
        ),
        "Loss": ("train/loss", "val/loss"),
        "Questions with an answer": ("val/HasAns_f1", "val/HasAns_exact"),
        "Questions without": ("val/NoAns_f1", "val/NoAns_exact"),
        "With the best threshold": ("val/best_f1", "val/best_exact"),
    },
    "Answers": {
        "Answers": ("val/answers",),
        "Intervals, 95 %": ("val/intervals",),
        "Parts of the data": ("val/slices",),
    },
    "Confidence": {
        "Calibration error": (
            "val/calibration_error",
            "calibration/val/held_out_ece_before",
        ),
        "Temperature": ("calibration/val/temperature",),
        "Mean confidence": ("calibration/val/mean_confidence",),
        "Thresholds of the null odds": (
            "calibration/val/threshold",
            "val/best_f1_thresh",
            "val/best_exact_thresh",
        ),
    },
    "Training": {
        "Learning rate": ("train/learning_rate",),
        "Gradient norm": ("train/gradient_norm",),
        "Windows per second": ("train/windows_per_second",),
        "Padding": ("train/padding_share",),
    },
    "Labels": {
        "Trusted answers": ("label/trusted_share",),
        "What alignment did": ("label/repaired", "label/dropped", "label/without_span"),
    },
    "Speed": {
        "Validation, seconds": ("speed/val_seconds",),
        "Validation, windows per second": ("speed/val_windows_per_second",),
    },
}
ONCE = "label/"  # one number a run: a bar beside those of other runs
TABLES = ("val/answers", "val/intervals", "val/slices")
WITHOUT: dict[str, str] = {
    "test/*": "one number for each run of `lightning test`: in the summary and the tables",
    "calibration/test/*": "one number for each run of `lightning test`: in the summary",
    "speed/test_*": "one number for each run of `lightning test`: in the summary",
    "epoch": "Lightning's own; the step is the axis",
    "trainer/global_step": "the axis",
    "label/answers": "one number for the whole run: in the summary",
    "label/unanswerable": "one number for the whole run: in the summary",
    "label/status_*": "one number for the whole run: in the summary",
    "label/ceiling_*": "one number for the whole run: in the summary",
    "train/skipped_steps": "only under `model.nonfinite: skip`",
    "speed/fit_seconds": "one number for the whole run: in the summary",
    "speed/peak_memory_gib": "one number for the whole run: in the summary",
    "val/slices_f1*": "W&B draws it as a chart of its own",
    "calibration/val/reliability*": "W&B draws it as a chart of its own",
    "calibration/val/risk_coverage*": "W&B draws it as a chart of its own",
    "calibration/val/no_answer*": "W&B draws it as a chart of its own",
    "gradients/*": "asked for by `tracking.watch`, named by the network",
    "parameters/*": "asked for by `tracking.watch`, named by the network",
}
"""Keys that have no panel here, and why."""


def sections(language: str) -> dict[str, dict[str, list[str]]]:
    """Return the panels with their keys for a language."""
    return {
        section: {
            title: [key.format(language=language) for key in keys] for title, keys in panels.items()
        }
        for section, panels in PANELS.items()
    }


def workspace(entity: str, project: str, language: str) -> Any:
    """Return the workspace, not yet saved."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    def panel(title: str, keys: list[str]) -> Any:
        if keys[0] in TABLES:
            return wr.WeavePanelSummaryTable(table_name=keys[0])
        if keys[0].startswith(ONCE):
            return wr.BarPlot(title=title, metrics=keys)
        return wr.LinePlot(title=title, x="trainer/global_step", y=keys)

    laid = [
        ws.Section(name=name, panels=[panel(*each) for each in panels.items()], is_open=True)
        for name, panels in sections(language).items()
    ]
    return ws.Workspace(name="qa_lightning", entity=entity, project=project, sections=laid)


def main() -> None:
    """Save the workspace and print its address."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entity", required=True)
    parser.add_argument("--project", default="qa_lightning")
    parser.add_argument("--language", default="pt")
    options = parser.parse_args()
    print(workspace(options.entity, options.project, options.language).save().url)  # noqa: T201


if __name__ == "__main__":
    main()
