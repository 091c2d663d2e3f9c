"""The trackers one by one, and the logger that does not stop a run."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from qa_lightning.reports.drawing import Bars, Curves, Line
from qa_lightning.reports.tables import Table
from qa_lightning.trackers import (
    FileTracker,
    Report,
    SteadyWandbLogger,
    TensorBoardTracker,
    close_loggers,
    git_commit,
    saved_identities,
    steady_loggers,
    trackers_of,
    versions,
)
from wandb_reading import read_run, run_files

CONFIG = {
    "data": {"max_length": 64, "language": "pt"},
    "evaluation": {"language": "en"},
    "provenance": {"command": "fit"},
}


def report(step: int = 9, answer: str = "Faro") -> Report:
    return Report(
        "val",
        step,
        scalars={"speed/val_seconds": 2.0},
        tables={"val/answers": Table(("id", "prediction", "f1"), (("q1", answer, 50.0),))},
        charts={
            "val/slices_f1": Bars("Parts", "F1", (("windows 1 (2)", 50.0),)),
            "calibration/val/reliability": Curves(
                "Reliability",
                "confidence",
                "share",
                (Line("answers", ((0.2, 0.1), (0.8, 0.9))),),
                diagonal=True,
            ),
        },
        scores={"val/f1": 50.0},
    )


def test_files_hold_the_latest_evaluation_and_the_history(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path / "reports")
    tracker.log_config(CONFIG)
    tracker.log_report(report(9, "Lisboa"))
    tracker.log_report(report(19, "Faro"))
    tracker.log_histograms({"gradients/w": torch.tensor([3.0, 4.0])}, step=5)

    folder = tmp_path / "reports"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {
        "fit.json",
        "histograms.csv",
        *(f"val/{name}" for name in ("answers.csv", "history.csv")),
        *(f"val/{name}" for name in ("reliability.svg", "slices_f1.svg")),
    }
    assert json.loads((folder / "fit.json").read_text()) == CONFIG
    assert (folder / "val" / "answers.csv").read_text() == "id,prediction,f1\nq1,Faro,50.0\n"
    rows = list(csv.reader((folder / "val" / "history.csv").open()))
    assert rows[0] == ["step", "name", "value"]
    assert rows[1:3] == [["9", "val/f1", "50.0"], ["9", "speed/val_seconds", "2.0"]]
    assert [row[0] for row in rows[1:]] == ["9", "9", "19", "19"]
    assert "5,norm/gradients/w,5.0" in (folder / "histograms.csv").read_text()


def test_what_a_resumed_run_replays_takes_the_place_of_the_rows_before(tmp_path: Path) -> None:
    for steps in ((-1, 9, 19, 29), (19, 29, 39), (9, 39, 49)):  # three processes
        tracker = FileTracker(tmp_path)
        for step in steps:
            tracker.log_report(report(step, "Faro"))
            tracker.log_histograms({"w": torch.tensor([float(step)])}, step=step)
        with (tmp_path / "val" / "history.csv").open("a") as file:
            file.write("4")  # a row that a kill has cut
    for name, each in (("val/history", 2), ("histograms", 1)):
        rows = list(csv.reader((tmp_path / f"{name}.csv").open()))
        steps = [row[0] for row in rows[1:] if len(row) == 3]
        assert steps == [s for s in ("-1", "9", "19", "29", "39", "49") for _ in range(each)]


def test_tensorboard_gets_the_same_content(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    logger = TensorBoardLogger(tmp_path)
    tracker = TensorBoardTracker(logger)
    tracker.log_config(CONFIG)
    tracker.log_report(report())
    tracker.log_histograms({"gradients/w": torch.ones(3)}, step=5)
    logger.finalize("success")

    events = EventAccumulator(logger.log_dir, size_guidance={"tensors": 0}).Reload()
    assert events.Scalars("speed/val_seconds")[0].value == 2.0
    text = events.Tensors("val/answers/text_summary")[0]
    assert text.step == 9
    assert b"| q1 | Faro | 50 |" in text.tensor_proto.string_val[0]
    assert (
        b'"max_length": 64' in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    )
    images = events.Images("calibration/val/reliability")
    assert images[0].encoded_image_string.startswith(b"\x89PNG")
    assert events.Histograms("gradients/w")[0].step == 5
    # No score is made up: hparams name the scores, and the values are those that are logged.
    assert "val/f1" not in events.Tags()["scalars"]
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["data/max_length"].number_value == 64
    assert not [key for key in start.hparams if start.hparams[key].string_value == "None"]


def test_tensorboards_own_reader_fills_its_tab_of_hyper_parameters(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.api_pb2 import ListSessionGroupsRequest
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler

    for rate in (0.1, 0.2):
        logger = TensorBoardLogger(tmp_path, version=str(rate))
        TensorBoardTracker(logger).log_config({"model": {"learning_rate": rate, "lora": None}})
        logger.log_metrics({"val/f1": 100 * rate}, step=3)
        logger.finalize("success")
    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(tmp_path))
    events.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(events, str(tmp_path))))
    asked = ListSessionGroupsRequest(slice_size=9, allowed_statuses=[0, 1, 2, 3])
    groups = Handler(RequestContext(), context, "", asked).run().session_groups
    shown = {
        group.hparams["model/learning_rate"].number_value: [
            (metric.name.tag, metric.value) for metric in group.metric_values
        ]
        for group in groups
    }
    assert shown == {rate: [("val/f1", pytest.approx(100 * rate))] for rate in (0.1, 0.2)}


def test_each_logger_has_its_tracker_and_all_runs_have_files(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path)
    both = ["TensorBoardLogger", "FileTracker"]
    assert list(trackers_of([logger, CSVLogger(tmp_path)], tmp_path)) == both
    assert list(trackers_of([CSVLogger(tmp_path)], tmp_path)) == ["FileTracker"]
    assert list(trackers_of([], tmp_path)) == ["FileTracker"]


@pytest.fixture
def wandb_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep W&B's own folders in the test's."""
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb_home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    return tmp_path / "run"


def test_only_wandbs_own_logger_is_made_steady(tmp_path: Path) -> None:
    class Own(WandbLogger):
        pass

    loggers = [WandbLogger(project="p"), Own(), CSVLogger(tmp_path)]
    steady = steady_loggers(loggers, folder=tmp_path)
    assert [type(logger) for logger in steady] == [SteadyWandbLogger, Own, CSVLogger]
    assert steady[0].save_dir == str(tmp_path)
    assert steady[0].name == "p"
    assert not run_files(tmp_path)  # no run has begun


def test_files_go_where_the_user_says(tmp_path: Path) -> None:
    given = WandbLogger(save_dir=str(tmp_path / "there"))
    (steady,) = steady_loggers([given], folder=tmp_path)
    assert steady.save_dir == str(tmp_path / "there")


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ({"project": "p"}, None, "saved"),
        ({"project": "other"}, None, None),
        ({"project": "p", "id": "mine"}, None, "mine"),
        ({"project": "p", "version": "mine"}, None, "mine"),
        ({"project": "p"}, "sweep", None),
    ],
)
def test_a_saved_run_is_continued_unless_the_user_names_another(
    arguments: dict[str, Any],
    variable: str | None,
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    if variable:
        monkeypatch.setenv("WANDB_RUN_ID", variable)
    saved = {"WandbLogger": {"id": "saved", "project": "p"}}
    path = tmp_path / "last.ckpt"
    states = {"Other": {"best": 1}, "RunTracking": {"tracker_identities": saved}}
    torch.save({"callbacks": states}, path)
    (steady,) = steady_loggers([WandbLogger(**arguments)], folder=tmp_path, checkpoint=str(path))
    assert steady.version == expected


def test_a_checkpoint_without_identities_continues_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "plain.ckpt")
    assert saved_identities(str(tmp_path / "plain.ckpt")) == {}
    assert saved_identities(str(tmp_path / "absent.ckpt")) == {}
    assert saved_identities(None) == {}


def test_wandb_gets_one_row_with_new_tables(wandb_folders: Path) -> None:
    (logger,) = steady_loggers([WandbLogger(project="p")], folder=wandb_folders)
    tracker = trackers_of([logger], wandb_folders)["WandbLogger"]
    tracker.log_config(CONFIG)
    logger.log_metrics({"val/f1": 40.0, "val/f1_pt": 60.0, "val/loss": 2.0}, step=9)
    logger.log_metrics({"val/f1_en": 45.0}, step=9)
    tracker.log_report(report(9, "Lisboa"))
    logger.log_metrics({"val/f1": 30.0, "val/f1_pt": 50.0, "val/loss": 3.0}, step=19)
    logger.log_metrics({"val/f1_en": 35.0}, step=19)
    tracker.log_report(report(19, "Faro"))
    identity = tracker.identity()
    close_loggers([logger], failed=False)

    (path,) = run_files(wandb_folders)
    run = read_run(path)
    assert identity == {"id": run.id, "project": "p"}
    assert run.summary["val/f1"]["max"] == 40
    assert run.summary["val/f1_pt"]["max"] == 60
    assert run.summary["val/f1_en"]["max"] == 45
    assert run.summary["val/loss"]["min"] == 2
    assert run.summary["val/f1"]["last"] == 30
    tables = [run.table(reference) for reference in run.series("val/answers")]
    assert [table["data"][0] for table in tables] == [["q1", "Lisboa", 50], ["q1", "Faro", 50]]
    assert [row["trainer/global_step"] for row in run.history] == [9, 9, 9, 19, 19, 19]
    curve = run.table(run.series("calibration/val/reliability_table")[0])
    assert curve["columns"] == ["confidence", "share", "line"]
    answers = [[0.2, 0.1, "answers"], [0.8, 0.9, "answers"]]
    assert curve["data"] == [*answers, [0, 0, "x = y"], [1, 1, "x = y"]]


def test_a_closed_logger_does_not_lend_its_run_to_the_next(wandb_folders: Path) -> None:
    ids = []
    for _ in range(2):
        (logger,) = steady_loggers([WandbLogger(project="p")], folder=wandb_folders)
        ids.append(logger.experiment.id)
        close_loggers([logger], failed=True)
    assert ids[0] != ids[1]
    assert len(run_files(wandb_folders)) == 2


def test_versions_and_commit_are_told(tmp_path: Path) -> None:
    assert versions()["torch"] == torch.__version__
    assert git_commit([tmp_path]) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert git_commit([tmp_path / "absent", tmp_path]) == head.stdout.strip()
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    assert git_commit([tmp_path]) == f"{head.stdout.strip()}-dirty"
