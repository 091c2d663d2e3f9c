"""The two checkpoints of a run, and what can be done with them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from transformers import LongformerForQuestionAnswering

from qa_lightning import AnswerEvaluation, QAModule
from running import (
    RECORDER,
    fail,
    read_checkpoint,
    read_json,
    read_yaml,
    recorded,
    run,
    write_model,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class StopAt(Callback):
    """Break a run off in the middle."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step >= self.step:
            raise KeyError("stopped")


def test_best_is_by_f1_and_last_is_the_true_last(small: Path, tmp_path: Path) -> None:
    arguments = ("--trainer.val_check_interval", 3, "--trainer.check_val_every_n_epoch", "null")
    run("fit", "--config", small, *arguments, "--trainer.max_epochs", 3, RECORDER)
    scores: dict[int, float] = {}
    for logged in recorded().logged:
        if "val/f1" in logged and logged["step"] % 3 == 0:
            scores[int(logged["step"])] = logged["val/f1"]
    assert len(scores) >= 4
    folder = tmp_path / "run" / "checkpoints"
    assert read_checkpoint(folder / "best.ckpt")["global_step"] == max(scores, key=scores.get)
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == recorded().trainer.global_step


def test_last_is_kept_within_an_epoch(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["trainer"]["callbacks"] = [
        {"class_path": "test_checkpoints.StopAt", "init_args": {"step": 5}}
    ]
    small_settings["checkpoint"] = {"every_n_train_steps": 2}
    config = write_yaml(tmp_path / "stopped.yaml", small_settings)
    with pytest.raises(KeyError, match="stopped"):
        run("fit", "--config", config)
    folder = tmp_path / "run" / "checkpoints"
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 4
    assert not (folder / "best.ckpt").exists()

    # A new process goes on from there.
    run("fit", "--config", config, "--ckpt_path", "last", "--trainer.callbacks", "running.Recorder")
    assert recorded().first_step == 4
    assert (folder / "best.ckpt").exists()


def test_last_follows_every_epoch_though_validation_does_not(small: Path, tmp_path: Path) -> None:
    arguments = ("--trainer.check_val_every_n_epoch", 2, "--trainer.max_epochs", 3)
    run("fit", "--config", small, *arguments, "--checkpoint.every_n_train_steps", "null", RECORDER)
    folder = tmp_path / "run" / "checkpoints"
    steps = recorded().trainer.global_step
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == steps
    assert read_checkpoint(folder / "best.ckpt")["global_step"] == steps * 2 // 3


def test_best_passes_over_partial_passes(small: Path, tmp_path: Path) -> None:
    limits = ("--trainer.limit_val_batches", 1, "--data.eval_batch_size", 2)
    run("fit", "--config", small, *limits)
    folder = tmp_path / "run"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert not (folder / "answers").exists()


def test_best_by_another_score(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min")
    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["callbacks"]
    (best,) = [value for key, value in state.items() if key.startswith("BestCheckpoint")]
    loss = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")["loss"]
    assert float(best["best_model_score"]) == pytest.approx(loss, rel=1e-5)


def test_validate_best_repeats_the_scores(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    answers = tmp_path / "run" / "answers" / "val"
    files = ("predictions", "nbest_predictions", "null_odds", "scores")
    before = {name: read_json(answers / f"{name}.json") for name in files}
    shutil.rmtree(answers)
    run("validate", "--config", small, "--ckpt_path", "best")
    assert {name: read_json(answers / f"{name}.json") for name in files} == before


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
@pytest.mark.parametrize("which", ["best", "last"])
def test_a_missing_checkpoint_is_an_error(
    command: str, which: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = ("--data.test_split", "test", "--data.predict_split", "test")
    message = fail(capsys, command, "--config", small, *splits, "--ckpt_path", which)
    assert f"{which}.ckpt" in message
    assert "lightning fit" in message


def test_fit_wants_best_to_exist_but_not_last(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    assert "best.ckpt" in fail(capsys, "fit", "--config", small, "--ckpt_path", "best")
    run("fit", "--config", small, "--ckpt_path", "last", RECORDER)
    assert recorded().first_step == 0
    assert "afresh" in caplog.text


def test_a_file_that_is_no_checkpoint_is_told(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    torch.save({"state_dict": {}, "hyper_parameters": {"width": 3}}, tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save(torch.zeros(3), tmp_path / "tensor.ckpt")
    for name in ("text", "other", "list", "tensor", "absent"):
        arguments = ("validate", "--config", small, "--ckpt_path", tmp_path / f"{name}.ckpt")
        assert f"{name}.ckpt" in fail(capsys, *arguments)


def test_resuming_equals_one_long_run(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["model"]["config"].update(NO_DROPOUT)
    small_settings["model"]["lr_schedule"] = "constant"
    config = write_yaml(tmp_path / "constant.yaml", small_settings)
    short, long = tmp_path / "short", tmp_path / "long"
    run("fit", "--config", config, "--trainer.default_root_dir", short)
    continued = ("--ckpt_path", "last", "--trainer.max_epochs", 2, RECORDER)
    run("fit", "--config", config, "--trainer.default_root_dir", short, *continued)
    half = recorded().first_step
    run("fit", "--config", config, "--trainer.default_root_dir", long, "--trainer.max_epochs", 2)

    ends = [read_checkpoint(f / "checkpoints" / "last.ckpt") for f in (short, long)]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 2 * half
    for name, tensor in ends[0]["state_dict"].items():
        torch.testing.assert_close(tensor, ends[1]["state_dict"][name], rtol=0, atol=0, msg=name)


def unbeatable(folder: Path) -> None:
    """Make a run remember a best score that no validation reaches."""
    path = folder / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(path)
    (best,) = [v for k, v in checkpoint["callbacks"].items() if k.startswith("BestCheckpoint")]
    score = torch.tensor(101.0)
    best["best_model_score"] = best["kth_value"] = score
    best["best_k_models"] = dict.fromkeys(best["best_k_models"], score)
    torch.save(checkpoint, path)


@pytest.mark.parametrize("moved", [False, True], ids=["in place", "folder moved"])
def test_resuming_keeps_the_best_there_was(moved: bool, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run("fit", "--config", small)
    unbeatable(folder)
    if moved:
        folder = folder.rename(tmp_path / "moved")
    best = folder / "checkpoints" / "best.ckpt"
    before = best.read_bytes()
    place = ("--trainer.default_root_dir", folder)
    run("fit", "--config", small, *place, "--ckpt_path", "last", "--trainer.max_epochs", 2)
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["epoch"] == 1
    assert best.read_bytes() == before


def test_a_run_from_another_runs_checkpoint_has_a_best_of_its_own(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small)
    unbeatable(tmp_path / "run")
    before = [path.read_bytes() for path in sorted((tmp_path / "run").rglob("*.ckpt"))]
    start = tmp_path / "run" / "checkpoints" / "last.ckpt"
    place = ("--trainer.default_root_dir", tmp_path / "fork")
    run("fit", "--config", small, *place, "--ckpt_path", start, "--trainer.max_epochs", 2)
    assert read_checkpoint(tmp_path / "fork" / "checkpoints" / "best.ckpt")["epoch"] == 1
    assert [path.read_bytes() for path in sorted((tmp_path / "run").rglob("*.ckpt"))] == before


def test_a_relative_run_folder_is_found_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("fit", "--config", small, "--trainer.default_root_dir", "runs/a")
    run(
        "validate", "--config", small, "--trainer.default_root_dir", "runs/a", "--ckpt_path", "best"
    )
    assert (tmp_path / "runs" / "a" / "checkpoints" / "best.ckpt").is_file()


def plain(value: Any) -> bool:
    """Tell whether a value is made of plain Python types."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_a_checkpoint_rebuilds_everything_offline(small_settings: Settings, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    small_settings["model"] = {"model_name_or_path": str(model), "learning_rate": 1e-3}
    del small_settings["data"]["tokenizer"]
    small_settings["data"] |= {"max_length": 56, "doc_stride": 12, "separators": 2}
    config = write_yaml(tmp_path / "named.yaml", small_settings)
    run("fit", "--config", config)
    answers = tmp_path / "run" / "answers" / "val" / "nbest_predictions.json"
    before = read_json(answers)
    shutil.rmtree(model)  # neither model nor tokenizer can be loaded any more

    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint = read_checkpoint(path)
    hyper_parameters = checkpoint["hyper_parameters"]
    assert plain(hyper_parameters)
    assert hyper_parameters["model_name_or_path"] is None
    assert hyper_parameters["config"]["hidden_size"] == 16
    (data,) = [v for v in checkpoint.values() if isinstance(v, dict) and "tokenizer_files" in v]
    assert plain(data)
    assert (data["max_length"], data["doc_stride"], data["separators"]) == (56, 12, 2)

    # Nothing but the data is given: windows, tokenizer and network are the checkpoint's.
    bare = {
        "data": {"data_files": small_settings["data"]["data_files"]},
        "trainer": small_settings["trainer"],
    }
    bare_config = write_yaml(tmp_path / "bare.yaml", bare)
    run("validate", "--config", bare_config, "--ckpt_path", "best", RECORDER)
    assert read_json(answers) == before
    assert recorded().trainer.datamodule.hparams["max_length"] == 56

    module = QAModule.load_from_checkpoint(path, map_location="cpu")
    for name, tensor in checkpoint["state_dict"].items():
        assert module.state_dict()[name].equal(tensor), name


def test_the_users_values_go_before_the_checkpoints_but_not_the_network(
    small: Path, small_settings: Settings, tmp_path: Path
) -> None:
    run("fit", "--config", small)
    small_settings["model"]["config"]["hidden_size"] = 32
    other = write_yaml(tmp_path / "other.yaml", small_settings)
    mine = ("--data.max_length", 60, "--model.learning_rate", "5e-4")
    run("validate", "--config", other, "--ckpt_path", "best", *mine, RECORDER)
    assert recorded().trainer.datamodule.hparams["max_length"] == 60
    assert recorded().model.hparams["learning_rate"] == 5e-4
    assert recorded().model.hparams["config"]["hidden_size"] == 16


def test_the_demo_does_not_stand_in_for_data_that_is_not_named(
    small: Path, small_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", "--config", small)
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    for command in ("validate", "fit"):
        message = fail(capsys, command, "--ckpt_path", path)
        assert "`data.data_files`" in message
        assert str(small_files["train"]) in message  # what it was trained with
        assert "'demo'" not in message


def test_the_search_for_answers_is_the_checkpoints(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--evaluation.max_answer_length", 3, "--evaluation.n_best", 4)
    for mine, expected in (((), (3, 4)), (("--evaluation.max_answer_length", 7), (7, 4))):
        run("validate", "--config", small, "--ckpt_path", "best", *mine, RECORDER)
        callbacks = recorded().trainer.callbacks
        evaluation = next(each for each in callbacks if isinstance(each, AnswerEvaluation))
        assert (evaluation.max_answer_length, evaluation.n_best) == expected


def test_weights_only_checkpoints_are_smaller_and_still_answer(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--checkpoint.save_weights_only", "true")
    folder = tmp_path / "run"
    assert "optimizer_states" not in read_checkpoint(folder / "checkpoints" / "best.ckpt")
    run("validate", "--config", small, "--ckpt_path", "best")


def test_a_fit_from_a_checkpoint_says_so_in_its_config(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    run("fit", "--config", small, "--ckpt_path", "last", "--trainer.max_epochs", 2)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["ckpt_path"] == str(tmp_path / "run" / "checkpoints" / "last.ckpt")


def test_a_resumed_runs_config_names_the_network_and_tokenizer_it_began_with(
    small_settings: Settings, small_files: dict[str, Path], tmp_path: Path
) -> None:
    model = str(small_files["model"])
    small_settings["model"] = {"model_name_or_path": model, "learning_rate": 1e-3}
    del small_settings["data"]["tokenizer"]
    config = write_yaml(tmp_path / "named.yaml", small_settings)
    run("fit", "--config", config)
    run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 2)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["model"]["model_name_or_path"] == saved["data"]["tokenizer"] == model
    assert saved["model"]["config"] is None
    assert saved["trainer"]["max_epochs"] == 2
    del saved["ckpt_path"]
    repeated = write_yaml(tmp_path / "repeated.yaml", saved)
    run("fit", "--config", repeated, "--model.learning_rate", 1e-30, RECORDER)
    weights = recorded().model.network.state_dict()
    start = LongformerForQuestionAnswering.from_pretrained(model).state_dict()
    assert all(weights[key].allclose(value) for key, value in start.items())


@pytest.mark.parametrize("named", [False, True], ids=["from scratch", "named model"])
def test_the_config_that_fit_saved_serves_every_command(
    named: bool, small_settings: Settings, small_files: dict[str, Path], tmp_path: Path
) -> None:
    if named:
        small_settings["model"] = {"model_name_or_path": str(small_files["model"])}
        del small_settings["data"]["tokenizer"]
    run("fit", "--config", write_yaml(tmp_path / "first.yaml", small_settings))
    folder = tmp_path / "run"
    before = read_json(folder / "answers" / "val" / "predictions.json")
    saved = ("--config", folder / "config.yaml", "--ckpt_path", "best")
    run("validate", *saved)
    assert read_json(folder / "answers" / "val" / "predictions.json") == before
    run("test", *saved, "--data.test_split", "test")
    run("predict", *saved, "--data.predict_split", "test")
    run("fit", *saved[:2], "--ckpt_path", "last", "--trainer.max_epochs", 2, RECORDER)
    assert recorded().first_step > 0
