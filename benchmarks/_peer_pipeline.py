"""Answer by transformers 4's pipeline, a JSON line in and one out.

`pipeline.py` runs it in an environment of its own, where nothing of ours is installed.

A line is `{"question": [...], "context": [...], "batch_size": n}`: the answers and the seconds of
processor time that they took; with `"windows": true` each window's ids and logits as well.
"""

import json
import sys
import time

import torch
from transformers import pipeline

SETTINGS = {
    "max_seq_len": 384,
    "doc_stride": 128,
    "max_answer_len": 30,
    "align_to_words": False,
    "handle_impossible_answer": False,
}


def windows(pipe, question, context):
    """Return what the network is given of each window, and what it says."""
    found = []
    example = pipe.create_sample(question=question, context=context)
    for inputs in pipe.preprocess(example, doc_stride=128, max_seq_len=384):
        ids = inputs["input_ids"]
        with torch.inference_mode():
            outputs = pipe.forward(inputs)
        logits = [outputs[name][0].tolist() for name in ("start", "end")]
        found.append({"ids": ids[0].tolist(), "logits": logits})
    return found


def main():
    torch.set_num_threads(int(sys.argv[2]))
    pipe = pipeline("question-answering", model=sys.argv[1], device="cpu")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        begin = time.process_time()
        answers = pipe(
            question=asked["question"],
            context=asked["context"],
            batch_size=asked["batch_size"],
            **SETTINGS,
        )
        seconds = time.process_time() - begin
        answers = answers if isinstance(answers, list) else [answers]
        told = {"seconds": seconds, "answers": [[a["start"], a["end"]] for a in answers]}
        if asked.get("windows"):
            told["windows"] = windows(pipe, asked["question"][0], asked["context"][0])
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
