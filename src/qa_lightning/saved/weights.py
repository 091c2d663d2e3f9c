"""What is wrong with a network's tensors before they are put into it."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

_MADE_ANEW = ("position_ids", "token_type_ids")
"""Buffers that some releases of transformers store, and others make."""

_FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def weight_problems(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor] | None = None
) -> Iterator[str]:
    """Yield a clause for each kind of fault: no plain tensor, missing, misshapen, not finite, ….

    Args:
        found: name to tensor, as they were read.
        expected: name to a tensor of the right shape, on any device; None: the shapes are right.
    """
    tensors = {name: each for name, each in found.items() if is_plain(each)}
    yield from _clause([name for name in found if name not in tensors], "no plain, dense tensor")
    if expected is not None:
        wanted = {name for name in expected if not name.endswith(_MADE_ANEW)}
        known = {name for name in found if not name.endswith(_MADE_ANEW)}
        yield from _clause(sorted(wanted - known), "missing")
        yield from _clause(sorted(known - wanted), "of no part of the network")
        shared = sorted(wanted & tensors.keys())
        odd = [name for name in shared if tensors[name].shape != expected[name].shape]
        yield from _clause(odd, "of another shape than the network's")
        odd = [name for name in shared if _kind(tensors[name]) != _kind(expected[name])]
        yield from _clause(odd, "of another kind of number than the network's")
    bad = [name for name, each in tensors.items() if not _is_finite(each)]
    yield from _clause(bad, "not finite (NaN or infinite)")


def is_plain(value: object) -> bool:
    """Return whether a value is a tensor that holds as many real numbers as it has places.

    Torch reads others too: sparse, quantized, of no device, or one number stretched to terabytes.
    """
    if type(value) not in (Tensor, nn.Parameter):
        return False
    assert isinstance(value, Tensor)
    return (
        value.layout is torch.strided
        and not value.is_meta
        and value.dtype in (*_FLOATING, *_WHOLE, torch.bool)
        and value.nbytes <= value.untyped_storage().nbytes()
    )


def _kind(tensor: Tensor) -> str:
    if tensor.dtype in _FLOATING:
        return "floating"
    return "whole" if tensor.dtype in _WHOLE else str(tensor.dtype)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _clause(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{', '.join(names[:3])}{more} {'is' if len(names) == 1 else 'are'} {what}"
