"""What a run says in the terminal: bars and a table for people, a line for log files."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.console import Console

from qa_lightning.bars import Pace, is_quiet
from qa_lightning.callbacks.run_lines import (
    evaluated_lines,
    kept_lines,
    network_line,
    step_line,
    time_left,
)
from qa_lightning.callbacks.score_table import (
    LOWER_IS_BETTER,
    Figure,
    plain_line,
    score_table,
)
from qa_lightning.callbacks.tracked_run import Split, splits_of
from qa_lightning.callbacks.tracking import RunTracking
from qa_lightning.notebook_bars import show_in_notebooks

_BAR_COLUMNS = {
    "train/loss": ("loss", ".3f"),
    "val/loss": ("val loss", ".3f"),
    "val/exact_match": ("EM", ".1f"),
    "val/f1": ("F1", ".1f"),
    "train/windows_per_second": ("windows/s", ",.0f"),
}
__all__ = ["Figure", "TerminalProgress", "console_of", "data_line", "plain_line", "score_table"]

_WIDE = 140  # columns of a terminal that has room for all figures beside the bar
_SHORT_BAR = 16
_MANY = 2_000  # questions whose answers take seconds to score
_SPLITS = {"validation": "val", "test": "test"}
_BY_THE_WAY = ("total", "windows_without_label")
_STAGES = {"validate": "val", "test": "test"}


class TerminalProgress(RichProgressBar):
    """Show bars with loss, exact match, F1 and speed, and a table after each whole validation.

    Under ``CI`` and where the output is no terminal there are no bars: each validation is one plain
    line, and now and then another says how far the training or an evaluation is.

    Args:
        refresh_rate: bars are drawn so many times a second.
        leave: leave the bar of a finished epoch in the terminal.
        quiet: no bars, plain lines; None: as the environment says.
        tells_network: say how many parameters there are, and how many are trained.
    """

    def __init__(
        self,
        *,
        refresh_rate: int = 10,
        leave: bool = False,
        quiet: bool | None = None,
        tells_network: bool = False,
    ) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=leave)
        show_in_notebooks()
        self.tells_network = tells_network
        self._clock = 0.0, 0  # when the training began, and at which step
        self._pace = Pace()
        self.quiet = is_quiet() if quiet is None else quiet
        self._before: dict[str, float] = {}
        self._best: dict[str, float] = {}
        if self.quiet:
            self.disable()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell whose weights are read next: of a large network they take a while."""
        super().setup(trainer, pl_module, stage)
        name = pl_module.hparams.get("model_name_or_path")
        if trainer.is_global_zero and name and getattr(pl_module, "network", None) is None:
            _say(trainer, f"loading the weights of {name}")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what there is to train and validate on, and what became of dirty labels."""
        if trainer.is_global_zero:
            for name, split in splits_of(trainer).items():
                text = data_line(name, split)
                _say(trainer, text)
            if self.tells_network:
                _say(trainer, network_line(pl_module))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what was kept, and what to do with it, unless another callback does."""
        says = any(getattr(each, "next_command", None) for each in trainer.callbacks)  # type: ignore[attr-defined]
        if trainer.is_global_zero and not says and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            data = trainer.datamodule  # type: ignore[attr-defined]
            has_test = data is not None and data.hparams.get("test_split") is not None
            command = "test" if has_test else "validate"
            for line in kept_lines(Path(trainer.default_root_dir), command):
                _say(trainer, line)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say what a whole evaluation alone was kept as, below Lightning's table of its scores."""
        super().teardown(trainer, pl_module, stage)
        whole = any(getattr(each, "latest", None) for each in trainer.callbacks)  # type: ignore[attr-defined]
        if stage in _STAGES and whole and trainer.is_global_zero:
            for line in evaluated_lines(Path(trainer.default_root_dir), _STAGES[stage]):
                _say(trainer, line)

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Leave room for the figures: windows a second tell the speed, and a short bar the rest."""
        description, bar, *others = super().configure_columns(trainer)
        if get_console().width < _WIDE:
            bar.bar_width = _SHORT_BAR
        return [description, bar, *others[:-1]]

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the figures beside the bar, under short names."""
        logged = super().get_metrics(trainer, pl_module)
        shown: dict[str, int | str | float | dict[str, float]] = {
            name: format(logged[key], style)
            for key, (name, style) in _BAR_COLUMNS.items()
            if key in logged and (key != "val/loss" or get_console().width >= _WIDE)
        }
        left = self._left(trainer)
        return shown if left is None else {**shown, "left in all": left}

    def _left(self, trainer: Trainer) -> str | None:
        """Return the time that the whole training still takes, validations included."""
        began, first = self._clock
        return time_left(
            time.monotonic() - began,
            done=trainer.global_step - first,
            total=float(trainer.estimated_stepping_batches) - first if began else math.inf,
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar on, or tell a log file now and then how far the training is."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self.quiet and trainer.is_global_zero and self._pace.is_due():
            logged = trainer.callback_metrics
            shown = {
                name: format(float(logged[key]), style)
                for key, (name, style) in _BAR_COLUMNS.items()
                if key.startswith("train/") and key in logged
            }
            line = step_line(
                epoch=trainer.current_epoch,
                step=trainer.global_step,
                total=float(trainer.estimated_stepping_batches),
                figures=shown,
                left=self._left(trainer),
            )
            _say(trainer, line)

    def on_validation_batch_end(self, trainer: Trainer, *given: Any) -> None:
        """Move the bar on, or tell a log file now and then how far the validation is."""
        super().on_validation_batch_end(trainer, *given)
        if not trainer.sanity_checking:
            self._tell_batch(trainer, "validation", given[3], trainer.num_val_batches)

    def on_test_batch_end(self, trainer: Trainer, *given: Any) -> None:
        """Move the bar on, or tell a log file now and then how far the test is."""
        super().on_test_batch_end(trainer, *given)
        self._tell_batch(trainer, "test", given[3], trainer.num_test_batches)

    def _tell_batch(
        self, trainer: Trainer, phase: str, batch: int, batches: Sequence[int | float]
    ) -> None:
        if not trainer.is_global_zero:
            return
        if batch + 1 >= sum(batches) and (split := splits_of(trainer).get(_SPLITS[phase])):
            if len(split.examples) >= _MANY:
                _say(trainer, f"{phase}: scoring {len(split.examples):,} answers …")
        elif self.quiet and self._pace.is_due():
            _say(trainer, f"{phase}: batch {batch + 1:,} of {sum(batches):,.0f}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the scores of a whole validation within ``fit``; alone, Lightning prints them."""
        super().on_validation_end(trainer, pl_module)
        if not trainer.is_global_zero or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        scores = _stage_scores(trainer.callback_metrics, "val")
        if scores:
            self._tell(trainer, scores)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the scores of the run that is resumed, if there are any."""
        super().on_train_start(trainer, pl_module)
        for scores in _scores_before(trainer):
            self._remember(scores)
        self._clock = time.monotonic(), trainer.global_step
        if self.progress is not None:
            self._begin_within_epoch(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is: what is printed after the training stands below it."""
        super().on_train_end(trainer, pl_module)
        self._stop_progress()

    def _begin_within_epoch(self, trainer: Trainer) -> None:
        """Show the bar of an epoch that goes on; Lightning's total leaves out what was done."""
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if not done:
            return
        total = trainer.num_training_batches
        if trainer.max_steps >= 0:
            left = (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches
            total = min(total, done + left)
        self.train_progress_bar_id = self._add_task(
            total, self._get_train_description(trainer.current_epoch)
        )
        self._update(self.train_progress_bar_id, done)

    def _get_train_description(self, current_epoch: int) -> str:
        """Leave out the number of epochs where steps end the training."""
        described = super()._get_train_description(current_epoch)
        return described if (self.trainer.max_epochs or -1) > 0 else described.split("/")[0]

    def _tell(self, trainer: Trainer, scores: Mapping[str, float]) -> None:
        figures = list(self._compare(scores))
        self._remember(scores)
        place = f"epoch {trainer.current_epoch}, step {trainer.global_step:,}"
        console = console_of(trainer)
        if self.quiet:
            speed = trainer.callback_metrics.get("train/windows_per_second", math.nan)
            text = plain_line(place, figures, windows_per_second=float(speed))
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(score_table(f"Validation, {place}", figures))

    def _compare(self, scores: Mapping[str, float]) -> Iterator[Figure]:
        for name, value in scores.items():
            if name in _BY_THE_WAY or name.endswith(("_low", "_high", "_thresh")):
                continue
            interval = scores.get(f"{name}_low"), scores.get(f"{name}_high")
            yield Figure(name, value, *interval, self._before.get(name), self._best_of(name, value))

    def _remember(self, scores: Mapping[str, float]) -> None:
        self._before = dict(scores)
        self._best |= {name: self._best_of(name, value) for name, value in scores.items()}

    def _best_of(self, name: str, value: float) -> float:
        better = min if name in LOWER_IS_BETTER else max
        return better(value, self._best.get(name, value))


def _say(trainer: Trainer, text: str) -> None:
    console_of(trainer).print(text, markup=False, highlight=False, soft_wrap=True)


def console_of(trainer: Trainer) -> Console:
    """Return where to print: the console of the bars, which make room, or else a new one."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, RichProgressBar) and bar.progress is not None:
        return bar.progress.console
    return Console()


def data_line(name: str, split: Split) -> str:
    """Return a split's size, and what alignment did to its answers, as one line."""
    line = f"{name}: {len(split.examples):,} questions in {len(split.features):,} windows"
    audit = split.audit
    if audit is None or audit.policy == "keep":
        return line
    found = f"{audit.repaired:,} of {audit.answers:,} answers found again at another place"
    if audit.dropped:
        return f"{line}; {found}, {audit.dropped:,} questions left out for want of one"
    return f"{line}; {found}" if audit.repaired else line


def _scores_before(trainer: Trainer) -> list[Mapping[str, float]]:
    """Return the scores of the validations before this training, in order."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    kept = next((each.scores for each in callbacks if isinstance(each, RunTracking)), {})
    return [scores for _, scores in sorted(kept.items())]


def _stage_scores(logged: Mapping[str, Any], stage: str) -> dict[str, float]:
    start = f"{stage}/"
    return {
        key.removeprefix(start): float(value)
        for key, value in logged.items()
        if key.startswith(start)
    }
