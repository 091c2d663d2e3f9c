"""What cannot work is told before anything is prepared or loaded, all of it at once."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateFinder

from qa_lightning import AnswerEvaluation, QADataModule, QAModule
from qa_lightning.callbacks.logged import evaluation_keys, source_keys
from qa_lightning.callbacks.throughput import Throughput
from qa_lightning.errors import InputError
from running import (
    NETWORK,
    RECORDER,
    fail,
    read_yaml,
    recorded,
    rows_of,
    run,
    write_rows,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
STOPPING = "lightning.pytorch.callbacks.EarlyStopping"


class OwnScore(Callback):
    """Log a key that only its source knows."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("val/own", 1.0)


class AnyScore(Callback):
    """Log a key that nobody can know."""

    key = "val/any"

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log(self.key, 1.0)


def callback(path: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": settings}


def untouched(tmp_path: Path) -> bool:
    """Say that neither a run's folder nor prepared data is there."""
    return not (tmp_path / "run").exists() and not (tmp_path / "cache").exists()


@pytest.fixture
def settings(small_settings: Settings, tmp_path: Path) -> Settings:
    small_settings["data"]["cache_dir"] = str(tmp_path / "cache")
    return small_settings


def test_all_problems_come_in_one_message(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    settings["data"] |= {"language": "xx", "num_proc": -1, "seed": -1, "batch_size": 0}
    settings["model"] |= {"learning_rate": float("inf"), "warmup_ratio": 2.0}
    settings["evaluation"] = {"n_best": 0, "output_dir": str(tmp_path / "loop" / "answers")}
    settings["checkpoint"] = {"monitor": "val/f2", "every_n_train_steps": 0}
    settings["checkpoint"] |= {"dirpath": str(tmp_path / ("x" * 300))}
    settings["prediction"] = {"output_dir": str(file / "below"), "n_best": -3}
    settings["tracking"] = {"table_rows": 0}
    settings["trainer"] |= {
        "max_epochs": -1,
        "callbacks": [callback(STOPPING, monitor="val_loss")],
        "logger": callback("lightning.pytorch.loggers.CSVLogger", save_dir=str(file / "logs")),
    }
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "all.yaml", settings))
    for key in (
        *("data.language", "data.num_proc", "data.seed", "data.batch_size"),
        *("model.learning_rate", "model.warmup_ratio", "model.schedule_steps"),
        *("evaluation.n_best", "evaluation.output_dir", "checkpoint.every_n_train_steps"),
        *("checkpoint.dirpath", "prediction.output_dir", "prediction.n_best"),
        *("tracking.table_rows", "trainer.logger.init_args.save_dir"),
    ):
        assert f"`{key}`" in message, key
    assert untouched(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.yaml", "file", "loop"]


@pytest.mark.parametrize("key", ["val_f1", "val/F1", "train/los", "f1", "val/f1_es"])
def test_a_key_that_is_never_logged_is_told_with_the_one_that_was_meant(
    key: str, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["checkpoint"] = {"monitor": key}
    settings["trainer"]["callbacks"] = [callback(STOPPING, monitor=key)]
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "key.yaml", settings))
    assert "Expected `checkpoint.monitor` to be a key that is logged" in message
    assert "Expected `monitor` of `EarlyStopping` to be a key that is logged" in message
    assert f"got '{key}'" in message
    assert "val/f1, " in message
    assert untouched(tmp_path)


def test_the_keys_that_are_known_are_those_that_a_run_logs(
    settings: Settings, tmp_path: Path
) -> None:
    settings["data"]["language"] = "pt"
    settings["data"]["data_files"] = {
        name: str(write_rows(tmp_path / f"{name}.json", rows_of(9, unanswerable=True)))
        for name in ("train", "validation")
    }
    run("fit", "--config", write_yaml(tmp_path / "keys.yaml", settings), RECORDER)
    logged = {key for line in recorded().logged for key in line} - {"step"}
    scores = evaluation_keys("val", language="pt")
    trained = source_keys([QAModule, Throughput])
    assert trained is not None
    partial = {key for key in logged if key.startswith("val_partial/")}
    assert logged - partial <= scores | trained
    assert scores - logged <= {"val/windows_without_label"}
    assert trained - logged == {"train/skipped_steps"}  # `model.nonfinite` is raise


@pytest.mark.parametrize(
    ("own", "key", "allowed"),
    [("OwnScore", "val/own", True), ("OwnScore", "val/any", False), ("AnyScore", "val/any", True)],
)
def test_keys_of_the_users_own_callbacks_are_known_from_their_source(
    own: str,
    key: str,
    allowed: bool,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings["trainer"]["callbacks"] = [
        callback(f"{__name__}.{own}"),
        callback(STOPPING, monitor=key),
    ]
    config = write_yaml(tmp_path / "own.yaml", settings)
    if allowed:
        run("fit", "--config", config)
    else:
        assert f"got '{key}'" in fail(capsys, "fit", "--config", config)


def test_a_key_of_unanswerable_questions_in_data_without_is_told_before_weights_are_loaded(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["checkpoint"] = {"monitor": "val/HasAns_f1"}
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "key.yaml", settings))
    assert "got 'val/HasAns_f1'" in message
    assert not list((tmp_path / "run").rglob("*.ckpt"))


@pytest.mark.parametrize("limit", [0, 0.5, 1])
def test_waiting_for_whole_validations_that_never_come_is_told(
    limit: float, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["trainer"] |= {
        "limit_val_batches": limit,
        "callbacks": [callback(STOPPING, monitor="val/loss")],
    }
    settings["data"]["eval_batch_size"] = 2
    config = write_yaml(tmp_path / "partial.yaml", settings)
    message = fail(capsys, "fit", "--config", config)
    assert "Expected whole validations for `monitor` of `EarlyStopping`" in message
    if limit:
        settings["trainer"]["callbacks"] = [callback(STOPPING, monitor="val_partial/loss")]
        if limit == 0.5:
            run("fit", "--config", write_yaml(tmp_path / "partial.yaml", settings))


def test_a_validation_that_never_comes_is_told(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_yaml(tmp_path / "every.yaml", settings)
    message = fail(capsys, "fit", "--config", config, "--trainer.val_check_interval", 1000)
    assert "`trainer.val_check_interval` to be at most the" in message
    assert "got 1000" in message


def test_a_wrong_validation_file_is_told_before_the_training_split_is_prepared(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"data": [')
    settings["data"]["data_files"]["validation"] = str(broken)
    config = write_yaml(tmp_path / "broken.yaml", settings)
    assert f"Expected JSON in {broken}" in fail(capsys, "fit", "--config", config)
    assert not (tmp_path / "cache").exists()
    settings["data"]["data_files"]["train"] = str(tmp_path / "absent.json")
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "broken.yaml", settings))
    assert f"Expected JSON in {broken}" in message
    assert "absent.json" in message


def test_what_needs_tokenizer_and_network_is_told_with_the_rest_and_each_once(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["model"]["lora"] = {"target_modules": ["nope"]}
    settings["checkpoint"] = {"monitor": "val/f2"}
    settings["trainer"]["callbacks"] = [callback(STOPPING, monitor="val_loss")]
    settings["data"]["val_split"] = "dev"
    path = write_yaml(tmp_path / "all.yaml", settings)
    message = fail(capsys, "fit", "--config", path)
    for text in ("'val/f2'", "'val_loss'", "none for nope", "`data.val_split`"):
        assert message.count(text) == 1, text
    (tmp_path / "file").touch()
    settings["data"]["language"] = "xx"
    settings["evaluation"] = {"output_dir": str(tmp_path / "file" / "x")}
    message = fail(capsys, "fit", "--config", write_yaml(path, settings))
    for text in ("`data.language`", "'xx'", "'val/f2'", "'val_loss'", "`evaluation.output_dir`"):
        assert message.count(text) == 1, text
    assert untouched(tmp_path)


def test_layers_that_a_network_has_not_are_told(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings["model"]["lora"] = {"target_modules": ["query", "bogus"]}
    message = fail(capsys, "fit", "--config", write_yaml(tmp_path / "lora.yaml", settings))
    assert "`model.lora.target_modules`" in message
    assert "bogus" in message
    assert untouched(tmp_path)


def test_training_left_open_ends_after_three_epochs_and_says_so(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del settings["trainer"]["max_epochs"]
    with caplog.at_level(logging.WARNING):
        run("fit", "--config", write_yaml(tmp_path / "open.yaml", settings))
    assert "training ends after 3 epochs" in caplog.text
    assert read_yaml(tmp_path / "run" / "config.yaml")["trainer"]["max_epochs"] == 3


ENDLESS = [{"max_epochs": -1}, {"max_epochs": None, "max_time": "00:00:01:00"}]


@pytest.mark.parametrize("trainer", ENDLESS)
@pytest.mark.parametrize(
    ("model", "works"),
    [
        ({}, False),
        ({"lr_schedule": "cosine"}, False),
        ({"lr_schedule": "constant_with_warmup", "warmup_ratio": 0.1}, False),
        ({"lr_schedule": "constant"}, True),
        ({"schedule_steps": 5}, True),
    ],
)
def test_endless_training_needs_an_end_of_its_schedule(
    trainer: dict[str, Any],
    model: dict[str, Any],
    works: bool,
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings["trainer"] |= trainer
    settings["model"] |= model
    config = write_yaml(tmp_path / "endless.yaml", settings)
    if works:
        stopping = f"--trainer.callbacks+={__name__}.StopsSoon"
        run("fit", "--config", config, stopping, RECORDER)
        rates = recorded().rates
        assert rates[0] == pytest.approx(1e-3)
        assert rates[4] == pytest.approx(1e-3 if model.get("lr_schedule") else 2e-4)
    else:
        message = fail(capsys, "fit", "--config", config)
        assert "Set `model.schedule_steps`" in message
        assert untouched(tmp_path)


class StopsSoon(Callback):
    """Stop after six steps."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= 6


def small_data(small_files: dict[str, Path], tmp_path: Path) -> QADataModule:
    return QADataModule(
        data_files={name: str(small_files[name]) for name in ("train", "validation")},
        tokenizer=str(small_files["tokenizer"]),
        max_length=64,
        doc_stride=16,
        batch_size=8,
        cache_dir=str(tmp_path / "cache"),
    )


def quiet_trainer(tmp_path: Path, **settings: Any) -> Trainer:
    return Trainer(
        **{
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
            "default_root_dir": str(tmp_path),
            **settings,
        }
    )


def test_the_same_from_python(small_files: dict[str, Path], tmp_path: Path) -> None:
    config = {**NETWORK, "vocab_size": 400}
    data = small_data(small_files, tmp_path)
    data.setup("fit")
    with pytest.raises(InputError, match="dataloaders alone"):
        quiet_trainer(tmp_path, max_epochs=1, callbacks=[AnswerEvaluation()]).fit(
            QAModule(config=config), train_dataloaders=data.train_dataloader()
        )
    with pytest.raises(InputError, match=r"`EarlyStopping` to be a key.*got 'val_loss'"):
        quiet_trainer(
            tmp_path, max_epochs=1, callbacks=[AnswerEvaluation(), EarlyStopping("val_loss")]
        ).fit(QAModule(config=config), datamodule=data)
    with pytest.raises(InputError, match=r"Set `model.schedule_steps`"):
        quiet_trainer(tmp_path, max_epochs=-1).fit(QAModule(config=config), datamodule=data)


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_the_rate_that_is_found_is_used_for_the_whole_run(
    schedule: str, small_files: dict[str, Path], tmp_path: Path
) -> None:
    config = {**NETWORK, "vocab_size": 400}
    model = QAModule(config=config, lr_schedule=schedule, layer_decay=0.5, learning_rate=1e-7)
    rates: list[list[float]] = []

    class Rates(Callback):
        def on_before_optimizer_step(
            self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
        ) -> None:
            if finder.optimal_lr is not None:
                rates.append(sorted({group["lr"] for group in optimizer.param_groups}))

    finder = LearningRateFinder(
        min_lr=1e-5, max_lr=1e-1, num_training_steps=20, early_stop_threshold=None
    )
    trainer = quiet_trainer(tmp_path, max_epochs=5, callbacks=[finder, Rates()])
    trainer.fit(model, datamodule=small_data(small_files, tmp_path))
    assert finder.optimal_lr is not None
    found = finder.optimal_lr.suggestion()
    assert found is not None
    assert found > 1e-5
    steps = trainer.global_step
    expected = [found * (1 - n / steps if schedule == "linear" else 1) for n in range(steps)]
    assert [step[-1] for step in rates] == pytest.approx(expected)
    assert all(step[0] == pytest.approx(step[-1] / 2) for step in rates)  # the embeddings
