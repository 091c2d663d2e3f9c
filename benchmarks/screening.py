"""What screening costs and saves: recall, F1 and time, by the number of windows that are read.

    python benchmarks/screening.py                                  # recall, no network
    python benchmarks/screening.py --checkpoint RUN --data xquad_en.json --last 8 --questions 100
    python benchmarks/screening.py --checkpoint runs/demo           # the demo's test split

Every context of a file is joined into one document, which its questions are asked of. *Recall*:
whether a window of 200 words (the next begins 150 later) that holds the gold answer is among the
``k`` best. *F1* needs a trained checkpoint: every question is read whole once, and answered from
the spans of all windows and of the ``k`` best. *Time*: processor seconds a question on one thread,
in turns, all windows and the best, the document opened before.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import bm25s
import numpy as np
import regex
import torch

from _proof import DATA
from _timing import interleaved_medians, print_table
from qa_lightning.answerer import Document, QuestionAnswerer
from qa_lightning.answerer.deciding import decide, join_candidates
from qa_lightning.candidates import WindowCandidates
from qa_lightning.comparison.resampling import paired_interval
from qa_lightning.demo import demo_rows
from qa_lightning.scores import squad_scores
from qa_lightning.scores.squad import example_scores
from qa_lightning.screening import Stretch, WordPlaces, worth_reading
from qa_lightning.screening.ranking import bm25
from qa_lightning.screening.words import asked_words

COUNTS = (4, 8, 16, 32, 64)
WORDS, STEP = 200, 150
FILES = {
    "xquad_en.json": "en",
    "xquad_es.json": "es",
    "xquad_ar.json": "ar",
    "xquad_tr.json": "tr",
    "squad_v1_pt_sample.json": "pt",
}


class Asked(NamedTuple):
    """A question, its gold answers, and where the first stands in the joined document."""

    question: str
    golds: list[str]
    start_char: int
    end_char: int
    paragraph: int


class Joined(NamedTuple):
    """All contexts of a file as one document, and the questions on it."""

    name: str
    language: str
    text: str
    asked: list[Asked]


def joined(name: str, language: str, articles: Sequence[dict], *, part: slice) -> Joined:
    """Join a file's contexts; ask the questions of a part of its articles."""
    text, asked, paragraphs = "", [], 0
    chosen = range(len(articles))[part]
    for number, article in enumerate(articles):
        for paragraph in article["paragraphs"]:
            context = paragraph["context"]
            paragraphs += 1
            for qa in paragraph["qas"] if number in chosen else ():
                golds = [answer["text"] for answer in qa["answers"]]
                start = qa["answers"][0]["answer_start"] if golds else 0
                if golds and context[start:].startswith(golds[0]):
                    start += len(text)
                    end = start + len(golds[0])
                    asked.append(Asked(qa["question"], golds, start, end, paragraphs))
            text += context + "\n\n"
    return Joined(name, language, text, asked)


def read_file(path: Path, language: str, part: slice = slice(None)) -> Joined:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    return joined(path.name, language, articles, part=part)


def read_demo(split: str) -> Joined:
    """Join the demo's documents of a split."""
    paragraphs: dict[str, list[dict]] = {}
    for row in demo_rows(split, seed=0):
        gold = row["answers"]
        pairs = zip(gold["text"], gold["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
        paragraphs.setdefault(row["context"], []).append(
            {"question": row["question"], "answers": answers}
        )
    articles = [{"paragraphs": [{"context": c, "qas": qas}]} for c, qas in paragraphs.items()]
    return joined(f"demo, {split}", "pt", articles, part=slice(None))


def recall(data: Joined) -> list[object]:
    """Return a file's line: windows, questions, the share found among the k best, times."""
    offsets = np.array([m.span() for m in regex.finditer(r"\S+", data.text)])
    start_w = np.arange(0, max(1, len(offsets) - WORDS + STEP), STEP)
    end_w = np.minimum(start_w + WORDS, len(offsets))
    begin = time.process_time()
    places = WordPlaces.of(data.text, offsets)
    indexed = time.process_time() - begin
    length_w = places.lengths(start_w, end_w)
    ranks = []
    begin = time.process_time()
    for asked in data.asked:
        score_w = bm25(
            places.counts(asked_words(asked.question, data.language), start_w, end_w), length_w
        )
        holds_w = offsets[start_w, 0] <= asked.start_char
        holds_w &= offsets[end_w - 1, 1] >= asked.end_char
        found = np.flatnonzero(holds_w[np.argsort(-score_w, kind="stable")])
        ranks.append(found[0] if len(found) else len(start_w))
    each = (time.process_time() - begin) / len(data.asked)
    shares = [f"{100 * np.mean(np.array(ranks) < k):.1f}" for k in COUNTS]
    peer = indexed_by_bm25s(data, start_w, end_w)
    return [data.name, len(start_w), len(data.asked), *shares,
            f"{1000 * indexed:.0f}", f"{1000 * each:.2f}", f"{1000 * peer:.0f}"]  # fmt: skip


def indexed_by_bm25s(data: Joined, start_w: np.ndarray, end_w: np.ndarray) -> float:
    """Return what bm25s takes to index the same windows: anew for every length of question."""
    words = data.text.split()
    pieces = [words[a:b] for a, b in zip(start_w.tolist(), end_w.tolist(), strict=True)]
    begin = time.process_time()
    bm25s.BM25().index(pieces, show_progress=False)
    return time.process_time() - begin


def candidates_of(
    answerer: QuestionAnswerer, question: str, document: Document
) -> tuple[WindowCandidates, Stretch]:
    """Read all windows; return their spans, and where they lie."""
    stretches: list[Stretch] = []

    def choose(_: Sequence[str], found: Sequence[Stretch]) -> np.ndarray:
        stretches.extend(found)
        return np.ones(len(found[0].start_w), bool)

    cut = answerer._cutter.cut([question], [document], choose=choose)
    n_best = answerer.reader.decision.n_best
    found = [answerer._runner.candidates(rows, n_best=n_best) for rows in cut.rows]
    return join_candidates(found), stretches[0]


def scored(answerer: QuestionAnswerer, data: Joined, count: int) -> list[list[object]]:
    """Return the lines of EM and F1 by the number of windows."""
    asked = random.Random(0).sample(data.asked, min(count, len(data.asked)))
    document = answerer.read(data.text)
    decision, language = answerer.reader.decision, data.language
    texts: dict[object, dict[str, str]] = {k: {} for k in (*COUNTS, "auto", "all")}
    read: dict[object, list[int]] = {k: [] for k in texts}
    for number, each in enumerate(asked):
        candidates, stretch = candidates_of(answerer, each.question, document)
        for k, told in texts.items():
            chosen = worth_reading(each.question, [stretch], screen=k, language=language)
            some = WindowCandidates(*(column[chosen] for column in candidates))
            rows = np.zeros(int(chosen.sum()), np.int64)
            found = decide(some, rows, [data.text], decision=decision, n_best=decision.n_best)
            told[str(number)] = next(iter(found)).text
            read[k].append(int(chosen.sum()))
    golds = {str(number): each.golds for number, each in enumerate(asked)}
    lines = []
    paragraphs = [str(each.paragraph) for each in asked]
    f1_of = {k: example_scores(told, golds).f1_e for k, told in texts.items()}
    for k, told in texts.items():
        scores = squad_scores(told, golds)
        same = np.mean([told[q] == texts["all"][q] for q in golds])
        less = f1_of[k] - f1_of["all"]
        low, high = paired_interval(less[None], paragraphs)
        gap = f"{less.mean():+.2f} ({low:+.1f} to {high:+.1f})"
        figures = (scores["exact_match"], scores["f1"], gap, f"{100 * same:.1f}")
        lines.append([k, f"{np.mean(read[k]):.0f}", *figures])
    return lines


def times(answerer: QuestionAnswerer, data: Joined, repeats: int) -> list[list[object]]:
    """Return the lines of seconds a question by the number of windows."""
    opened = answerer.open(data.text)
    asked = [each.question for each in islice(data.asked, 3)]
    seconds = interleaved_medians(
        {str(k): lambda k=k: [opened.ask(q, screen=k) for q in asked] for k in (*COUNTS, "all")}
        | {"16, not opened": lambda: [answerer.answer(q, data.text, screen=16) for q in asked]},
        repeats=repeats,
        warmup=0,
    )
    return [
        [k, value / len(asked), f"{seconds['all'] / value:.1f}"] for k, value in seconds.items()
    ]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="for F1 and time")
    parser.add_argument(
        "--data", type=Path, nargs="*", help="SQuAD files; default: the demo's test split"
    )
    parser.add_argument(
        "--last", type=int, default=0, help="articles whose questions are asked; 0: all"
    )
    parser.add_argument(
        "--first", type=int, default=0, help="as --last, from the beginning: what a reader knows"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.checkpoint is None:
        data = [read_file(DATA / name, language) for name, language in FILES.items()]
        print_table(
            f"Recall in % of the answer's window of {WORDS} words among the k best; processor time",
            ["document", "windows", "questions", *(f"{k} best" for k in COUNTS),
             "words found once, ms", "ranked, ms a question", "bm25s indexes windows, ms"],
            [recall(each) for each in (*data, read_demo("test"))],
        )  # fmt: skip
        return
    answerer = QuestionAnswerer.from_checkpoint(
        options.checkpoint, device="cpu", dtype=getattr(torch, options.dtype)
    )
    part = slice(-options.last, None) if options.last else slice(options.first or None)
    files = [read_file(p, FILES.get(p.name, "en"), part) for p in options.data or ()]
    for data in files or [read_demo("test")]:
        print_table(
            f"{data.name}, {len(data.text):,} characters as one document: EM and F1 of "
            f"{min(options.questions, len(data.asked))} questions",
            [
                "screen",
                "windows read",
                "EM",
                "F1",
                "F1 less all's (95 %)",
                "answers as from all, %",
            ],
            scored(answerer, data, options.questions),
        )
        if not options.repeats:
            continue
        print_table(
            f"{data.name}: processor time on one thread",
            ["screen", "seconds a question", "all / this"],
            times(answerer, data, options.repeats),
        )


if __name__ == "__main__":
    main()
