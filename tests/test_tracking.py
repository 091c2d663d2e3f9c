"""What a run leaves with its trackers: driven as a user does, read back from the files."""

import csv
import importlib
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import wandb
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from qa_lightning import AnswerEvaluation, QADataModule, QAModule
from qa_lightning.callbacks import RunTracking
from qa_lightning.callbacks.tracked_run import last_step
from qa_lightning.callbacks.tracking_report import watched_tensors
from qa_lightning.trackers import FileTracker
from qa_lightning.trackers.interface import without_nulls
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
from wandb_reading import OfflineRun, read_run, records, run_files

pytestmark = [pytest.mark.front_door]

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
    assert whole == {*without_nulls(written), "provenance"}
    config = tracked.wandb.config
    assert {key: config.get(key) for key in whole if key in written} == without_nulls(written)
    assert not list(nulls(config))
    assert not [key for key in config if "/" in key or "." in key]


def test_the_configuration_says_what_the_run_was_made_from(tracked: Tracked) -> None:
    provenance = tracked.wandb.config["provenance"]
    assert set(provenance["data_fingerprint"]) == {"train", "val"}
    assert all(len(each) >= 32 for each in provenance["data_fingerprint"].values())
    assert provenance["label_audit"]["examples"] == 12
    assert provenance["label_audit"]["by_status"]["exact"] == 8
    assert {"torch", "lightning", "transformers", "qa_lightning"} <= set(provenance["versions"])
    assert "git_commit" in provenance


@pytest.mark.parametrize("logger", ["WandbLogger", "TensorBoardLogger"])
def test_no_name_no_key_and_no_place_of_a_person_is_sent(
    logger: str, small_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home-of-bob"
    keys = {name: f"planted-{name}" for name in ("WANDB_API_KEY", "HF_TOKEN", "AWS_SECRET_KEY")}
    keys["WANDB_API_KEY"] = "0123456789abcdef" * 2 + "01234567"
    for name, value in {"HOME": str(home), **keys}.items():
        monkeypatch.setenv(name, value)
    values = settings(home / "work", small_files)
    values["trainer"]["logger"] = {"class_path": logger, "init_args": {"save_dir": str(home / "l")}}
    if logger == "WandbLogger":
        values["trainer"]["logger"]["init_args"] |= {"project": "p", "offline": True}
    config = write_yaml(home / "c.yaml", values)
    monkeypatch.setattr(sys, "argv", ["lightning", "fit", "--config", str(config)])
    run("fit", "--config", config)
    run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 3)
    sent = [path for path in (home / "l").rglob("*") if {"wandb", "tfevents"} & kinds(path)]
    assert sent
    for path in sent:
        text = path.read_bytes()
        if path.suffix == ".wandb":  # but for what stood on the terminal
            told = [r for r in records(text) if r.WhichOneof("record_type") != "output_raw"]
            text = b"".join(record.SerializeToString() for record in told)
        assert b"~/work/" in text
        for secret in (str(home), home.name, *keys.values()):
            assert secret.encode() not in text, (path.name, secret)


def kinds(path: Path) -> set[str]:
    """Return the parts of a file's name."""
    return set(path.name.split(".")) if path.is_file() else set()


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
        values = tracked.wandb.series(key)
        assert tracked.wandb.summary[key] == {"max": max(values), "last": values[-1]}, key
    for key in ("val/loss", "train/loss"):
        values = tracked.wandb.series(key)
        assert tracked.wandb.summary[key] == {"min": min(values), "last": values[-1]}, key


def test_panels_group_by_what_they_show(tracked: Tracked) -> None:
    keys = {key for row in tracked.wandb.history for key in row if not key.startswith("_")}
    groups = {key.split("/")[0] for key in keys if "/" in key}
    assert groups == {
        *("train", "val", "label", "speed", "calibration"),
        *("trainer", "gradients", "parameters"),
    }
    assert {"label/trusted_share", "train/windows_per_second"} <= keys
    assert {"calibration/val/temperature", "calibration/val/threshold"} <= keys


def test_each_figure_has_one_home_and_each_key_a_panel_or_a_reason(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "configs"))
    layout = importlib.import_module("wandb_workspace")
    logged = {key for row in tracked.wandb.history for key in row if not key.startswith("_")}
    panels = layout.sections("pt").values()
    drawn = [key for section in panels for keys in section.values() for key in keys]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) <= logged
    reasons = layout.WITHOUT
    tested = {key.replace("val", "test", 1) for key in drawn if "val" in key.split("/", 2)[:2]}
    tested |= {key.replace("speed/val", "speed/test") for key in drawn if "speed/val" in key}
    left = {
        key
        for key in (logged | tested | set(tracked.wandb.summary)) - set(drawn)
        if not key.startswith("_") and not any(fnmatch(key, each) for each in reasons)
    }
    assert left == set()
    once = {"label/answers", "label/status_exact", "speed/fit_seconds", "speed/peak_memory_gib"}
    assert once <= set(tracked.wandb.summary)
    assert once.isdisjoint(logged)  # a curve of one point would be a panel for nothing
    assert not [key for key in logged if key.endswith(("_low", "_high"))]
    curves: dict[tuple[float, ...], str] = {}
    groups = ("speed/", "train/", "calibration/")
    for key in sorted(key for key in logged if key.startswith(groups) or key.endswith("_error")):
        values = tuple(
            round(value, 6) for value in tracked.wandb.series(key) if isinstance(value, float)
        )
        assert not values or values not in curves, (key, curves.get(values))
        curves[values] = key
    table = tracked.wandb.table(tracked.wandb.series("val/intervals")[-1])
    assert table["columns"] == ["score", "value", "low", "high"]
    scores = read_json(tracked.folder / "answers" / "val" / "scores.json")
    assert ["f1", scores["f1"], scores["f1_low"], scores["f1_high"]] in table["data"]


def nulls(config: Any) -> Iterator[Any]:
    """Yield what is null within nested mappings."""
    for value in config.values():
        if value is None:
            yield value
        elif isinstance(value, dict):
            yield from nulls(value)


def test_a_short_run_has_a_curve(without_logger: Path, tmp_path: Path) -> None:
    run("fit", "--config", without_logger, "--trainer.log_every_n_steps", "null")
    rows = list(csv.DictReader((tmp_path / "run" / "reports" / "train" / "history.csv").open()))
    steps = [int(row["step"]) for row in rows if row["name"] == "train/loss"]
    assert steps == list(range(len(steps)))
    assert len(steps) == 10
    assert read_yaml(tmp_path / "run" / "config.yaml")["trainer"]["log_every_n_steps"] is None


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
    assert all(row["trainer/global_step"] >= steps - 1 for row in resumed.history)
    assert read_yaml(tmp_path / "config.yaml")["trainer"]["logger"]["init_args"]["id"] is None

    short = ("--trainer.max_steps", 1, "--trainer.limit_val_batches", 0)
    run(*common, "--trainer.default_root_dir", tmp_path / "new", *short)
    (path,) = run_files(tmp_path / "new")
    assert read_run(path).id != tracked.wandb.id


def test_tensorboard_has_the_same_content(small_files: dict[str, Path], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = write_yaml(tmp_path / "config.yaml", settings(tmp_path, small_files))
    place = ("--trainer.logger.save_dir", tmp_path / "run")
    command = ("--config", config, "--trainer.logger", "TensorBoardLogger", *place)
    run("fit", *command)
    run("validate", *command, "--ckpt_path", "last")
    paths = sorted((tmp_path / "run").rglob("events.out.tfevents.*"))
    sizes = {"tensors": 0, "images": 0}
    events, validated = (
        EventAccumulator(str(path), size_guidance=sizes).Reload() for path in paths
    )
    tags = events.Tags()
    assert {"config/text_summary", "val/answers/text_summary"} <= set(tags["tensors"])
    assert set(tags["images"]) == {
        "val/slices_f1",
        *(f"calibration/val/{name}" for name in ("reliability", "risk_coverage", "no_answer")),
    }
    steps = {key: [each.step for each in events.Scalars(key)] for key in tags["scalars"]}
    assert [each.step for each in events.Tensors("val/answers/text_summary")] == steps["val/f1"]
    assert steps["val/f1"] == [4, 9]
    assert "label/trusted_share" in steps
    # `validate` numbers its figures and tables by the checkpoint's last step, not by 0.
    assert [each.step for each in validated.Scalars("val/f1")] == [9]
    assert [each.step for each in validated.Tensors("val/answers/text_summary")] == [9]
    kept = {path.name for path in (tmp_path / "run" / "reports").iterdir()}
    assert kept == {
        "fit.json",
        "validate.json",
        "report.html",
        "train",
        "val",
    }


@pytest.fixture
def without_logger(small_files: dict[str, Path], tmp_path: Path) -> Path:
    given = settings(tmp_path, small_files)
    given["trainer"]["logger"] = False
    return write_yaml(tmp_path / "config.yaml", given)


def test_without_a_tracker_there_are_files(without_logger: Path, tmp_path: Path) -> None:
    assert run("fit", "--config", without_logger) == ""  # no bar was wanted: nor are its lines
    folder = tmp_path / "run" / "reports"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert names == {
        *("fit.json", "train/history.csv", "val/answers.csv", "val/slices.csv", "val/history.csv"),
        "val/intervals.csv",
        *("report.html", "val/ceiling.json"),
        *(f"val/{name}.svg" for name in ("slices_f1", "reliability", "risk_coverage", "no_answer")),
    }
    rows = list(csv.DictReader((folder / "val" / "history.csv").open()))
    f1 = [float(row["value"]) for row in rows if row["name"] == "val/f1"]
    scores = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")
    assert len(f1) == 2
    assert f1[-1] == scores["f1"]
    assert all(math.isfinite(float(row["value"])) for row in rows)
    assert len(training_losses(folder)) == 5  # every second of ten steps

    fitted = (folder / "fit.json").read_bytes()
    run("validate", "--config", without_logger, "--ckpt_path", "last")
    assert (folder / "fit.json").read_bytes() == fitted
    assert (folder / "validate.json").is_file()
    steps = [row["step"] for row in csv.DictReader((folder / "val" / "history.csv").open())]
    assert list(dict.fromkeys(steps)) == ["4", "9"]  # the validated checkpoint's step, not 0
    assert steps.count("9") == steps.count("4")  # its rows replaced those of the same step


def training_losses(folder: Path) -> list[float]:
    rows = list(csv.DictReader((folder / "train" / "history.csv").open()))
    losses = [row for row in rows if row["name"] == "train/loss"]
    assert [row["step"] for row in losses] == ["1", "3", "5", "7", "9"]
    assert {"label/trusted_share", "train/windows_per_second"} <= {row["name"] for row in rows}
    return [float(row["value"]) for row in losses]


@pytest.mark.parametrize("partial", ["--trainer.limit_val_batches=1", "--trainer.fast_dev_run=1"])
def test_a_partial_pass_is_not_reported(partial: str, without_logger: Path, tmp_path: Path) -> None:
    run("fit", "--config", without_logger, partial, "--trainer.max_epochs", 1)
    assert not (tmp_path / "run" / "reports" / "val").exists()
    assert "fast" not in partial or not (tmp_path / "run" / "reports").exists()


def test_a_checkpoint_knows_its_run(tracked: Tracked) -> None:
    checkpoint = read_checkpoint(tracked.folder / "checkpoints" / "last.ckpt")
    (state,) = [
        state for name, state in checkpoint["callbacks"].items() if name.startswith("RunTracking")
    ]
    identity = {"id": tracked.wandb.id, "project": "qa_lightning"}
    assert state["tracker_identities"] == {"WandbLogger": identity}
    predictions = read_json(tracked.folder / "answers" / "val" / "predictions.json")
    assert state["previous"] == {"val": predictions}
    f1 = [scores["f1"] for scores in state["scores"].values()]
    assert f1 == pytest.approx(tracked.wandb.series("val/f1"), abs=1e-4)


def test_distributions_leave_out_what_is_not_finite() -> None:
    module = torch.nn.ParameterDict(
        {"some": torch.zeros(3), "none": torch.zeros(2), "frozen": torch.zeros(1)}
    )
    module["frozen"].requires_grad_(False)
    module["some"].grad = torch.tensor([1.0, math.nan, math.inf])
    module["none"].grad = torch.full((2,), math.nan)
    watched = dict(watched_tensors(module, "all"))
    assert set(watched) == {"gradients/some", "parameters/some", "parameters/none"}
    assert watched["gradients/some"].tolist() == [1.0]
    assert wandb.Histogram(watched["gradients/some"].numpy()).histogram


def test_without_a_configuration_the_hyper_parameters_are_told(
    small_files: dict[str, Path], tmp_path: Path
) -> None:
    given = settings(tmp_path, small_files)
    data, model = QADataModule(**given["data"]), QAModule(**given["model"])
    trainer = Trainer(
        callbacks=[AnswerEvaluation(), RunTracking()], logger=False, **given["trainer"]
    )
    trainer.validate(model, datamodule=data, verbose=False)
    config = read_json(tmp_path / "run" / "reports" / "validate.json")
    assert config["data"]["doc_stride"] == 16
    assert config["data"]["data_files"] == given["data"]["data_files"]
    assert config["model"]["learning_rate"] == 1e-3
    assert config["provenance"]["command"] == "validate"


def test_a_resumed_run_tells_which_answers_changed(without_logger: Path, tmp_path: Path) -> None:
    run("fit", "--config", without_logger, "--trainer.max_epochs", 1)
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    (state,) = [each for each in checkpoint["callbacks"].values() if "previous" in each]
    changed = next(iter(state["previous"]["val"]))
    state["previous"]["val"][changed] = "another answer"
    torch.save(checkpoint, tmp_path / "edited.ckpt")
    run("fit", "--config", without_logger, "--ckpt_path", tmp_path / "edited.ckpt")
    with (tmp_path / "run" / "reports" / "val" / "answers.csv").open(newline="") as file:
        previous = {row["id"]: row["previous"] for row in csv.DictReader(file)}
    assert previous[changed] == "another answer"


def test_a_trainer_gets_its_own_count_of_steps_back() -> None:
    loop = SimpleNamespace(_batches_that_stepped=3)
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(fn="test"), fit_loop=SimpleNamespace(epoch_loop=loop)
    )
    model: Any = None
    tracking = RunTracking()
    tracking.on_load_checkpoint(trainer, model, {"global_step": 10})
    assert last_step(trainer) == 9
    tracking.teardown(trainer, model, "test")
    assert loop._batches_that_stepped == 3


def test_training_is_kept_once_a_step_though_batches_are_accumulated(tmp_path: Path) -> None:
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(fn=TrainerFn.FITTING),
        datamodule=None,
        is_global_zero=False,
        loggers=[],
        log_every_n_steps=2,
        global_step=6,
        callback_metrics={"train/loss": 0.5, "val/f1": 1.0},
    )
    model: Any = None
    tracking = RunTracking()
    tracking._trackers = {"FileTracker": FileTracker(tmp_path)}
    tracking.on_train_start(trainer, model)
    for trainer.global_step in (6, 7, 7, 8, 8, 9):
        tracking.on_train_batch_end(trainer, model, None, None, 0)
    lines = (tmp_path / "train" / "history.csv").read_text().splitlines()
    assert lines == ["step,name,value", "7,train/loss,0.5"]


# Two ranks as torchrun starts them, in processes that share the imports: those take the longest.
TWO_RANKS = """
import os, sys
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from transformers import LongformerForQuestionAnswering
import wandb
import qa_lightning.cli.training
child = os.fork()
rank_zero_only.rank = int(not child)
os.environ["LOCAL_RANK"] = str(int(not child))
qa_lightning.cli.main(sys.argv[1:])
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.two_process
def test_two_processes_without_a_key_make_one_offline_run(
    small_files: dict[str, Path], tmp_path: Path
) -> None:
    given = settings(tmp_path, small_files)
    given["trainer"] |= {"strategy": "ddp", "devices": 2, "max_epochs": 1}
    config = write_yaml(tmp_path / "config.yaml", given)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "tests")}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    environment |= {"NODE_RANK": "0"}
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        environment.pop(name, None)
    command = [sys.executable, "-c", TWO_RANKS, "fit", "--config", str(config)]
    result = subprocess.run(
        [*command, "--config", str(OVERLAY)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # on a busy machine
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
