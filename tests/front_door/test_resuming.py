"""A run that was broken off and goes on ends as the run that never was: to the bit."""

import copy
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from interrupting import Killed, assert_same_end, trace_of
from qa_lightning.cli import main
from running import (
    NETWORK,
    RECORDER,
    fail,
    read_checkpoint,
    read_yaml,
    recorded,
    rows_of,
    run,
    small_tokenizer,
    write_rows,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]

# Two epochs of five batches, with dropout; the last checkpoint is kept at every second step.
KINDS: dict[str, Settings] = {
    "plain": {},
    "windows in any order, workers": {"data": {"group_by_length": False, "num_workers": 2}},
    "documents, accumulated": {
        "data": {
            "group_by_document": True,
            "all_gold_spans": True,
            "batch_size": 2,
            "windows_per_document": 3,
        },
        "model": {"objective": "document"},
        "trainer": {"accumulate_grad_batches": 2, "val_check_interval": 3},
    },
    "a number of steps": {
        "trainer": {
            "max_epochs": -1,
            "max_steps": 9,
            "val_check_interval": 3,
            "check_val_every_n_epoch": None,
        }
    },
    "validated at every second epoch's end": {
        "trainer": {"limit_train_batches": 3, "check_val_every_n_epoch": 2, "max_epochs": 3}
    },
}
# Where a run is killed, which loses what came after the last checkpoint, or told to stop.
MOMENTS: dict[str, list[tuple[str, int, str | None]]] = {
    "plain": [
        ("on_train_batch_start", 4, None),
        ("on_train_batch_end", 9, None),
        ("on_validation_batch_start", 2, "SIGTERM"),
        ("on_validation_batch_start", 5, None),
        ("on_train_epoch_end", 1, None),
    ],
    "windows in any order, workers": [("on_train_batch_start", 8, None)],
    "documents, accumulated": [
        ("on_train_batch_start", 4, "SIGTERM"),
        ("on_validation_end", 2, None),
        ("on_before_optimizer_step", 5, None),
    ],
    "a number of steps": [
        ("on_train_batch_start", 7, None),
        ("on_validation_batch_start", 8, "SIGTERM"),
    ],
    "validated at every second epoch's end": [
        ("on_train_batch_start", 3, "SIGTERM"),
        ("on_train_batch_start", 8, None),
    ],
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, small_files: dict[str, Path]) -> Settings:
    folder = tmp_path_factory.mktemp("resuming")
    files = {
        "train": str(write_rows(folder / "train.json", rows_of(11))),
        "validation": str(write_rows(folder / "validation.json", rows_of(4, first=100))),
    }
    return {
        "data": {
            "data_files": files,
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 8,
            "eval_batch_size": 5,  # three batches a validation
        },
        "model": {
            "config": dict(NETWORK),
            "learning_rate": 1e-3,
        },
        "checkpoint": {"every_n_train_steps": 2},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": [{"class_path": "interrupting.Trace"}],
        },
    }


def settings_of(base: Settings, kind: str, folder: Path) -> Settings:
    settings = copy.deepcopy(base)
    for group, values in KINDS[kind].items():
        settings[group] |= values
    settings["trainer"]["default_root_dir"] = str(folder)
    return settings


@pytest.fixture(scope="module")
def unbroken(base: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of runs that nothing interrupted."""
    found = {}
    for number, kind in enumerate(KINDS):
        folder = tmp_path_factory.mktemp(f"unbroken{number}")
        run("fit", "--config", write_yaml(folder / "a.yaml", settings_of(base, kind, folder)))
        found[kind] = folder
    return found


def break_off(settings: Settings, path: Path, moment: tuple[str, int, str | None]) -> None:
    """Run until a moment."""
    hook, count, name = moment
    stop = {"hook": hook, "count": count, "name": name}
    settings = copy.deepcopy(settings)
    settings["trainer"]["callbacks"] += [{"class_path": "interrupting.SignalAt", "init_args": stop}]
    with pytest.raises((Killed, SystemExit)):
        run("fit", "--config", write_yaml(path, settings))


@pytest.mark.parametrize("kind", KINDS)
def test_broken_off_and_continued_is_unbroken_to_the_bit(
    kind: str, base: Settings, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    assert len([key for key in trace_of(unbroken[kind]) if key.startswith("batch")]) >= 9
    for number, moment in enumerate(MOMENTS[kind]):
        folder = tmp_path / str(number)
        settings = settings_of(base, kind, folder)
        break_off(settings, tmp_path / "broken.yaml", moment)
        config = write_yaml(tmp_path / "whole.yaml", settings)
        run("fit", "--config", config, "--ckpt_path", "last", RECORDER)
        assert recorded().first_step, moment  # from a checkpoint, not from the beginning
        assert_same_end(folder, unbroken[kind])


def test_from_the_best_of_a_validation_amid_accumulation(
    base: Settings, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    kind = "documents, accumulated"
    settings = settings_of(base, kind, tmp_path / "run")
    break_off(settings, tmp_path / "broken.yaml", ("on_train_batch_start", 4, None))
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    assert read_checkpoint(best)["qa_lightning_resume"]["place"]["batch"] == 2
    run("fit", "--config", write_yaml(tmp_path / "a.yaml", settings), "--ckpt_path", "best")
    assert_same_end(tmp_path / "run", unbroken[kind])


def test_another_number_of_workers_changes_nothing(
    base: Settings, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    settings = settings_of(base, "plain", tmp_path / "run")
    break_off(settings, tmp_path / "broken.yaml", ("on_train_batch_start", 9, None))
    settings["data"]["num_workers"] = 1
    config = str(write_yaml(tmp_path / "a.yaml", settings))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        main(["fit", "--config", config, "--ckpt_path", "last"])
    assert not [each for each in told if "resum" in str(each.message)]  # since it is resumable
    assert_same_end(tmp_path / "run", unbroken["plain"])


@pytest.fixture
def within_epoch(base: Settings, tmp_path: Path) -> Path:
    """Return the configuration of a run that was killed within its first epoch."""
    settings = settings_of(base, "plain", tmp_path / "run")
    break_off(settings, tmp_path / "broken.yaml", ("on_train_batch_start", 4, None))
    return write_yaml(tmp_path / "whole.yaml", settings)


def test_changed_settings_are_applied_or_refused(
    within_epoch: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    resume = ("fit", "--config", within_epoch, "--ckpt_path", "last")
    for key, value in (
        ("data.batch_size", 4),
        ("data.group_by_length", "false"),
        ("data.negative_windows", 0.5),
        ("seed_everything", 7),
        ("model.freeze_embeddings", "true"),
        ("model.layer_decay", 0.9),
        ("model.head_learning_rate", 1e-2),
        ("model.config.hidden_size", 32),
        ("model.config.hidden_dropout_prob", 0.2),
        ("model.config.attention_window", 4),
        ("model.lora", "{}"),
        ("trainer.accumulate_grad_batches", 2),
        ("trainer.limit_train_batches", 4),
        ("trainer.limit_train_batches", 0.9),
        ("trainer.overfit_batches", 2),
    ):
        message = fail(capsys, *resume, f"--{key}", value)
        assert key.replace("seed_everything", "data.seed") in message
    for other in ("--data.max_length", 60), ("--data.alignment", "keep"):
        assert "training data" in fail(capsys, *resume, *other)

    mine = ("--model.learning_rate", 5e-4, "--model.weight_decay", 0.3, "--data.eval_batch_size", 3)
    other = tmp_path / "tokenizer"
    small_tokenizer().save_pretrained(other)
    origins = ("--data.tokenizer", other, "--model.initialization", "matching")
    run(*resume, *mine, *origins, "--trainer.limit_train_batches", 1.0, RECORDER)
    for key in ("data.tokenizer", "model.initialization"):
        assert f"`{key}` is " in caplog.text  # the checkpoint's, and said to be
    assert caplog.text.count("as the checkpoint has it") == 2
    # Steps 3 to 10 of 10, on a line to 0.
    assert recorded().rates == pytest.approx([5e-4 * (10 - step) / 10 for step in range(2, 10)])
    groups = recorded().trainer.optimizers[0].param_groups
    assert {group["weight_decay"] for group in groups} == {0.3, 0.0}
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["model"]["learning_rate"] == 5e-4
    assert saved["model"]["weight_decay"] == 0.3


def test_what_is_left_out_is_as_the_epoch_began(
    within_epoch: Path, base: Settings, tmp_path: Path, unbroken: dict[str, Path]
) -> None:
    settings = settings_of(base, "plain", tmp_path / "run")
    del settings["data"]["batch_size"]
    run("fit", "--config", write_yaml(tmp_path / "a.yaml", settings), "--ckpt_path", "last")
    assert_same_end(tmp_path / "run", unbroken["plain"])


def test_at_an_epochs_end_other_batches_are_taken(base: Settings, tmp_path: Path) -> None:
    settings = settings_of(base, "plain", tmp_path / "run")
    break_off(settings, tmp_path / "broken.yaml", ("on_train_batch_start", 6, "SIGTERM"))
    run("fit", "--config", write_yaml(tmp_path / "a.yaml", settings), "--ckpt_path", "last")
    run(
        "fit", "--config", tmp_path / "a.yaml", "--ckpt_path", "last", "--trainer.max_epochs", 3,
        "--data.batch_size", 4, RECORDER,
    )  # fmt: skip
    assert recorded().trainer.num_training_batches == 9
    assert recorded().trainer.current_epoch == 3


def test_the_bar_counts_what_was_done_before(
    base: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(base, "a number of steps", tmp_path / "run")
    settings["trainer"]["max_steps"] = 4
    break_off(settings, tmp_path / "broken.yaml", ("on_train_batch_start", 3, "SIGTERM"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    config = write_yaml(tmp_path / "a.yaml", settings)
    bars = ("--trainer.enable_progress_bar", "true")
    output = run("fit", "--config", config, "--ckpt_path", "last", *bars)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    shown = re.findall(r"Epoch 0\D*(\d+)/(\d+)", plain)
    assert ("4", "4") in shown
    assert {total for _, total in shown} == {"4"}


def test_random_states_load_strictly(within_epoch: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    (state,) = checkpoint["qa_lightning_resume"]["random"]
    assert isinstance(state["torch"], torch.Tensor)
    assert checkpoint["qa_lightning_resume"]["place"]["batch"] == 2
