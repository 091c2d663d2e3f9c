"""Time the preparation of windows against the notebook's two functions, in one run.

    python benchmarks/preparation.py [--data squad_v1_pt_sample.json] [--rounds 2]

The notebook (run_qa.py) maps `prepare_train_features` and `prepare_validation_features`, written
anew here, over the same questions: the first makes the labels, the second what answers are read
from. Ours makes one table that serves both; the table also shows ours made twice, as for a training
and a validation set of this size. Ours writes its cache file, as the notebook's `map` does. Runs
are interleaved; medians are shown. Both sides have one tokenizer thread.
"""

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import datasets
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from _timing import again_keeping_memory, allocator, interleaved_medians, print_table
from qa_lightning.features import WindowSettings, build_features, features_fingerprint

SETTINGS = WindowSettings(max_length=384, doc_stride=128, max_question_length=128)
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("QA_LIGHTNING_REALDATA", ROOT.parent / "shared" / "data"))


def read_examples(path: Path) -> datasets.Dataset:
    """Read a SQuAD 1.1 file, with spans that trust `answer_start` as the notebook does."""
    rows = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                texts = [answer["text"] for answer in question["answers"]]
                starts = [answer["answer_start"] for answer in question["answers"]]
                ends = [start + len(text) for start, text in zip(starts, texts, strict=True)]
                rows.append(
                    {
                        "id": question["id"],
                        "title": article.get("title", ""),
                        "context": paragraph["context"],
                        "question": question["question"],
                        "answers": {"text": texts, "answer_start": starts},
                        "spans": {
                            "start_char": starts,
                            "end_char": ends,
                            "confidence": [1.0] * len(starts),
                            "status": ["exact"] * len(starts),
                        },
                    }
                )
    return datasets.Dataset.from_list(rows)


class Notebook:
    """Prepare features as run_qa.py's two functions do."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, settings: WindowSettings = SETTINGS
    ) -> None:
        self.tokenizer = tokenizer
        self.settings = settings

    def tokenize(self, examples: dict[str, list[Any]]) -> Any:
        return self.tokenizer(
            [question.lstrip() for question in examples["question"]],
            examples["context"],
            truncation="only_second",
            max_length=self.settings.max_length,
            stride=self.settings.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        )

    def train_features(self, examples: dict[str, list[Any]]) -> Any:
        encoding = self.tokenize(examples)
        examples_of = encoding.pop("overflow_to_sample_mapping")
        encoding["start_positions"], encoding["end_positions"] = [], []
        for window, offsets in enumerate(encoding.pop("offset_mapping")):
            cls_index = encoding["input_ids"][window].index(self.tokenizer.cls_token_id)
            answers = examples["answers"][examples_of[window]]
            owners = encoding.sequence_ids(window)
            start, end = find_labels(offsets, owners, answers, cls_index)
            encoding["start_positions"].append(start)
            encoding["end_positions"].append(end)
        return encoding

    def validation_features(self, examples: dict[str, list[Any]]) -> Any:
        encoding = self.tokenize(examples)
        examples_of = encoding.pop("overflow_to_sample_mapping")
        encoding["example_id"] = []
        for window in range(len(encoding["input_ids"])):
            owners = encoding.sequence_ids(window)
            encoding["example_id"].append(examples["id"][examples_of[window]])
            encoding["offset_mapping"][window] = [
                (offset if owners[place] == 1 else None)
                for place, offset in enumerate(encoding["offset_mapping"][window])
            ]
        return encoding

    def prepare(self, examples: datasets.Dataset, folder: Path) -> int:
        count = 0
        for function in (self.train_features, self.validation_features):
            features = examples.map(
                function,
                batched=True,
                remove_columns=examples.column_names,
                cache_file_name=str(folder / f"{function.__name__}.arrow"),
                load_from_cache_file=False,
                new_fingerprint=function.__name__,
            )
            count += len(features)
        return count


def find_labels(
    offsets: list[tuple[int, int]], owners: list[int | None], answers: Any, cls_index: int
) -> tuple[int, int]:
    """Walk to the answer's tokens as run_qa.py does."""
    if len(answers["answer_start"]) == 0:
        return cls_index, cls_index
    start_char = answers["answer_start"][0]
    end_char = start_char + len(answers["text"][0])
    start = 0
    while owners[start] != 1:
        start += 1
    end = len(owners) - 1
    while owners[end] != 1:
        end -= 1
    if not (offsets[start][0] <= start_char and offsets[end][1] >= end_char):
        return cls_index, cls_index
    while start < len(offsets) and offsets[start][0] <= start_char:
        start += 1
    while offsets[end][1] >= end_char:
        end -= 1
    return start - 1, end + 1


def prepare_ours(
    examples: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, folder: Path, *, times: int
) -> int:
    """Prepare windows once or twice (train, validation), each with its cache key and file."""
    count = 0
    for training in (True, False)[:times]:
        key = features_fingerprint("sample", tokenizer, SETTINGS, training=training, labels=True)
        file = folder / f"{key}.arrow"
        windows = build_features(examples, tokenizer, SETTINGS, training=training, cache_file=file)
        count += len(windows)
    return count


def in_new_folder(prepare: Callable[[Path], int]) -> Callable[[], int]:
    """Return a preparation that finds no cache."""

    def call() -> int:
        with tempfile.TemporaryDirectory() as name:
            return prepare(Path(name))

    return call


def measure(path: Path, tokenizer_path: Path, rounds: int) -> None:
    """Run the preparations in turn and print their table."""
    examples = read_examples(path)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    notebook = Notebook(tokenizer)

    def ours(folder: Path, times: int = 1) -> int:
        return prepare_ours(examples, tokenizer, folder, times=times)

    with tempfile.TemporaryDirectory() as name:
        windows = ours(Path(name))
        ways = {
            "notebook: train + validation features": in_new_folder(
                lambda folder: notebook.prepare(examples, folder)
            ),
            "ours: one table for both": in_new_folder(ours),
            "ours: two tables": in_new_folder(lambda folder: ours(folder, times=2)),
            "ours: second run, cached": lambda: ours(Path(name)),
        }
        if ways["notebook: train + validation features"]() != 2 * windows:
            raise RuntimeError("The notebook's functions gave another number of windows.")
        medians = interleaved_medians(ways, repeats=rounds, warmup=0)
    peer = medians["notebook: train + validation features"]
    print_table(
        f"Preparation of {len(examples)} questions ({windows} windows), medians of {rounds} runs "
        f"in turns, {allocator()}; goal: 8 times the notebook (one table), less than 1 s if cached",
        ["way", "seconds", "questions/s", "times the notebook"],
        [
            [name, f"{seconds:.3f}", f"{len(examples) / seconds:,.0f}", peer / seconds]
            for name, seconds in medians.items()
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "squad_v1_pt_sample.json")
    parser.add_argument("--tokenizer", type=Path, help="default: longformer_bpe beside the data")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round")
    options = parser.parse_args()
    logging.getLogger("qa_lightning").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    tokenizer = options.tokenizer or options.data.parent / "longformer_bpe"
    measure(options.data, tokenizer, 1 if options.quick else options.rounds)
    again_keeping_memory()


if __name__ == "__main__":
    main()
