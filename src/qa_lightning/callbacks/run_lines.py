"""What is said of a run in lines: its network, the time it takes, what it leaves."""

import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import nn

from qa_lightning.bars import clock


def network_line(module: nn.Module) -> str:
    """Return how large a network is, and what of it is trained."""
    sizes = [(each.numel(), each.requires_grad) for each in module.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, is_on in sizes if is_on)
    told = f"network: {total:,} parameters"
    return told if trained == total else f"{told}, {trained:,} of them trained"


def kept_lines(folder: Path, command: str) -> Iterator[str]:
    """Yield what a training has left in its folder, and the commands that use it.

    Args:
        folder: the run's.
        command: that scores the best checkpoint: ``test``, or ``validate`` without a test split.
    """
    names = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "reports/report.html")
    there = [name for name in names if (folder / name).is_file()]
    if not there:
        return
    yield f"kept in {folder}: {', '.join(there)}"
    if there[0] == names[0]:
        place = shlex.quote(str(folder))
        yield (
            f"next: lightning {command} --config {place}/config.yaml --ckpt_path best, or "
            f"qa-lightning answer --checkpoint {place} --question … --document …"
        )


def evaluated_lines(folder: Path, stage: str) -> Iterator[str]:
    """Yield what an evaluation has left in a run's folder, and the command that goes on from it.

    Args:
        folder: the run's.
        stage: ``val`` or ``test``.
    """
    if not (folder / "answers" / stage / "scores.json").is_file():
        return
    names = (f"answers/{stage}", "reports/report.html")
    there = [name for name in names if (folder / name).exists()]
    place = shlex.quote(str(folder))
    yield f"kept in {folder}: {', '.join(there)}"
    yield f"next: qa-lightning compare {place} ANOTHER_RUN, or qa-lightning report {place}"


def time_left(seconds: float, *, done: int, total: float) -> str | None:
    """Return the time that a whole run still takes; None where it cannot be known.

    Args:
        seconds: since it began, validations included.
        done: steps since then.
        total: steps of all.

    >>> time_left(60.0, done=10, total=40), time_left(60.0, done=1, total=400)
    ('0:03:00', '6:39:00')
    >>> time_left(1.0, done=0, total=40) is None
    True
    """
    if done < 1 or not math.isfinite(total):
        return None
    return clock(seconds / done * max(0.0, total - done))


def step_line(
    *, epoch: int, step: int, total: float, figures: Mapping[str, str], left: str | None
) -> str:
    """Return how far a training is, as one line of a log file.

    Args:
        epoch: from 0.
        step: of the optimizer.
        total: steps of all; infinite where it cannot be known.
        figures: by name, as they are shown.
        left: time that the whole run still takes, if it is known.

    >>> step_line(epoch=0, step=20, total=2500, figures={"loss": "3.1"}, left="0:03:00")
    'epoch 0, step 20 of 2,500: loss 3.1, 0:03:00 left'
    >>> step_line(epoch=1, step=7, total=float("inf"), figures={}, left=None)
    'epoch 1, step 7'
    """
    of = f" of {total:,.0f}" if math.isfinite(total) else ""
    told = [f"{name} {value}" for name, value in figures.items()]
    told += [f"{left} left"] if left is not None else []
    return f"epoch {epoch}, step {step:,}{of}" + (f": {', '.join(told)}" if told else "")
