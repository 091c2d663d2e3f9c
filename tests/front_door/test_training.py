"""Training through the front door: schedule, clipping, precision, dropout, what is logged."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from running import (
    NETWORK,
    RECORDER,
    read_checkpoint,
    recomputes,
    recorded,
    run,
    write_model,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
LOG_ALL = ("--trainer.log_every_n_steps", 1)


def test_the_keys_that_are_logged(small: Path) -> None:
    run("fit", "--config", small, *LOG_ALL, "--trainer.gradient_clip_val", 1.0, RECORDER)
    assert {
        "train/loss",
        "train/learning_rate",
        "train/gradient_norm",
        "train/windows_per_second",
        "train/padding_share",
        "val/loss",
        "val/exact_match",
        "val/f1",
    } <= set(recorded().logged[-1])
    assert all(0 <= share < 0.5 for share in recorded().series("train/padding_share"))
    assert all(speed > 0 for speed in recorded().series("train/windows_per_second"))


def test_the_speed_reaches_the_logger_also_where_epochs_are_shorter_than_its_interval(
    small: Path, tmp_path: Path
) -> None:
    # Epochs of two steps; the logger takes every third step of all.
    arguments = ("--trainer.max_epochs", 3, "--trainer.log_every_n_steps", 3)
    batches = ("--trainer.accumulate_grad_batches", 2, "--trainer.limit_train_batches", 4)
    logger = ("--trainer.logger", "lightning.pytorch.loggers.CSVLogger")
    folder = ("--trainer.logger.save_dir", tmp_path / "logs", "--data.batch_size", 2)
    run("fit", "--config", small, *arguments, *batches, *logger, *folder)
    (file,) = (tmp_path / "logs").rglob("metrics.csv")
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["train/windows_per_second"]]
    assert [int(row["step"]) + 1 for row in rows] == [3, 6]
    assert all(float(row["train/windows_per_second"]) > 0 for row in rows)


def test_dropout_is_on_during_fit_also_for_loaded_weights(
    small_settings: Settings, small_files: dict[str, Path], tmp_path: Path
) -> None:
    run("fit", "--config", write_yaml(tmp_path / "scratch.yaml", small_settings), RECORDER)
    assert recorded().training
    assert all(recorded().training)
    small_settings["model"] = {"model_name_or_path": str(small_files["model"])}
    config = write_yaml(tmp_path / "named.yaml", small_settings)
    run("fit", "--config", config, "--trainer.max_epochs", 2, RECORDER)
    assert all(recorded().training)  # after the first validation as well


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_schedule_moves_with_every_optimizer_step_down_to_zero(
    accumulate: int, small: Path, tmp_path: Path
) -> None:
    arguments = ("--trainer.accumulate_grad_batches", accumulate, "--trainer.max_epochs", 2)
    warmup = ("--model.warmup_ratio", 0.5)
    run("fit", "--config", small, *LOG_ALL, *arguments, *warmup, RECORDER)
    batches = len(recorded().trainer.train_dataloader)
    steps = recorded().trainer.global_step
    assert steps == 2 * math.ceil(batches / accumulate)
    # The rate of each step: up to the peak, then down towards zero.
    first = int(steps * 0.5)
    expected = [
        1e-3 * (step / max(first, 1) if step < first else (steps - step) / (steps - first))
        for step in range(steps)
    ]
    assert recorded().rates == pytest.approx(expected, rel=1e-6, abs=1e-12)
    logged = [*dict.fromkeys(recorded().series("train/learning_rate"))]
    assert logged == pytest.approx([*dict.fromkeys(expected)], rel=1e-5, abs=1e-12)
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last["lr_schedulers"][0]["_last_lr"] == [0.0, 0.0]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_is_torchs_and_its_norm_is_logged(
    precision: str, algorithm: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qa_lightning import QAModule

    pairs: list[tuple[float, float]] = []
    original = QAModule.configure_gradient_clipping

    def checked(
        self: Any,
        optimizer: Any,
        gradient_clip_val: Any = None,
        gradient_clip_algorithm: Any = None,
    ) -> None:
        parameters = [p for p in self.parameters() if p.grad is not None]
        before = [p.grad.clone() for p in parameters]
        original(self, optimizer, gradient_clip_val, gradient_clip_algorithm)
        twins = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
        for twin, gradient in zip(twins, before, strict=True):
            twin.grad = gradient
        norm = torch.sqrt(sum((g.double() ** 2).sum() for g in before))
        if algorithm == "norm":
            torch.nn.utils.clip_grad_norm_(twins, gradient_clip_val)
        else:
            torch.nn.utils.clip_grad_value_(twins, gradient_clip_val)
        for parameter, twin in zip(parameters, twins, strict=True):
            torch.testing.assert_close(parameter.grad, twin.grad)
        pairs.append((float(norm), float(self.trainer.callback_metrics["train/gradient_norm"])))

    monkeypatch.setattr(QAModule, "configure_gradient_clipping", checked)
    clip = ("--trainer.gradient_clip_val", 0.01, "--trainer.gradient_clip_algorithm", algorithm)
    run("fit", "--config", small, "--trainer.precision", precision, *clip, *LOG_ALL, RECORDER)
    assert len(pairs) == recorded().trainer.global_step > 3
    for norm, logged in pairs:
        assert logged == pytest.approx(norm, rel=1e-4)
        assert norm > 0.01


def test_the_norm_is_logged_without_clipping_too(small: Path) -> None:
    run("fit", "--config", small, *LOG_ALL, RECORDER)
    assert all(norm > 0 for norm in recorded().series("train/gradient_norm"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradient_checkpointing_changes_no_gradient(
    precision: str, small_settings: Settings, tmp_path: Path
) -> None:
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    small_settings["model"]["config"] |= {**dropout, "num_hidden_layers": 2}
    config = write_yaml(tmp_path / "deep.yaml", small_settings)
    norms = []
    for checkpointing in ("false", "true"):
        choice = ("--model.gradient_checkpointing", checkpointing)
        run(
            "fit", "--config", config, *choice, "--trainer.precision", precision, *LOG_ALL,
            "--trainer.gradient_clip_val", 1.0, RECORDER,
        )  # fmt: skip
        assert recomputes(recorded().model.network) == (checkpointing == "true")
        norms.append(recorded().series("train/gradient_norm"))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


@pytest.mark.parametrize("attention", ["windowed", "reference"])
def test_both_attentions_learn_alike(attention: str, small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--model.attention", attention, RECORDER)
    assert recorded().trainer.global_step > 3
    assert recorded().model.hparams["attention"] == attention


def test_half_precision_weights_are_trained_in_float32(
    small_settings: Settings, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "half", dtype=torch.float16)
    small_settings["model"] = {"model_name_or_path": str(folder)}
    run("fit", "--config", write_yaml(tmp_path / "half.yaml", small_settings), RECORDER)
    weights = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["state_dict"]
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {
        torch.float32
    }
    assert {p.dtype for p in recorded().model.parameters()} == {torch.float32}


def test_no_decay_on_biases_and_norms(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--model.weight_decay", 0.1, RECORDER)
    (optimizer,) = recorded().trainer.optimizers
    decay = {
        id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]
    }
    for name, parameter in recorded().model.named_parameters():
        spared = name.endswith(".bias") or "LayerNorm" in name
        assert decay[id(parameter)] == (0.0 if spared else 0.1), name
    assert len(decay) == len(list(recorded().model.parameters()))


def test_the_schedule_scales_every_rate_and_the_base_rate_is_logged(
    small: Path, tmp_path: Path
) -> None:
    rates = ("--model.head_learning_rate", "1e-2", "--model.layer_decay", 0.5)
    frozen = ("--model.freeze_embeddings", "true", "--model.gradient_checkpointing", "true")
    run("fit", "--config", small, *rates, *frozen, *LOG_ALL, RECORDER)
    model, steps = recorded().model, recorded().trainer.global_step
    expected = [1e-3 * (steps - step) / steps for step in range(steps)]
    # The head's group comes first.
    assert recorded().rates == pytest.approx([10 * rate for rate in expected])
    assert recorded().series("train/learning_rate")[:steps] == pytest.approx(expected, rel=1e-5)
    trained = [
        p for group in recorded().trainer.optimizers[0].param_groups for p in group["params"]
    ]
    assert len(trained) == sum(".embeddings." not in name for name, _ in model.named_parameters())
    # What was left out of the optimizer is in the checkpoint all the same.
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert set(last["state_dict"]) == set(model.state_dict())
    config = ("--trainer.default_root_dir", tmp_path / "run", "--ckpt_path", "last")
    run("validate", "--config", small, *config)


def test_learning_lowers_the_loss(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["model"]["config"] = {**NETWORK, "hidden_size": 32}
    config = write_yaml(tmp_path / "learn.yaml", small_settings)
    arguments = ("--trainer.max_epochs", 6, "--model.learning_rate", "3e-3")
    run("fit", "--config", config, *arguments, *LOG_ALL, RECORDER)
    losses = recorded().series("train/loss")
    assert sum(losses[-6:]) < 0.8 * sum(losses[:6])
    validation = recorded().series("val/loss")
    assert validation[-1] < validation[0]
