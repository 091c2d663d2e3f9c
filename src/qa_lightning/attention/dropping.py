"""Dropout whose random numbers cost little on the CPU and need not be kept."""

import torch
from torch import Tensor

# One draw of the generator decides on four probabilities, sixteen bits each. `bernoulli_` takes
# ten times as long, more than the matrix products of attention.
LEVELS = 2**16


class Dropper:
    """Draw the same masks again and again from one seed of torch's own generator."""

    def __init__(self, dropout: float) -> None:
        self.threshold = round(dropout * LEVELS)
        self.seed = int(torch.randint(2**62, ())) if self.threshold else 0
        self.generator = torch.Generator()

    @property
    def scale(self) -> float:
        """Return what the kept probabilities are multiplied by."""
        return 0.0 if self.threshold == LEVELS else LEVELS / (LEVELS - self.threshold)

    def restart(self) -> None:
        """Draw from the first mask on."""
        self.generator.manual_seed(self.seed)

    def keep(self, like: Tensor) -> Tensor:
        """Return ones where a value is kept, zeros where it is dropped."""
        count = like.numel()
        draws = torch.empty(-(-count // 4), dtype=torch.int64)
        draws.random_(-(2**63), None, generator=self.generator)
        bits = draws.view(torch.int16)[:count].view(like.shape)
        return torch.ge(bits, self.threshold - LEVELS // 2, out=torch.empty_like(like))


def drop(probs: Tensor, dropout: float) -> Tensor:
    """Drop and rescale probabilities, as ``torch.nn.functional.dropout`` does in training."""
    if dropout == 0.0:
        return probs
    if probs.device.type != "cpu" or torch.compiler.is_compiling():
        return torch.nn.functional.dropout(probs, dropout)
    dropper = Dropper(dropout)
    dropper.restart()
    return probs * dropper.keep(probs.detach()).mul_(dropper.scale)
