"""Short-context networks, adapters, flex attention and global columns, from fit to answers."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering

from backbones_support import plain_values, write_backbone
from qa_lightning import QuestionAnswerer
from qa_lightning.longify import longify
from running import (
    RECORDER,
    fail,
    read_checkpoint,
    read_json,
    read_yaml,
    recomputes,
    recorded,
    rows_of,
    run,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
SMALL_GPU = {"precision": "bf16-mixed", "accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
"""As in `configs/overlays/single_gpu.yaml`, with gradient checkpointing."""


def predictions(folder: Path) -> dict[str, str]:
    return read_json(folder / "answers" / "val" / "predictions.json")


def assert_answers_are_those_of_the_run(source: Path, run_folder: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(source, device="cpu")
    rows = rows_of(6, first=100)
    found = [answerer.answer(row["question"], row["context"])[0].text for row in rows]
    assert found == [predictions(run_folder)[row["id"]] for row in rows]


def whole_way(settings: Settings, folder: Path) -> None:
    """Fit as on a small GPU, validate the checkpoint, answer from it, and export it."""
    settings["model"] |= {"gradient_checkpointing": True, "learning_rate": 1e-2}
    settings["trainer"] |= SMALL_GPU
    config = write_yaml(folder / "way.yaml", settings)
    run("fit", "--config", config, RECORDER)
    assert recorded().trainer.global_step >= 2
    assert recomputes(recorded().model.network)
    named = settings["model"].get("model_name_or_path")
    if named is not None:  # the checkpoint has to do without
        Path(named).rename(folder / "elsewhere")
        settings["model"] = {}
    settings["trainer"]["precision"] = "32-true"
    config = write_yaml(folder / "validate.yaml", settings)
    run("validate", "--config", config, "--ckpt_path", "best")
    run_folder = folder / "run"
    assert_answers_are_those_of_the_run(run_folder, run_folder)
    run("export", "--checkpoint", run_folder, "--output", folder / "exported")
    assert_answers_are_those_of_the_run(folder / "exported", run_folder)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_short_network_as_it_is(name: str, small_settings: Settings, tmp_path: Path) -> None:
    small_settings["model"] = {"model_name_or_path": str(write_backbone(tmp_path / "net", name))}
    whole_way(small_settings, tmp_path)
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert checkpoint["hyper_parameters"]["config"]["model_type"] == name
    network = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "exported")
    assert network.config.model_type == name
    card = (tmp_path / "exported" / "README.md").read_text("utf-8")
    assert f"A network of type `{name}`" in card
    assert 'inputs["global_attention_mask"]' not in card


def test_adapters_are_trained_and_merged(
    small_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_settings["model"]["lora"] = {"r": 4, "lora_dropout": 0.1}
    whole_way(small_settings, tmp_path)
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert checkpoint["hyper_parameters"]["lora"]["r"] == 4
    learnt = [t for name, t in checkpoint["state_dict"].items() if "lora_B" in name]
    assert len(learnt) == 6
    assert all(tensor.abs().max() > 0 for tensor in learnt)
    exported = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "exported")
    assert not [name for name, _ in exported.named_parameters() if "lora" in name]
    monkeypatch.setitem(sys.modules, "peft", None)  # only training needs it
    assert_answers_are_those_of_the_run(tmp_path / "run", tmp_path / "run")


def test_a_run_with_adapters_resumes_and_freezes_the_rest(
    small: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = ("--model.lora.r", 2, "--model.lora.target_modules", "[query, value]")
    run("fit", "--config", small, *chosen, RECORDER)
    steps = recorded().trainer.global_step
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = read_checkpoint(last)["state_dict"]
    # Nothing but the checkpoint says that there are adapters.
    run("fit", "--config", small, "--ckpt_path", "last", "--trainer.max_epochs", 2, RECORDER)
    assert recorded().first_step == steps
    after = read_checkpoint(last)["state_dict"]
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {name for name in before if "lora_" in name or "qa_outputs" in name}
    assert {name.split(".")[-4] for name in changed if "lora" in name} == {"query", "value"}
    # Adapters of the same kind are no contradiction; others cannot be trained, and are told else.
    more = ("--config", small, "--ckpt_path", "last", "--trainer.max_epochs", 2)
    run("fit", *more, *chosen)
    run("validate", *more, *chosen)
    assert "`model.lora" not in caplog.text
    assert "`model.lora.r` to stay 2" in fail(capsys, "fit", *more, "--model.lora.r", 3)
    run("validate", *more, "--model.lora.r", 3)
    assert "`model.lora.r` is 2, as the checkpoint has it" in caplog.text


@pytest.mark.parametrize(("name", "room"), [("bert", 66), ("roberta", 64)])
def test_windows_must_fit_a_short_networks_positions(
    name: str,
    room: int,
    small_settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_backbone(tmp_path / "net", name)
    small_settings["model"] = {"model_name_or_path": str(folder)}
    config = write_yaml(tmp_path / "short.yaml", small_settings)
    message = fail(capsys, "fit", "--config", config, "--data.max_length", room + 1)
    assert f"at most the {room} positions of the model; got {room + 1}" in message
    assert f"qa-lightning longify {folder} --output DIR" in message
    long = longify(folder, tmp_path / "long", max_length=room, attention_window=8)
    chosen = ("--model.model_name_or_path", long, "--data.max_length", room + 1)
    assert "take a checkpoint with more positions" in fail(
        capsys, "fit", "--config", config, *chosen
    )
    absent = fail(capsys, "fit", "--config", config, "--model.model_name_or_path", "./nowhere")
    assert "'./nowhere' could not be loaded: there is no such folder." in absent
    batches = ("--trainer.limit_train_batches", 1, "--trainer.limit_val_batches", 1, RECORDER)
    run("fit", "--config", config, "--data.max_length", room, *batches)
    assert recorded().trainer.global_step == 1


def test_a_short_network_from_scratch(small_settings: Settings, tmp_path: Path) -> None:
    config = plain_values("bert")
    for filled in ("vocab_size", "pad_token_id"):
        del config[filled]
    small_settings["model"]["config"] = config
    small_settings["trainer"]["limit_train_batches"] = 2
    run("fit", "--config", write_yaml(tmp_path / "scratch.yaml", small_settings), RECORDER)
    network = recorded().model.network
    assert type(network).__name__ == "BertForQuestionAnswering"
    assert network.config.vocab_size == plain_values("bert")["vocab_size"]
    assert network.config.pad_token_id == 1


def test_flex_attention_scores_as_windowed(small: Path, tmp_path: Path) -> None:
    batches = ("--trainer.limit_train_batches", 2)
    run("fit", "--config", small, "--model.attention", "flex", *batches, RECORDER)
    answers = predictions(tmp_path / "run")
    assert recorded().model.hparams["attention"] == "flex"
    run("validate", "--config", small, "--model.attention", "windowed", "--ckpt_path", "last")
    assert predictions(tmp_path / "run") == answers
    assert_answers_are_those_of_the_run(tmp_path / "run", tmp_path / "run")


def test_global_attention_on_given_columns(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["data"]["global_attention"] = [0, 1, 2]
    config = write_yaml(tmp_path / "columns.yaml", small_settings)
    run("fit", "--config", config, RECORDER)
    batch = next(iter(recorded().trainer.train_dataloader))
    assert torch.equal(batch["global_attention_mask"].sum(0)[:3], torch.tensor([8, 8, 8]))
    assert batch["global_attention_mask"].sum() == 24
    assert read_yaml(tmp_path / "run" / "config.yaml")["data"]["global_attention"] == [0, 1, 2]
    assert_answers_are_those_of_the_run(tmp_path / "run", tmp_path / "run")

    place = ("--trainer.default_root_dir", tmp_path / "other", "--trainer.limit_train_batches", 1)
    run("fit", "--config", config, "--data.global_attention", "[0, 4]", *place, RECORDER)
    assert recorded().trainer.datamodule.hparams["global_attention"] == [0, 4]
    run("fit", "--config", config, "--data.global_attention", "cls", *place, RECORDER)
    assert recorded().trainer.datamodule.hparams["global_attention"] == "cls"


def test_the_help_explains_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    from qa_lightning.cli import main

    main(["fit", "--help-all"])
    text = " ".join(capsys.readouterr().out.split())
    explained = {
        "head_learning_rate": "that of the question-answering head",
        "layer_decay": "times the rate of the layer above",
        "freeze_embeddings": "leave the embeddings as they are",
        "lora": "train adapters",
        "attention": "``flex``",
    }
    for key, words in explained.items():
        _, found, rest = text.rpartition(f"--model.{key} ")
        assert found, key
        assert words in rest[:400], key
    assert "a list of columns" in text.rpartition("--data.global_attention ")[2][:400]
