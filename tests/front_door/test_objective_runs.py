"""Every objective through the front door: what is filled in, and that it learns."""

from pathlib import Path
from typing import Any

import pytest
import torch

from running import (
    DEMO,
    RECORDER,
    fail,
    read_checkpoint,
    read_yaml,
    recorded,
    rows_of,
    run,
    write_rows,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
CHOICES: dict[str, dict[str, Any]] = {
    "first_answer": {"label_smoothing": 0.1},
    "any_answer": {"confidence_weighting": True},
    "document": {"confidence_weighting": True},
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_demo_learns_under_every_objective(name: str, tmp_path: Path) -> None:
    settings = {
        **DEMO,
        "data": {**DEMO["data"], "train_split": "train[:120]", "val_split": "validation[:8]"},
        "model": {**DEMO["model"], "objective": name, **CHOICES[name]},
        "trainer": {**DEMO["trainer"], "max_steps": 24, "log_every_n_steps": 1},
    }
    settings["trainer"] |= {"val_check_interval": 12, "default_root_dir": str(tmp_path / "run")}
    if name == "document":
        settings["data"] |= {"batch_size": 12, "windows_per_document": 3}
    run("fit", "--config", write_yaml(tmp_path / "demo.yaml", settings), RECORDER)
    assert recorded().trainer.global_step == 24
    losses = recorded().series("train/loss")
    assert all(torch.tensor(losses).isfinite())
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])
    validation = recorded().series("val/loss")
    assert validation[-1] < validation[0]
    data = read_yaml(tmp_path / "run" / "config.yaml")["data"]
    assert data["all_gold_spans"] is (True if name != "first_answer" else None)
    assert data["group_by_document"] is (True if name == "document" else None)


def test_a_checkpoint_knows_its_objective(small: Path, tmp_path: Path) -> None:
    document = ("--model.objective", "document", "--data.negative_windows", 0.5)
    run("fit", "--config", small, *document, "--trainer.accumulate_grad_batches", 2, RECORDER)
    trained = recorded().series("val/loss")[-1]
    kept = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["hyper_parameters"]
    assert kept["objective"] == "document"
    # The objective is the checkpoint's, and the data is asked for what it needs.
    run("validate", "--config", small, "--ckpt_path", "last", RECORDER)
    assert recorded().model.hparams["objective"] == "document"
    assert recorded().trainer.datamodule.hparams["all_gold_spans"] is True
    assert recorded().series("val/loss")[-1] == pytest.approx(trained, rel=1e-5)


def test_repeated_answers_are_all_gold(small_settings: Settings, tmp_path: Path) -> None:
    # Two answers a question: under `any_answer` a window may find either.
    rows = rows_of(12)
    for row in rows:
        start = row["context"].index("A pintora", 1)
        row["answers"]["text"].append("A pintora")
        row["answers"]["answer_start"].append(start)
    small_settings["data"]["data_files"]["train"] = str(write_rows(tmp_path / "two.json", rows))
    config = write_yaml(tmp_path / "two.yaml", small_settings)
    first: dict[str, float] = {}
    for name in CHOICES:
        run("fit", "--config", config, "--model.objective", name, RECORDER)
        first[name] = recorded().series("train/loss")[0]
    assert first["any_answer"] < first["first_answer"]


def test_documents_with_lightnings_own_sampler(small: Path) -> None:
    overfit = ("--trainer.overfit_batches", 2, "--data.windows_per_document", 2)
    run("fit", "--config", small, "--model.objective", "document", *overfit, RECORDER)
    assert recorded().trainer.global_step == 2


def test_an_unknown_objective_is_told(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fail(capsys, "fit", "--config", small, "--model.objective", "guess")
    assert "first_answer, any_answer, document" in message
