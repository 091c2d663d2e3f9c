"""What a run says in the terminal."""

import io
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.bars import Pace, is_quiet
from qa_lightning.callbacks import RunTracking, terminal
from qa_lightning.callbacks.run_lines import time_left
from qa_lightning.callbacks.terminal import (
    Figure,
    TerminalProgress,
    console_of,
    data_line,
    plain_line,
    score_table,
)
from qa_lightning.cli.training import _quiet
from running import run

FIGURES = [
    Figure("loss", 1.5, None, None, 2.0, 1.5),
    Figure("f1", 31.26, 25.0, 38.0, 40.0, 40.0),
    Figure("f1_pt", 50.0, None, None, None, 50.0),
]


def test_a_line_has_the_main_figures() -> None:
    line = plain_line("epoch 1, step 20", FIGURES, windows_per_second=1234.5)
    assert line == "epoch 1, step 20: val/loss 1.500, val/f1 31.3, 1,234 windows/s"
    assert "windows/s" not in plain_line("", FIGURES, windows_per_second=float("nan"))


def test_the_data_line_tells_what_became_of_dirty_labels() -> None:
    counts: dict[str, Any] = dict.fromkeys(
        ("unanswerable", "trusted", "changed_occurrences", "inside_words", "without_span"), 0
    )
    audit = AlignmentAudit(
        policy="repair", threshold=0.8, examples=1_100, answers=1_100, by_status={},
        repaired=204, dropped=100, **counts,
    )  # fmt: skip
    split: Any = SimpleNamespace(examples=range(1_000), features=range(1_313), audit=audit)
    assert data_line("train", split) == (
        "train: 1,000 questions in 1,313 windows; 204 of 1,100 answers found again at another "
        "place, 100 questions left out for want of one"
    )
    split.audit = replace(audit, dropped=0)
    assert data_line("val", split).endswith(
        "windows; 204 of 1,100 answers found again at another place"
    )
    for told_of_none in (
        None,
        replace(audit, policy="keep"),
        replace(audit, repaired=0, dropped=0),
    ):
        split.audit = told_of_none
        assert data_line("val", split) == "val: 1,000 questions in 1,313 windows"


def test_the_table_compares_with_the_validations_before() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(score_table("Validation", FIGURES))
    lines = console.export_text().splitlines()
    row = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in lines if "│" in line}
    cells = {name: [cell.strip() for cell in each] for name, each in row.items()}
    assert cells["loss"] == ["1.500", "", "-0.500", "1.500"]
    assert cells["f1"] == ["31.3", "25.0 to 38.0", "-8.7", "40.0"]
    assert cells["f1_pt"] == ["50.0", "", "", "50.0"]


@pytest.mark.parametrize(
    ("environment", "quiet"),
    [
        ({"FORCE_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "CI": "true"}, True),
        ({"FORCE_COLOR": "1", "CI": "0"}, False),
        ({}, True),
    ],
)
def test_ci_and_files_are_told_quietly(
    environment: dict[str, str], quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_quiet() is quiet
    assert TerminalProgress().is_disabled is quiet


def test_wandb_draws_no_charts_into_log_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_QUIET", "false")
    monkeypatch.setenv("CI", "true")
    _quiet()
    assert os.environ["WANDB_QUIET"] == "false"  # the user's own
    monkeypatch.delenv("WANDB_QUIET")
    _quiet()
    assert os.environ["WANDB_QUIET"] == "true"


def test_a_resumed_run_compares_with_the_scores_before() -> None:
    tracking = RunTracking()
    tracking.load_state_dict({"scores": {20: {"f1": 40.0}, 10: {"f1": 50.0, "loss": 3.0}}})
    trainer: Any = SimpleNamespace(callbacks=[tracking], global_step=20)
    progress = TerminalProgress(quiet=True)
    model: Any = None
    progress.on_train_start(trainer, model)
    assert list(progress._compare({"f1": 45.0, "loss": 4.0})) == [
        Figure("f1", 45.0, None, None, 40.0, 50.0),
        Figure("loss", 4.0, None, None, None, 3.0),
    ]


def test_others_print_where_the_bars_make_room_and_below_them_at_the_end() -> None:
    console, stops = Console(), []
    bar: Any = TerminalProgress(quiet=False)
    trainer: Any = SimpleNamespace(progress_bar_callback=bar, callbacks=[])
    assert console_of(trainer) is not console
    bar.progress = SimpleNamespace(console=console, stop=lambda: stops.append(1))
    assert console_of(trainer) is console
    bar.on_train_end(trainer, None)
    assert stops


def plain(output: str) -> str:
    """Return output without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)


@pytest.mark.front_door
def test_a_quiet_run_says_one_line_a_validation(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    bars = ("--trainer.enable_progress_bar", "true")
    output = run("fit", "--config", small, "--trainer.max_epochs", 2, *bars)
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 6
    assert re.fullmatch(r"train: 16 questions in \d+ windows", lines[0])
    assert re.fullmatch(r"val: 6 questions in \d+ windows", lines[1])
    assert [line.partition(" ")[0] for line in lines[4:]] == ["kept", "next:"]
    for epoch, line in enumerate(lines[2:4]):
        assert re.match(rf"epoch {epoch}, step \d+: val/loss [\d.]+, val/exact_match ", line)
    assert "\x1b" not in output


@pytest.mark.front_door
def test_a_log_file_is_told_how_far_it_is_without_bars(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(terminal, "Pace", partial(Pace, 0.0, 0.0))
    bars = ("--trainer.enable_progress_bar", "true", "--trainer.log_every_n_steps", 1)
    command = ("--config", small, "--trainer.max_epochs", 2, *bars)
    output = run("fit", *command)
    steps = re.findall(
        r"^epoch \d, step (\d+) of (\d+): loss (.*), 0:0\d:\d\d left$", output, re.MULTILINE
    )
    assert steps
    assert [int(step) for step, _, _ in steps] == list(range(1, int(steps[0][1]) + 1))
    assert re.search(r"^validation: batch 1 of \d+$", output, re.MULTILINE)
    assert "\r" not in output
    assert "\x1b" not in output
    assert "answers …" not in output  # that of six takes no time
    monkeypatch.setattr(terminal, "_MANY", 6)
    evaluated = run("validate", *command)
    assert "validation: batch 1 of " in evaluated
    assert "validation: scoring 6 answers …" in evaluated


@pytest.mark.front_door
@pytest.mark.parametrize("width", [160, 120])
def test_a_terminal_gets_bars_and_a_table(
    width: int, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    bars = ("--trainer.enable_progress_bar", "true", "--trainer.log_every_n_steps", 1)
    output = plain(run("fit", "--config", small, "--trainer.max_epochs", 2, *bars))
    assert output.count("Validation, epoch") == 2
    assert "best so far" in output
    for name in ("loss: ", "EM: ", "F1: ", "windows/s: ", "left in all: 0:00:"):
        assert name in output
    assert ("val loss: " in output) is (width == 160)
    bars_shown = [line for line in re.split(r"[\r\n]", output) if line.startswith("Epoch 1")]
    assert any(
        re.search(r"loss: .* windows/s: .* left in all: 0:00:\d\d", line) for line in bars_shown
    )


@pytest.mark.front_door
def test_what_takes_long_before_and_after_the_training_is_told(
    small: Path, small_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    model = ("--model.config", "null", "--model.model_name_or_path", small_files["model"])
    output = plain(run("fit", "--config", small, "--trainer.enable_progress_bar", "true", *model))
    loading = output.index(f"loading the weights of {small_files['model']}")
    in_reach = output.index("the best scores in reach")
    assert loading < output.index("Validation, epoch") < in_reach < output.index("the run's page")
    assert re.search("the best scores in reach .* 6/6", output)
    assert output.index("the run's page") < output.index("kept in")


@pytest.mark.front_door
def test_the_users_own_bar_is_respected(small: Path) -> None:
    own = ("--trainer.enable_progress_bar", "true", "--trainer.callbacks+=TQDMProgressBar")
    output = run("fit", "--config", small, "--trainer.limit_train_batches", 1, *own)
    assert "val/f1" not in output.replace("val/f1=", "")


def test_a_run_says_what_it_trains_and_ends_with_what_was_kept_and_what_is_next(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    told = run("fit", "--config", small, "--trainer.enable_progress_bar", "true",
               "--trainer.enable_model_summary", "null")  # fmt: skip
    assert re.search(r"^network: [\d,]+ parameters$", told, re.MULTILINE)
    assert "FLOPs" not in told + capsys.readouterr().err
    kept, following = told.splitlines()[-2:]
    assert kept == (
        f"kept in {folder}: checkpoints/best.ckpt, checkpoints/last.ckpt, reports/report.html"
    )
    command = re.match(r"next: lightning (validate .*), or qa-lightning answer", following)
    assert command is not None
    evaluated = run(*command[1].split())
    assert f"kept in {folder}: answers/val, reports/report.html" in evaluated
    assert evaluated.splitlines()[-1].startswith(f"next: qa-lightning compare {folder} ")
    config = tmp_path / "tested.yaml"
    config.write_text(
        (folder / "config.yaml").read_text().replace("test_split: null", "test_split: test")
    )
    assert "next: lightning test " in run("fit", "--config", config)


def test_time_is_left_for_the_whole_run() -> None:
    assert time_left(10.0, done=5, total=5) == "0:00:00"
    assert time_left(10.0, done=5, total=4) == "0:00:00"
    assert time_left(10.0, done=5, total=float("inf")) is None
