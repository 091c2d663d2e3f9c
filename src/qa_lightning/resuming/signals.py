"""Signals that end a run: what it is at can be finished, and saved, before it stops."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
]


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
    """Take SIGTERM, SIGINT and SIGUSR1 for as long as the ``with`` block runs.

    A signal raises `Interrupted` where it arrives, unless signals are deferred: then it is kept in
    ``received`` for whoever asks at the end of a step. A second SIGINT ends the process at once,
    whatever it is at. Processes that this one forks (those that collate batches) leave all that to
    it. Signals that were ignored stay so, as ``nohup`` and the shell's ``&`` rely on.

    Attributes:
        received: number of the signal that came first; 0 for none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._deferring = False
        self._process = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def defer(self, wanted: bool) -> None:
        """Keep signals in ``received`` from here on, or raise again where they arrive."""
        self._deferring = wanted

    def _handle(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:
            return
        self.received = self.received or number
        if number == signal.SIGINT:
            # By the system: this process may be waiting where no Python runs.
            signal.signal(number, signal.SIG_DFL)
        if not self._deferring:
            raise Interrupted(number)
