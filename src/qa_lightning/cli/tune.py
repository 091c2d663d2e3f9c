"""``tune``: search settings with Optuna, each trial a run of its own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonargparse

from qa_lightning.errors import InputError
from qa_lightning.ranges import SEEDS, Rule, check, text, whole

if TYPE_CHECKING:
    from rich.console import Console

RULES: Final[dict[str, Rule]] = {
    "trials": whole(1),
    "seed": whole(0, SEEDS),
    **dict.fromkeys(("search", "output"), text(optional=False)),
    "storage": text(),
}
_OWN: Final = ("trainer.default_root_dir", "trainer.devices")
MISSING: Final = "Expected Optuna for `tune`; it is not installed: pip install 'qa-lightning[tune]'"


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Search settings for the best val/f1: each trial is a run in a folder of its"
        " own, and is ended early where it is behind the others. The study goes on after a kill,"
        " and processes with one `--storage` share it. All trials have the same seed."
    )
    parser.add_argument(
        "--config", action="append", required=True, metavar="FILE", help="of `fit`; repeatable"
    )
    parser.add_argument(
        "--search", type=str, required=True, help="YAML of keys: choices, or {low, high, log, step}"
    )
    parser.add_argument("--trials", type=int, default=20, help="finished ones the study is to have")
    parser.add_argument("--output", type=str, default="runs/tune", help="folder of the trials")
    parser.add_argument(
        "--storage", type=str | None, help="database of the study (default: SQLite in the folder)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the search, not of the trials")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Search, write the best configuration and the page, and say what came of it.

    Raises:
        InputError: a wrong value, a key that no run has, or Optuna is not installed.
    """
    from importlib.util import find_spec

    from rich.console import Console

    check(RULES, vars(cfg), prefix="--")
    if find_spec("optuna") is None:
        raise InputError(MISSING)
    from qa_lightning.reports.writing import write_whole
    from qa_lightning.tuning import Search, read_space, search, study_page, write_best

    output = Path(cfg.output)
    space = read_space(Path(cfg.search))
    _check_keys(space, cfg.search)
    asked = Search(
        configs=[Path(path) for path in cfg.config],
        space=space,
        output=output,
        storage=cfg.storage or f"sqlite:///{output.absolute() / 'study.db'}",
        trials=cfg.trials,
        seed=cfg.seed,
    )
    console = Console(soft_wrap=True, highlight=False)
    try:
        study = search(asked, done=lambda trial, study: _tell(trial, study, console))
    except KeyboardInterrupt:  # between two trials; within one, `run_trial` says it
        sys.stderr.write(
            f"stopped by SIGINT; the finished trials are kept in {output}. Go on with the same "
            "`qa-lightning tune …`.\n"
        )
        raise SystemExit(130) from None
    best = write_best(study, asked)
    write_whole(output / "report.html", (study_page(study, output),))
    _conclude(study, output, best, console)


def _check_keys(space: dict[str, Any], source: str) -> None:
    """Refuse keys that no run has, before anything is trained."""
    from qa_lightning.cli.arguments import unknown_option

    for key in space:
        if key in _OWN:
            raise InputError(
                f"Expected keys to search in {source}; got `{key}`, which `tune` sets itself: each "
                "trial has a folder of its own, and one device. Leave it out."
            )
        message = unknown_option("fit", f"--{key}")
        if message:
            raise InputError(f"Expected keys of `lightning fit` in {source}: {message}")


def _tell(trial: Any, study: Any, console: "Console") -> None:
    from qa_lightning.tuning.report import best_of

    value = best_of(trial)
    values = ", ".join(f"{key} {entry:.3g}" if isinstance(entry, float) else f"{key} {entry}"
                       for key, entry in trial.params.items())  # fmt: skip
    state = {"COMPLETE": "", "PRUNED": ", ended early", "FAIL": ", failed"}[trial.state.name]
    shown = "no score" if value is None else f"F1 {value:.1f}"
    console.print(f"trial {trial.number}: {shown}{state} ({values})", markup=False)


def _conclude(study: Any, output: Path, best: Path, console: "Console") -> None:
    from qa_lightning.tuning import best_beside_second, importances
    from qa_lightning.tuning.report import noise

    trial = study.best_trial
    console.print(f"best: trial {trial.number}, F1 {trial.value:.1f}", markup=False)
    for key, value in trial.params.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        console.print(f"  {key}: {shown}", markup=False)
    weights = importances(study)
    if weights:
        told = ", ".join(f"{key} {100 * share:.0f} %" for key, share in weights.items())
        console.print(f"what mattered: {told}", markup=False)
    if warning := noise(best_beside_second(study, output)):
        console.print(warning, markup=False)
    console.print(f"{best}: train with it by `lightning fit --config {best}`", markup=False)
    console.print(f"{output / 'report.html'}: the trials on a page", markup=False)
