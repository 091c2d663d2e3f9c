"""Values for trials that depend on the trial's number, whichever process asks for them."""

from collections.abc import Sequence
from typing import Any, Final

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

_BETWEEN: Final = 7_919


class SeededByTrial(BaseSampler):
    """Sample by TPE, each trial with a seed of its own.

    The storage gives a number to one trial alone. Processes that begin together, or go on after
    others, draw other values therefore, and one process draws the same ones whenever it is asked.

    Args:
        seed: of the search.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._own = self._of(0)

    def _of(self, number: int) -> TPESampler:
        drawn = (self._seed + _BETWEEN * number) % 2**32
        return TPESampler(seed=drawn, multivariate=True, constant_liar=True)

    def reseed_rng(self) -> None:
        """Leave the seeds as they are: they differ already."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin a trial."""
        self._own = self._of(trial.number)
        self._own.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is sampled together."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample it."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Sample one value by itself."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """End a trial."""
        self._own.after_trial(study, trial, state, values)
