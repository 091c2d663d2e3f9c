"""One, two and three processes on gloo: the same answers, scores and files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from launching import PATH, launch_several
from running import DEMO, read_checkpoint, read_json, rows_of, write_rows, write_yaml

pytestmark = [pytest.mark.two_process]

Settings = dict[str, dict[str, Any]]
FILES = ("predictions", "nbest_predictions", "null_odds", "scores")


def result_files(folder: Path) -> dict[str, Any]:
    return {name: read_json(folder / f"{name}.json") for name in FILES}


BATCH_SIZES = (1, 5, 64)


@pytest.fixture(scope="module")
def evaluations(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """Return the result files of the trained demo model by processes and batch size."""
    folder = tmp_path_factory.mktemp("evaluations")
    # Validations are written into a run's history: other tests read that of the demo's run.
    demo_run = Path(shutil.copytree(demo_run, folder / "run"))
    config = write_yaml(folder / "demo.yaml", DEMO)
    # One question on one sentence: a single window, fewer than processes.
    (row,) = rows_of(1, first=500)
    row["context"] = row["context"].split(".")[0] + "."
    city = row["context"].split("cidade de ")[1].split(",")[0]
    row["answers"] = {"text": [city], "answer_start": [row["context"].index(city)]}
    files = json.dumps({"validation": str(write_rows(folder / "one.json", [row]))})
    single = ["--data.data_files", files, "--data.val_split", "validation"]
    rows = rows_of(7, first=600, unanswerable=True)
    files = json.dumps({"validation": str(write_rows(folder / "second.json", rows))})
    second = ["--data.data_files", files, "--data.val_split", "validation"]
    for world_size in (1, 2, 3):
        commands = [
            _validate(config, demo_run, folder / f"{world_size}-{batch_size}", batch_size)
            for batch_size in BATCH_SIZES
        ]
        commands += [
            [*_validate(config, demo_run, folder / f"{world_size}-{name}", 2), *data]
            for name, data in (("one", single), ("second", second))
        ]
        launch_several(commands, world_size=world_size)
    return {
        (world_size, name): result_files(folder / f"{world_size}-{name}" / "val")
        for world_size in (1, 2, 3)
        for name in (*BATCH_SIZES, "one", "second")
    }


def _validate(config: Path, run: Path, answers: Path, batch_size: int) -> list[str]:
    return [
        "validate", "--config", str(config), "--trainer.default_root_dir", str(run),
        "--ckpt_path", "best", "--evaluation.output_dir", str(answers),
        "--data.eval_batch_size", str(batch_size),
    ]  # fmt: skip


def assert_equal(files: dict[str, Any], expected: dict[str, Any]) -> None:
    """Hold predictions and scores to the last bit, n-best scores to 1e-5."""
    assert files["predictions"] == expected["predictions"]
    names = ("exact_match", "f1", "HasAns", "NoAns", "best_exact", "best_f1")
    exact = [key for key in expected["scores"] if key.startswith(names) and "thresh" not in key]
    assert len(exact) >= 6
    for key in (*exact, "slices", "examples", "windows_without_label"):
        assert files["scores"][key] == expected["scores"][key], key
    fitted = ["loss", "calibration_error", "temperature"]
    if expected["scores"]["threshold"] is None:
        assert files["scores"]["threshold"] is None
    else:
        fitted.append("threshold")
    for key in fitted:
        assert files["scores"][key] == pytest.approx(expected["scores"][key], rel=1e-4), key
    for name, entries in expected["nbest_predictions"].items():
        mine = files["nbest_predictions"][name]
        scores = [entry["score"] for entry in mine]
        assert scores == pytest.approx([entry["score"] for entry in entries], rel=1e-5, abs=1e-5)
        odds = files["null_odds"][name]
        assert odds == pytest.approx(expected["null_odds"][name], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_and_batches_change_nothing(
    world_size: int, batch_size: int, evaluations: dict[Any, Any]
) -> None:
    expected = evaluations[1, 5]
    assert expected["scores"]["examples"] == 24
    assert expected["scores"]["f1"] > 0
    assert_equal(evaluations[world_size, batch_size], expected)


@pytest.mark.parametrize("world_size", [2, 3])
def test_fewer_windows_than_processes(world_size: int, evaluations: dict[Any, Any]) -> None:
    expected = evaluations[1, "one"]
    assert expected["scores"]["examples"] == 1
    assert_equal(evaluations[world_size, "one"], expected)


@pytest.mark.parametrize("world_size", [2, 3])
def test_questions_without_an_answer(world_size: int, evaluations: dict[Any, Any]) -> None:
    expected = evaluations[1, "second"]
    assert expected["scores"]["threshold"] is not None
    assert {"HasAns_f1", "NoAns_f1", "best_f1"} <= set(expected["scores"])
    assert_equal(evaluations[world_size, "second"], expected)


def test_an_empty_last_batch_and_a_rank_without_windows(evaluations: dict[Any, Any]) -> None:
    # Held by `ranks.gather_uneven` in each of the three processes.
    assert evaluations[3, "one"]["predictions"]


PARTLY = {
    "lora": {},
    "freeze_embeddings": True,
    "layer_decay": 0.5,
    "head_learning_rate": 1e-2,
    "gradient_checkpointing": True,
}


@pytest.mark.parametrize("model", [{}, PARTLY], ids=["all", "part"])
def test_fit_on_two_processes(
    model: dict[str, Any], small_settings: Settings, tmp_path: Path
) -> None:
    small_settings["model"] |= model
    small_settings["trainer"] |= {
        "max_epochs": 2,
        "gradient_clip_val": 1.0,
        "log_every_n_steps": 1,
        "callbacks": [{"class_path": "ranks.RankLog"}],
    }
    small_settings["data"]["batch_size"] = 4
    config = write_yaml(tmp_path / "two.yaml", small_settings)
    strategy = ("--trainer.strategy", "ddp_find_unused_parameters_false")
    command = [sys.executable, "-m", "qa_lightning", "fit", "--config", str(config), *strategy]
    result = subprocess.run(
        [*command, "--trainer.devices", "2"],
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    folder = tmp_path / "run"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= names
    assert not [name for name in names if "earlier" in name or "-v" in name]

    # Each rank logged the same keys and, but for what is its own, the same values.
    logs = [read_json(folder / f"rank{rank}.json") for rank in (0, 1)]
    assert logs[0]["keys"] == logs[1]["keys"]
    assert {"train/loss", "val/loss", "val/f1", "train/gradient_norm"} <= set(logs[0]["keys"])
    for key in ("val/loss", "val/f1", "val/exact_match", "train/gradient_norm"):
        assert logs[0]["values"][key] == logs[1]["values"][key], key
    assert logs[0]["weights"] == logs[1]["weights"]

    last = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert last["lr_schedulers"][0]["_last_lr"] == [0.0] * len(
        last["optimizer_states"][0]["param_groups"]
    )
    assert last["global_step"] == logs[0]["steps"]
    assert logs[0]["steps"] == 2 * logs[0]["batches"]
    # Both ranks together drew every window.
    assert logs[0]["batches"] * 2 * 4 >= logs[0]["windows"] > (logs[0]["batches"] - 1) * 2 * 4
    assert all(tensor.isfinite().all() for tensor in last["state_dict"].values())
    assert isinstance(last["state_dict"]["network.qa_outputs.bias"], torch.Tensor)
    assert read_json(folder / "answers" / "val" / "scores.json")["examples"] == 6
