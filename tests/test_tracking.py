"""What a run leaves with its trackers: driven as a user does, read back from the files."""

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from running import (
    NETWORK,
    read_checkpoint,
    read_json,
    read_yaml,
    rows_of,
    run,
    write_rows,
    write_yaml,
)
from wandb_reading import OfflineRun, read_run, run_files

pytestmark = [pytest.mark.front_door, pytest.mark.xdist_group("tracking")]

ROOT = Path(__file__).resolve().parents[1]
OVERLAY = ROOT / "configs" / "overlays" / "wandb.yaml"
COLUMNS = {"id", "question", "context", "prediction", "gold", "exact_match", "f1", "confidence"}
COLUMNS |= {"n_best", "windows", "alignment", "why", "previous"}


class Tracked(NamedTuple):
    """Hold a finished run: its configuration file, its folder, and what W&B holds."""

    config: Path
    folder: Path
    wandb: OfflineRun


def settings(folder: Path, files: dict[str, Path], **data: Any) -> dict[str, Any]:
    """Return a run of a second or two, on data with unanswerable questions."""
    rows = {"train": rows_of(12, unanswerable=True), "validation": rows_of(9, unanswerable=True)}
    return {
        "data": {
            "data_files": {
                name: str(write_rows(folder / f"{name}.json", each)) for name, each in rows.items()
            },
            "tokenizer": str(files["tokenizer"]),
            "language": "pt",
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 8,
            **data,
        },
        "model": {"config": dict(NETWORK), "learning_rate": 1e-3},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "log_every_n_steps": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(folder / "run"),
        },
    }


@pytest.fixture(scope="module", autouse=True)
def wandb_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep W&B's own folders out of the user's home."""
    home = tmp_path_factory.mktemp("wandb_home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{name}_DIR", str(home))
        patch.setenv("WANDB_SILENT", "true")
        yield


@pytest.fixture(scope="module")
def tracked(
    small_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, wandb_folders: None
) -> Tracked:
    """Return a run with the W&B overlay and all that can be asked for, offline."""
    folder = tmp_path_factory.mktemp("tracked")
    config = write_yaml(folder / "config.yaml", settings(folder, small_files))
    further = ("--tracking.watch", "all", "--tracking.watch_every", 3)
    further += ("--tracking.upload_checkpoint", "true")
    run("fit", "--config", config, "--config", OVERLAY, *further)
    (path,) = run_files(folder)
    return Tracked(config, folder / "run", read_run(path))


def test_the_configuration_arrives_once_and_nested(tracked: Tracked) -> None:
    updates = [set(update) - {"_wandb"} for update in tracked.wandb.config_updates]
    (whole,) = [update for update in updates if update]
    written = read_yaml(tracked.folder / "config.yaml")
    assert whole == {*written, "provenance"}
    config = tracked.wandb.config
    assert {key: config[key] for key in written} == written
    assert not [key for key in config if "/" in key or "." in key]


def test_the_configuration_says_what_the_run_was_made_from(tracked: Tracked) -> None:
    provenance = tracked.wandb.config["provenance"]
    assert set(provenance["data_fingerprint"]) == {"train", "val"}
    assert all(len(each) >= 32 for each in provenance["data_fingerprint"].values())
    assert provenance["label_audit"]["examples"] == 12
    assert provenance["label_audit"]["by_status"]["exact"] == 8
    assert {"torch", "lightning", "transformers", "qa_lightning"} <= set(provenance["versions"])
    assert "git_commit" in provenance


def test_history_has_a_defined_step_and_nothing_is_lost(tracked: Tracked) -> None:
    history = tracked.wandb.history
    assert [row["_step"] for row in history] == list(range(len(history)))
    steps = [row["trainer/global_step"] for row in history]
    assert steps == sorted(steps)
    for key in ("val/f1", "val/answers", "val/slices", "speed/val_seconds"):
        assert len(tracked.wandb.series(key)) == 2, key
    by_key = {
        key: [row["trainer/global_step"] for row in history if key in row]
        for key in ("val/f1", "val/answers")
    }
    assert by_key["val/f1"] == by_key["val/answers"]
    for name in ("val/f1", "train/loss", "test/exact_match"):
        assert tracked.wandb.metrics[name].step_metric == "trainer/global_step"


def test_the_summary_keeps_the_best(tracked: Tracked) -> None:
    for key in ("val/f1", "val/exact_match", "val/f1_pt", "val/HasAns_f1", "val/f1_repaired"):
        assert tracked.wandb.summary[key] == {"max": max(tracked.wandb.series(key))}, key
    for key in ("val/loss", "train/loss"):
        assert tracked.wandb.summary[key] == {"min": min(tracked.wandb.series(key))}, key


def test_panels_group_by_what_they_show(tracked: Tracked) -> None:
    keys = {key for row in tracked.wandb.history for key in row if not key.startswith("_")}
    groups = {key.split("/")[0] for key in keys if "/" in key}
    assert groups == {
        *("train", "val", "label", "speed", "calibration"),
        *("trainer", "gradients", "parameters"),
    }
    assert {"label/trusted_share", "speed/train_windows_per_second"} <= keys
    assert {"calibration/val/temperature", "calibration/val/threshold"} <= keys


def test_each_validation_has_a_new_table_of_answers(tracked: Tracked) -> None:
    references = tracked.wandb.series("val/answers")
    assert len({reference["path"] for reference in references}) == 2
    predictions = read_json(tracked.folder / "answers" / "val" / "predictions.json")
    for reference in references:
        assert set(tracked.wandb.table(reference)["columns"]) == COLUMNS
    table = tracked.wandb.table(references[-1])
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["id"]: row["prediction"] for row in rows} == predictions
    reasons = [row["why"] for row in rows]
    assert reasons == sorted(reasons, key=("worst", "changed", "random").index)
    marked = [row for row in rows if row["prediction"]]
    assert all(f"⟦{row['prediction']}⟧" in row["context"] for row in marked)


def test_slices_and_curves_are_tables_and_charts(tracked: Tracked) -> None:
    (table, _) = map(tracked.wandb.table, tracked.wandb.series("val/slices"))
    assert table["columns"] == ["name", "value", "count", "exact_match", "f1"]
    charts = tracked.wandb.config["_wandb"]["visualize"]
    assert set(charts) == {
        "val/slices_f1",
        *(f"calibration/val/{name}" for name in ("reliability", "risk_coverage", "no_answer")),
    }
    curve = tracked.wandb.table(tracked.wandb.series("calibration/val/no_answer_table")[-1])
    oracle = [(x, y) for x, y, name in curve["data"] if name == "oracle"]
    assert oracle[-1] == (1.0, pytest.approx(6 / 9))  # six of nine questions have an answer


def test_distributions_and_the_best_checkpoint_come_on_request(tracked: Tracked) -> None:
    name = "network.qa_outputs.weight"
    for group in ("gradients", "parameters"):
        assert tracked.wandb.series(f"{group}/{name}")[0]["_type"] == "histogram"
    (model,) = [each for each in tracked.wandb.artifacts if each.type == "model"]
    assert set(model.aliases) == {"best", "latest"}
    metadata = json.loads(model.metadata)
    best = read_checkpoint(tracked.folder / "checkpoints" / "best.ckpt")
    assert metadata["global_step"] == best["global_step"]
    assert metadata["val/f1"] == pytest.approx(metadata["f1"], abs=1e-4)
    assert metadata["val/f1"] == pytest.approx(max(tracked.wandb.series("val/f1")), abs=1e-4)


def test_resuming_continues_the_same_run_and_a_new_fit_does_not(
    tracked: Tracked, tmp_path: Path
) -> None:
    common = ("fit", "--config", tracked.config, "--config", OVERLAY)
    last = tracked.folder / "checkpoints" / "last.ckpt"
    steps = read_checkpoint(last)["global_step"]
    there = ("--trainer.default_root_dir", tmp_path)
    run(*common, *there, "--ckpt_path", last, "--trainer.max_epochs", 3)
    (path,) = run_files(tmp_path)
    resumed = read_run(path)
    assert resumed.id == tracked.wandb.id
    assert all(row["trainer/global_step"] >= steps for row in resumed.history[1:])
    assert read_yaml(tmp_path / "config.yaml")["trainer"]["logger"]["init_args"]["id"] is None

    run(*common, "--trainer.default_root_dir", tmp_path / "new", "--trainer.max_epochs", 1)
    (path,) = run_files(tmp_path / "new")
    assert read_run(path).id != tracked.wandb.id


def test_tensorboard_has_the_same_content(small_files: dict[str, Path], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = write_yaml(tmp_path / "config.yaml", settings(tmp_path, small_files))
    run(
        "fit",
        "--config",
        config,
        "--trainer.logger",
        "TensorBoardLogger",
        "--trainer.logger.save_dir",
        tmp_path / "run",
    )
    (folder,) = {path.parent for path in (tmp_path / "run").rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0}).Reload()
    tags = events.Tags()
    assert {"config/text_summary", "val/answers/text_summary"} <= set(tags["tensors"])
    assert set(tags["images"]) == {
        "val/slices_f1",
        *(f"calibration/val/{name}" for name in ("reliability", "risk_coverage", "no_answer")),
    }
    steps = {key: [each.step for each in events.Scalars(key)] for key in tags["scalars"]}
    assert [each.step for each in events.Tensors("val/answers/text_summary")] == steps["val/f1"]
    assert "label/trusted_share" in steps
    assert not (tmp_path / "run" / "reports").exists()


@pytest.fixture
def without_logger(small_files: dict[str, Path], tmp_path: Path) -> Path:
    given = settings(tmp_path, small_files)
    given["trainer"]["logger"] = False
    return write_yaml(tmp_path / "config.yaml", given)


def test_without_a_tracker_there_are_files(without_logger: Path, tmp_path: Path) -> None:
    run("fit", "--config", without_logger)
    folder = tmp_path / "run" / "reports"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert names == {
        *("fit.json", "train/history.csv", "val/answers.csv", "val/slices.csv", "val/history.csv"),
        *(f"val/{name}.svg" for name in ("slices_f1", "reliability", "risk_coverage", "no_answer")),
    }
    rows = list(csv.DictReader((folder / "val" / "history.csv").open()))
    f1 = [float(row["value"]) for row in rows if row["name"] == "val/f1"]
    scores = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")
    assert len(f1) == 2
    assert f1[-1] == scores["f1"]
    assert all(math.isfinite(float(row["value"])) for row in rows)

    fitted = (folder / "fit.json").read_bytes()
    run("validate", "--config", without_logger, "--ckpt_path", "best")
    assert (folder / "fit.json").read_bytes() == fitted
    assert (folder / "validate.json").is_file()


@pytest.mark.parametrize("partial", ["--trainer.limit_val_batches=1", "--trainer.fast_dev_run=1"])
def test_a_partial_pass_is_not_reported(partial: str, without_logger: Path, tmp_path: Path) -> None:
    run("fit", "--config", without_logger, partial)
    assert not (tmp_path / "run" / "reports" / "val").exists()
    assert "fast" not in partial or not (tmp_path / "run" / "reports").exists()


def test_a_checkpoint_knows_its_run(tracked: Tracked) -> None:
    checkpoint = read_checkpoint(tracked.folder / "checkpoints" / "last.ckpt")
    (state,) = [
        state for name, state in checkpoint["callbacks"].items() if name.startswith("RunTracking")
    ]
    assert state == {
        "tracker_identities": {"WandbLogger": {"id": tracked.wandb.id, "project": "qa_lightning"}}
    }


@pytest.mark.two_process
def test_two_processes_without_a_key_make_one_offline_run(
    small_files: dict[str, Path], tmp_path: Path
) -> None:
    given = settings(tmp_path, small_files)
    given["trainer"] |= {"strategy": "ddp", "devices": 2, "max_epochs": 1}
    config = write_yaml(tmp_path / "config.yaml", given)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "tests")}
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "qa_lightning", "fit", "--config", str(config)]
    result = subprocess.run(
        [*command, "--config", str(OVERLAY)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,  # two processes import everything, on a busy machine
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output[-4000:]
    assert "Traceback" not in output
    assert output.count("goes on offline") == 1
    (path,) = run_files(tmp_path)
    recorded = read_run(path)
    assert recorded.config["provenance"]["processes"] == 2
    assert len(recorded.series("val/f1")) == len(recorded.series("val/answers")) == 1
    table = recorded.table(recorded.series("val/answers")[0])
    assert len(table["data"]) == 9  # no question twice, though the sampler repeats windows
