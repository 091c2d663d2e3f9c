"""Losses, gradients and weights that are not finite: held back, told, never saved."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from launching import launch_several
from qa_lightning.errors import InputError
from qa_lightning.model.finite import GIVE_UP_AFTER, MOST_OVERFLOWS, StepGuard
from qa_lightning.model.weights import nonfinite_weights
from running import fail, read_checkpoint, read_json, read_yaml, rows_of, run, write_yaml
from spoiling import WAYS, Steps

Settings = dict[str, dict[str, Any]]


def spoiled(settings: Settings, folder: Path, *, way: str, batches: list[int], **more: Any) -> Path:
    """Write the configuration of a run of many small steps, some of them spoiled."""
    settings["data"]["batch_size"] = 2
    callbacks = [
        {"class_path": "spoiling.Steps"},
        {"class_path": "spoiling.Spoil", "init_args": {"batches": batches, "way": way}},
    ]
    settings["trainer"] |= {"callbacks": callbacks, "log_every_n_steps": 1}
    for key, value in more.items():
        group, name = key.split("__")
        settings[group][name] = value
    return write_yaml(folder / "spoiled.yaml", settings)


@pytest.fixture(autouse=True)
def _no_earlier_runs() -> None:
    Steps.runs.clear()


def kept() -> Steps:
    (steps,) = Steps.runs
    return steps


def ids_of(windows: list[int]) -> set[str]:
    """Return the ids of the examples of training windows, without the datamodule's help."""
    trainer = kept().trainer
    rows = trainer.datamodule.train_features
    examples = {rows[index]["example_index"] for index in windows}
    return {trainer.datamodule.train_examples[index]["id"] for index in examples}


def named_in(message: str) -> set[str]:
    """Return which ids of the training examples a message names."""
    return {row["id"] for row in rows_of(16) if f"'{row['id']}'" in message}


# Each way once, with what else decides how a step is made drawn from a fixed seed.
DRAW = random.Random(14)
CASES = [
    {
        "way": way,
        "trainer__accumulate_grad_batches": DRAW.choice([1, 2, 3]),
        "trainer__gradient_clip_val": DRAW.choice([None, 1.0]),
        "trainer__gradient_clip_algorithm": DRAW.choice(["norm", "value"]),
        "trainer__precision": DRAW.choice(["32-true", "bf16-mixed"]),
        "model__objective": DRAW.choice(["first_answer", "any_answer", "document"]),
        "model__lora": DRAW.choice([None, {}]),
    }
    for way in WAYS
]


@pytest.mark.front_door
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["way"])
def test_a_step_that_is_not_finite_changes_nothing(
    case: dict[str, Any], small_settings: Settings, tmp_path: Path, caplog: Any
) -> None:
    spoilt = [0, 4]
    case = {**case, "model__nonfinite": "skip"}
    run("fit", "--config", spoiled(small_settings, tmp_path, batches=spoilt, **case))
    steps = kept()
    every, count = case["trainer__accumulate_grad_batches"], len(steps.changed)
    ends = [n for n in range(count) if (n + 1) % every == 0 or n == count - 1]
    held_back = {next(end for end in ends if end >= batch) for batch in spoilt}
    assert count > max(held_back) + 1
    # The rate is zero in no step, so that each of the others changes something.
    assert [n for n in range(count) if steps.changed[n]] == [n for n in ends if n not in held_back]
    told = [record.getMessage() for record in caplog.records if "not applied" in record.message]
    assert len(told) == len(held_back) == steps.trainer.callback_metrics["train/skipped_steps"]
    # Of a loss the very batch is named, of a gradient all batches of the step.
    for message, batch, end in zip(told, spoilt, sorted(held_back), strict=True):
        first = batch if case["way"].startswith("loss") else every * (end // every)
        last = batch if case["way"].startswith("loss") else end
        windows = [index for n in range(first, last + 1) for index in steps.windows[n]]
        assert named_in(message) == ids_of(windows), message
    saved = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    assert saved["nonfinite_steps"]["skipped"] == len(held_back)


@pytest.mark.front_door
@pytest.mark.parametrize("way", ["loss_inf", "gradient_nan"])
def test_raise_names_the_examples_and_leaves_the_last_checkpoint(
    way: str, small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    config = spoiled(small_settings, tmp_path, way=way, batches=[3])
    message = fail(capsys, "fit", "--config", config, "--checkpoint.every_n_train_steps", 2)
    steps = kept()
    assert "step 4 was not applied" in message
    assert "before it, the largest 0." in message or "before it, the largest 1" in message
    assert named_in(message) == ids_of(steps.windows[3])
    assert steps.changed[:3] == [True] * 3
    saved = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert saved["global_step"] == 2
    # What the message advises: leave such steps out, and go on from there.
    Steps.runs.clear()
    run("fit", "--config", config, "--ckpt_path", "last", "--model.nonfinite", "skip")
    assert kept().trainer.global_step == len(kept().trainer.train_dataloader)


@pytest.mark.front_door
def test_skipping_ends_after_ten_in_a_row_and_counts_on_in_a_resumed_run(
    small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    config = spoiled(
        small_settings, tmp_path, way="loss_nan", batches=[0, 1, -4],
        model__nonfinite="skip",
    )  # fmt: skip
    message = fail(capsys, "fit", "--config", config)
    assert f"{GIVE_UP_AFTER} steps in a row" in message
    assert kept().changed == [False, False, True, True] + [False] * (GIVE_UP_AFTER - 1)
    assert kept().trainer.callback_metrics["train/skipped_steps"] == 2 + GIVE_UP_AFTER - 1
    guard = StepGuard("skip")
    guard.load_state_dict({"skipped": 5, "in_a_row": 2})
    assert guard.state_dict() == {"skipped": 5, "in_a_row": 2}


# Where what a step has ruined would be saved before the next step shows it.
RUINED: dict[str, Settings] = {
    "a validation": {"trainer": {"val_check_interval": 1}},
    "a number of steps": {"checkpoint": {"every_n_train_steps": 1}},
    "the minutes": {"checkpoint": {"every_n_minutes": 1e-9}},
    "the end of training": {"trainer": {"max_steps": 3, "limit_val_batches": 0}},
    "the end of an epoch": {"trainer": {"limit_train_batches": 1, "limit_val_batches": 0}},
    "a validation amid accumulation": {
        "trainer": {"accumulate_grad_batches": 2, "val_check_interval": 3}
    },
}


@pytest.mark.front_door
@pytest.mark.parametrize(("place", "rate"), list(zip(RUINED, [1e30, 1e38, 1e34] * 2, strict=True)))
def test_a_rate_that_ruins_the_weights_spoils_no_checkpoint(
    place: str, rate: float, small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    """They are finite after the step: what is computed from them is not."""
    for group, values in RUINED[place].items():
        small_settings.setdefault(group, {}).update(values)
    small_settings["trainer"] |= {"max_epochs": 9}
    small_settings["model"]["nonfinite"] = ["raise", "skip"][rate == 1e30]
    config = write_yaml(tmp_path / "c.yaml", small_settings)
    first = ("--trainer.max_steps", 2, "--checkpoint.every_n_train_steps", 1)
    run("fit", "--config", config, *first)
    folder = tmp_path / "run" / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.glob("*.ckpt")}
    assert {"last.ckpt", "previous.ckpt"} <= set(before)
    message = fail(
        capsys, "fit", "--config", config, "--ckpt_path", "last", "--model.learning_rate", rate
    )
    assert "finite" in message or "infinity" in message
    assert "learning_rate" in message
    assert ("nonfinite skip" in message) <= (rate != 1e30)
    assert "`--ckpt_path last` goes on" in message
    assert {path.name: path.read_bytes() for path in folder.glob("*.ckpt")} == before


@pytest.mark.front_door
def test_nothing_is_said_of_a_checkpoint_that_is_not_there(
    small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    small_settings["model"]["learning_rate"] = 1e30
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "c.yaml", small_settings))
    assert "learning_rate" in message
    assert "ckpt_path" not in message
    assert not list((tmp_path / "run").rglob("*.ckpt"))


@pytest.mark.front_door
def test_what_reads_ruined_weights_says_so(
    small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    small_settings["data"] |= {"test_split": "test", "predict_split": "test"}
    config = write_yaml(tmp_path / "c.yaml", small_settings)
    run("fit", "--config", config)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    for tensor in saved["state_dict"].values():
        tensor.mul_(1e30).clamp_(-1e30, 1e30)
    torch.save(saved, path)
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    for command in ("validate", "test", "predict"):
        message = fail(capsys, command, "--config", config, "--ckpt_path", path)
        assert "diverged" in message, command
    assert not (tmp_path / "run" / "answers" / "predict" / "predictions.jsonl").exists()
    for command in ("export", "--output", tmp_path / "exported"), (
        "answer", "--question", "Em que cidade?", "--context", "Nasceu em Lisboa.",
    ):  # fmt: skip
        message = fail(capsys, command[0], "--checkpoint", path, *command[1:])
        assert "diverged" in message, command
    assert not (tmp_path / "exported").exists()


@pytest.mark.front_door
@pytest.mark.parametrize("last", [False, True])
def test_weights_that_turn_nan_are_never_saved(
    last: bool, small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    config = spoiled(small_settings, tmp_path, way="weights", batches=[])
    run("fit", "--config", config)
    folder = tmp_path / "run" / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.glob("*.ckpt")}
    batches = len(kept().changed)
    Steps.runs.clear()
    spoil = json.dumps(
        {
            "class_path": "spoiling.Spoil",
            "init_args": {"batches": [batches - 1 if last else 1], "way": "weights"},
        }
    )
    more = ("--trainer.max_epochs", 2, "--ckpt_path", folder / "last.ckpt")
    arguments = ("--trainer.callbacks", f"[{spoil}]", "--model.nonfinite", "skip")
    message = fail(capsys, "fit", "--config", config, *more, *arguments)
    assert "Expected finite weights; network." in message
    assert {path.name: path.read_bytes() for path in folder.glob("*.ckpt")} == before


def scaled(way: str, folder: Path, settings: Settings, **more: Any) -> Path:
    plugin = {
        "class_path": "lightning.pytorch.plugins.precision.MixedPrecision",
        "init_args": {"precision": "16-mixed", "device": "cpu"},
    }
    return spoiled(
        settings, folder, way=way, batches=[2], trainer__plugins=[plugin], **more
    )  # fmt: skip


@pytest.mark.front_door
def test_an_overflow_that_the_scaler_handles_is_no_fault(
    small_settings: Settings, tmp_path: Path, capsys: Any
) -> None:
    run("fit", "--config", scaled("gradient_inf", tmp_path, small_settings))
    steps = kept()
    assert steps.trainer.precision_plugin.scaler is not None
    assert [n for n, changed in enumerate(steps.changed) if not changed] == [2]
    Steps.runs.clear()
    message = fail(capsys, "fit", "--config", scaled("loss_only", tmp_path, small_settings))
    assert "step 3 was not applied: the loss is nan for examples" in message
    assert kept().changed == [True, True]


def test_a_scaler_that_never_finds_its_scale_ends_the_run() -> None:
    layer = torch.nn.Linear(2, 1)
    guard = StepGuard("raise")

    def go(count: int, norm: float) -> None:
        for step in range(1, count + 1):
            guard.watch(torch.zeros(()), {"feature_index": torch.tensor([step])})
            guard.judge(NO_OPTIMIZER, torch.tensor(norm), step=step, scaled=True)
            guard.settle(layer, list)

    go(MOST_OVERFLOWS - 1, math.inf)
    go(1, 1.0)
    go(MOST_OVERFLOWS - 1, math.nan)
    with pytest.raises(InputError, match="bf16-mixed"):
        go(1, math.inf)


NO_OPTIMIZER: Any = None  # the scaler's own step holds it back
KINDS = [
    (kind, fused)
    for kind in (torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop)
    for fused in (True, False)
    if not (fused and kind is torch.optim.RMSprop)
]


@pytest.mark.parametrize(("kind", "fused"), KINDS)
def test_any_optimizer_is_held_back(kind: Any, fused: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    options = {"fused": True} if fused else {}
    optimizer = kind(layer.parameters(), lr=0.1, weight_decay=0.1, **options)
    guard = StepGuard("skip")
    for step, factor in enumerate([1.0, math.nan, 2.0, math.inf], 1):
        before = [p.detach().clone() for p in layer.parameters()]
        state = json.dumps(optimizer.state_dict()["state"], default=lambda t: t.tolist())
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 3)).sum() * factor
        guard.watch(loss, {"feature_index": torch.tensor([step])}).backward()
        norm = torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        guard.judge(optimizer, norm, step=step, scaled=False)
        optimizer.step()
        guard.settle(layer, lambda windows: [f"window {n}" for n in windows])
        same = [torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True)]
        assert same == [not math.isfinite(factor)] * 2
        if not math.isfinite(factor):
            after = json.dumps(optimizer.state_dict()["state"], default=lambda t: t.tolist())
            assert after == state
    assert guard.state_dict() == {"skipped": 2, "in_a_row": 1}


class NoReading(TorchDispatchMode):
    """Refuse operations that wait for the device and bring a number to the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.equal.default,
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("scaled", [False, True])
def test_no_step_waits_for_the_device(scaled: bool) -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    guard = StepGuard("skip")
    with NoReading():
        for step in (1, 2):
            optimizer.zero_grad()
            for _ in range(2):
                loss = layer(torch.ones(1, 3)).sum() * math.nan
                guard.watch(loss, {"feature_index": torch.tensor([step])}).backward()
            norm = torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            guard.judge(optimizer, norm, step=step, scaled=scaled)
            if not scaled:  # a scaler's own step reads its verdict
                optimizer.step()
    with pytest.raises(AssertionError), NoReading():
        guard.settle(layer, list)
    assert nonfinite_weights(layer) == []


def test_a_verdict_still_on_its_way_is_read_a_step_later(caplog: Any) -> None:
    """As on a GPU: the newest step's is read when the next one was begun, or at the end."""
    waited: list[int] = []

    class Event:
        def __init__(self, number: int) -> None:
            self.number = number

        def synchronize(self) -> None:
            waited.append(self.number)

    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(layer.parameters())
    guard = StepGuard("raise")

    def go(step: int, norm: float) -> None:
        guard.watch(torch.zeros(()), {"feature_index": torch.tensor([step])})
        guard.judge(optimizer, torch.tensor(norm), step=step, scaled=False)
        guard._pending[-1] = replace(guard._pending[-1], arrived=Event(step))
        guard.settle(layer, lambda windows: [f"window {n}" for n in windows])

    go(1, 1.0)
    go(2, math.nan)
    assert waited == [1]
    with pytest.raises(InputError, match=r"step 2 .*'window 2'"):
        go(3, 1.0)
    guard.settle(layer, list, all_of_them=True)
    assert waited == [1, 2, 3]


def test_weights_are_looked_at_one_by_one() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    assert nonfinite_weights(layer) == []
    with torch.no_grad():
        layer[0].bias[1] = math.inf
        layer[1].weight[0, 0] = math.nan
    assert nonfinite_weights(layer) == ["0.bias", "1.weight"]


@pytest.mark.two_process
def test_two_processes_hold_back_the_same_steps(small_settings: Settings, tmp_path: Path) -> None:
    """What one process alone meets, both leave out, and stay alike."""
    accumulated = {"trainer__accumulate_grad_batches": 2, "model__objective": "document"}
    cases: list[tuple[str, dict[str, Any], list[int]]] = [
        ("loss_nan", accumulated, [0, 2, 3]),
        ("gradient_inf", {"trainer__gradient_clip_val": 1.0}, [2]),
    ]
    commands = []
    for way, more, _ in cases:
        small_settings["trainer"]["default_root_dir"] = str(tmp_path / way)
        path = spoiled(
            small_settings, tmp_path / way, way=way, batches=[2], model__nonfinite="skip", **more
        )
        settings = read_yaml(path)
        settings["trainer"]["callbacks"][1]["init_args"]["rank"] = 1
        commands.append(["fit", "--config", str(write_yaml(path, settings))])
        small_settings["trainer"].pop("accumulate_grad_batches", None)
        small_settings["model"].pop("objective", None)
    launch_several(commands, world_size=2)
    for way, _, unchanged in cases:
        ranks = [read_json(tmp_path / way / f"steps{rank}.json") for rank in (0, 1)]
        assert ranks[0]["weights"] == ranks[1]["weights"]
        assert ranks[0]["windows"] != ranks[1]["windows"]
        for rank in ranks:
            still = [number for number, changed in enumerate(rank["changed"]) if not changed]
            assert still == unchanged
