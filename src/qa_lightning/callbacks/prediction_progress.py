"""How far ``predict`` is, on a terminal and in a file."""

import time

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qa_lightning.answerer.blocks import BlockPlan

_SECONDS_BETWEEN_LINES = 30.0


class ProgressReport:
    """Show questions, windows per second and time left: a bar on a terminal, else some lines.

    It counts rank zero's share; all ranks have shares of like size.

    Args:
        trainer: its own bar, which cannot know how many batches come, is switched off.
        plan: what there is to do.
    """

    def __init__(self, trainer: Trainer, plan: BlockPlan) -> None:
        share = plan.share(trainer.global_rank, trainer.world_size)
        self._total = sum(len(plan.rows(block)) for block in share)
        self._world_size = trainer.world_size
        self._windows = self._questions = 0
        self._begin = self._told = time.perf_counter()
        self._lightning_bar = trainer.progress_bar_callback
        if self._lightning_bar is not None:
            self._lightning_bar.disable()
        console = Console(stderr=True)
        shown = self._lightning_bar is not None and trainer.is_global_zero and console.is_terminal
        self._bar = Progress(
            TextColumn("Answering"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:.0f} windows/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not shown,
        )
        self._lines = not shown
        self._bar.start()
        self._task = self._bar.add_task("", total=self._total, speed=0.0)
        if plan.finished:
            rank_zero_info(f"{len(plan.finished)} of {plan.count} blocks were answered before.")

    def advance(self, *, windows: int, questions: int) -> None:
        """Count, and tell."""
        self._windows += windows
        self._questions += questions
        now = time.perf_counter()
        speed = self._windows * self._world_size / max(now - self._begin, 1e-9)
        self._bar.update(self._task, advance=questions, speed=speed)
        if self._lines and now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            share = self._questions / max(self._total, 1)
            left = (now - self._begin) * (1 - share) / share if share else float("nan")
            rank_zero_info(
                f"{share:.1%} of the questions answered, {speed:.0f} windows/s, {left:.0f} s left"
            )

    def stop(self) -> None:
        """Take the bar down, and give Lightning's back."""
        self._bar.stop()
        if self._lightning_bar is not None:
            self._lightning_bar.enable()
