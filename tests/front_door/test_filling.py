"""Nothing is typed twice, and what the user typed stands."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

from running import (
    RECORDER,
    fail,
    read_checkpoint,
    read_yaml,
    recorded,
    run,
    small_tokenizer,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]


def test_values_left_out_are_filled(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["data"]["language"] = "pt"
    config = write_yaml(tmp_path / "fill.yaml", small_settings)
    run("fit", "--config", config, "--seed_everything", 7, RECORDER)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["data"]["seed"] == 7
    assert saved["evaluation"]["language"] == "pt"
    network = recorded().model.network.config
    tokenizer = small_tokenizer()
    assert network.vocab_size == len(tokenizer)
    ids = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
    assert {key: getattr(network, key) for key in ids} == {
        key: getattr(tokenizer, key) for key in ids
    }
    assert "val/f1_pt" in recorded().logged[-1]


def test_one_batch_is_one_whatever_was_imported_first(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = Trainer.__init__.__annotations__
    for key in ("limit_train_batches", "limit_val_batches"):
        monkeypatch.setitem(annotations, key, float | int | None)
    limits = ("--trainer.limit_train_batches", 0.5, "--trainer.limit_val_batches", 1)
    run("fit", "--config", small, *limits, RECORDER)
    assert recorded().trainer.num_val_batches == [1]
    assert recorded().trainer.limit_train_batches == 0.5


def test_the_users_own_values_stand(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["data"] |= {"language": "pt", "seed": 3}
    small_settings["model"]["config"] |= {"vocab_size": 512, "sep_token_id": 3}
    small_settings["evaluation"] = {"language": "en"}
    config = write_yaml(tmp_path / "own.yaml", small_settings)
    run("fit", "--config", config, "--seed_everything", 7, RECORDER)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["data"]["seed"] == 3
    network = recorded().model.network.config
    assert (network.vocab_size, network.sep_token_id, network.pad_token_id) == (512, 3, 1)
    assert "val/f1_en" in recorded().logged[-1]
    assert "val/f1_pt" not in recorded().logged[-1]


def test_the_models_tokenizer_is_the_default(
    small_settings: Settings, small_files: dict[str, Path], tmp_path: Path
) -> None:
    small_settings["model"] = {"model_name_or_path": str(small_files["model"])}
    tokenizer = small_settings["data"].pop("tokenizer")
    config = write_yaml(tmp_path / "named.yaml", small_settings)
    run("fit", "--config", config)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["data"]["tokenizer"] == str(small_files["model"])

    run("fit", "--config", config, "--data.tokenizer", tokenizer)
    assert read_yaml(tmp_path / "run" / "config.yaml")["data"]["tokenizer"] == tokenizer


def test_from_python_too(
    small_settings: Settings, small_files: dict[str, Path], tmp_path: Path
) -> None:
    """Without a name the tokenizer is that of the folder that the trainer's model comes from."""
    from lightning.pytorch import Trainer

    from qa_lightning import QADataModule, QAModule
    from qa_lightning.errors import InputError

    settings = {key: v for key, v in small_settings["data"].items() if key != "tokenizer"}
    data = QADataModule(**settings)
    with pytest.raises(InputError, match=r"Expected `tokenizer` \(`data.tokenizer`\).* got none"):
        data.tokenizer  # noqa: B018
    model = QAModule(str(small_files["model"]))
    options = {"logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}
    trainer = Trainer(fast_dev_run=1, accelerator="cpu", **options)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data)
    assert data.tokenizer.name_or_path == str(small_files["model"])
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert read_checkpoint(tmp_path / "x.ckpt")["base_model"] == str(small_files["model"])


def test_a_seed_drawn_at_random_is_kept(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--seed_everything", "true")
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert isinstance(saved["seed_everything"], int)
    assert not isinstance(saved["seed_everything"], bool)
    assert saved["data"]["seed"] == saved["seed_everything"]
    run("fit", "--config", small, "--seed_everything", "false")


@pytest.mark.parametrize("positions", [65, 66])
def test_windows_must_fit_the_models_positions(
    positions: int, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Position ids of 64 tokens run from 2, behind that of padding, to 65.
    command = ("fit", "--config", small, "--model.config.max_position_embeddings", positions)
    if positions == 66:
        run(*command)
        return
    message = fail(capsys, *command)
    assert "`data.max_length`" in message
    assert "63 positions" in message
    assert "got 64" in message


def test_windows_must_fit_a_named_models_positions(
    small_settings: Settings,
    small_files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_settings["model"] = {"model_name_or_path": str(small_files["model"])}
    config = write_yaml(tmp_path / "named.yaml", small_settings)
    message = fail(capsys, "fit", "--config", config, "--data.max_length", 100)
    assert "at most the 78 positions" in message


def test_the_default_needs_no_files(tmp_path: Path) -> None:
    # `dataset: demo` brings documents and a tokenizer; only the network is described.
    from running import DEMO

    settings = {"data": {**DEMO["data"], "train_split": "train[:16]"}, "model": DEMO["model"]}
    config = write_yaml(tmp_path / "demo.yaml", settings)
    place = ("--trainer.default_root_dir", tmp_path / "run", "--trainer.accelerator", "cpu")
    steps = ("--trainer.max_steps", 1, "--trainer.logger", "false", RECORDER)
    run("fit", "--config", config, *place, *steps)
    assert recorded().model.network.config.vocab_size == 1500
    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["QADataModule"]
    assert state["language"] == "pt"
