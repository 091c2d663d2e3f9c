"""Bars for what takes long outside of training: told by whoever works, shown to whoever looks.

What works calls its ``progress`` with a phase, how many are done since the last call, and how many
there are, if that is known.
"""

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from qa_lightning.notebook_bars import show_in_notebooks

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


class Pace:
    """Say when a line of a log file is due: after some seconds, then ever more rarely.

    Args:
        first: seconds before the first line; the next comes after five or more, and each line
            doubles them.
        most: seconds between two lines that are not exceeded.
    """

    def __init__(self, first: float = 5.0, most: float = 60.0) -> None:
        self._most = most
        self.wait = first
        self._told = time.monotonic()

    def is_due(self) -> bool:
        """Say whether a line is due, which is then taken to be said."""
        now = time.monotonic()
        if now - self._told < self.wait:
            return False
        self._told, self.wait = now, min(max(5.0, 2 * self.wait), self._most)
        return True


class Lines:
    """Tell a log file of the phase at hand, now and then, also while the phase itself is silent.

    Args:
        pace: seconds between lines.
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._done: dict[str, int] = {}
        self._now: tuple[str, int | None, float] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True, name="lines")

    def __call__(self, phase: str, done: int, total: int | None = None) -> None:
        """Count; see `Progress`."""
        self._done[phase] = self._done.get(phase, 0) + done
        if self._now is None or self._now[0] != phase:
            self._now = phase, total, time.monotonic()
        if self._thread.ident is None:
            self._thread.start()

    def end(self) -> None:
        """Say no more."""
        self._over.set()

    def _follow(self) -> None:
        while not self._over.wait(min(1.0, self._pace.wait)):
            if self._pace.is_due():
                sys.stderr.write(f"{self.line()}\n")
                sys.stderr.flush()

    def line(self) -> str:
        """Return how far the phase is."""
        assert self._now is not None
        phase, total, began = self._now
        seconds, done = time.monotonic() - began, self._done[phase]
        if seconds < 1 and not done:
            return f"{phase} …"
        if not total or not done:
            return f"{phase}: {f'{done:,}, ' if done else ''}{clock(seconds)} so far"
        left = clock(seconds * max(0, total - done) / done)
        return f"{phase}: {done:,} of {total:,}, {left} left"


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds.

    >>> clock(3_725.4)
    '1:02:05'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


class Bars:
    """Show a bar for each phase that is told, while it is entered; a pulse where no end is known.

    Where nobody watches, what takes long is told in plain lines on stderr.

    Args:
        shown: None is where someone watches; False is neither bars nor lines.
        pace: of the lines; None is `Pace()`.

    >>> with Bars(shown=False) as bars:
    ...     bars("questions", 10, 820)
    """

    def __init__(self, *, shown: bool | None = None, pace: Pace | None = None) -> None:
        show_in_notebooks()
        self._shown = not is_quiet() if shown is None else shown
        self._lines = Lines(pace) if shown is None and not self._shown else None
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
        if self._lines is not None:
            self._lines.end()
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, phase: str, done: int, total: int | None = None) -> None:
        """Count ``done`` more of ``total`` in a phase; the first call of a phase begins it."""
        if self._lines is not None:
            self._lines(phase, done, total)
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
