"""A worker that ends as one does whose machine is lost: at once, its answers not handed over."""

import os
import signal
from pathlib import Path
from typing import Any

from qa_lightning import AnswerQuestions


class KilledOnce(AnswerQuestions):
    """Answer, and on the first batch that holds a question, die in place of returning.

    Args:
        checkpoint: as for the class that is tested.
        victim: the question's id.
        told: a folder with a file of each process that answered, and of the dead one.
    """

    def __init__(self, checkpoint: str, *, victim: str, told: str) -> None:
        super().__init__(checkpoint, n_best=2)
        self._victim, self._told = victim, Path(told)

    def __call__(self, batch: Any) -> Any:
        answered = super().__call__(batch)
        (self._told / str(os.getpid())).touch()
        if self._victim in batch["id"] and not (self._told / "dead").exists():
            (self._told / "dead").write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        return answered
