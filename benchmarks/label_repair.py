"""Train on wrong labels under each policy, and score on clean held-out questions.

python benchmarks/label_repair.py [--seeds 0 1 2] [--steps 2000] [--processes 2]

The demo's documents with 36 % of the training answers made wrong in the ways of machine
translation (`data.dataset_config: noisy`: re-worded, re-translated, `answer_start` 0), trained by
`lightning fit --config configs/demo.yaml` under `keep` (the first characters of the document, as
the notebook does), `drop` and `repair`, and, for comparison, on the clean labels. Scores: the 400
clean questions of the test split, by the checkpoint with the best validation F1. All train for the
same number of steps.
"""

import argparse
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from _runs import CLI, in_turns, mean_and_error, progress, run_process
from _timing import print_table

WAYS = {
    "keep": ["--data.dataset_config", "noisy", "--data.alignment", "keep"],
    "drop": ["--data.dataset_config", "noisy", "--data.alignment", "drop"],
    "repair": ["--data.dataset_config", "noisy", "--data.alignment", "repair"],
    "clean labels": [],
}


class Run(NamedTuple):
    """One training run."""

    way: str
    seed: int
    steps: int


def score(run: Run, folder: Path) -> dict[str, float]:
    """Train and test in processes of their own; return the scores of the test split."""
    place = folder / f"{run.way}-{run.seed}".replace(" ", "-")
    common = [
        *("--config", "configs/demo.yaml", "--trainer.enable_progress_bar", "false"),
        *("--seed_everything", str(run.seed), "--trainer.max_steps", str(run.steps)),
        *("--trainer.default_root_dir", str(place), *WAYS[run.way]),
    ]
    for command in (["fit"], ["test", "--ckpt_path", "best"]):
        line = [*CLI, command[0], *common, *command[1:]]
        run_process(line, folder / f"{place.name}-{command[0]}.log")
    scores = json.loads((place / "answers" / "test" / "scores.json").read_text(encoding="utf-8"))
    progress(
        f"{run.way}, seed {run.seed}: EM {scores['exact_match']:.1f} F1 {scores['f1']:.1f}",
    )
    return {name: scores[name] for name in ("exact_match", "f1")}


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    runs = [Run(way, seed, options.steps) for seed in options.seeds for way in options.ways]
    with tempfile.TemporaryDirectory() as folder:
        results = in_turns(runs, partial(score, folder=Path(folder)), options.processes)
    rows = []
    for way in options.ways:
        mine = [result for run, result in zip(runs, results, strict=True) if run.way == way]
        columns = [[result[name] for result in mine] for name in ("exact_match", "f1")]
        rows.append([way, *map(mean_and_error, columns)])
    print_table(
        f"{options.steps} steps, seeds {', '.join(map(str, options.seeds))}, mean ± standard error",
        ["training labels", "EM", "F1"],
        rows,
    )


if __name__ == "__main__":
    main()
