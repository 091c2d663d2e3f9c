"""With what a training that goes on begins: its own settings, and whether anything is left."""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from qa_lightning.errors import InputError


def tell_if_nothing_is_left(ends: Mapping[str, tuple[int, int]], *, tells: bool) -> None:
    """Warn of a training that goes on from its end.

    Args:
        ends: by ``step`` and ``epoch``, how many are done, and how many there shall be; -1 for no
            end.
        tells: this process is the one that warns.

    Raises:
        InputError: there shall be fewer epochs than are done, which Lightning does not take.
    """
    for unit, (done, most) in ends.items():
        if unit == "epoch" and -1 < most < done:
            raise InputError(
                f"Expected `trainer.max_epochs` to be above {done:,}, the epochs that the "
                f"checkpoint has behind it; got {most:,}. Raise it to train on."
            )
    for unit, (done, most) in ends.items():
        if tells and -1 < most <= done:
            logging.getLogger(__name__).warning(
                "nothing is left to train: the checkpoint is of the end of %s %d, and "
                "`trainer.max_%ss` is %d. Raise it to train on; checkpoints stay as they are",
                *(unit, done, unit, most),
            )
            return


def settings_of(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the groups' settings but for the rate of the moment, which the schedule decides."""
    return [
        {key: value for key, value in group.items() if key not in ("params", "lr")}
        for group in optimizer.param_groups
    ]
