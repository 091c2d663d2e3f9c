"""One trial: a run in a folder of its own, ended early where it is behind the others."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from qa_lightning.cli.training import QALightningCLI, run
from qa_lightning.errors import InputError
from qa_lightning.tuning.space import merged, nested, read_base

MONITOR: Final = "val/f1"


class Pruning(Callback):
    """Tell a trial each validation's score, and end its training where Optuna says so.

    The training ends as any other: its checkpoints and page are written.

    Args:
        trial: of the study.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self.best: float | None = None
        self.is_pruned = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the score; partial passes have none."""
        score = trainer.callback_metrics.get(MONITOR)
        if trainer.sanity_checking or score is None:
            return
        value = float(score)
        if self.best is None or value > self.best:
            self.best = value
            _keep_answers(Path(trainer.default_root_dir))
        self._trial.report(value, trainer.global_step)
        if self._trial.should_prune():
            self.is_pruned = trainer.should_stop = True


class _Session(QALightningCLI):
    """Give the command's trainer the callback of a trial, which no configuration can hold."""

    def __init__(self, pruning: Pruning, *args: Any, **kwargs: Any) -> None:
        self._pruning = pruning
        super().__init__(*args, **kwargs)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.subcommand]
        listed = config["trainer"]["callbacks"] or []
        own = listed if isinstance(listed, list) else [listed]
        config["trainer"]["callbacks"] = [*own, self._pruning]
        return super().instantiate_trainer(**kwargs)


def folder_of(output: Path, number: int) -> Path:
    """Return the folder of a trial's run."""
    return output / f"trial-{number:04d}"


def best_answers(folder: Path) -> Path:
    """Return the folder of a trial's answers at its best validation, not its last."""
    return folder / "answers" / "best" / "val"


def _keep_answers(folder: Path) -> None:
    place, kept = folder / "answers" / "val", best_answers(folder)
    if place.is_dir():  # `evaluation.output_dir` may be elsewhere
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(place, kept)


def run_trial(
    trial: optuna.Trial, values: Mapping[str, Any], *, configs: Sequence[Path], output: Path
) -> float:
    """Train with a trial's values, and return the best score of its validations.

    Raises:
        optuna.TrialPruned: it was ended early.
        InputError: values that cannot work, or a training that validates nothing.
    """
    pruning = Pruning(trial)
    folder = folder_of(output, trial.number)
    folder.mkdir(parents=True, exist_ok=True)
    own = {"trainer.default_root_dir": str(folder), "trainer.devices": 1}
    # All of it: of a key like `model.config` a file replaces the value, and does not edit it.
    settings = merged(read_base(configs), nested({**values, **own}))
    chosen = folder / "trial.yaml"
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    chosen.write_text(text, encoding="utf-8")
    arguments = ["fit"]
    for path in (*configs, chosen):
        arguments += ["--config", str(path)]
    told = (
        f"in trial {trial.number}; the finished trials are kept in {output}. Go on with the same "
        "`qa-lightning tune …`: it begins with this trial's values."
    )
    run(
        arguments,
        build=partial(_Session, pruning),
        go_on=lambda stop, _: f"stopped by {stop.name} {told}",
    )
    if pruning.best is None:
        raise InputError(
            f"Expected whole validations in each trial; trial {trial.number} logged no "
            f"{MONITOR!r}. Leave `trainer.limit_val_batches` out, and let it validate."
        )
    trial.set_user_attr("best", pruning.best)
    if pruning.is_pruned:
        raise optuna.TrialPruned
    return pruning.best
