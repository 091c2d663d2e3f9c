"""Callbacks that signal or kill the process they run in, at a chosen moment of a run."""

import os
import signal
from typing import Any

from lightning.pytorch import Callback


class SignalAt(Callback):
    """Send this process a signal in a hook of the trainer, the ``count``-th time it is called.

    Args:
        hook: name of the hook, as ``on_train_batch_start``.
        count: from 1; those of the sanity check do not count.
        name: of the signal.
        rank: of the process that is signalled.
    """

    def __init__(self, hook: str, count: int, name: str, rank: int = 0) -> None:
        self.hook, self.count, self.number = hook, count, getattr(signal, name)
        self.rank = rank

    def _called(self, hook: str, trainer: Any) -> None:
        if hook != self.hook or trainer.sanity_checking or trainer.global_rank != self.rank:
            return
        self.count -= 1
        if not self.count:
            os.kill(os.getpid(), self.number)

    def setup(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("setup", trainer)

    def on_train_batch_start(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_train_batch_start", trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_train_batch_end", trainer)

    def on_before_optimizer_step(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_before_optimizer_step", trainer)

    def on_validation_batch_start(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_validation_batch_start", trainer)

    def on_validation_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_validation_end", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_train_epoch_end", trainer)

    def on_train_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_train_end", trainer)

    def on_predict_batch_start(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._called("on_predict_batch_start", trainer)
