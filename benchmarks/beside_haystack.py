"""Questions on many contexts, here and with Haystack: the same weights, BM25 and 16 passages each.

    pip install haystack-ai transformers-haystack    # in an environment of its own, with torch
    python benchmarks/beside_haystack.py --checkpoint RUN --data xquad_en.json --last 8 \
        --haystack VENV/bin/python

Each context of the file is a document; the questions of its last articles are asked of all of them.
Haystack: `InMemoryBM25Retriever` and `TransformersExtractiveReader`, with the windows' length and
overlap of the checkpoint. Here: an index of the same documents on disk, `OpenFolder.ask`; and
`QuestionAnswerer.answer_documents`, which has all contexts in memory. Either reads the 16 best.
One thread; processor time of the questions, without what is done once.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

from _proof import read_rows
from _timing import print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.exporting import export_checkpoint
from qa_lightning.scores import squad_scores

BEST = 16

HAYSTACK = """
import json, resource, sys, time
import torch
from haystack import Document
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice
from haystack_integrations.components.readers.transformers import TransformersExtractiveReader
given = json.load(open(sys.argv[1]))
torch.set_num_threads(1)
begin = time.process_time()
store = InMemoryDocumentStore()
store.write_documents([Document(content=text) for text in given["contexts"]])
retriever = InMemoryBM25Retriever(store, top_k=given["best"])
reader = TransformersExtractiveReader(
    model=given["model"], device=ComponentDevice.from_str("cpu"), top_k=1, no_answer=False,
    max_seq_length=given["max_length"], stride=given["doc_stride"], max_batch_size=given["batch"],
)
reader.warm_up()
opened = time.process_time() - begin
def ask(question):
    found = retriever.run(query=question)["documents"]
    answers = reader.run(query=question, documents=found)["answers"]
    return answers[0].data if answers else ""
ask(given["questions"][0])
begin = time.process_time()
answers = [ask(question) for question in given["questions"]]
each = (time.process_time() - begin) / len(answers)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"opened": opened, "each": each, "peak": peak, "answers": answers}))
"""


def timed(ask: Callable[[str], str | None], questions: list[str]) -> tuple[float, list[str]]:
    """Return the processor seconds of a question, and the answers."""
    ask(questions[0])
    begin = time.process_time()
    answers = [ask(question) or "" for question in questions]
    return (time.process_time() - begin) / len(questions), answers


def haystack(python: Path, work: Path, given: dict[str, Any]) -> tuple[float, list[str]]:
    (work / "asked.json").write_text(json.dumps(given), encoding="utf-8")
    done = subprocess.run(
        [str(python), "-c", HAYSTACK, str(work / "asked.json")],
        check=True, capture_output=True, text=True, cwd=work,
        env={**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    return result["each"], result["answers"]


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
    ways: dict[str, tuple[float, list[str]]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "documents").mkdir()
        lines = "\n".join(json.dumps({"text": context}) for context in contexts)
        (work / "documents" / "contexts.jsonl").write_text(lines, encoding="utf-8")
        folder = answerer.open_folder(work / "documents", index=work / "index")
        ways["here, an index on disk"] = timed(
            lambda question: folder.ask(question, screen=BEST).text, questions
        )
        read = [answerer.read(context) for context in contexts]
        ways["here, contexts in memory"] = timed(
            lambda question: answerer.answer_documents(question, read, screen=BEST).text, questions
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
    golds = {str(n): row["answers"]["text"] for n, row in enumerate(asked)}
    table = []
    for way, (each, answers) in ways.items():
        scores = squad_scores({str(n): text for n, text in enumerate(answers)}, golds)
        table.append([way, scores["exact_match"], scores["f1"], each])
    print_table(
        f"{options.data.name}: {len(questions)} questions on {len(contexts)} contexts, {BEST} read",
        ["", "EM", "F1", "seconds a question"],
        table,
    )


if __name__ == "__main__":
    main()
