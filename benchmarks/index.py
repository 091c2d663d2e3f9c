"""An index of many passages: time and memory to build, size on disk, seconds a question.

    python benchmarks/index.py --passages 100000
    python benchmarks/index.py --passages 100000 --checkpoint runs/demo     # and a reader's answers
    python benchmarks/index.py --passages 10000 --haystack VENV/bin/python  # beside Haystack's BM25

Passages of 100 words are drawn from a vocabulary of 200,000 with Zipf's frequencies, a thousand in
a JSON Lines file. A question is six words of one passage, of those the language's common ones left
out; *found* says how often that passage is among the 16 best. One thread, processor time.
Haystack is its `InMemoryBM25Retriever`, in a virtual environment of its own (`pip install
haystack-ai`), on the same passages and questions; it keeps no index on disk.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from _timing import print_table

VOCABULARY, WORDS, ROWS, BEST = 200_000, 100, 1_000, 16

HAYSTACK = """
import json, resource, sys, time
from haystack import Document
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
folder, questions = sys.argv[1], json.load(open(sys.argv[2]))
from pathlib import Path
begin = time.process_time()
store = InMemoryDocumentStore()
rows = [json.loads(line)["text"] for path in sorted(Path(folder).iterdir()) for line in open(path)]
store.write_documents([Document(content=text) for text in rows])
built = time.process_time() - begin
retriever = InMemoryBM25Retriever(store, top_k=16)
begin, found = time.process_time(), 0
for question, text in questions:
    found += any(d.content == text for d in retriever.run(query=question)["documents"])
each = (time.process_time() - begin) / len(questions)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([built, peak, each, found / len(questions)]))
"""


def write_passages(folder: Path, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Write the passages; return questions with the passage that each is of."""
    generator, draw = np.random.default_rng(seed), random.Random(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    lengths = generator.integers(3, 11, VOCABULARY)
    words = ["".join(letters[generator.integers(0, 26, length)]) for length in lengths]
    weights = 1 / np.arange(10, VOCABULARY + 10)
    bounds = np.cumsum(weights) / weights.sum()
    questions = []
    for first in range(0, count, ROWS):
        rows = min(ROWS, count - first)
        drawn = np.searchsorted(bounds, generator.random((rows, WORDS)))
        texts = [" ".join(words[n] for n in row) + "." for row in drawn.tolist()]
        lines = "\n".join(json.dumps({"text": text}) for text in texts)
        (folder / f"{first:08d}.jsonl").write_text(lines, encoding="utf-8")
        if draw.random() < 100 * ROWS / count:
            row = draw.randrange(rows)
            rarer = [words[n] for n in drawn[row].tolist() if n > 200]
            questions.append((" ".join(draw.sample(rarer, min(6, len(rarer)))), texts[row]))
    return questions


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(options: argparse.Namespace, work: Path) -> None:
    from qa_lightning.screening.index import open_newest, update_index
    from qa_lightning.screening.words import asked_words

    folder, index = work / "documents", work / "index"
    folder.mkdir()
    questions = write_passages(folder, options.passages)
    before = peak_mb()
    begin, used = time.perf_counter(), time.process_time()
    update_index(folder, index)
    built, used = time.perf_counter() - begin, time.process_time() - used
    built_peak = peak_mb() - before
    changed = folder / "00000000.jsonl"
    changed.write_text(changed.read_text(encoding="utf-8") + '\n{"text": "uma a mais"}')
    begin = time.perf_counter()
    update_index(folder, index)
    updated = time.perf_counter() - begin
    begin = time.perf_counter()
    snapshot = open_newest(index).snapshot
    opened = time.perf_counter() - begin
    begin, found = time.process_time(), 0
    for question, text in questions:
        hits = snapshot.search(asked_words(question, None), BEST)
        found += any(hit.text == text for hit in hits)
    each = (time.process_time() - begin) / len(questions)
    rows = [
        ["passages", f"{snapshot.passages:,}"],
        ["of files, MB", size_of(folder) / 1e6],
        ["built, s of processor time", used],
        ["built, s by the clock", built],
        ["a file of 1,000 changed, s", updated],
        ["memory more while it is built, MB", built_peak],
        ["on disk, MB", size_of(index) / 1e6],
        ["opened and compared with its checksums, s", opened],
        ["searched, ms a question", 1000 * each],
        [f"found among the {BEST} best, %", 100 * found / len(questions)],
    ]
    if options.checkpoint is not None:
        from qa_lightning.answerer import QuestionAnswerer

        answerer = QuestionAnswerer.from_checkpoint(options.checkpoint, device="cpu")
        opened_folder = answerer.open_folder(index)
        opened_folder.ask(questions[0][0])
        begin = time.process_time()
        for question, _ in questions[:20]:
            opened_folder.ask(question)
        rows.append(["answered, s a question", (time.process_time() - begin) / 20])
    print_table(f"An index of {options.passages:,} passages of {WORDS} words", ["", "here"], rows)
    if options.haystack is not None:
        (work / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
        command = [str(options.haystack), "-c", HAYSTACK, str(folder), str(work / "questions.json")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        built, peak, each, found = json.loads(done.stdout.splitlines()[-1])
        print_table(
            "Haystack's InMemoryBM25Retriever on the same",
            ["", "Haystack"],
            [
                ["read into memory, at every start, s of processor time", built],
                ["memory of the process, MB", peak],
                ["searched, ms a question", 1000 * each],
                [f"found among the {BEST} best, %", 100 * found],
            ],
        )


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--haystack", type=Path, help="the Python of its environment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        measure(options, Path(work))


if __name__ == "__main__":
    sys.exit(main())
