"""``fit``, ``validate``, ``test`` and ``predict``: the LightningCLI subclass."""

import atexit
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import datasets
import torch
import transformers
import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from qa_lightning.bars import is_quiet
from qa_lightning.callbacks import (
    AnswerEvaluation,
    BestCheckpoint,
    GracefulStop,
    LastCheckpoint,
    PredictionWriter,
    RankWatch,
    RunFolder,
    RunTracking,
    TerminalProgress,
    Throughput,
)
from qa_lightning.cli import bound_settings
from qa_lightning.cli.checkpoint_source import (
    check_resumable,
    checkpoint_path,
    held_folders,
    merge_checkpoint,
    merge_order,
)
from qa_lightning.cli.counts import whole_numbers_first
from qa_lightning.cli.filling import fill_and_check
from qa_lightning.cli.mistakes import check_configs, explained, is_lightnings_own, told
from qa_lightning.datamodule import IN_MEMORY, QADataModule
from qa_lightning.errors import InputError
from qa_lightning.footprint import MemoryForecast
from qa_lightning.model import QAModule
from qa_lightning.resuming import Interrupted, SignalWatch, how_to_go_on
from qa_lightning.saved import read_run, reason
from qa_lightning.trackers import close_loggers, steady_loggers

DEFAULT_SEED = 42
_NO_NEWS = ("💡", "TPU available", "HPU available", "Loading `train_dataloader`")


class QALightningCLI(LightningCLI):
    """Wire data, model, evaluation and the checkpoints of a run together.

    Args:
        arguments: of LightningCLI.
        watch: takes the signals that end a run.
        settings: further arguments of LightningCLI.
    """

    def __init__(self, *arguments: Any, watch: SignalWatch, **settings: Any) -> None:
        self.watch = watch
        super().__init__(*arguments, **settings)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``trainer:``, ``model:`` and ``data:``, whose data in memory has no key."""
        whole_numbers_first(self.trainer_class.__init__)
        parser.add_lightning_class_args(self.trainer_class, "trainer")
        parser.add_lightning_class_args(QAModule, "model")
        parser.add_class_arguments(QADataModule, "data", sub_configs=True, skip=set(IN_MEMORY))

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the keys ``evaluation:``, ``checkpoint:`` and ``tracking:``."""
        parser.add_lightning_class_args(AnswerEvaluation, "evaluation")
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(RunTracking, "tracking")
        parser.add_lightning_class_args(PredictionWriter, "prediction")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, and remember which keys the user wrote."""
        arguments = cast(list[str], args)
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            raise InputError(explained(error, arguments)) from error
        explicit = parser.parse_args(arguments, defaults=False)
        self.explicit: Namespace = explicit[self.config.subcommand]

    def _parse_ckpt_path(self) -> None:
        """Resolve ``best`` and ``last``, and merge the checkpoint under the user's own values."""
        command = self.config.subcommand
        config = self.config[command]
        config.ckpt_path = checkpoint_path(config, command)
        if config.ckpt_path is not None:
            saved = read_run(config.ckpt_path)
            if command == "fit":
                check_resumable(saved)
            merge_checkpoint(config, self.explicit, saved, command)
            self._check_merged(config)
            if command == "fit":
                merge_order(config, self.explicit, saved)

    def _check_merged(self, config: Namespace) -> None:
        """Hold the checkpoint's values to the types of the keys that they stand for now."""
        try:
            self._parser(self.config.subcommand).validate(config)
        except (TypeError, KeyError) as error:
            raise InputError(
                f"Expected a checkpoint as `lightning fit` writes it at {config.ckpt_path}; it "
                f"holds a value of a wrong type: {reason(error)} Name another."
            ) from error

    def before_instantiate_classes(self) -> None:
        """Fill values left out, and refuse what cannot work."""
        command = self.config.subcommand
        config = self.config[command]
        fill_and_check(config, command)
        config.weights_only = True  # no file of a user's or a stranger's is unpickled
        if command == "predict" and config.return_predictions is None:
            config.return_predictions = False  # Lightning would keep the logits of every window

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the callbacks of every run; checkpoints only where they are wanted."""
        config = self.config_init[self.subcommand]
        self.ranks = RankWatch()
        extra = [
            self.ranks,
            config["evaluation"],
            Throughput(),
            self._tracking(),
            *self._terminal(),
        ]
        if self.subcommand == "predict":
            extra.append(config["prediction"])
        if self.subcommand == "fit":
            extra += [GracefulStop(self.watch), MemoryForecast()]
        if config["trainer"]["enable_checkpointing"] is not False:
            best = config["checkpoint"]
            extra += [best, LastCheckpoint.beside(best)]
        try:
            trainer = self._instantiate_trainer({**config["trainer"], **kwargs}, extra)
        except (TypeError, ValueError) as error:  # Lightning's own for values out of range
            raise InputError(f"Expected `trainer:` to hold what can work; got: {error}") from error
        trainer.callbacks.sort(key=lambda each: not isinstance(each, RunFolder))  # type: ignore[attr-defined]
        self.ranks.attach(trainer)
        self.watch.before_end = partial(_pass_on, trainer)
        trainer.loggers = steady_loggers(
            trainer.loggers,
            folder=Path(trainer.default_root_dir),
            checkpoint=config["ckpt_path"] if self.subcommand == "fit" else None,
        )
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the command, and end the loggers' runs with it.

        Raises:
            InputError: another `fit` is writing into the run's folder, or the checkpoint does not
                fit.
        """
        failed = True
        atexit.register(_leave_process_group)
        try:
            config = self.config[subcommand]
            with held_folders(self.trainer, config, subcommand), told(config.ckpt_path):
                super()._run_subcommand(subcommand)
            failed = False
        except Exception as error:
            self.ranks.conclude(error)
            raise
        finally:
            close_loggers(self.trainer.loggers, failed=failed)

    def _tracking(self) -> RunTracking:
        """Return the trackers' callback, told of the whole configuration."""
        tracking: RunTracking = self.config_init[self.subcommand]["tracking"]
        text = self._parser(self.subcommand).dump(self.config[self.subcommand], skip_none=False)
        tracking.config = yaml.safe_load(text)
        given = self.config[self.subcommand].trainer.log_every_n_steps
        tracking.chooses_steps = given is None
        return tracking

    def _terminal(self) -> list[ProgressBar]:
        """Return our progress bar, unless the user has one or wants none."""
        settings = self.config_init[self.subcommand]["trainer"]
        given = settings["callbacks"]
        listed = given if isinstance(given, list) else [given]
        bars = [each for each in listed if isinstance(each, ProgressBar)]
        if bars or settings["enable_progress_bar"] is False:
            return []
        # Lightning's table of the network has rows of zeros; ours is a line.
        tells_network = settings["enable_model_summary"] is None
        if tells_network:
            settings["enable_model_summary"] = False
        return [TerminalProgress(tells_network=tells_network)]


def run(
    arguments: list[str],
    *,
    build: Callable[..., QALightningCLI] = QALightningCLI,
    go_on: Callable[[Interrupted, Sequence[str]], str] | None = None,
) -> QALightningCLI:
    """Run one Trainer command with command-line arguments, and return what it was built of.

    Args:
        arguments: the command, and its options.
        build: makes and runs the command.
        go_on: says how to go on after a signal; None is `how_to_go_on`.

    Raises:
        InputError: a user's mistake.
    """
    bound_settings()
    check_configs(arguments)
    _quiet()
    # LightningCLI warns when it is given arguments while sys.argv has more. sys.argv itself must
    # stay: processes of a DDP run are started with it.
    with SignalWatch() as watch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        try:
            return build(
                QAModule,
                QADataModule,
                watch=watch,
                save_config_callback=RunFolder,
                seed_everything_default=DEFAULT_SEED,
                parser_kwargs=parser_settings(),
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                args=arguments,
            )
        except Interrupted as stop:
            if int(os.environ.get("LOCAL_RANK", "0")) == 0:
                with suppress(OSError):  # its terminal may be gone
                    sys.stderr.write((go_on or how_to_go_on)(stop, arguments) + "\n")
            raise
        except MisconfigurationException as error:
            raise InputError(str(error)) from error
        except ValueError as error:
            if is_lightnings_own(error):
                raise InputError(
                    f"Expected `trainer:` to hold what can work; got: {error}"
                ) from error
            raise


def parser_settings() -> dict[str, Any]:
    """Return the parsers' settings: errors are raised, keys are not guessed from a beginning."""
    strict = {"exit_on_error": False, "allow_abbrev": False}
    return {**strict, **dict.fromkeys(LightningCLI.subcommands(), strict)}


def _quiet() -> None:
    """Silence advertisements and advice that does not apply; warnings of faults stay."""
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # Scores are computed from gathered windows, and are the same on every process.
    warnings.filterwarnings("ignore", message=r".*recommended to use `self.log\('(val|test)")
    warnings.filterwarnings("ignore", message=".*'set_vital' is deprecated.*")  # torchdata's own
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).addFilter(_is_news)
    if is_quiet():
        os.environ.setdefault("WANDB_QUIET", "true")  # no charts of characters in a log file
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _pass_on(trainer: Trainer, number: int) -> None:
    """Send a signal on to the processes of this machine that Lightning started."""
    if isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        trainer.strategy.launcher.kill(cast(signal.Signals, number))


def _leave_process_group() -> None:
    """Stop gloo's threads: at exit they may abort a process that has done all it should.

    Lightning does so for NCCL alone.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NO_NEWS)
