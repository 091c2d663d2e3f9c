"""Signals that arrive while the main thread is in no Python: there its handlers do not run."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Self

_open: set[int] = set()
"""The ends of lines that Python writes to in this process."""


class Hearing:
    """Hear of signals at once, in another thread, whatever the main thread waits for.

    A rendezvous, a collective or a read may not return for many minutes. The system's handler,
    which Python installs, writes each signal's number to a line; who reads it there can wait for
    the main thread, but need not for ever.

    Args:
        numbers: of the signals.
        patience: returns how many seconds the main thread has to take a signal.
        is_taken: says whether it did.
        end: called with a signal's number if it did not, or with that of a second SIGINT; it does
            not return.
    """

    def __init__(
        self,
        numbers: Collection[int],
        *,
        patience: Callable[[], float],
        is_taken: Callable[[], bool],
        end: Callable[[int], None],
    ) -> None:
        self._numbers = numbers
        self._patience, self._is_taken, self._end = patience, is_taken, end

    def __enter__(self) -> Self:
        self._heard, self._written = socket.socketpair()
        self._written.setblocking(False)
        _open.add(self._written.fileno())
        self._before = signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._hear, daemon=True, name="signals")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._before)
        _open.discard(self._written.fileno())
        self._written.close()
        self._thread.join()
        self._heard.close()

    def _hear(self) -> None:
        first, until = 0, 0.0
        while True:
            waiting = bool(first) and not self._is_taken()
            self._heard.settimeout(max(0.0, until - time.monotonic()) + 0.01 if waiting else None)
            try:
                said = self._heard.recv(1)
            except TimeoutError:
                if not self._is_taken():
                    self._end(first)
                continue
            if not said:
                return
            number = said[0]
            if number not in self._numbers:
                continue
            if waiting and number == signal.SIGINT == first:
                self._end(number)
            if not first:
                first, until = number, time.monotonic() + self._patience()


def end_at_once(number: int, *, told: bool, seconds: float) -> None:
    """End the process by a signal that its main thread does not come to take.

    Args:
        number: the signal's.
        told: say so; another process of the run says it otherwise.
        seconds: for which it was waited for.
    """
    if told:
        sys.stderr.write(
            f"stopped by {signal.Signals(number).name}: it was waiting for other processes, or at "
            f"something that does not end, and was not back after {seconds:.0f} s. What was saved "
            "before is whole.\n"
        )
        sys.stderr.flush()
    os._exit(128 + number)


def _be_deaf() -> None:
    """Part a forked process from its parent's line: it would tell it signals of its own."""
    before = signal.set_wakeup_fd(-1)
    if before != -1 and before not in _open:
        signal.set_wakeup_fd(before)


os.register_at_fork(after_in_child=_be_deaf)
