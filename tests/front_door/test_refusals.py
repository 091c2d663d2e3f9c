"""Mistakes that are told before any work is done: where they are, and what was meant."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from running import fail, run, write_yaml

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]


def test_an_unknown_key_is_told_with_its_file_and_the_key_that_was_meant(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, meant in (("batchsize", "batch_size"), ("max_lenght", "max_length")):
        overlay = write_yaml(tmp_path / f"{key}.yaml", {"data": {key: 3}})
        message = fail(capsys, "fit", "--config", small, "--config", overlay)
        assert f"'data.{key}' (in {overlay}). Did you mean `data.{meant}`?" in message


def test_a_value_of_another_type_is_told_in_words_with_its_file(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = write_yaml(tmp_path / "typed.yaml", {"trainer": {"max_epochs": "two"}})
    message = fail(capsys, "fit", "--config", small, "--config", overlay)
    told = f"Expected `trainer.max_epochs` to be a whole number or null; got two (in {overlay})."
    assert told in message
    message = fail(capsys, "fit", "--config", small, "--data.batch_size=many")
    assert "Expected `data.batch_size` to be a whole number; got many. `lightning fit" in message


def test_answers_of_random_weights_are_told(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run("validate", "--config", small)
    assert "--ckpt_path best" in caplog.text
    caplog.clear()
    run("fit", "--config", small)
    run("validate", "--config", small, "--ckpt_path", "best")
    assert "random weights" not in caplog.text


@pytest.mark.parametrize("kind", ["gpt2", "t5", "clip"])
def test_another_kind_of_model_is_told(
    kind: str, small_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / kind).mkdir()
    (tmp_path / kind / "config.json").write_text(json.dumps({"model_type": kind}))
    small_settings["model"] = {"model_name_or_path": str(tmp_path / kind)}
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "kind.yaml", small_settings))
    assert f"'{kind}' model" in message
    assert "encoder" in message


def test_folders_that_cannot_be_written_are_told_at_once(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    keys = (
        "trainer.default_root_dir",
        "checkpoint.dirpath",
        "evaluation.output_dir",
        "data.cache_dir",
    )
    arguments = [f"--{key}={file / 'below'}" for key in keys]
    message = fail(capsys, "fit", "--config", small, *arguments)
    assert [key for key in keys if f"`{key}` to be a folder; {file} is a file" not in message] == []
    assert file.read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    root = tmp_path / "locked" / "run"
    message = fail(capsys, "fit", "--config", small, "--trainer.default_root_dir", root)
    assert "not writable" in message


def test_what_an_objective_cannot_work_with_is_told(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = ("--model.objective", "document", "--model.label_smoothing", 0.1)
    data = ("--data.all_gold_spans", "false", "--data.group_by_document", "false")
    message = fail(capsys, "fit", "--config", small, *document, *data)
    assert "Expected `model.label_smoothing` of 0 with `model.objective` document" in message
    assert "Expected `data.all_gold_spans` to be true for `model.objective` document" in message
    assert "Expected `data.group_by_document` to be true for `model.objective` document" in message
    weighted = ("--model.confidence_weighting", "true", "--data.alignment", "keep")
    message = fail(capsys, "fit", "--config", small, *weighted)
    assert "`data.alignment` than keep" in message


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        ({"monitor": "val_f1"}, "`checkpoint.monitor` to be a key that is logged"),
        ({"monitor": "val/loss"}, "`checkpoint.mode` min with 'val/loss'"),
        ({"monitor": "val/calibration_error"}, "would keep the worst"),
    ],
)
def test_a_best_that_would_not_be_the_best_is_told_before_training(
    checkpoint: dict[str, str],
    told: str,
    small_settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_settings["checkpoint"] = checkpoint
    config = write_yaml(tmp_path / "monitor.yaml", small_settings)
    assert told in fail(capsys, "fit", "--config", config)
    assert not (tmp_path / "run").exists()
