"""What of a run can be refused before anything is prepared: numbers, monitored keys, folders."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.fabric.utilities.rank_zero import rank_zero_only

from qa_lightning.callbacks import Throughput
from qa_lightning.callbacks.checkpoints import RULES as CHECKPOINT_RULES
from qa_lightning.callbacks.logged import (
    evaluation_keys,
    is_ours,
    monitor_problems,
    partial_problems,
    source_keys,
)
from qa_lightning.callbacks.predictions import RULES as PREDICTION_RULES
from qa_lightning.callbacks.tracking import RULES as TRACKING_RULES
from qa_lightning.errors import InputError
from qa_lightning.languages import language_problems
from qa_lightning.model import QAModule
from qa_lightning.model.optimizer import schedule_problems
from qa_lightning.ranges import Rule, number, problems, whole

LOWER_IS_BETTER = ("loss", "calibration_error")
TRAINER_RULES: dict[str, Rule] = {
    "accumulate_grad_batches": whole(1),
    "gradient_clip_val": number(0, optional=True, remedy="null is for no clipping."),
    "max_epochs": whole(-1, optional=True),
    "min_epochs": whole(0, optional=True),
    "max_steps": whole(-1),
    "min_steps": whole(0, optional=True),
    "num_sanity_val_steps": whole(-1, optional=True),
    "check_val_every_n_epoch": whole(1, optional=True),
    "log_every_n_steps": whole(0, optional=True),
}
"""What Lightning takes, and then fails or errs with."""
EARLY_STOPPING = "EarlyStopping"


def run_problems(config: Namespace, command: str) -> Iterator[str]:
    """Yield a sentence for each thing beside model, data and evaluation that cannot work."""
    for group, rules in (
        ("checkpoint", CHECKPOINT_RULES),
        ("prediction", PREDICTION_RULES),
        ("tracking", TRACKING_RULES),
        ("trainer", TRAINER_RULES),
    ):
        yield from problems(rules, vars(config[group]), prefix=f"{group}.")
    yield from folder_problems(config)
    if command == "fit":
        yield from mode_problems(config.checkpoint)
        yield from key_problems(config)
        yield from end_problems(config)
        yield from rhythm_problems(config.trainer)


def rhythm_problems(trainer: Namespace) -> Iterator[str]:
    """Yield a sentence if validations would come after no batch at all."""
    every = trainer.val_check_interval  # Lightning also takes a time, as text
    if isinstance(every, int | float) and not every > 0:
        yield (
            f"Expected `trainer.val_check_interval` above 0, as a number of batches or a share of "
            f"an epoch; got {every}. `trainer.limit_val_batches` 0 is for no validation."
        )


def end_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence if a schedule has no end to run to."""
    trainer = config.trainer
    by_time = trainer.max_epochs is None and trainer.max_time is not None
    endless = trainer.max_steps == -1 and (trainer.max_epochs == -1 or by_time)
    if endless and not trainer.fast_dev_run:
        yield from schedule_problems(vars(config.model))


def mode_problems(checkpoint: Namespace) -> Iterator[str]:
    """Yield a sentence if the best checkpoint would be the worst."""
    monitor, mode = checkpoint.monitor, checkpoint.mode
    if str(monitor).endswith(LOWER_IS_BETTER) and mode == "max":
        yield (
            f"Expected `checkpoint.mode` min with {monitor!r}, of which less is better; got "
            f"{mode!r}, which would keep the worst. Set `checkpoint.mode` to min."
        )


def key_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence for each monitored key that no validation logs, or no whole one."""
    if config.trainer.fast_dev_run:
        return
    callbacks = _callbacks(config.trainer)
    monitors = {}
    if config.trainer.enable_checkpointing is not False and config.checkpoint.monitor:
        monitors["`checkpoint.monitor`"] = str(config.checkpoint.monitor)
    early = {}
    for name, settings in callbacks.items():
        if settings.get("monitor") and settings.get("strict", True):
            kind = name.rpartition(".")[2]
            who = f"`monitor` of `{kind}`"
            monitors[who] = str(settings["monitor"])
            if kind == EARLY_STOPPING:
                early[who] = monitors[who]
    language = config.evaluation.language
    if list(language_problems(language, "")):  # which is told of the option
        language = None
    try:
        scores = evaluation_keys("val", language=language, metrics=tuple(config.evaluation.metrics))
    except (InputError, TypeError) as error:  # a metric that is none
        if isinstance(error, InputError):
            yield str(error)
        return
    users = [kind for kind in map(_class_of, callbacks) if kind is None or not is_ours(kind)]
    own = None if None in users else source_keys([QAModule, Throughput, *filter(None, users)])
    if own is not None:
        yield from monitor_problems(monitors, {*scores, *own})
    limit = config.trainer.limit_val_batches
    if limit == 0 or (isinstance(limit, float) and limit < 1):
        yield from partial_problems(
            early, f"`trainer.limit_val_batches` {limit} leaves windows out"
        )


def _callbacks(trainer: Namespace) -> dict[str, Mapping[str, Any]]:
    """Return the settings of the user's callbacks by the path of their class."""
    listed = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
    return {
        each.class_path: vars(each.init_args) if "init_args" in each else {}
        for each in listed
        if isinstance(each, Namespace)
    }


def _class_of(path: str) -> type | None:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if isinstance(found, type) else None


def folder_problems(config: Namespace) -> Iterator[str]:
    """Yield a sentence for each folder that results would go into, but cannot."""
    if getattr(rank_zero_only, "rank", 0):
        return  # one process tries them all
    for key, folder in _folders(config).items():
        if "://" in folder:
            continue
        if (told := unwritable(Path(folder).expanduser().absolute())) is not None:
            yield f"Expected `{key}` to be a folder; {told}. Name another."


def _folders(config: Namespace) -> dict[str, str]:
    found = {
        key: config.get(key)
        for key in (
            "trainer.default_root_dir",
            "checkpoint.dirpath",
            "evaluation.output_dir",
            "prediction.output_dir",
            "data.cache_dir",
        )
    }
    found["trainer.default_root_dir"] = found["trainer.default_root_dir"] or "."
    loggers = config.trainer.logger
    for each in loggers if isinstance(loggers, list) else [loggers]:
        if isinstance(each, Namespace):
            settings = vars(each.init_args) if "init_args" in each else {}
            for name in ("save_dir", "dir"):
                found[f"trainer.logger.init_args.{name}"] = settings.get(name)
    for name, settings in _callbacks(config.trainer).items():
        found[f"dirpath of {name}"] = settings.get("dirpath")
    return {key: str(folder) for key, folder in found.items() if folder and "\0" not in str(folder)}


def unwritable(folder: Path) -> str | None:
    """Say why a folder cannot be written into; None where it can.

    Nothing but trying tells the truth, of links that go in circles, names that are too long and
    systems that are read-only. What is made for it is removed again.
    """
    made: list[Path] = []
    try:
        there = folder
        while not there.exists():
            if there.is_symlink():
                return f"{there} is a link that leads nowhere"
            made.append(there)
            there = there.parent
        if not there.is_dir():
            return f"{there} is a file"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} is not writable"
        made.reverse()
        for place in made:
            place.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder} cannot be one: {error.strerror or error}"
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):  # not made, or something came into it
                place.rmdir()
