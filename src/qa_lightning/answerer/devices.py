"""Where answers are computed, in which numbers, and how much of them at a time."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qa_lightning.backbones import FLOAT32_ALONE
from qa_lightning.errors import InputError
from qa_lightning.processors import multiplies_bfloat16
from qa_lightning.ranges import Rule, one_of

log = logging.getLogger(__name__)

PRECISIONS = ("float32", "bf16", "auto")
_NO_INT8 = (
    "to be float32, bf16 or auto, and not int8: where processors multiply no bfloat16 it reads a "
    "window of 384 tokens less than 1.5 times as fast as float32, and elsewhere bf16 is as fast, "
    "with a sixth of its error (`benchmarks/precision.py`); `export --format onnx --quantize int8` "
    "writes one for onnxruntime"
)
_KNOWN = one_of(PRECISIONS)
PRECISION_RULE = Rule(
    lambda value: _NO_INT8 if value == "int8" else str(_KNOWN.expected),
    "auto is bf16 where the device multiplies it, else float32.",
    _KNOWN.holds,
)


def best_device() -> str:
    """Return the fastest device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device that is here.

    Raises:
        InputError: it is not.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not on `meta`, which holds no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no one type
        raise InputError(
            f"Expected `device` to be one that is here, such as {best_device()!r}; got "
            f"{str(name)!r}: {str(error).splitlines()[0]}"
        ) from error
    return device


def reads_in_bfloat16(
    precision: str,
    device: torch.device,
    *,
    model_type: str,
    dtype: torch.dtype = torch.float32,
) -> bool:
    """Return whether a precision means bfloat16 for a network on a device.

    Args:
        precision: one of ``PRECISIONS``.
        device: where windows are read.
        model_type: as transformers calls the network's family.
        dtype: of the network's weights; halves of another kind are left as they are.

    Raises:
        InputError: it means that, and the family or the weights cannot.
    """
    if model_type in FLOAT32_ALONE and precision == "bf16":
        raise InputError(
            f"Expected `precision` to be float32 with a network of type {model_type!r}, which "
            f"transformers computes in nothing else; got {precision!r}. Take float32, or auto."
        )
    if dtype == torch.float16 and precision == "bf16":
        raise InputError(
            f"Expected `precision` to be float32 or auto with weights in {dtype}, which are "
            f"multiplied as they are; got {precision!r}. Or leave out `dtype`."
        )
    can = model_type not in FLOAT32_ALONE and dtype != torch.float16
    fast = can and multiplies_bfloat16(device)
    if precision == "bf16" and not fast:
        log.warning("%s does not multiply bfloat16: `precision` float32 is faster here", device)
    return precision == "bf16" or (precision == "auto" and fast)


@dataclass(frozen=True)
class Portions:
    """Say how windows are put together to batches that a device reads fast.

    Attributes:
        tokens: that a batch has at most, padding included; a longer window goes alone. More are
            slower on a CPU, whose caches hold no more; a GPU needs as many to be busy.
        padding: that a window may have at most, in tokens. A batch of its own costs a CPU as much
            as computing so many (`benchmarks/answering.py`).
    """

    tokens: int
    padding: int

    @classmethod
    def for_device(cls, device: torch.device, *, tokens: int | None = None) -> "Portions":
        """Return what is fast on a device, with another number of tokens if it is given."""
        known = _ON_CPU if device.type == "cpu" else _ELSEWHERE
        return known if tokens is None else replace(known, tokens=tokens)

    def of(self, length_w: NDArray[np.int64]) -> Iterator[list[int]]:
        """Yield windows by falling length: memory runs out at once or never.

        >>> list(Portions(tokens=20, padding=2).of(np.array([3, 9, 10, 10, 5])))
        [[2, 3], [1], [4, 0]]
        """
        order_w = np.argsort(-length_w, kind="stable")
        falling_w = length_w[order_w]
        start = 0
        while start < len(order_w):
            longest = int(falling_w[start])
            most = start + max(1, self.tokens // longest)
            alike = int(np.searchsorted(-falling_w, self.padding - longest, side="right"))
            end = min(most, alike)
            yield order_w[start:end].tolist()
            start = end


_ON_CPU = Portions(tokens=1_024, padding=16)
_ELSEWHERE = Portions(tokens=16_384, padding=16_384)
