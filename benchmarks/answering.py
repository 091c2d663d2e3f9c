"""Many questions in one call against one call each, by the tokens that the network reads at a time.

    python benchmarks/answering.py            # speed counts, not answers: the weights are random
    python benchmarks/answering.py --threads 4 --rounds 9

A BERT of all-MiniLM-L6-v2's shape (22 million parameters) on the CPU, documents of the demo: 24
questions of a paragraph each, then one question of a document of 30,000 characters. All ways
take turns; medians of processor time, and the ratio against one call each.
"""

import argparse

import torch
from transformers import BertConfig, BertForQuestionAnswering

from _timing import interleaved_medians, print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.devices import Portions
from qa_lightning.answerer.loading import DecisionSettings, Reader
from qa_lightning.demo import demo_rows, demo_tokenizer
from qa_lightning.features import WindowSettings

QUESTIONS = 24
LONG = 30_000  # characters
SIZES = (512, 1_024, 2_048, 4_096, 16_384)


def reader() -> Reader:
    """Return a network that reads at MiniLM's pace."""
    tokenizer = demo_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1_536,
    )
    return Reader(
        network=BertForQuestionAnswering(config).eval(),
        tokenizer=tokenizer,
        windows=WindowSettings(max_length=384, doc_stride=128, max_question_length=64),
        decision=DecisionSettings(),
        token_types=True,
        global_attention="question",
        language="pt",
        origin="random weights",
    )


def main() -> None:
    """Time both tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shared = reader()
    rows, contexts = [], {}
    for row in demo_rows("validation", seed=0):
        contexts.setdefault(row["context"], row["question"])
    rows = [(question, context) for context, question in contexts.items()][:QUESTIONS]
    text = "\n".join(contexts)
    long = (rows[0][0], (text * (LONG // len(text) + 1))[:LONG])

    single = QuestionAnswerer(shared, device="cpu")
    answerers = {
        size: QuestionAnswerer(shared, device="cpu", tokens_per_batch=size) for size in SIZES
    }
    many = interleaved_medians(
        {"each": lambda: [single.answer(*row) for row in rows]}
        | {str(size): lambda a=a: a.answer_batch(rows) for size, a in answerers.items()},
        repeats=options.rounds,
    )
    one = interleaved_medians(
        {str(size): lambda a=a: a.answer(*long) for size, a in answerers.items()},
        repeats=max(1, options.rounds // 2),
    )
    print_table(
        f"{len(rows)} questions, and one of {LONG:,} characters; {options.threads} thread(s). "
        f"The default on a CPU is {Portions.for_device(single.device).tokens:,}; one call each "
        f"takes {many['each']:.2f} s.",
        ["tokens at a time", "one call, s", "against one each", "long document, s"],
        [
            (f"{size:,}", many[str(size)], many[str(size)] / many["each"], one[str(size)])
            for size in SIZES
        ],
    )


if __name__ == "__main__":
    main()
