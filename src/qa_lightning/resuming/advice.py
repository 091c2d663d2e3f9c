"""What to say of going on after a signal or a failure."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Trainer

from qa_lightning.resuming.signals import Interrupted
from qa_lightning.saved import LAST


def way_back(trainer: Trainer) -> str:
    """Return a sentence, with a blank before it; "" where no checkpoint was written yet."""
    folders = [getattr(each, "dirpath", None) for each in trainer.checkpoint_callbacks]
    if any((Path(folder) / LAST).is_file() for folder in folders if folder):
        return " `--ckpt_path last` goes on from the last checkpoint."
    return ""


def how_to_go_on(stop: Interrupted, arguments: Sequence[str]) -> str:
    """Return what was stopped by a signal, what there is of it, and the command that goes on.

    >>> how_to_go_on(Interrupted(15, checkpoint="run/last.ckpt", step=7), ["fit", "--config", "c"])
    'stopped by SIGTERM after step 7; saved as run/last.ckpt. Go on with: lightning fit --config c \
--ckpt_path last'
    """
    words = list(arguments)
    if stop.checkpoint is None:
        return f"stopped by {stop.name}. Run it again with: lightning {shlex.join(words)}"
    for place in reversed([n for n, word in enumerate(words) if word == "--ckpt_path"]):
        del words[place : place + 2]
    words = [word for word in words if not word.startswith("--ckpt_path=")]
    command = shlex.join([*words, "--ckpt_path", "last"])
    return (
        f"stopped by {stop.name} after step {stop.step:,}; saved as {stop.checkpoint}. "
        f"Go on with: lightning {command}"
    )
