"""Compare the ways in which a question's windows compete, on one checkpoint.

    python benchmarks/window_scoring.py --config C.yaml --checkpoint RUN/checkpoints/best.ckpt [...]

Runs ``lightning validate`` for each ``evaluation.window_scoring`` in one process, into a temporary
folder, and prints the scores with their 95 % intervals, and how many questions get another answer
than by the default scoring. ``--config`` may be repeated; all other options go to ``validate``.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from _timing import print_table
from qa_lightning.answers import DEFAULT_WINDOW_SCORING, WINDOW_SCORINGS
from qa_lightning.cli import main as lightning

QUIET = (
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)


def validate(scoring: str, options: argparse.Namespace, others: list[str]) -> dict[str, Any]:
    """Return the scores of one pass, and its answers under ``answers``."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        lightning(
            [
                "validate",
                *(f"--config={path}" for path in options.config),
                *QUIET,
                *others,
                f"--ckpt_path={options.checkpoint.resolve()}",
                f"--evaluation.window_scoring={scoring}",
                f"--evaluation.output_dir={folder}",
                f"--trainer.default_root_dir={folder}",  # reports would go into the run's
            ]
        )
        scores = json.loads(Path(folder, "val", "scores.json").read_text(encoding="utf-8"))
        answers = json.loads(Path(folder, "val", "predictions.json").read_text(encoding="utf-8"))
    return {**scores, "answers": answers}


def row(scoring: str, result: dict[str, Any], default: dict[str, Any]) -> list[object]:
    """Return a scoring's line of the table."""
    changed = sum(
        text != default["answers"][question] for question, text in result["answers"].items()
    )
    figures = [_with_interval(result, name) for name in ("exact_match", "f1")]
    return [scoring, *figures, changed]


def _with_interval(result: dict[str, Any], name: str) -> str:
    low, high = result.get(f"{name}_low"), result.get(f"{name}_high")
    interval = "" if low is None or high is None else f" ({low:.1f} to {high:.1f})"
    return f"{result[name]:.2f}{interval}"


def measure(options: argparse.Namespace, others: list[str]) -> None:
    """Print the table."""
    results = {scoring: validate(scoring, options, others) for scoring in WINDOW_SCORINGS}
    default = results[DEFAULT_WINDOW_SCORING]
    names = ", ".join(Path(path).name for path in options.config)
    print_table(
        f"{names}: {default['examples']} questions; 95 % intervals in brackets",
        ["window_scoring", "EM", "F1", f"answers unlike {DEFAULT_WINDOW_SCORING}"],
        [row(scoring, result, default) for scoring, result in results.items()],
    )


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", action="append", required=True, help="may be repeated")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file")
    options, others = parser.parse_known_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    measure(options, others)


if __name__ == "__main__":
    main()
