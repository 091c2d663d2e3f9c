"""What can be refused once a run's data is there, before weights are loaded and hours pass."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from qa_lightning.callbacks.logged import (
    evaluation_keys,
    is_ours,
    monitor_problems,
    partial_problems,
    source_keys,
)
from qa_lightning.callbacks.scored import SplitData
from qa_lightning.callbacks.throughput import Throughput
from qa_lightning.screening import Screen

SCREENED = {"fit": ("val",), "validate": ("val",), "test": ("test",)}
"""The splits whose windows a stage's evaluation may leave out."""


def run_problems(
    trainer: Trainer,
    module: LightningModule,
    *,
    stage: str,
    language: str | None,
    metrics: tuple[str, ...],
    screen: Screen,
) -> Iterator[str]:
    """Yield a sentence for each thing that a run cannot do with the data that it has.

    Args:
        trainer: with all callbacks.
        module: what is trained.
        stage: ``fit``, ``validate``, ``test`` or ``predict``.
        language: whose rules the evaluation adds.
        metrics: that it adds.
        screen: windows that it reads of a question.
    """
    data: Any = getattr(trainer, "datamodule", None)
    if not callable(getattr(data, "split", None)):
        if stage != "predict":
            yield (
                "Expected a data module that knows the examples behind its windows, which "
                f"`AnswerEvaluation` answers and scores; got {_named(data)}. Pass "
                "`datamodule=QADataModule(...)` to the Trainer, or leave `AnswerEvaluation` out."
            )
        return
    if stage in SCREENED and screen != "all":
        purpose = f"which leaves out windows as `evaluation.screen` {screen} asks"
        yield from serving_problems(data, who="AnswerEvaluation", needs={"screen": purpose})
    if stage == "fit" and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        keys = _logged(trainer, module, data, language, metrics)
        waiting = {f"`monitor` of `{type(each).__name__}`": each for each in _waiting(trainer)}
        if keys is not None:
            yield from monitor_problems({who: each.monitor for who, each in waiting.items()}, keys)
        strict = {
            who: each.monitor for who, each in waiting.items() if isinstance(each, EarlyStopping)
        }
        limit = trainer.limit_val_batches
        if isinstance(limit, int) and limit < len(data.val_dataloader()):
            yield from partial_problems(strict, f"`limit_val_batches` {limit} leaves windows out")
        yield from _interval_problems(trainer, data)


def serving_problems(data: object, *, who: str, needs: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each thing that a callback asks of a data module and it has not.

    Args:
        data: the run's data module, which may be another than ours, or None.
        who: the callback that asks.
        needs: attribute to what it is for, with the setting that asks for it.
    """
    for name, purpose in needs.items():
        if not hasattr(data, name):
            yield (
                f"Expected a data module with `{name}`, {purpose}; got {_named(data)}. Pass "
                f"`datamodule=QADataModule(...)` to the Trainer, leave that out, or `{who}`."
            )


def data_language(trainer: Trainer) -> str | None:
    """Return the language of a run's data, if there is a data module that says."""
    settings = getattr(getattr(trainer, "datamodule", None), "hparams", {})
    language: str | None = settings.get("language")
    return language


def _waiting(trainer: Trainer) -> list[Any]:
    """Return the callbacks that wait for a key and raise where it does not come."""
    return [
        each
        for each in trainer.callbacks  # type: ignore[attr-defined]
        if getattr(each, "monitor", None) and getattr(each, "strict", True)
    ]


def _logged(
    trainer: Trainer,
    module: LightningModule,
    data: Any,
    language: str | None,
    metrics: tuple[str, ...],
) -> set[str] | None:
    """Return all keys that a run logs; None where a user's own code does not say."""
    callbacks = [type(each) for each in trainer.callbacks]  # type: ignore[attr-defined]
    kinds = [kind for kind in callbacks if not is_ours(kind) or kind is Throughput]
    kinds += [
        kind
        for kind in type(module).__mro__
        if issubclass(kind, LightningModule) and not kind.__module__.startswith("lightning.")
    ]
    own = source_keys(kinds)
    if own is None:
        return None
    split: SplitData = data.split("val")
    texts = split.examples.select_columns(["answers"])["answers"]
    unanswerable = not all(answers["text"] for answers in texts)
    scores = evaluation_keys("val", language=language, metrics=metrics, unanswerable=unanswerable)
    return {*scores, *own}


def _named(data: object) -> str:
    return "dataloaders alone" if data is None else f"a {type(data).__name__}"


def _interval_problems(trainer: Trainer, data: Any) -> Iterator[str]:
    every = trainer.val_check_interval
    if type(every) is not int or trainer.check_val_every_n_epoch is None:
        return
    batches = len(data.train_dataloader())
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    if every > batches and trainer.limit_val_batches:
        yield (
            f"Expected `trainer.val_check_interval` to be at most the {batches} batches of an "
            f"epoch; got {every}. Lower it, or set `trainer.check_val_every_n_epoch` to null, so "
            "that it counts over epochs."
        )
