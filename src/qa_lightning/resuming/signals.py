"""Signals that end a run: what it is at can be finished, and saved, before it stops."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from qa_lightning.resuming.hearing import Hearing, end_at_once

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
]
_OUTPUTS = (1, 2)

PATIENCE = 5.0
"""Seconds for the main thread to come back from what it waits for, if nothing is to be saved."""
PATIENCE_IN_STEP = 60.0
"""And in training, where a backward pass is one call, and worth its checkpoint."""


class Interrupted(SystemExit):
    """End the process because of a signal, with the status that shells give it: 128 + its number.

    Args:
        number: the signal's.
        checkpoint: from which to go on; None where nothing was saved.
        step: optimizer steps before it.
    """

    def __init__(self, number: int, *, checkpoint: str | None = None, step: int = 0) -> None:
        super().__init__(128 + number)
        self.number = number
        self.checkpoint = checkpoint
        self.step = step

    @property
    def name(self) -> str:
        """Return the signal's name."""
        return signal.Signals(self.number).name


class SignalWatch:
    """Take SIGTERM, SIGINT, SIGUSR1 and SIGHUP for as long as the ``with`` block runs.

    A signal raises `Interrupted` where it arrives, unless signals are deferred: then it is kept in
    ``received`` for whoever asks at the end of a step. A second SIGINT ends the process at once,
    whatever it is at. So does the first signal where the main thread does not take it in time,
    since it waits for processes that do not come. Processes that this one forks (those that
    collate batches) leave all that to it. Signals that were ignored stay so, as ``nohup`` and the
    shell's ``&`` rely on.

    Args:
        patience: seconds for the main thread to take a signal; None: ``PATIENCE``, or
            ``PATIENCE_IN_STEP`` while signals are deferred.

    Attributes:
        received: number of the signal that came first; 0 for none.
        before_end: called with a signal's number before the process is ended at once.
    """

    def __init__(self, *, patience: float | None = None) -> None:
        self.received = 0
        self.before_end: Callable[[int], None] = lambda number: None
        self._patience = patience
        self._deferring = False
        self._process = os.getpid()
        self._before: dict[signal.Signals, Any] = {}
        self._hearing: Hearing | None = None
        self._terminals: list[int] = []

    def __enter__(self) -> Self:
        self._terminals = [number for number in _OUTPUTS if os.isatty(number)]
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
            self._hearing = Hearing(
                self._before,
                patience=self._seconds,
                is_taken=lambda: self.received > 0,
                end=self._end,
            ).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._hearing is not None:
            self._hearing.__exit__()
            self._hearing = None
        while self._before:
            signal.signal(*self._before.popitem())

    def defer(self, wanted: bool) -> None:
        """Keep signals in ``received`` from here on, or raise again where they arrive."""
        self._deferring = wanted

    def _seconds(self) -> float:
        if self._patience is not None:
            return self._patience
        return PATIENCE_IN_STEP if self._deferring else PATIENCE

    def _end(self, number: int) -> None:
        with suppress(Exception):  # whatever it is, the process is to end
            self.before_end(number)
        first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        end_at_once(number, told=first, seconds=self._seconds())

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:
            return
        self.received = self.received or number
        for output in self._terminals:
            if not os.isatty(output):  # hung up: a bar's next character would end the run unsaved
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, output)
                os.close(nothing)
        if number == signal.SIGINT:
            # By the system: this process may be waiting where no Python runs.
            signal.signal(number, signal.SIG_DFL)
        if not self._deferring:
            raise Interrupted(number)
