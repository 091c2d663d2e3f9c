"""A search: trials in a study that a kill does not end, and that several processes share."""

import hashlib
import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import yaml
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, TrialState

from qa_lightning.comparison import Comparison, compare_runs, read_runs
from qa_lightning.errors import InputError
from qa_lightning.reports.writing import write_whole
from qa_lightning.tuning.sampling import SeededByTrial
from qa_lightning.tuning.space import Space, merged, nested, read_base, read_yaml, suggested, tidy
from qa_lightning.tuning.trials import best_answers, folder_of, run_trial

STUDY: Final = "qa-lightning tune"
_DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_HEARTBEAT: Final = 60  # seconds; a trial that has none for three of them was killed
_TRIES: Final = 50
_BEING_MADE: Final = re.compile("already exists|unique constraint", re.IGNORECASE)
_UNPRUNED: Final = 4  # trials and validations before any is ended early
_FAULTS: Final = (InputError, RuntimeError, FloatingPointError)
_log = logging.getLogger(__name__)

Done = Callable[[FrozenTrial, optuna.Study], None]


@dataclass(frozen=True)
class Search:
    """Hold what is searched, and where.

    Attributes:
        configs: of every trial, below what is searched.
        space: what is searched.
        output: folder of the trials' runs.
        storage: address of the study; processes that name the same one share it.
        trials: finished ones that the study is to have, those of other processes included.
        seed: of the sampler.
    """

    configs: Sequence[Path]
    space: Space
    output: Path
    storage: str
    trials: int
    seed: int

    def asked(self) -> dict[str, str]:
        """Return what all processes of a study have to agree on."""
        told = [read_yaml(path, "configuration") for path in self.configs]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
        return {"space": json.dumps(self.space), "configs": digest.hexdigest()[:16]}


def search(asked: Search, *, done: Done) -> optuna.Study:
    """Run trials until the study has as many as are wanted; return it.

    A study in the storage goes on. A trial that a killed process left is done anew.

    Args:
        asked: what is searched.
        done: called with each trial that has ended here.

    Raises:
        InputError: the storage holds another search, or the first trial cannot work.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings of failures are tracebacks
    asked.output.mkdir(parents=True, exist_ok=True)
    study = open_study(asked)

    failures: list[Exception] = []

    def objective(trial: optuna.Trial) -> float:
        values = suggested(trial, asked.space)
        try:
            return run_trial(trial, values, configs=asked.configs, output=asked.output)
        except _FAULTS as error:
            failures.append(error)
            _log.warning("Trial %d cannot work: %s", trial.number, error)
            if not _has_done(study) or len(failures) >= asked.trials:
                study.stop()  # a mistake, and no bad values
            raise
        except SystemExit:  # a signal
            study.tell(trial, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
            raise

    def ended(study: optuna.Study, trial: FrozenTrial) -> None:
        done(trial, study)

    if len(study.get_trials(deepcopy=False, states=_DONE)) < asked.trials:
        enough = MaxTrialsCallback(asked.trials, states=_DONE)
        study.optimize(objective, callbacks=[ended, enough], catch=_FAULTS)
    if not _has_done(study) and failures:
        raise failures[0]
    return study


def _has_done(study: optuna.Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=_DONE))


def open_study(asked: Search) -> optuna.Study:
    """Return the study of a storage, made if it is new.

    Raises:
        InputError: the storage cannot be opened, or holds another search.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = _opened_beside_others(asked.storage)
    except Exception as error:  # of SQLAlchemy, of drivers, of Optuna: all of the address
        raise InputError(
            f"Expected `--storage` to be an address of a database; got {asked.storage!r} "
            f"({str(error).splitlines()[0]}). Leave it out for SQLite in the folder."
        ) from error
    study.sampler = SeededByTrial(asked.seed)
    for name, value in asked.asked().items():
        known = study.user_attrs.get(name)
        if known is not None and known != value:
            raise InputError(
                f"Expected the same {name} as the trials in {asked.storage}; it differs. Name "
                "another `--output` or `--storage` for another search."
            )
        study.set_user_attr(name, value)
    return study


def _opened_beside_others(address: str) -> optuna.Study:
    """Open a study, also while another process makes the tables of the same new database."""
    for _ in range(_TRIES):
        try:
            return _opened(address)
        except Exception as error:  # SQLAlchemy's of each driver
            if not _BEING_MADE.search(str(error)):
                raise
            time.sleep(0.2)
    return _opened(address)


def _opened(address: str) -> optuna.Study:
    """Open a study whose trials tell that they live, and are done anew if they no longer do."""
    storage = optuna.storages.RDBStorage(
        address,
        heartbeat_interval=_HEARTBEAT,
        grace_period=3 * _HEARTBEAT,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(3),
        engine_kwargs={"connect_args": {"timeout": 60}} if "sqlite" in address else None,
    )
    return optuna.create_study(
        storage=storage,
        study_name=STUDY,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED, n_min_trials=_UNPRUNED),
        load_if_exists=True,
    )


def best_settings(study: optuna.Study, configs: Sequence[Path]) -> dict[str, Any]:
    """Return the configuration of the best trial, ready for ``fit``."""
    best = {key: tidy(value) for key, value in study.best_trial.params.items()}
    return merged(read_base(configs), nested(best))


def write_best(study: optuna.Study, asked: Search) -> Path:
    """Write the best configuration as YAML, and return the file."""
    path = asked.output / "best.yaml"
    best = study.best_trial
    head = (
        f"# The best of {len(study.get_trials(deepcopy=False, states=_DONE))} trials: number "
        f"{best.number}, val/f1 {best.value:.2f}.\n# lightning fit --config {path}\n"
    )
    settings = best_settings(study, asked.configs)
    write_whole(path, (head, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)))
    return path


def importances(study: optuna.Study) -> dict[str, float]:
    """Return what share each key has in what is good, the greatest first; nothing of few trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (RuntimeError, ValueError):  # a key that never varied
        return {}


def best_beside_second(study: optuna.Study, output: Path) -> Comparison | None:
    """Compare the best trial with the second, each at its best validation; None without a pair."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ordered = sorted(complete, key=lambda trial: -(trial.value or 0.0))[:2]
    folders = [best_answers(folder_of(output, trial.number)) for trial in reversed(ordered)]
    if len(folders) < 2 or not all(folder.is_dir() for folder in folders):
        return None
    try:
        return compare_runs(read_runs(folders, stage="val"), by_run=True)[0]
    except InputError:  # another machine's folder
        return None


def states(study: optuna.Study) -> Mapping[str, int]:
    """Return how many trials are in each state."""
    counts: dict[str, int] = {}
    for trial in study.get_trials(deepcopy=False):
        counts[trial.state.name.lower()] = counts.get(trial.state.name.lower(), 0) + 1
    return counts
