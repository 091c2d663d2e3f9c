"""How good, how sure and how fast the repair of answer spans is.

    python benchmarks/alignment.py [FOLDER, by default ../shared/data]

Recomputes every figure that the documentation states: precision and recall against the spans a
careful reader chose, by category, by confidence and in two folds; finds after the right span was
cut out; places changed on data whose places people marked; right labels disturbed in many ways, in
four languages; the ceiling; the time, also of long answers in long documents.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from _disturbed import WAYS, exact_labels, judged
from preparation import DATA
from qa_lightning.alignment import (
    DEFAULT_THRESHOLD,
    AlignedSpan,
    align_examples,
    answer_ceiling,
    locate_answer,
)
from qa_lightning.alignment.contexts import read_context
from qa_lightning.examples import load_examples

BINS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01)


class Judged(NamedTuple):
    """Hold one answer with the reader's span and ours, and ours with the right one cut out."""

    gold: dict[str, Any]
    found: AlignedSpan
    found_without: AlignedSpan | None

    @property
    def is_right(self) -> bool:
        return self.found[:2] == (self.gold["start"], self.gold["end"])

    @property
    def is_trusted(self) -> bool:
        return self.found.start_char is not None and self.found.confidence >= DEFAULT_THRESHOLD


def judge(folder: Path) -> list[Judged]:
    sample = load_examples(str(folder / "squad_v1_pt_sample.json"))
    rows = {row["id"]: row for row in sample}
    judged = []
    for gold in json.loads((folder / "squad_v1_pt_spans_dev.json").read_text(encoding="utf-8")):
        row = rows[gold["id"]]
        context, question, answer = row["context"], row["question"], row["answers"]["text"][0]
        found = locate_answer(context, question, answer, 0, language="pt")
        without = None
        if gold["start"] is not None:
            rest = context[: gold["start"]] + context[gold["end"] :]
            without = locate_answer(rest, question, answer, 0, language="pt")
        judged.append(Judged(gold, found, without))
    return judged


def figures(judged: Sequence[Judged]) -> tuple[str, ...]:
    given = [one for one in judged if one.is_trusted]
    right = sum(one.is_right for one in given)
    findable = sum(one.gold["start"] is not None for one in judged)
    return (
        str(len(judged)),
        str(len(given)),
        f"{right / len(given):.3f}" if given else "-",
        f"{right / findable:.3f}" if findable else "-",
    )


def quality_table(judged: list[Judged]) -> Table:
    table = Table(
        "questions", "all", "with a span", "precision", "recall", title="Exact spans", box=MARKDOWN
    )
    table.add_row("all", *figures(judged))
    for category in ("surface", "fuzzy", "semantic", "none"):
        own = [one for one in judged if one.gold["category"] == category]
        table.add_row(category, *figures(own))
    for fold in (0, 1):
        table.add_row(f"fold {fold + 1}", *figures(judged[fold::2]))
    return table


def confidence_table(judged: Iterable[Judged]) -> Table:
    table = Table(
        "confidence",
        "spans",
        "mean",
        "right",
        title="Is a confidence of 0.9 right 9 in 10?",
        box=MARKDOWN,
    )
    spans = [one for one in judged if one.found.start_char is not None]
    for low, high in pairwise(BINS):
        own = [one for one in spans if low <= one.found.confidence < high]
        if own:
            mean = sum(one.found.confidence for one in own) / len(own)
            right = sum(one.is_right for one in own) / len(own)
            table.add_row(
                f"{low:.2f} to {min(high, 1):.2f}", str(len(own)), f"{mean:.2f}", f"{right:.2f}"
            )
    return table


def data_table(folder: Path, judged: Sequence[Judged]) -> Table:
    table = Table("what", "figure", title="The rest", box=MARKDOWN)
    cut = [one.found_without for one in judged if one.found_without is not None]
    still = sum(one.confidence >= DEFAULT_THRESHOLD for one in cut)
    table.add_row(
        "span cut out, still given one", f"{still} of {len(cut)} ({still / len(cut):.1%})"
    )
    sample = load_examples(str(folder / "squad_v1_pt_sample.json"))
    began = time.process_time()
    _, audit = align_examples(sample, policy="repair", drop=False)
    table.add_row("CPU seconds for 3,286 questions", f"{time.process_time() - began:.1f}")
    table.add_row("by status", ", ".join(f"{name} {n}" for name, n in audit.by_status.items()))
    table.add_row("trusted", f"{audit.trusted} of {audit.answers}")
    table.add_row("moved to a better occurrence", str(audit.changed_occurrences))
    xquad = load_examples(str(folder / "xquad_en.json"))
    _, marked = align_examples(xquad, policy="repair", drop=False, language="en")
    table.add_row(
        "moved on XQuAD (places marked by people)", f"{marked.changed_occurrences} of 1,190"
    )
    rows = [(row["context"], row["answers"]["text"]) for row in sample]
    for what, boundaries in (("any span", "characters"), ("whole words", "borders")):
        ceiling = answer_ceiling(rows, boundaries=boundaries)
        figures = f"{ceiling.exact_match:.1f}, {ceiling.f1:.1f}"
        table.add_row(f"best official EM and F1 in reach, {what}", figures)
    for letters, words in ((20_000, 100), (80_000, 100), (178_000, 100)):
        table.add_row(
            f"CPU seconds of the ceiling of {words} reworded words in {letters:,} characters",
            f"{ceiling_seconds(rows, letters, words):.2f}",
        )
    return table


def ceiling_seconds(rows: Sequence[tuple[str, Sequence[str]]], letters: int, words: int) -> float:
    """Return the time that the ceilings of one question on one long context take."""
    context = " ".join(dict.fromkeys(context for context, _ in rows))[:letters]
    middle = context.split()[len(context.split()) // 2 :][:words]
    gold = " ".join(word if n % 5 else "outra" for n, word in enumerate(middle))
    began = time.process_time()
    for boundaries in ("characters", "borders"):
        answer_ceiling([(context, [gold])], boundaries=boundaries)
    return time.process_time() - began


def disturbed_table(folder: Path) -> Table:
    """Return what becomes of right labels, of each language and each way to disturb them."""
    languages = ("en", "es", "ar", "tr")
    table = Table(
        "labels of XQuAD", *languages, title="At a wrong place / left out, in %", box=MARKDOWN
    )
    labels = {
        code: exact_labels(load_examples(str(folder / f"xquad_{code}.json"))) for code in languages
    }
    for way, disturb in WAYS.items():
        cells = []
        for code in languages:
            figures, _ = judged([disturb(label) for label in labels[code]])
            wrong, lost = (100 * part / figures.labels for part in (figures.wrong, figures.lost))
            cells.append(f"{wrong:.2f} / {lost:.2f}")
        table.add_row(way, *cells)
    return table


def long_table(folder: Path) -> Table:
    """Return the seconds of one answer, the reading of its document included."""
    sample = load_examples(str(folder / "squad_v1_pt_sample.json"))
    words = " ".join(dict.fromkeys(sample["context"])).split()
    table = Table(
        "characters", "answer words", "verbatim", "respaced", "reworded",
        title="CPU seconds of one answer", box=MARKDOWN,
    )  # fmt: skip
    for length in (20_000, 80_000):
        document = " ".join(words)[:length]
        own = document.split()
        for count in (1, 5, 30, 100, 300):
            answer = own[len(own) // 2 : len(own) // 2 + count]
            other = [f"{one}s" if n % 7 == 3 else one for n, one in enumerate(answer) if n % 9 != 5]
            cases = ((document, answer), ("\n ".join(own), answer), (document, other))
            cells = [f"{seconds(context, ' '.join(said)):.3f}" for context, said in cases]
            table.add_row(f"{length:,}", str(count), *cells)
    return table


def seconds(context: str, answer: str) -> float:
    began = time.process_time()
    question = "Quem foi o presidente da sociedade em 1996?"
    read_context.cache_clear()
    locate_answer(context, question, answer, 0, language="pt")
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DATA)
    folder, console = parser.parse_args().folder, Console(width=140)
    own = judge(folder)
    for table in (quality_table(own), confidence_table(own), data_table(folder, own)):
        console.print(table)
    for table in (disturbed_table(folder), long_table(folder)):
        console.print(table)


if __name__ == "__main__":
    main()
