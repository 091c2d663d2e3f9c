"""How sure a mean is."""

from collections.abc import Hashable, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from qa_lightning.errors import InputError

_DRAWS_AT_ONCE = 2_000_000


def bootstrap_interval(
    values_e: npt.ArrayLike,
    *,
    weights_e: npt.ArrayLike | None = None,
    groups_e: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron, 1979), in the values' unit.

    Examples are drawn, not what they consist of: the windows of one question are much alike, and
    drawn singly they would promise too much (the cluster bootstrap of Davison and Hinkley, 1997,
    section 3.8).

    Args:
        values_e: one value an example.
        weights_e: how much each example counts, as the number of its windows; default: all alike.
        groups_e: each example's context. Questions on one context succeed and fail together, so
            that contexts are drawn too, and the wider of both intervals is returned: few contexts
            promise too much, as single questions on many do. Not with weights.
        confidence: share of the resampled means inside the interval, 0 to 1.
        resamples: data sets drawn, with replacement.
        seed: of the draws: the same values give the same interval everywhere.

    Raises:
        InputError: there are no values.

    >>> bootstrap_interval([100.0, 100.0, 100.0])
    (100.0, 100.0)
    """
    values = np.asarray(values_e, dtype=np.float64)
    if values.size == 0:
        raise InputError("Expected at least one value for a bootstrap interval; got none.")
    if groups_e is not None:
        settings: _Settings = {"confidence": confidence, "resamples": resamples, "seed": seed}
        return _wider(values, groups_e, settings)
    weights = None if weights_e is None else np.asarray(weights_e, dtype=np.float64)
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // values.size)
    means = []
    for done in range(0, resamples, at_once):
        size = (min(at_once, resamples - done), values.size)
        drawn_re = generator.integers(values.size, size=size, dtype=np.int32)
        if weights is None:
            means.append(values[drawn_re].mean(1))
        else:
            means.append((values * weights)[drawn_re].sum(1) / weights[drawn_re].sum(1))
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return float(low), float(high)


class _Settings(TypedDict):
    confidence: float
    resamples: int
    seed: int


def _wider(
    values_e: npt.NDArray[np.float64], groups_e: Sequence[Hashable], settings: _Settings
) -> tuple[float, float]:
    """Return the wider of the intervals that draw examples, and groups of them."""
    by_example = bootstrap_interval(values_e, **settings)
    numbers = {group: place for place, group in enumerate(dict.fromkeys(groups_e))}
    if len(numbers) == len(values_e):
        return by_example
    group_e = np.array([numbers[group] for group in groups_e], dtype=np.int64)
    sizes_g = np.bincount(group_e)
    means_g = np.bincount(group_e, weights=values_e) / sizes_g
    by_group = bootstrap_interval(means_g, weights_e=sizes_g, **settings)
    return min(by_example[0], by_group[0]), max(by_example[1], by_group[1])
