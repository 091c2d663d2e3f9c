"""From token spans of windows to character spans of their raw contexts.

Axes: ``b`` windows in the batch, ``l`` tokens, ``m`` columns of a search, ``d`` answer lengths less
one, ``k`` chosen positions, ``n`` best spans of a window, ``w`` windows of the whole data set.
"""

from collections.abc import Iterator
from typing import NamedTuple

import datasets
import numpy as np
import numpy.typing as npt

from qa_lightning.candidates.search import IMPOSSIBLE
from qa_lightning.candidates.windows import TokenCandidates

_ROWS_AT_ONCE = 1_000  # offsets read at a time: 33 MB at 4,096 tokens


class WindowCandidates(NamedTuple):
    """Hold the candidates of distinct windows in characters, ordered by ``feature_index_w``.

    Attributes:
        feature_index_w: the window's row in the features, int64.
        start_char_wn: start in the raw context, int32.
        end_char_wn: end in the raw context, exclusive, int32.
        score_wn: start plus end logit, float32, best first; ``-inf`` fills up.
        null_score_w: start plus end logit at the CLS token, float32.
        log_normalizer_w: see :class:`TokenCandidates`, float32.
    """

    feature_index_w: npt.NDArray[np.int64]
    start_char_wn: npt.NDArray[np.int32]
    end_char_wn: npt.NDArray[np.int32]
    score_wn: npt.NDArray[np.float32]
    null_score_w: npt.NDArray[np.float32]
    log_normalizer_w: npt.NDArray[np.float32]


def to_characters(tokens: TokenCandidates, features: datasets.Dataset) -> WindowCandidates:
    """Turn the token spans of windows into character spans of their raw contexts.

    A window that comes more than once (a distributed sampler fills up with replicas) is kept
    once, as it came first; the result is ordered by ``feature_index``, and where the windows
    already are, it shares their memory.

    Args:
        tokens: the candidates of windows, in any order, on any device.
        features: with the column ``context_offsets``, flat ``[start, end, start, end, …]`` of each
            window's context tokens.
    """
    arrays = [tensor.detach().cpu().numpy() for tensor in tokens]
    if not (np.diff(arrays[0]) > 0).all():
        _, kept_w = np.unique(arrays[0], return_index=True)
        arrays = [array[kept_w] for array in arrays]
    feature_index_w, start_token_wn, last_token_wn, score_wn, *of_window = arrays
    start_char_wn = np.zeros(start_token_wn.shape, dtype=np.int32)
    end_char_wn = np.zeros(start_token_wn.shape, dtype=np.int32)
    for rows, offsets, first_w in _context_offsets(features, feature_index_w):
        found = score_wn[rows] > IMPOSSIBLE
        starts = first_w[:, None] + 2 * start_token_wn[rows].astype(np.int64)
        ends = first_w[:, None] + 2 * last_token_wn[rows].astype(np.int64) + 1
        if found.all():
            start_char_wn[rows], end_char_wn[rows] = offsets[starts], offsets[ends]
        else:
            start_char_wn[rows][found] = offsets[starts[found]]
            end_char_wn[rows][found] = offsets[ends[found]]
    return WindowCandidates(feature_index_w, start_char_wn, end_char_wn, score_wn, *of_window)


def _context_offsets(
    features: datasets.Dataset, feature_index_w: npt.NDArray[np.int64]
) -> Iterator[tuple[slice, npt.NDArray[np.int32], npt.NDArray[np.int64]]]:
    """Yield the asked windows in blocks: their slice, all flat offsets, where each one's begin.

    Arrow's values are looked at where they are (a memory-mapped file, as a rule), not copied.
    """
    column = features.select_columns("context_offsets").with_format("arrow")
    for block in range(0, len(features), _ROWS_AT_ONCE):
        low, high = np.searchsorted(feature_index_w, [block, block + _ROWS_AT_ONCE])
        if low == high:
            continue
        begin = block
        for chunk in column[block : block + _ROWS_AT_ONCE]["context_offsets"].chunks:
            low, high = np.searchsorted(feature_index_w, [begin, begin + len(chunk)])
            first_w = chunk.offsets.to_numpy().astype(np.int64)[feature_index_w[low:high] - begin]
            yield slice(low, high), chunk.values.to_numpy(zero_copy_only=True), first_w
            begin += len(chunk)
