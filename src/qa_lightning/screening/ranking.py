"""Windows in the order in which they are worth reading, by what words of the question they hold.

Axes: ``q`` words of the question, ``w`` windows.
"""

import numpy as np
from numpy.typing import NDArray

_SATURATION = 1.5  # k1 of BM25: how much a word's second occurrence adds
_LENGTHS = 0.75  # b of BM25: how much is taken from long windows


def bm25(count_qw: NDArray[np.int64], length_w: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how well windows fit a question: BM25, as Lucene computes it.

    (Robertson and Zaragoza, 2009, "The Probabilistic Relevance Framework: BM25 and Beyond"; the
    variants: Kamphuis et al., 2020, "Which BM25 Do You Mean?")

    Args:
        count_qw: how often each word stands in each window.
        length_w: words of each window.

    >>> bm25(np.array([[1, 0]]), np.array([3, 3])).round(3).tolist()
    [0.277, 0.0]
    """
    windows = count_qw.shape[1]
    holding_q = (count_qw > 0).sum(axis=1)
    rarity_q = np.log1p((windows - holding_q + 0.5) / (holding_q + 0.5))
    mean = max(float(length_w.mean()), 1.0) if windows else 1.0
    penalty_w = _SATURATION * (1 - _LENGTHS + _LENGTHS * length_w / mean)
    scores_w: NDArray[np.float64] = rarity_q @ (count_qw / (count_qw + penalty_w))
    return scores_w


def best(score_w: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Mark the best windows; of equal ones those that come first.

    >>> best(np.array([0.0, 2.0, 1.0, 1.0]), 2).tolist()
    [False, True, True, False]
    """
    chosen_w = np.zeros(len(score_w), np.bool_)
    chosen_w[np.argsort(-score_w, kind="stable")[:count]] = True
    return chosen_w
