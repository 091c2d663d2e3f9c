"""Training from Python: the same run as the command's, on data in memory."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback

import qa_lightning
from qa_lightning import QuestionAnswerer
from qa_lightning.errors import InputError
from running import fail, read_checkpoint, read_json, read_yaml, rows_of, run, squad_json

TRAIN, VALIDATION = rows_of(16), rows_of(6, first=100)


def without_data(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings that name no data and no model."""
    data = {key: value for key, value in settings["data"].items() if key != "data_files"}
    return {**{key: settings[key] for key in settings if key != "model"}, "data": data}


@pytest.fixture
def options(small_settings: dict[str, Any]) -> dict[str, Any]:
    return without_data(small_settings)


def trained(
    small_settings: dict[str, Any], options: dict[str, Any], folder: Path, **given: Any
) -> qa_lightning.Run:
    data = {"train": TRAIN, "validation": VALIDATION}
    return qa_lightning.fit(
        small_settings["model"], output=folder, options=options, **{**data, **given}
    )


def test_one_call_gives_the_folder_the_scores_and_the_answers(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    seen = []

    class Counter(Callback):
        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            seen.append(trainer.global_step)

    folder = tmp_path / "mine"
    frame = pd.DataFrame(TRAIN)
    done = trained(small_settings, options, folder, train=frame, callbacks=[Counter()])
    assert done.folder == folder
    assert seen == [read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"]]
    assert (folder / "checkpoints" / "best.ckpt").is_file()
    written = read_json(folder / "answers" / "val" / "scores.json")
    assert done.scores["f1"] == pytest.approx(written["f1"])
    assert done.answers is not None
    assert len(done.answers) == len(VALIDATION)
    assert done.audit is not None
    assert done.audit.examples == len(TRAIN)
    answers = done.answerer().answer("Em que cidade nasceu Alba?", TRAIN[0]["context"])
    assert answers[0].text == TRAIN[0]["context"][answers[0].start_char : answers[0].end_char]
    assert str(folder) in done._repr_html_()
    assert "What to try next" in done.report(tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_command_on_files_of_the_same_rows_gives_the_same_weights(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    from running import write_yaml

    trained(small_settings, options, tmp_path / "python")
    command = {**small_settings, "trainer": {**small_settings["trainer"]}}
    command["trainer"]["default_root_dir"] = str(tmp_path / "command")
    run("fit", "--config", write_yaml(tmp_path / "c.yaml", command))
    ours, theirs = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"]
        for name in ("python", "command")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("keep_data", [False, True])
def test_nothing_of_data_in_memory_is_in_configuration_checkpoints_or_trackers(
    keep_data: bool,
    small_settings: dict[str, Any],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    names = ("wandb.WandbLogger", "tensorboard.TensorBoardLogger")
    options["trainer"]["logger"] = [
        {
            "class_path": f"lightning.pytorch.loggers.{name}",
            "init_args": {"save_dir": str(tmp_path / "logs")},
        }
        for name in names
    ]
    folder = tmp_path / "run"
    trained(small_settings, options, folder, keep_data=keep_data)
    texts = [row[name] for row in (*TRAIN, *VALIDATION) for name in ("question", "context")]
    telling = {text[:40].encode() for text in texts}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    leaks = {path for path in files if any(text in path.read_bytes() for text in telling)}
    assert [path for path in leaks if folder / "reports" in path.parents]  # the run's own files
    sent = {path for path in leaks if tmp_path / "logs" in path.parents}
    assert bool(sent) == keep_data  # data that is a file's is shown as any file's
    places = [folder / "answers", folder / "reports", folder / "data", tmp_path / "cache"]
    assert not [path for path in leaks - sent if not set(places) & set(path.parents)]
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert bool(checkpoint["callbacks"]["RunTracking"]["previous"]) == keep_data
    held = read_yaml(folder / "config.yaml")["data"]["in_memory"]
    assert checkpoint["datamodule_hyper_parameters"]["in_memory"] == held
    assert set(held or ()) == (set() if keep_data else {"train", "validation"})


def test_its_configuration_says_what_is_missing(
    small_settings: dict[str, Any],
    options: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"
    trained(small_settings, options, folder)
    again = ("--config", folder / "config.yaml", "--trainer.default_root_dir", tmp_path / "other")
    message = fail(capsys, "fit", *again)
    assert "it was in memory (train, validation)" in message
    assert "keep_data=True" in message
    with pytest.raises(InputError, match=r"content of train differs"):
        qa_lightning.fit(
            output=tmp_path / "third",
            config=folder / "config.yaml",
            train=TRAIN[1:],
            validation=VALIDATION,
            options={"data.in_memory": held_in(folder)},
        )


def held_in(folder: Path) -> dict[str, str]:
    held: dict[str, str] = read_yaml(folder / "config.yaml")["data"]["in_memory"]
    return held


def test_kept_data_repeats_the_run_from_its_folder(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    trained(
        small_settings, options, folder, train=squad_json(TRAIN), test=TRAIN[:3], keep_data=True
    )
    assert sorted(path.suffix for path in (folder / "data").iterdir()) == [".parquet"] * 3
    run(
        *("fit", "--config", folder / "config.yaml"),
        *("--trainer.default_root_dir", tmp_path / "again"),
    )
    first, second = (
        read_checkpoint(place / "checkpoints" / "last.ckpt")["state_dict"]
        for place in (folder, tmp_path / "again")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_goes_on_from_the_last_checkpoint(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    trained(small_settings, options, folder)
    before = read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"]
    steps = {"trainer.max_steps": before + 2, "trainer.max_epochs": -1}
    more = {**options, "trainer": {**options["trainer"]}}
    more["trainer"].pop("max_epochs", None)
    trained(small_settings, {**more, "trainer.max_steps": steps["trainer.max_steps"]}, folder,
            resume=True)  # fmt: skip
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["global_step"] == before + 2
    assert not (folder / "earlier").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": 3}, "an int"),
        ({"validation": None}, r"`validation` beside `train`.*train\[90%:\]"),
        ({"train": None}, r"`train` beside `validation`"),
        ({"options": {"data.max_lenght": 64}}, r"`options`.*max_lenght.*data\.max_length"),
        ({"options": {"trainer": {"epochs": 2}}}, r"mean `--trainer\.max_epochs`"),
        ({"options": {"lr": 2}}, r"mean `--model\.learning_rate`"),
        ({"options": {"data": 3, "data.max_length": 64}}, "`data` is given as a value"),
        ({"train": 3}, "`train`"),
    ],
)
def test_mistakes_are_told_as_by_the_command(
    given: dict[str, Any], told: str, small_settings: dict[str, Any], tmp_path: Path
) -> None:
    values = {"model": small_settings["model"], "train": TRAIN, "validation": VALIDATION}
    with pytest.raises(InputError, match=told):
        qa_lightning.fit(**{**values, "output": tmp_path / "run", **given})
    assert not (tmp_path / "run").exists()


def test_a_missing_tokenizer_is_not_the_demos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.tokenizer"):
        qa_lightning.fit(
            {"config": {"hidden_size": 16}}, output=tmp_path / "run", train=TRAIN, validation=TRAIN
        )


def test_an_interrupted_cell_says_how_to_go_on_and_goes_on(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    class Impatient(Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        trained(small_settings, options, tmp_path / "run", callbacks=[Impatient()])
    trained(small_settings, options, tmp_path / "run", resume=True)
    trained(small_settings, options, tmp_path / "whole")
    steps = [
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["global_step"]
        for name in ("run", "whole")
    ]
    assert steps[0] == steps[1] > 2


def test_the_answerer_needs_no_lightning(
    small_settings: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    trained(small_settings, options, tmp_path / "run")
    assert QuestionAnswerer.from_checkpoint(tmp_path / "run").answer("Quem?", "A Ana.").n_best


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("devices", 2),
        ("devices", "2"),
        ("devices", -1),
        ("devices", [0, 1]),
        ("devices", "0,1"),
        ("num_nodes", 2),
        ("strategy", "ddp"),
        ("strategy", "ddp_notebook"),
        ("strategy", {"class_path": "lightning.pytorch.strategies.DDPStrategy"}),
    ],
)
def test_several_processes_from_a_notebook_are_refused_with_what_to_do(
    key: str,
    value: object,
    small_settings: dict[str, Any],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "ps1", "In [1]: ", raising=False)
    asked = {**options, f"trainer.{key}": value}
    with pytest.raises(InputError, match=rf"`trainer\.{key}` .*`!python train\.py`"):
        trained(small_settings, asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("devices", ["auto", 1, "1", None])
def test_a_notebook_trains_on_one_device(
    devices: object,
    small_settings: dict[str, Any],
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "ps1", "In [1]: ", raising=False)
    asked = options if devices is None else {**options, "trainer.devices": devices}
    done = trained(small_settings, {**asked, "trainer.max_steps": 1}, tmp_path / "run")
    assert read_yaml(done.folder / "config.yaml")["trainer"]["devices"] in (1, "1")
