"""Which tokens of a batch words begin and end with.

Axes: ``b`` windows in the batch, ``l`` tokens, ``n`` all context tokens, one behind the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BORDERS: Final = "context_borders"
_BITS: Final = {"word_start_mask": 1, "word_end_mask": 2}


def border_masks(
    rows: Sequence[Mapping[str, Any]], context_bl: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """Return the masks of a batch whose rows have borders."""
    borders_n = np.concatenate([np.asarray(row[BORDERS]) for row in rows])
    masks = {name: np.zeros_like(context_bl) for name in _BITS}
    for name, bit in _BITS.items():
        masks[name][context_bl] = borders_n & bit
    return masks


def word_masks(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return where answers may begin and end that are to be whole words: [b, l] each."""
    start_bl, end_bl = (batch[name] for name in _BITS)
    return start_bl, end_bl
