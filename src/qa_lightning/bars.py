"""Bars for what takes long outside of training: told by whoever works, shown to whoever looks.

What works calls its ``progress`` with a phase, how many are done since the last call, and how many
there are, if that is known.
"""

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """Take in what is done."""

    def __call__(self, phase: str, done: int, total: int | None = None) -> None:
        """Count ``done`` more of ``total`` in a phase; the first call of a phase begins it."""


def untold(phase: str, done: int, total: int | None = None) -> None:
    """Take in progress that nobody asked for."""


def named(progress: Progress, name: str) -> Progress:
    """Return what tells each phase under a name before its own."""

    def tell(phase: str, done: int, total: int | None = None) -> None:
        progress(f"{name}: {phase}", done, total)

    return tell


def is_quiet() -> bool:
    """Tell whether nobody is watching: a CI job, or output that is no terminal or notebook."""
    from rich.console import Console

    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return True
    console = Console(file=sys.stdout)
    return not (console.is_terminal or console.is_jupyter)


class Bars:
    """Show a bar for each phase that is told, while it is entered; a pulse where no end is known.

    Args:
        shown: None is where someone watches.

    >>> with Bars(shown=False) as bars:
    ...     bars("questions", 10, 820)
    """

    def __init__(self, *, shown: bool | None = None) -> None:
        self._shown = not is_quiet() if shown is None else shown
        self._progress: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin; nothing is shown before the first phase."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, phase: str, done: int, total: int | None = None) -> None:
        """Count ``done`` more of ``total`` in a phase; the first call of a phase begins it."""
        if not self._shown:
            return
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        if phase not in self._tasks:
            for before in self._progress.tasks:
                if before.total is None:  # its end was not known: it is over
                    self._progress.update(before.id, total=before.completed)
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        self._progress.update(self._tasks[phase], advance=done, total=total)


def _progress() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(),
        transient=True,
    )
