"""The tables of the proofs on real data: scores of each run, means over seeds, intervals."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from _machine import machine
from _runs import mean_and_error
from _timing import table
from qa_lightning.comparison import paired_interval, paired_test, seed_test
from qa_lightning.scores import example_scores

Row = dict[str, Any]
Floats = npt.NDArray[np.float64]

SCORES = ("EM", "F1")


def references_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the gold texts of each question."""
    return {row["id"]: row["answers"]["text"] for row in rows}


def question_scores(record: Row, references: Mapping[str, list[str]]) -> tuple[Floats, Floats]:
    """Return exact match and F1 of each question, 0 to 100; their means are `squad_scores`'."""
    scores = example_scores(record["predictions"], references)
    return scores.exact_e, scores.f1_e


class Study(NamedTuple):
    """Hold the records of all runs.

    Attributes:
        records: way → one record a seed, in the order of the seeds.
        scores: way → "EM" or "F1" → scores by seed and question (s, q).
        groups_q: each question's context.
    """

    records: dict[str, list[Row]]
    scores: dict[str, dict[str, Floats]]
    groups_q: list[str]

    @classmethod
    def of(cls, records: Sequence[Row], held_out: Sequence[Row], ways: Sequence[str]) -> "Study":
        """Sort the records by way and seed, and score them."""
        references = references_of(held_out)
        by_way = {
            way: sorted(
                (record for record in records if record["settings"]["way"] == way),
                key=lambda record: record["settings"]["seed"],
            )
            for way in ways
        }
        scores = {}
        for way, mine in by_way.items():
            pairs = [question_scores(record, references) for record in mine]
            columns = zip(*pairs, strict=True)
            scores[way] = {
                name: np.stack(column) for name, column in zip(SCORES, columns, strict=True)
            }
        return cls(by_way, scores, [row["context"] for row in held_out])

    def column(self, way: str, key: str) -> list[float]:
        """Return a figure of each of a way's runs."""
        return [float(record[key]) for record in self.records[way]]


def speeds(study: Study, way: str) -> list[float]:
    """Return training windows per second of each run."""
    seconds = study.column(way, "training_seconds")
    return [n / s for n, s in zip(study.column(way, "windows"), seconds, strict=True)]


def mean_table(study: Study) -> str:
    """Return one line a way."""
    rows: list[list[object]] = [
        [
            way,
            *(mean_and_error(study.scores[way][name].mean(1).tolist()) for name in SCORES),
            mean_and_error(study.column(way, "windows"), 0),
            mean_and_error(speeds(study, way), 2),
            mean_and_error(study.column(way, "training_seconds"), 0),
            mean_and_error(study.column(way, "peak_mb"), 0),
        ]
        for way in study.records
    ]
    header = ["way", *SCORES, "training windows", "windows/s", "training s", "peak MB"]
    return table("Mean ± standard error over seeds", header, rows)


def run_table(study: Study) -> str:
    """Return one line a run."""
    rows: list[list[object]] = [
        [
            way,
            record["settings"]["seed"],
            *(f"{study.scores[way][name][place].mean():.1f}" for name in SCORES),
            record["windows"],
            *(f"{record[key]:.0f}" for key in FIGURES),
        ]
        for way, mine in study.records.items()
        for place, record in enumerate(mine)
    ]
    header = ["way", "seed", *SCORES, "training windows", *FIGURES.values()]
    return table("Each run, on one thread; s by the clock, CPU s of processor time", header, rows)


FIGURES = {
    "training_seconds": "training s",
    "training_cpu_seconds": "training CPU s",
    "process_seconds": "whole process s",
    "cpu_seconds": "whole process CPU s",
    "peak_mb": "peak MB",
}


def difference_table(study: Study, pairs: Sequence[tuple[str, str]]) -> str:
    """Return one line a pair of ways: what the first has more than the second."""
    rows = []
    for way, other in pairs:
        cells = []
        for name in SCORES:
            gap_sq = study.scores[way][name] - study.scores[other][name]
            low, high = paired_interval(gap_sq, study.groups_q)
            means = (study.scores[each][name].mean(1) for each in (way, other))
            p_seeds = seed_test(*means, paired=True)
            cells += [
                mean_and_error(gap_sq.mean(1).tolist()),
                f"{low:+.1f} to {high:+.1f}",
                f"{paired_test(gap_sq, study.groups_q):.3f}",
                "" if p_seeds is None else f"{p_seeds:.2f}",
            ]
        rows.append([f"{way} less {other}", *cells])
    columns = ("", ", 95 %", ", p", ", p of seeds")
    header = ["difference", *(f"{name}{column}" for name in SCORES for column in columns)]
    title = (
        "Differences, as `qa-lightning compare` tells them: mean ± standard error over seeds, the "
        "95 % interval of a paired bootstrap over seeds and paragraphs, p of swapping the answers "
        "of whole paragraphs and of swapping whole runs"
    )
    return table(title, header, rows)


def report(title: str, sections: Sequence[str], output: Path | None) -> None:
    """Print the result, and write it to a file: command, machine, versions, date, tables."""
    command = shlex.join(["python", *sys.argv])
    text = "\n\n".join([f"# {title}", f"`{command}` {machine()}.", *sections]) + "\n"
    print(text, flush=True)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_name(output.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(output)
