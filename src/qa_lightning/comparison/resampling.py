"""Is a difference between two runs more than chance? Draws of questions and seeds, and swaps.

Questions on one context succeed and fail together, so that contexts are drawn and swapped, never
single questions. All figures are functions of sums over contexts: a draw is a row of counts, and
its sums one matrix product.

Axes: ``r`` draws, ``s`` seeds of a setting, ``q`` questions, ``g`` groups of questions (contexts),
``k`` columns that are summed, ``v`` figures.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qa_lightning.errors import InputError

RESAMPLES: Final = 10_000
LEAST_GROUPS: Final = 6  # of five, the signs that are most unlike chance are 2 of 32: p 0.06
_LEAST_RESAMPLES: Final = 1_000
_MOST_COUNTS: Final = 40_000_000  # draws times groups: of many contexts fewer draws say as much
_AT_ONCE: Final = 4_000_000
_EXACT_GROUPS: Final = 12  # so many can be swapped in all ways
_EXACT_SEEDS: Final = 20_000
_SAME: Final = 1e-9  # sums in another order differ by less

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Values = Callable[[Floats], Floats]
"""From sums over questions (…, k) to figures (…, v)."""


class Interval(NamedTuple):
    """Hold the ends of an interval."""

    low: float
    high: float


def group_numbers(groups_q: Sequence[str]) -> Ints:
    """Return a number for each question's group, from 0."""
    names = {name: place for place, name in enumerate(dict.fromkeys(groups_q))}
    return np.array([names[group] for group in groups_q], dtype=np.int64)


def group_sums(columns_sqk: Floats, groups_q: Ints) -> Floats:
    """Return the sums over each group's questions (s, g, k)."""
    seeds, _, columns = columns_sqk.shape
    sums = np.zeros((seeds, int(groups_q.max(initial=-1)) + 1, columns))
    for seed in range(seeds):
        np.add.at(sums[seed], groups_q, columns_sqk[seed])
    return sums


def difference_intervals(
    first_sgk: Floats,
    second_sgk: Floats,
    values: Values,
    *,
    paired_seeds: bool,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Return the 95 % percentile bootstrap intervals of the first's figures less the second's.

    Groups are drawn with replacement, the same for both; so are seeds, the same for both if they
    are paired (Owen, 2007, "The pigeonhole bootstrap": it errs to the wide side).

    Args:
        first_sgk: sums of one setting.
        second_sgk: sums of the other, of the same groups.
        values: the figures of sums.
        paired_seeds: the seeds of both are the same, in the same order.
        resamples: draws, fewer of very many groups.
        seed: of the draws.
    """
    pieces = [
        _means_over_seeds(first_sgk, values, counts_rg, seeds_first)
        - _means_over_seeds(second_sgk, values, counts_rg, seeds_second)
        for counts_rg, seeds_first, seeds_second in _draws(
            first_sgk.shape,
            len(second_sgk),
            paired_seeds=paired_seeds,
            resamples=resamples,
            seed=seed,
        )
    ]
    return _intervals(np.concatenate(pieces))


def figure_intervals(sums_sgk: Floats, values: Values, *, seed: int = 0) -> list[Interval]:
    """Return the 95 % intervals of one setting's figures; see :func:`difference_intervals`."""
    draws = _draws(sums_sgk.shape, len(sums_sgk), paired_seeds=True, resamples=RESAMPLES, seed=seed)
    pieces = [_means_over_seeds(sums_sgk, values, counts, seeds) for counts, seeds, _ in draws]
    return _intervals(np.concatenate(pieces))


@lru_cache(maxsize=1)  # a comparison asks for the same ones several times; nobody writes on them
def _draws(
    shape: tuple[int, ...], other_seeds: int, *, paired_seeds: bool, resamples: int, seed: int
) -> list[tuple[Floats, Floats, Floats]]:
    """Return blocks of counts of each group (r, g), and of each seed of both (r, s)."""
    seeds, groups = shape[0], shape[1]
    resamples = min(resamples, max(_LEAST_RESAMPLES, _MOST_COUNTS // max(1, groups)))
    at_once = max(1, _AT_ONCE // max(1, groups))
    generator = np.random.default_rng(seed)
    blocks = []
    for done in range(0, resamples, at_once):
        rows: tuple[list[Ints], ...] = ([], [], [])
        for _ in range(min(at_once, resamples - done)):
            first = generator.integers(seeds, size=seeds)
            second = first if paired_seeds else generator.integers(other_seeds, size=other_seeds)
            drawn = (generator.integers(groups, size=groups), first, second)
            for row, counted, length in zip(rows, drawn, (groups, seeds, other_seeds), strict=True):
                row.append(np.bincount(counted, minlength=length).astype(np.int64))
        counts_rg, first_rs, second_rs = (np.stack(row).astype(np.float64) for row in rows)
        blocks.append((counts_rg, first_rs / seeds, second_rs / other_seeds))
    return blocks


def _means_over_seeds(
    sums_sgk: Floats, values: Values, counts_rg: Floats, weights_rs: Floats
) -> Floats:
    by_seed_srv = np.stack([values(counts_rg @ sums_gk) for sums_gk in sums_sgk])
    means: Floats = np.einsum("srv,rs->rv", by_seed_srv, weights_rs)
    return means


def _intervals(draws_rv: Floats) -> list[Interval]:
    """Return the intervals of all figures; a draw without a question of a part says nothing."""
    with np.errstate(all="ignore"):
        low_v, high_v = np.nanpercentile(draws_rv, [2.5, 97.5], axis=0)
    return [Interval(float(low), float(high)) for low, high in zip(low_v, high_v, strict=True)]


def swap_tests(gaps_gv: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> list[float]:
    """Return the two-sided p-values of a paired randomisation test for sums of differences.

    If two settings are alike, each context's answers might as well be the other's: its difference
    has either sign (Fisher, 1935; Noreen, 1989, section 2.4). p is the share of the signs that give
    a sum as far from 0. Of up to 12 groups that differ all signs are looked at, else a random
    10,000, the one at hand counted among them (Phipson and Smyth, 2010).

    Args:
        gaps_gv: one setting's sum less the other's, by group and figure.
        resamples: random signs, fewer of very many groups.
        seed: of the random signs.
    """
    generator = np.random.default_rng(seed)
    return [_swap_test(gaps_g[gaps_g != 0], generator, resamples) for gaps_g in gaps_gv.T]


def _swap_test(gaps_g: Floats, generator: np.random.Generator, resamples: int) -> float:
    count = len(gaps_g)
    observed = abs(gaps_g.sum()) - _SAME
    if count <= _EXACT_GROUPS:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((np.abs(signs @ gaps_g) >= observed).mean())
    resamples = min(resamples, max(_LEAST_RESAMPLES, _MOST_COUNTS // count))
    at_once = max(1, _AT_ONCE // count)
    as_far = 1
    for done in range(0, resamples, at_once):
        size = (min(at_once, resamples - done), count)
        signs = 1.0 - 2.0 * generator.integers(2, size=size, dtype=np.int8)
        as_far += int((np.abs(signs @ gaps_g) >= observed).sum())
    return as_far / (resamples + 1)


def seed_test(first_s: Floats, second_s: Floats, *, paired: bool) -> float | None:
    """Return the exact two-sided p-value of swapping whole runs; None: there are too few, or many.

    It asks what other seeds would have given, which no number of questions tells. With three seeds
    each it cannot fall below 0.1 (0.25 if they are paired).
    """
    if min(len(first_s), len(second_s)) < 2:
        return None
    if paired:
        return _swap_test(first_s - second_s, np.random.default_rng(0), RESAMPLES)
    together, size = np.concatenate([first_s, second_s]), len(first_s)
    places = list(combinations(range(len(together)), size))
    if len(places) > _EXACT_SEEDS:
        return None
    sums = together[np.array(places)].sum(1)
    gaps = sums / size - (together.sum() - sums) / len(second_s)
    return float((np.abs(gaps) >= abs(first_s.mean() - second_s.mean()) - _SAME).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by the rule of Holm (1979).

    >>> [round(p, 2) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    least = 0.0
    for done, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = least
    return corrected


def paired_interval(differences_sq: Floats, groups_q: Sequence[str]) -> Interval:
    """Return the 95 % bootstrap interval of a mean difference of two settings.

    Both have the same seeds and questions, so that what they share falls out. (Three seeds say
    little on how much seeds differ: the standard error over seeds stands beside it.)

    Args:
        differences_sq: one setting's score less the other's, by seed and question.
        groups_q: each question's group.

    Raises:
        InputError: there are no questions.

    >>> paired_interval(np.full((3, 4), 2.0), ["a", "a", "b", "c"])
    Interval(low=2.0, high=2.0)
    """
    if not len(groups_q):
        raise InputError("Expected at least one question to compare on; got none.")
    columns_sqk = np.stack([differences_sq, np.ones_like(differences_sq)], axis=-1)
    sums_sgk = group_sums(columns_sqk, group_numbers(groups_q))
    return figure_intervals(sums_sgk, lambda sums: sums[..., :1] / sums[..., 1:])[0]


def paired_test(differences_sq: Floats, groups_q: Sequence[str]) -> float:
    """Return p of the randomisation test of a mean difference of two settings.

    Args:
        differences_sq: one setting's score less the other's, by seed and question.
        groups_q: each question's group.

    >>> paired_test(np.full((2, 8), 3.0), list("abcdefgh")) == 2 / 2**8
    True
    """
    sums_sgk = group_sums(differences_sq[:, :, None], group_numbers(groups_q))
    return swap_tests(sums_sgk.mean(0))[0]
