"""Questions on many contexts, here and with Haystack: the same weights, BM25 and 16 passages each.

    pip install haystack-ai transformers-haystack    # in an environment of its own, with torch
    python benchmarks/beside_haystack.py --checkpoint RUN --data xquad_en.json --last 8 \
        --haystack VENV/bin/python

Each context of the file is a document; the questions of its last articles are asked of all of them.
Haystack: `InMemoryBM25Retriever` and `TransformersExtractiveReader`, with the windows' length and
overlap of the checkpoint. Here: an index of the same documents on disk, `OpenFolder.ask`; and
`QuestionAnswerer.answer_documents`, which has all contexts in memory. Either reads the 16 best.
One thread; processor time of the questions, without what is done once. Why answers differ: of how
many questions the context with the answer was among those read, and how long answers are
(Haystack's reader knows no longest answer, ours has 30 tokens); what is left is which span scores
best.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from _proof import read_rows
from _timing import print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.cutting import Document, screened
from qa_lightning.answerer.opening import OpenFolder
from qa_lightning.exporting import export_checkpoint
from qa_lightning.scores import squad_scores
from qa_lightning.screening.words import asked_words

BEST = 16

HAYSTACK = """
import json, sys, time
import torch
from haystack import Document
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice
from haystack_integrations.components.readers.transformers import TransformersExtractiveReader
given = json.load(open(sys.argv[1]))
torch.set_num_threads(1)
store = InMemoryDocumentStore()
store.write_documents([Document(content=text) for text in given["contexts"]])
retriever = InMemoryBM25Retriever(store, top_k=given["best"])
reader = TransformersExtractiveReader(
    model=given["model"], device=ComponentDevice.from_str("cpu"), top_k=1, no_answer=False,
    max_seq_length=given["max_length"], stride=given["doc_stride"], max_batch_size=given["batch"],
)
reader.warm_up()
def ask(question):
    found = retriever.run(query=question)["documents"]
    answers = reader.run(query=question, documents=found)["answers"]
    return answers[0].data if answers else "", [document.content for document in found]
ask(given["questions"][0])
begin = time.process_time()
answers, read = zip(*[ask(question) for question in given["questions"]])
each = (time.process_time() - begin) / len(answers)
print(json.dumps({"each": each, "answers": answers, "read": read}))
"""


class Way(NamedTuple):
    """Hold a way's seconds a question, its answers, and the contexts it read for each."""

    each: float
    answers: list[str]
    read: list[list[str]]


def timed(
    ask: Callable[[str], str | None], reads: Callable[[str], list[str]], questions: list[str]
) -> Way:
    """Ask all questions, and say then what was read."""
    ask(questions[0])
    begin = time.process_time()
    answers = [ask(question) or "" for question in questions]
    each = (time.process_time() - begin) / len(questions)
    return Way(each, answers, [reads(question) for question in questions])


def in_index(folder: OpenFolder, contexts: list[str], question: str) -> list[str]:
    words = asked_words(question, folder._answerer.reader.language)
    return [contexts[found.row - 1] for found in folder._snapshot.search(words, BEST)]


def in_memory(answerer: QuestionAnswerer, read: list[Document], question: str) -> list[str]:
    choose = screened(BEST, answerer.reader.language, jointly=True)
    cut = answerer._cutter.cut([question] * len(read), read, choose=choose)
    numbers = {n for rows in cut.rows for n in rows.table["example_index"].to_pylist()}
    return [read[number].text for number in numbers]


def haystack(python: Path, work: Path, given: dict[str, Any]) -> Way:
    (work / "asked.json").write_text(json.dumps(given), encoding="utf-8")
    done = subprocess.run(
        [str(python), "-c", HAYSTACK, str(work / "asked.json")],
        check=True, capture_output=True, text=True, cwd=work,
        env={**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return Way(**json.loads(done.stdout.splitlines()[-1]))


def row_of(name: str, way: Way, asked: list[dict[str, Any]]) -> list[Any]:
    golds = {str(n): row["answers"]["text"] for n, row in enumerate(asked)}
    scores = squad_scores({str(n): text for n, text in enumerate(way.answers)}, golds)
    among = [row["context"] in read for row, read in zip(asked, way.read, strict=True)]
    words = [len(text.split()) for text in way.answers]
    found = 100 * sum(among) / len(among), sum(words) / len(words)
    return [name, scores["exact_match"], scores["f1"], *found, way.each]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="a SQuAD 1.1 file")
    parser.add_argument("--last", type=int, default=8, help="articles whose questions are asked")
    parser.add_argument("--haystack", type=Path, help="the Python of its environment")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(options.data)
    contexts = list(dict.fromkeys(row["context"] for row in rows))
    titles = list(dict.fromkeys(row["title"] for row in rows))[-options.last :]
    asked = [row for row in rows if row["title"] in titles]
    questions = [row["question"] for row in asked]
    answerer = QuestionAnswerer.from_checkpoint(options.checkpoint, device="cpu")
    windows = answerer.reader.windows
    ways: dict[str, Way] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "documents").mkdir()
        lines = "\n".join(json.dumps({"text": context}) for context in contexts)
        (work / "documents" / "contexts.jsonl").write_text(lines, encoding="utf-8")
        folder = answerer.open_folder(work / "documents", index=work / "index")
        ways["here, an index on disk"] = timed(
            lambda question: folder.ask(question, screen=BEST).text,
            partial(in_index, folder, contexts),
            questions,
        )
        read = [answerer.read(context) for context in contexts]
        ways["here, contexts in memory"] = timed(
            lambda question: answerer.answer_documents(question, read, screen=BEST).text,
            partial(in_memory, answerer, read),
            questions,
        )
        if options.haystack is not None:
            export_checkpoint(options.checkpoint, work / "model")
            ways["Haystack"] = haystack(
                options.haystack,
                work,
                {
                    **{"contexts": contexts, "questions": questions, "best": BEST, "batch": 4},
                    **{"model": str(work / "model"), "max_length": windows.max_length},
                    "doc_stride": windows.doc_stride,
                },
            )
    print_table(
        f"{options.data.name}: {len(questions)} questions on {len(contexts)} contexts, {BEST} read",
        ["", "EM", "F1", "context among the read, %", "words an answer", "seconds a question"],
        [row_of(name, way, asked) for name, way in ways.items()],
    )


if __name__ == "__main__":
    main()
