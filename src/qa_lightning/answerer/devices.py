"""Where answers are computed, in which numbers, and how much of them at a time."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from qa_lightning.backbones import FLOAT32_ALONE
from qa_lightning.errors import InputError
from qa_lightning.processors import multiplies_bfloat16, multiplies_int8
from qa_lightning.ranges import one_of

log = logging.getLogger(__name__)

PRECISIONS = ("float32", "bf16", "int8", "auto")
PRECISION_RULE = one_of(PRECISIONS)


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


def numbers_multiplied(
    precision: str,
    device: torch.device,
    *,
    model_type: str,
    dtype: torch.dtype = torch.float32,
) -> torch.dtype:
    """Return the numbers that a precision means for the products of a network on a device.

    Args:
        precision: one of ``PRECISIONS``.
        device: where windows are read.
        model_type: as transformers calls the network's family.
        dtype: of the network's weights; halves of another kind are left as they are.

    Raises:
        InputError: the device, the family or the weights cannot.
    """
    if precision == "int8":
        _check_int8(device, dtype)
        return torch.int8
    if model_type in FLOAT32_ALONE and precision == "bf16":
        raise InputError(
            f"Expected `precision` not to be bf16 with a network of type {model_type!r}, which "
            "transformers computes in float32 alone. Take float32, or auto."
        )
    if dtype == torch.float16 and precision == "bf16":
        raise _mixed(precision, dtype)
    can = model_type not in FLOAT32_ALONE and dtype != torch.float16
    fast = can and multiplies_bfloat16(device)
    if precision == "bf16" and not fast:
        log.warning("%s does not multiply bfloat16: `precision` float32 is faster here", device)
    halves = precision == "bf16" or (precision == "auto" and fast)
    return torch.bfloat16 if halves else torch.float32


def _check_int8(device: torch.device, dtype: torch.dtype) -> None:
    if dtype != torch.float32:
        raise _mixed("int8", dtype)
    if not multiplies_int8(device):
        raise InputError(
            f"Expected `precision` to be float32, bf16 or auto on {device}: int8 is for processors "
            "that multiply it (AVX512-VNNI, AMX), and gains too little elsewhere for its errors. "
            "`export --format onnx --quantize int8` writes a model for onnxruntime."
        )


def _mixed(precision: str, dtype: torch.dtype) -> InputError:
    return InputError(
        f"Expected `precision` to be float32 or auto with weights in {dtype}, which are multiplied "
        f"as they are; got {precision!r}. Or leave out `dtype`."
    )


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
