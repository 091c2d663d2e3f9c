"""Bounds of sizes that a graph which is kept cannot look up in a batch, such as an exported one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from torch import Tensor


class Bounds(NamedTuple):
    """Hold the largest sizes that a kept graph will meet.

    Attributes:
        length: tokens of a row, padding included.
        global_tokens: tokens of a row that attend globally.
    """

    length: int
    global_tokens: int


_BOUNDS: ContextVar[Bounds | None] = ContextVar("graph_bounds", default=None)


@contextmanager
def for_a_graph(*, length: int, global_tokens: int) -> Iterator[None]:
    """Attend by operations of any number of rows and tokens, within bounds, as exporters want it.

    Without it a graph holds a column for every token, for each might be global.
    """
    token = _BOUNDS.set(Bounds(length, global_tokens))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


def graph_bounds() -> Bounds | None:
    """Return the bounds of the graph that is being made; None: none is, or it has no bounds."""
    return _BOUNDS.get()


def places_of(global_bl: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the places of each row's global tokens, 0 beyond them, and which are such: [b, g].

    By sums alone: exporters have no stable sort, and a row may be shorter than ``count``.
    """
    ranks_bl = global_bl.long().cumsum(dim=1)
    number_g1 = ranks_bl.new_ones(count).cumsum(dim=0)[:, None]
    is_there_bgl = (ranks_bl[:, None, :] == number_g1) & global_bl[:, None, :]
    place_l = ranks_bl.new_ones(global_bl.shape[1]).cumsum(dim=0) - 1
    return (is_there_bgl * place_l).sum(dim=2), is_there_bgl.any(dim=2)


def put_back(states_ble: Tensor, global_bl: Tensor, global_bge: Tensor) -> Tensor:
    """Put the rows of global tokens in their places, by their ranks."""
    rank_bl = (global_bl.long().cumsum(dim=1) - 1).clamp(0, global_bge.shape[1] - 1)
    rank_ble = rank_bl[..., None].expand(-1, -1, global_bge.shape[2])
    return global_bge.gather(1, rank_ble).where(global_bl[..., None], states_ble)
