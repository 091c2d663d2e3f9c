"""Weights in shards over two processes: the same training, checkpoints that any command reads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from transformers import AutoModelForQuestionAnswering

from launching import launch_several
from qa_lightning.errors import InputError
from qa_lightning.model.sharding import read_whole
from running import (
    NETWORK,
    read_checkpoint,
    read_json,
    read_yaml,
    run,
    write_yaml,
)

pytestmark = [pytest.mark.two_process]

SHARDED = Path(__file__).resolve().parents[2] / "configs" / "overlays" / "fsdp.yaml"
# Drawn alike on any number of processes, and nothing by chance.
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def runs(small_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs: with whole weights, with shards, and going on from those."""
    folder = tmp_path_factory.mktemp("sharded")
    settings = {
        "data": {
            "data_files": {name: str(small_files[name]) for name in ("train", "validation")},
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 4,
        },
        "model": {
            "config": {**NETWORK, **STEADY},
            "learning_rate": 1e-3,
            "lr_schedule": "constant",
            "nonfinite": "skip",
        },
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "gradient_clip_val": 0.5,
            "log_every_n_steps": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [{"class_path": "spoiling.Steps"}],
        },
    }
    spoil = {"class_path": "spoiling.Spoil", "init_args": {"batches": [2], "rank": 1}}
    config = str(write_yaml(folder / "small.yaml", settings))
    settings["trainer"]["callbacks"].append(spoil)
    spoilt = str(write_yaml(folder / "spoilt.yaml", settings))
    sharded = ["--config", str(SHARDED)]
    ddp = ["--trainer.strategy", "ddp"]
    once = ["--trainer.max_epochs", "1"]

    def last(name: str) -> list[str]:
        return ["--ckpt_path", str(folder / name / "checkpoints" / "last.ckpt")]

    lora = ["--model.lora.r", "2", "--model.gradient_checkpointing", "true"]
    watch = ["--tracking.watch", "all", "--tracking.watch_every", "2", "--trainer.logger", "true"]
    clip = ["--trainer.gradient_clip_algorithm", "value", "--trainer.precision", "bf16-mixed"]
    commands = [
        _fit(config, folder / "whole", *ddp),
        _fit(config, folder / "half of whole", *ddp, *once),
        _fit(config, folder / "shards", *sharded),
        _fit(config, folder / "half", *sharded, *once),
        _fit(config, folder / "rest", *sharded, *last("half")),
        _fit(config, folder / "into shards", *sharded, *last("half of whole")),
        _fit(config, folder / "out of shards", *ddp, *last("half")),
        _fit(spoilt, folder / "spoilt", *sharded, *once),
        _fit(config, folder / "lora", *sharded, *lora, *clip, *watch, *once),
        ["validate", *_fit(config, folder / "shards", *sharded)[1:], "--ckpt_path", "best",
         "--evaluation.output_dir", str(folder / "again")],
    ]  # fmt: skip
    launch_several(commands, world_size=2, strategy=())
    return folder


def _fit(config: str, root: Path, *more: str) -> list[str]:
    return ["fit", "--config", config, *more, "--trainer.default_root_dir", str(root)]


def last_of(folder: Path) -> Any:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def test_shards_learn_what_whole_weights_do(runs: Path) -> None:
    whole, shards = last_of(runs / "whole"), last_of(runs / "shards")
    assert shards["global_step"] == whole["global_step"] > 4
    assert list(shards["state_dict"]) == list(whole["state_dict"])
    assert_alike(shards["state_dict"], whole["state_dict"])


def assert_alike(weights: Any, expected: Any) -> None:
    """Hold weights to others, but for the order in which sums were made."""
    for name, value in expected.items():
        assert type(weights[name]) is torch.Tensor
        if name.endswith(("layer.1.output.LayerNorm.bias", "qa_outputs.bias")):
            continue  # they shift all logits alike: Adam blows mere rounding errors up to steps
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)


def test_a_resumed_run_ends_where_one_without_a_stop_does(runs: Path) -> None:
    rest, shards = last_of(runs / "rest"), last_of(runs / "shards")
    assert rest["global_step"] == shards["global_step"] == 2 * last_of(runs / "half")["global_step"]
    for name, value in shards["state_dict"].items():
        assert torch.equal(rest["state_dict"][name], value), name


def test_validation_gives_the_same_again_on_two_processes_and_on_one(runs: Path) -> None:
    found = read_json(runs / "shards" / "answers" / "val" / "predictions.json")
    assert len(found) == 6
    assert read_json(runs / "again" / "val" / "predictions.json") == found
    run(
        "validate", "--config", runs / "small.yaml", "--trainer.callbacks", "[]",
        "--trainer.default_root_dir", runs / "shards", "--ckpt_path", "best",
        "--evaluation.output_dir", runs / "alone",
    )  # fmt: skip
    assert read_json(runs / "alone" / "val" / "predictions.json") == found


def test_a_checkpoint_of_shards_exports_and_goes_on_without_them(runs: Path) -> None:
    best = runs / "shards" / "checkpoints" / "best.ckpt"
    run("export", "--checkpoint", best, "--output", runs / "export")
    network = AutoModelForQuestionAnswering.from_pretrained(runs / "export")
    weights = read_checkpoint(best)["state_dict"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[f"network.{name}"]), name
    run(*_fit(str(runs / "small.yaml"), runs / "single"), "--ckpt_path",
        runs / "half" / "checkpoints" / "last.ckpt", "--trainer.callbacks", "[]")  # fmt: skip
    assert last_of(runs / "single")["epoch"] == 1


def test_a_step_that_is_not_finite_is_held_back_on_all_shards(runs: Path) -> None:
    for rank in (0, 1):
        changed = read_json(runs / "spoilt" / f"steps{rank}.json")["changed"]
        assert [number for number, each in enumerate(changed) if not each] == [2]
    assert last_of(runs / "spoilt")["nonfinite_steps"]["skipped"] == 1


def test_adapters_clipping_by_value_and_watched_gradients_work_in_shards(runs: Path) -> None:
    lora = last_of(runs / "lora")
    assert lora["hyper_parameters"]["lora"]["r"] == 2
    assert all(value.isfinite().all() for value in lora["state_dict"].values())
    assert list((runs / "lora").rglob("events.out.tfevents*"))


def test_a_run_without_shards_goes_on_in_shards_and_back(runs: Path) -> None:
    """The optimizer's numbers are of the parameters that they were of."""
    whole = last_of(runs / "whole")
    for name in ("into shards", "out of shards"):
        assert_alike(last_of(runs / name)["state_dict"], whole["state_dict"])


def test_a_checkpoint_in_pieces_is_refused() -> None:
    """Nothing of ours reads it; the overlay asks for none."""
    arguments = read_yaml(SHARDED)["trainer"]["strategy"]["init_args"]
    read_whole(ModelParallelStrategy(**arguments))
    with pytest.raises(InputError, match="save_distributed_checkpoint"):
        read_whole(ModelParallelStrategy())
