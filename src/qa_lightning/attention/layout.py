"""Who attends to whom, worked out once a batch and shared by all layers."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from qa_lightning.attention.graphs import graph_bounds, places_of, put_back

MaskKey = tuple[object, ...]
MaskT = TypeVar("MaskT")


class AttentionLayout:
    """Hold padding and global tokens of a batch, and the masks made from them.

    Axes: b rows of the batch, l tokens, g global tokens (the most that a row has). It is a plain
    class, neither tuple nor dataclass: wrappers such as FSDP walk into those and copy them.

    Attributes:
        padding_bl: True where a token is padding.
        global_bl: True where a token has global attention.
        global_index_bg: Places of each row's global tokens, then of arbitrary other tokens.
        global_valid_bg: True where ``global_index_bg`` points at a global token.
    """

    def __init__(self, padding_bl: Tensor, global_bl: Tensor) -> None:
        self.padding_bl = padding_bl
        self.global_bl = global_bl
        self._masks: dict[MaskKey, Any] = {}
        bounds = graph_bounds()
        if bounds is not None:
            most = bounds.global_tokens
            self.global_index_bg, self.global_valid_bg = places_of(global_bl, most)
            return
        count = most_globals(global_bl)
        # Distinct places, the global ones first: rows with fewer globals get fillers that are
        # written back unchanged, so that no index depends on the data.
        order_bl = global_bl.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices
        self.global_index_bg = order_bl[:, :count]
        self.global_valid_bg = global_bl.gather(1, self.global_index_bg)

    @classmethod
    def from_signed_mask(cls, mask_bl: Tensor) -> "AttentionLayout":
        """Read the mask of the reference's layers: negative padding, positive global."""
        return cls(mask_bl < 0, mask_bl > 0)

    @property
    def global_count(self) -> int:
        """Return the number of global columns, the same for all rows."""
        return self.global_index_bg.shape[1]

    def to(self, device: torch.device) -> "AttentionLayout":
        """Return the layout on a layer's own device (models spread over several devices)."""
        if self.padding_bl.device == device:
            return self
        return AttentionLayout(self.padding_bl.to(device), self.global_bl.to(device))

    def replace_global(self, context_ble: Tensor, global_bge: Tensor) -> Tensor:
        """Put the rows of global tokens in their places."""
        if graph_bounds() is not None:
            return put_back(context_ble, self.global_bl, global_bge)
        row_b1 = torch.arange(context_ble.shape[0], device=context_ble.device)[:, None]
        place = (row_b1, self.global_index_bg)
        rows_bge = torch.where(self.global_valid_bg[..., None], global_bge, context_ble[place])
        return context_ble.index_put(place, rows_bge)

    def mask(self, key: MaskKey, make: Callable[[], MaskT]) -> MaskT:
        """Return the mask called ``key``, made at its first use in this batch."""
        if key not in self._masks:
            self._masks[key] = make()
        made: MaskT = self._masks[key]
        return made


def most_globals(global_bl: Tensor) -> int:
    """Return the largest number of global tokens in a row: the one host sync of a batch."""
    if torch.compiler.is_exporting() or is_traced():
        # A graph that is kept knows no data: every token takes a column, masked where not global.
        return global_bl.shape[1]
    return int(global_bl.sum(dim=1).max())


def is_traced() -> bool:
    """Tell whether ``torch.jit.trace`` is recording."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def additive(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of allowed pairs into what is added to scores.

    The filler is finite: kernels differ in what they give for a row that may attend to nothing,
    NaN among it, and ``zero_padding`` clears such rows anyway.
    """
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)
