"""The exact search in numpy, for logits on the CPU: a third of the time that torch takes there.

Axes as in :mod:`qa_lightning.candidates.search`; besides ``s`` the chosen starts of all windows and
``x`` the spans that are ranked, of all windows, both ordered by window, start and end.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[Any]  # of booleans, or numbers of which 0 is unset

_IMPOSSIBLE = np.float32(-np.inf)
_LEAST = np.finfo(np.float32).min
_KEY_BITS = 31  # what a score leaves of an int64


def band_spans(
    start_bl: Floats, end_bl: Floats, masks: tuple[Mask, Mask], n_best: int, n_lengths: int
) -> tuple[Ints, Ints, Floats]:
    """Return first token, last token and score of the best spans, best first.

    See :func:`qa_lightning.candidates.best_spans`; where a window has fewer spans than ``n_best``,
    tokens 0 with a score of ``-inf`` fill up.

    A lower bound on the score of a window's n-th best start leaves few more than ``n`` starts, and
    of their spans a few times ``n``; only these are put in order.

    Args:
        start_bl: free of NaN and ``inf``.
        end_bl: free of NaN and ``inf``.
        masks: set where an answer may begin, and where it may end: [b, l] each.
        n_best: spans to return of each window.
        n_lengths: the longest answer, in tokens, no longer than the window.
    """
    rows, n_tokens = start_bl.shape
    most_start_bl = _most(masks[0])
    most_end_bl = most_start_bl if masks[1] is masks[0] else _most(masks[1])
    ends_bm = np.empty((rows, n_tokens + n_lengths - 1), np.float32)
    np.minimum(end_bl, most_end_bl, out=ends_bm[:, :n_tokens])
    ends_bm[:, n_tokens:] = _IMPOSSIBLE
    # All rows in one: what lies between them is impossible, and one long loop is faster.
    best_end_m = _sliding_maximum(ends_bm.ravel(), n_lengths)
    best_bl = start_bl + _strided(best_end_m, (rows, n_tokens), (4 * ends_bm.shape[1], 4))
    np.minimum(best_bl, most_start_bl, out=best_bl)
    least_b = np.maximum(_at_most_nth_largest(best_bl, n_best), _LEAST)
    place_s = np.flatnonzero(best_bl >= least_b[:, None])
    if len(place_s) > 2 * rows * n_best:  # equal scores, of an untrained network for one
        place_s = first_largest(best_bl, n_best)
        place_s = place_s[best_bl.ravel()[place_s] > _IMPOSSIBLE]
    row_s = place_s // n_tokens
    # Each end and those after it, all rows in one.
    ends_md = _strided(ends_bm, (ends_bm.size - n_lengths + 1, n_lengths), (4, 4))
    scores_sd = ends_md[place_s + row_s * (n_lengths - 1)]
    scores_sd += start_bl.ravel()[place_s][:, None]
    place_x = np.flatnonzero(scores_sd >= least_b[row_s][:, None])
    start_x = place_x // n_lengths
    if not len(place_x):
        return (*np.zeros((2, rows, n_best), np.int64), np.full((rows, n_best), _IMPOSSIBLE))
    score_x = scores_sd.ravel()[place_x]
    which_bn, found_bn = _best_of_rows(score_x, row_s[start_x], rows, n_best)
    start_bn = start_x[which_bn]
    first_bn = (place_s - row_s * n_tokens)[start_bn]
    last_bn = first_bn + place_x[which_bn] - start_bn * n_lengths
    score_bn = score_x[which_bn]
    if not found_bn.all():
        first_bn, last_bn = first_bn * found_bn, last_bn * found_bn
        score_bn[~found_bn] = _IMPOSSIBLE
    return first_bn, last_bn, score_bn


def _most(mask_bl: Mask) -> Floats:
    """Return what is left of any score: all of it where the mask is set, else ``-inf``.

    To choose the least of two takes a tenth of the time of ``np.copyto`` where words end here and
    there.
    """
    most_bl: Floats = mask_bl.astype(np.bool_, copy=False).astype(np.float32)
    most_bl -= np.float32(0.5)
    most_bl *= np.float32(np.inf)
    return most_bl


def _at_most_nth_largest(values_bm: Floats, n: int) -> Floats:
    """Return the n-th largest of each row or a little less, ``-inf`` where there are fewer.

    It is exactly that of the maxima of groups of columns, which halving the columns makes.
    """
    while values_bm.shape[1] >= 8 * n:
        half = values_bm.shape[1] // 2
        values_bm = np.maximum(values_bm[:, :half], values_bm[:, half : 2 * half])
    place = values_bm.shape[1] - n
    if place < 0:
        return np.full(len(values_bm), _IMPOSSIBLE)
    nth_b: Floats = np.partition(values_bm, place, axis=1)[:, place]
    return nth_b


def _best_of_rows(
    score_x: Floats, row_x: Ints, rows: int, n: int
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return which spans are the best n of each row, best first, and where there are so many."""
    bounds = np.searchsorted(row_x, np.arange(rows + 1))[:, None]
    place_bn = bounds[:-1] + np.arange(n)
    order_x = best_first(score_x, row_x, rows)
    return order_x.take(place_bn, mode="clip"), place_bn < bounds[1:]


def best_first(score_x: Floats, row_x: Ints, rows: int) -> Ints:
    """Return the order by row, then score, the best first; of equal ones as they stand.

    To sort one number of row, score and place takes a fourth of the time of a stable sort.
    """
    bits = len(score_x).bit_length()
    if rows.bit_length() + bits > _KEY_BITS:
        return np.lexsort((-score_x, row_x))
    rising_x = (score_x + np.float32(0)).view(np.int32)  # -0 becomes 0
    rising_x ^= (rising_x >> 31) & np.int32(0x7FFFFFFF)
    key_x = row_x << 32
    key_x -= rising_x
    key_x <<= bits
    key_x += np.arange(len(key_x))
    key_x.sort()
    key_x &= (1 << bits) - 1
    return key_x


def _strided(values_n: Floats, shape: tuple[int, int], strides: tuple[int, int]) -> Floats:
    """Look at values by other strides; numpy's ``as_strided`` takes 20 us to say the same."""
    return np.ndarray(shape, np.float32, values_n, strides=strides)


def masked(values_bm: Floats, where_bm: Mask) -> Floats:
    """Return a copy with ``-inf`` where the mask of booleans is set."""
    values_bm = values_bm.copy()
    np.copyto(values_bm, _IMPOSSIBLE, where=where_bm)  # a fourth of the time of `np.where`
    return values_bm


def first_largest(values_bm: Floats, count: int) -> Ints:
    """Return the flat places of each row's largest values, ascending; of equal ones the first."""
    columns = values_bm.shape[1]
    count = min(count, columns)
    least_b1 = np.partition(values_bm, columns - count, axis=1)[:, columns - count, None]
    above_bm, equal_bm = values_bm > least_b1, values_bm == least_b1
    wanted_b1 = count - above_bm.sum(axis=1, keepdims=True)
    return np.flatnonzero(above_bm | (equal_bm & (equal_bm.cumsum(axis=1) <= wanted_b1)))


def _sliding_maximum(values_n: Floats, width: int) -> Floats:
    """Return the maximum of each ``width`` neighbours, doubling the reach at each step."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        values_n = np.maximum(values_n[:-step], values_n[step:])
        reach += step
    return values_n
