"""How sure a mean is."""

import numpy as np
import numpy.typing as npt

from qa_lightning.errors import InputError

_DRAWS_AT_ONCE = 2_000_000


def bootstrap_interval(
    values_e: npt.ArrayLike,
    *,
    weights_e: npt.ArrayLike | None = None,
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
