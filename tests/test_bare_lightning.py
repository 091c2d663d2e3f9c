"""The three classes with a bare Lightning Trainer: no command line, no run folder of ours."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from qa_lightning import AnswerEvaluation, QADataModule, QAModule, QuestionAnswerer
from qa_lightning.answerer.checkpoints import checkpoint_file
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.callbacks.predictions import PredictionWriter
from qa_lightning.errors import InputError
from running import NETWORK, rows_of, small_tokenizer

TRAIN, VALIDATION = rows_of(16), rows_of(6, first=100)


@pytest.fixture
def data(tmp_path: Path) -> QADataModule:
    return QADataModule(
        train=TRAIN,
        validation=VALIDATION,
        tokenizer=small_tokenizer(),
        max_length=64,
        doc_stride=16,
        batch_size=8,
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.fixture
def model() -> QAModule:
    return QAModule(config={**NETWORK, "vocab_size": 400}, learning_rate=1e-3)


def trainer(folder: Path, *callbacks: Any, **settings: Any) -> Trainer:
    values = {
        "default_root_dir": str(folder),
        "accelerator": "cpu",
        "max_epochs": 2,
        "callbacks": list(callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "log_every_n_steps": 1,
    }
    return Trainer(**{**values, **settings})


def test_a_module_in_memory_answers_as_its_checkpoint(
    data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    evaluation = AnswerEvaluation(max_answer_length=5)
    training = trainer(tmp_path, evaluation)
    training.fit(model, datamodule=data)
    rows = [(row["question"], row["context"]) for row in VALIDATION]
    ours = QuestionAnswerer.from_module(model, data).answer_batch(rows)
    training.save_checkpoint(tmp_path / "mine.ckpt")
    theirs = QuestionAnswerer.from_checkpoint(tmp_path / "mine.ckpt").answer_batch(rows)
    assert ours == theirs
    assert evaluation.latest is not None
    assert [one.text for one in ours] == [one.answer.text for one in evaluation.latest.answers]


def test_a_module_that_trains_on_does_not_change_its_answerer(
    data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    trainer(tmp_path, AnswerEvaluation(), max_epochs=1).fit(model, datamodule=data)
    answerer = QuestionAnswerer.from_module(model, data)
    before = answerer.answer(VALIDATION[0]["question"], VALIDATION[0]["context"])
    assert model.training
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    assert answerer.answer(VALIDATION[0]["question"], VALIDATION[0]["context"]) == before


def test_one_process_alone_may_ask_a_module_that_is_trained(
    data: QADataModule, model: QAModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a trainer's own save proves together with the other processes, it does not ask for."""
    trainer(tmp_path, AnswerEvaluation(), max_epochs=1).fit(model, datamodule=data)
    together: list[bool] = []
    monkeypatch.setattr("qa_lightning.model.check_reading", lambda *_: together.append(True))
    answerer = QuestionAnswerer.from_module(model, data)
    assert answerer.answer(VALIDATION[0]["question"], VALIDATION[0]["context"]).text
    assert not together


def test_a_module_without_a_network_is_refused(data: QADataModule, model: QAModule) -> None:
    with pytest.raises(InputError, match="configure_model"):
        QuestionAnswerer.from_module(model, data)
    model.configure_model()
    assert QuestionAnswerer.from_module(model, data).answer("Quem?", "A Ana.").n_best


def test_a_network_that_diverged_answers_nothing(data: QADataModule, model: QAModule) -> None:
    model.configure_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1e30)
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    answerer = QuestionAnswerer.from_module(model, data)
    with pytest.raises(InputError, match="diverged"):
        answerer.answer(VALIDATION[0]["question"], VALIDATION[0]["context"])


@pytest.mark.parametrize("logger", [False, True])
def test_the_folder_of_a_plain_trainer_is_a_checkpoint(
    logger: bool, data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    settings = {} if logger else {"logger": False}
    chosen = CSVLogger(str(tmp_path)) if logger else False
    trainer(tmp_path, AnswerEvaluation(), **{**settings, "logger": chosen}).fit(
        model, datamodule=data
    )
    answerer = QuestionAnswerer.from_checkpoint(tmp_path)
    text = VALIDATION[0]["context"]
    expected = QuestionAnswerer.from_module(model, data).answer("Quem?", text)
    assert answerer.answer("Quem?", text) == expected


KEEPERS: dict[str, dict[str, Any]] = {
    "a score in the name": {"monitor": "val/f1", "mode": "max", "filename": "{epoch}-{val/f1:.2f}"},
    "plain names": {
        "monitor": "val/loss",
        "auto_insert_metric_name": False,
        "filename": "e{epoch}",
    },
    "several": {"monitor": "val/f1", "mode": "max", "save_top_k": -1, "save_last": True},
    "weights alone": {"save_weights_only": True, "every_n_train_steps": 2, "save_top_k": -1},
}


PLACES = ("checkpoints", "own", "version_0", "logger")


@pytest.mark.parametrize(
    ("kept", "where"),
    [
        *((kept, "checkpoints") for kept in KEEPERS),
        *(("a score in the name", where) for where in PLACES[1:]),
    ],
)
def test_whatever_a_plain_trainer_keeps_is_found(
    kept: str, where: str, data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    dirpath = {"own": folder}.get(where)
    names = {"version_0": "", "logger": "logs"}
    logger = CSVLogger(str(folder), name=names[where]) if where in names else False
    keep = ModelCheckpoint(dirpath=dirpath, **KEEPERS[kept])
    trainer(folder, AnswerEvaluation(), keep, logger=logger).fit(model, datamodule=data)
    files = sorted(folder.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    chosen = checkpoint_file(folder)
    assert chosen == (Path(keep.best_model_path) if keep.monitor else files[-1])
    moved = folder.rename(tmp_path / "moved")
    assert checkpoint_file(moved) == moved / chosen.relative_to(folder)
    assert QuestionAnswerer.from_checkpoint(moved).answer("Quem?", VALIDATION[0]["context"])


def test_a_checkpoint_somewhere_below_is_named(
    data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    keep = ModelCheckpoint(dirpath=tmp_path / "some" / "where")
    trainer(tmp_path, keep, limit_val_batches=0).fit(model, datamodule=data)
    with pytest.raises(InputError, match=rf"such as {keep.best_model_path}: name one"):
        QuestionAnswerer.from_checkpoint(tmp_path)


def test_early_stopping_and_other_checkpoints(
    data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    stop = EarlyStopping("val/f1", mode="max", patience=1, min_delta=200.0)
    keep = ModelCheckpoint(monitor="val/f1", mode="max", auto_insert_metric_name=False)
    training = trainer(tmp_path, AnswerEvaluation(), stop, keep, max_epochs=9)
    training.fit(model, datamodule=data)
    assert stop.stopped_epoch == 1
    assert Path(keep.best_model_path).is_file()


def test_a_plain_trainer_goes_on_with_the_steps_that_an_epoch_began_with(
    data: QADataModule, model: QAModule, tmp_path: Path
) -> None:
    last = LastCheckpoint(dirpath=str(tmp_path), last_every_n_train_steps=1)
    trainer(tmp_path, last, max_epochs=1, max_steps=2).fit(model, datamodule=data)
    for changed in ({"accumulate_grad_batches": 2}, {"limit_train_batches": 4}):
        (key,) = changed
        other = trainer(tmp_path, LastCheckpoint(dirpath=str(tmp_path / key)), **changed)
        with pytest.raises(InputError, match=f"`trainer.{key}` to stay"):
            other.fit(model, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    again = trainer(tmp_path, LastCheckpoint(dirpath=str(tmp_path)), max_epochs=1)
    again.fit(model, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    assert again.global_step == again.num_training_batches > 2


def test_stochastic_weight_averaging(data: QADataModule, model: QAModule, tmp_path: Path) -> None:
    averaging = StochasticWeightAveraging(swa_lrs=1e-3, swa_epoch_start=1)
    trainer(tmp_path, AnswerEvaluation(), averaging, max_epochs=3).fit(model, datamodule=data)
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_the_batch_size_finder(data: QADataModule, model: QAModule, tmp_path: Path) -> None:
    finder = BatchSizeFinder(mode="binsearch", steps_per_trial=1, init_val=2, max_trials=2)
    training = trainer(tmp_path, AnswerEvaluation(), finder, max_epochs=1)
    training.fit(model, datamodule=data)
    assert finder.optimal_batch_size is not None
    assert data.hparams["batch_size"] == finder.optimal_batch_size
    assert training.global_step == training.num_training_batches


def test_fast_dev_run_and_overfitting(data: QADataModule, model: QAModule, tmp_path: Path) -> None:
    dry = trainer(tmp_path / "dry", AnswerEvaluation(), fast_dev_run=9)  # the whole validation
    dry.fit(model, datamodule=data)
    assert "val/f1" in dry.callback_metrics
    assert not (tmp_path / "dry").exists()
    training = trainer(tmp_path, AnswerEvaluation(), overfit_batches=1, max_epochs=3)
    training.fit(model, datamodule=data)
    assert training.global_step == 3


def test_several_loggers(data: QADataModule, model: QAModule, tmp_path: Path) -> None:
    loggers = [CSVLogger(str(tmp_path)), TensorBoardLogger(str(tmp_path), name="board")]
    trainer(tmp_path, AnswerEvaluation(), LearningRateMonitor(), logger=loggers).fit(
        model, datamodule=data
    )
    text = (Path(loggers[0].log_dir) / "metrics.csv").read_text(encoding="utf-8")
    assert "val/f1" in text
    assert list((tmp_path / "board").rglob("events*"))


def test_load_from_checkpoint(data: QADataModule, model: QAModule, tmp_path: Path) -> None:
    training = trainer(tmp_path, AnswerEvaluation(), max_epochs=1)
    training.fit(model, datamodule=data)
    training.save_checkpoint(tmp_path / "mine.ckpt")
    again = QAModule.load_from_checkpoint(tmp_path / "mine.ckpt", weights_only=True)
    weights = again.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    rebuilt = QADataModule.load_from_checkpoint(tmp_path / "mine.ckpt", weights_only=True)
    assert rebuilt.hparams["max_length"] == 64
    with pytest.raises(InputError, match="in memory"):
        rebuilt.prepare_data()
    load = partial(QADataModule.load_from_checkpoint, tmp_path / "mine.ckpt", weights_only=True)
    part = load(validation=VALIDATION, tokenizer=small_tokenizer())  # one split of two is enough
    trainer(tmp_path, AnswerEvaluation()).validate(again, datamodule=part)
    with pytest.raises(InputError, match=r"content of validation differs.*in_memory=None"):
        load(validation=TRAIN)
    assert len(load(train=VALIDATION, in_memory=None).hparams["in_memory"]) == 1


class Foreign(LightningDataModule):
    """A data module of a user's own, with as much of ours as the evaluation needs."""

    def __init__(self, data: QADataModule) -> None:
        super().__init__()
        self._data = data
        self.prepare_data, self.setup = data.prepare_data, data.setup
        self.split = data.split
        self.val_dataloader = data.val_dataloader
        self.predict_dataloader = data.val_dataloader


@pytest.mark.parametrize("screen", [2, "auto"])
def test_screening_that_a_data_module_does_not_know_is_refused_at_once(
    data: QADataModule, model: QAModule, tmp_path: Path, screen: int | str
) -> None:
    foreign = Foreign(data)
    with pytest.raises(InputError, match=rf"with `screen`, .*`evaluation.screen` {screen} asks"):
        trainer(tmp_path, AnswerEvaluation(screen=screen)).validate(model, datamodule=foreign)
    foreign.prediction_plan = None
    foreign.setup = lambda stage: None  # nothing of ours is asked to predict
    with pytest.raises(InputError, match=rf"`prediction_screen`, .*`prediction.screen` {screen}"):
        trainer(tmp_path, PredictionWriter(screen=screen)).predict(model, datamodule=foreign)


@pytest.mark.parametrize("datamodule", [None, LightningDataModule()])
def test_predictions_of_a_data_module_without_questions_are_refused_at_once(
    model: QAModule, data: QADataModule, tmp_path: Path, datamodule: Any
) -> None:
    given = {} if datamodule is None else {"datamodule": datamodule}
    loader = {"dataloaders": [[]]} if datamodule is None else {}
    with pytest.raises(InputError, match=r"`split`, which knows the questions.*QADataModule"):
        trainer(tmp_path, PredictionWriter()).predict(model, **given, **loader)
