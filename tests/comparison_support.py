"""Run folders with answers that a test makes up, as `fit` leaves them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qa_lightning.scores import example_scores


def questions(count: int, *, per_context: int = 2) -> dict[str, dict[str, Any]]:
    """Return what is kept of some questions, each with the gold text ``gold <number>``."""
    return {
        f"q{number}": {
            "question": f"Which is number {number}?",
            "context": f"{number // per_context:016x}",
            "golds": [f"gold {number}"],
            "repaired": [],
            "spans": [[0, 6, "exact" if number % 3 else "moved", 0.99]],
            "given": [0, 6],
            "confidence": 0.5,
            "parts": {
                "windows": [number % 2, "1" if number % 2 == 0 else "2"],
                "answer_words": [0, "2"],
            },
            "windows": [[0, 40]],
            "excerpts": [[0, f"gold {number} stands here, and other words"]],
        }
        for number in range(count)
    }


def write_run(
    folder: Path,
    asked: Mapping[str, dict[str, Any]],
    predictions: Mapping[str, str],
    *,
    stage: str = "val",
    config: Mapping[str, Any] | None = None,
    confidences: Mapping[str, float] | None = None,
    fingerprint: str = "same",
) -> Path:
    """Write a run's folder."""
    answers = folder / "answers" / stage
    answers.mkdir(parents=True, exist_ok=True)
    scores = example_scores(
        dict(predictions), {name: each["golds"] for name, each in asked.items()}
    )
    confidence = confidences or {}
    kept = {
        name: {
            **record,
            "confidence": confidence.get(name, record["confidence"]),
            "exact_match": float(scores.exact_e[place]),
            "f1": float(scores.f1_e[place]),
        }
        for place, (name, record) in enumerate(asked.items())
    }
    figures = {"exact_match": scores.exact_e.mean(), "f1": scores.f1_e.mean()}
    n_best = {name: [{"text": text, "probability": 0.5}] for name, text in predictions.items()}
    files = {"questions": kept, "predictions": dict(predictions), "scores": figures}
    for name, value in {**files, "nbest_predictions": n_best, "null_odds": {}}.items():
        (answers / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config or {})), encoding="utf-8")
    reports = folder / "reports"
    reports.mkdir(exist_ok=True)
    made = {"provenance": {"data_fingerprint": {"val": fingerprint}, "versions": {"torch": "2"}}}
    (reports / "fit.json").write_text(json.dumps(made), encoding="utf-8")
    return folder
