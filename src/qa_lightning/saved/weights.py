"""What is wrong with a network's tensors before they are put into it."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

_MADE_ANEW = ("position_ids", "token_type_ids")
"""Buffers that some releases of transformers store, and others make."""


def weight_problems(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor] | None = None
) -> Iterator[str]:
    """Yield a clause for each kind of fault: missing, foreign, misshapen or not finite.

    Args:
        found: name to tensor, as they were read.
        expected: name to a tensor of the right shape, on any device; None: the shapes are right.
    """
    if expected is not None:
        wanted = {name for name in expected if not name.endswith(_MADE_ANEW)}
        known = {name for name in found if not name.endswith(_MADE_ANEW)}
        yield from _clause(sorted(wanted - known), "missing")
        yield from _clause(sorted(known - wanted), "of no part of the network")
        shared = sorted(wanted & known)
        odd = [
            name
            for name in shared
            if not isinstance(found[name], Tensor) or found[name].shape != expected[name].shape
        ]
        yield from _clause(odd, "of another shape than the network's")
    tensors = {name: each for name, each in found.items() if isinstance(each, Tensor)}
    bad = [name for name, each in tensors.items() if not _is_finite(each)]
    yield from _clause(bad, "not finite (NaN or infinite)")


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _clause(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{', '.join(names[:3])}{more} {'is' if len(names) == 1 else 'are'} {what}"
