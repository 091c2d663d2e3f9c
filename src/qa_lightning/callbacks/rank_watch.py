"""What happens to one process ends the run on all of them, with one message."""

import logging
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import distributed

from qa_lightning.callbacks.lifeline import LOST, Failure, Lifeline
from qa_lightning.errors import InputError
from qa_lightning.resuming import way_back
from qa_lightning.shortage import is_shortage, shortage

log = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds for a process to close its loggers after a failure; a collective may never return."""
_NEWS = 5.0
_PARTED = re.compile(
    r"gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe|timed out|socket",
    re.IGNORECASE,
)
_NO_FAILURES = (SystemExit, KeyboardInterrupt, GeneratorExit, SIGTERMException)


class RankWatch(Callback):
    """End the run on every process when one of them fails or dies, with one message.

    The message names the rank and the cause; rank 0 writes it, or, where that is lost, the first
    one left. Without it each of the others tells that a connection was closed, and with NCCL they
    wait for many minutes. With a single process it does nothing.
    """

    def __init__(self) -> None:
        self._line: Lifeline | None = None
        self._told = False
        self._advice: Callable[[], str] = str

    def attach(self, trainer: Trainer) -> Self:
        """Watch from the moment in which the processes have met, before data is prepared."""
        # Lightning has no hook between the two.
        meet = partial(self._meet, trainer)
        setattr(trainer.strategy, "setup_environment", meet)  # noqa: B010
        return self

    def _meet(self, trainer: Trainer) -> None:
        type(trainer.strategy).setup_environment(trainer.strategy)
        self._begin(trainer)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Watch from here on, in a run that was not attached to."""
        self._begin(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Part from the others after a run that went well."""
        self._leave()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Tell the others, unless they were first."""
        if isinstance(exception, _NO_FAILURES):
            self._leave()
        else:
            self._tell(exception)

    def conclude(self, error: BaseException) -> None:
        """End this process after an exception, if the run's message was, or is now, written.

        Raises:
            SystemExit: with the status of the failure that was the first.
        """
        line = self._line
        if line is None or isinstance(error, _NO_FAILURES):
            return
        self._tell(error)
        if line.failure is None:
            return
        self._write(line.failure)
        if distributed.is_initialized() and distributed.get_backend() == "gloo":
            distributed.destroy_process_group()  # the others' collectives end as well
        line.wait_for_the_first(GRACE)
        raise SystemExit(line.failure.status) from None

    def _begin(self, trainer: Trainer) -> None:
        """Connect the processes; all of them call this at the same time."""
        if self._line is not None or not distributed.is_available():
            return
        if not distributed.is_initialized() or trainer.world_size < 2:
            return
        if trainer.state.fn == TrainerFn.FITTING:
            self._advice = partial(way_back, trainer)
        line = Lifeline(
            trainer.global_rank, trainer.world_size, found=self._found, fate=_fates(trainer)
        )
        self._line = line
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        place = line.listen(host) if trainer.is_global_zero else None
        place = trainer.strategy.broadcast(place)
        try:
            if not trainer.is_global_zero:
                assert place is not None
                line.join(place)
        except OSError as error:
            log.warning(
                "rank %d cannot reach rank 0 at %s (%s): if another process dies, this one may "
                "wait for it until its collectives time out. Open the ports between the machines.",
                line.rank,
                host,
                error,
            )

    def _tell(self, error: BaseException) -> None:
        line = self._line
        if line is None or line.failure is not None:
            return
        if _is_of_the_connection(error) and line.wait(_NEWS) is not None:
            return
        line.tell(_failure(error, line.rank), _NEWS)

    def _leave(self) -> None:
        if self._line is not None:
            self._line.leave()
            self._line = None

    def _found(self, failure: Failure) -> None:
        """Write the message, and see to it that this process ends; in the lifeline's thread."""
        line = self._line
        if line is None:
            return
        if failure.rank != line.rank:
            self._write(failure)
        line.call_later(GRACE, lambda: _end(failure.status))

    def _write(self, failure: Failure) -> None:
        """Write the message once, on the first process that is left."""
        line = self._line
        assert line is not None
        first = 1 if failure.rank == 0 and failure.text == LOST else 0
        if self._told or line.rank != first:
            return
        self._told = True
        text = failure.text.rstrip(".") + "."
        sys.stderr.write(
            f"{failure.traceback}error: rank {failure.rank} of {line.world_size}: {text}"
            f"{self._advice() if failure.status == 1 else ''}\n"
        )
        sys.stderr.flush()


def _failure(error: BaseException, rank: int) -> Failure:
    """Return what to tell of an exception."""
    if isinstance(error, InputError | MisconfigurationException):
        debug = os.environ.get("QA_LIGHTNING_DEBUG")
        return Failure(rank, 2, str(error), _trace(error) if debug else "")
    if is_shortage(error):
        return Failure(rank, 2, shortage(error), "")
    return Failure(rank, 1, f"{type(error).__name__}: {error}", _trace(error))


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-100_000:]


def _is_of_the_connection(error: BaseException) -> bool:
    """Say whether an exception is what a process meets when another one is gone."""
    if isinstance(error, distributed.DistError | ConnectionError):
        return True
    return isinstance(error, RuntimeError) and bool(_PARTED.search(str(error)))


def _fates(trainer: Trainer) -> Callable[[int], str | None]:
    """Return what says how a process of this machine ended that Lightning had started."""

    def fate(rank: int) -> str | None:
        children: list[Any] = getattr(trainer.strategy.launcher, "procs", [])
        if not 1 <= rank <= len(children) or trainer.node_rank != 0:
            return None
        try:
            status = children[rank - 1].wait(timeout=2)
        except (subprocess.TimeoutExpired, OSError):  # still ending, or another thread has waited
            return None
        return _fate(status)

    return fate


def _fate(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    memory = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{memory}"


def _end(status: int) -> None:
    """End this process at once: its main thread waits for one that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
