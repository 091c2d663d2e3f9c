"""Time a whole training epoch against the notebook's own way, in one run.

    python benchmarks/training_epoch.py [--questions 120] [--rounds 1] [--layers 4]

The notebook: features by run_qa's function, every row padded to 384 tokens (and by the model to
512), transformers' own attention, HF `Trainer`, batch 2. Ours: `QADataModule` and `QAModule` under
Lightning's `Trainer`, with what is their default. Both train the same weights (base-size layers,
the real vocabulary) in float32 on the same questions, with the same labels; the epochs take turns.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import lightning.pytorch as pl
import torch
import transformers
from transformers import AutoTokenizer, LongformerConfig, LongformerForQuestionAnswering

from _timing import NO_PAGE_FAULTS, allocator, print_table
from preparation import DATA, Notebook
from qa_lightning import QADataModule, QAModule

LEARNING_RATE = 1e-6


def write_data(folder: Path, source: Path, questions: int) -> Path:
    """Write the first questions of a SQuAD file as JSON Lines."""
    rows = (
        {"id": qa["id"], "title": "", "context": p["context"], "question": qa["question"],
         "answers": {"text": [a["text"] for a in qa["answers"]],
                     "answer_start": [a["answer_start"] for a in qa["answers"]]}}
        for article in json.loads(source.read_text(encoding="utf-8"))["data"]
        for p in article["paragraphs"]
        for qa in p["qas"]
    )  # fmt: skip
    path = folder / "train.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in islice(rows, questions))
    return path


def write_model(folder: Path, layers: int, vocabulary: int) -> Path:
    """Write a Longformer with base-size layers and random weights."""
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=vocabulary,
        num_hidden_layers=layers,
        attention_window=[512] * layers,
        max_position_embeddings=1026,
        type_vocab_size=1,
    )
    LongformerForQuestionAnswering(config).save_pretrained(folder / "model")
    return folder / "model"


def notebook_epoch(data: Path, model: Path, tokenizer: Any, folder: Path) -> tuple[int, float]:
    """Train one epoch as the notebook does; return windows and seconds."""
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    examples = datasets.Dataset.from_list(rows)
    features = examples.map(
        Notebook(tokenizer).train_features, batched=True, remove_columns=examples.column_names
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "notebook"),
        per_device_train_batch_size=2,
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        num_train_epochs=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        logging_strategy="no",
    )
    trainer = transformers.Trainer(
        model=LongformerForQuestionAnswering.from_pretrained(model),
        args=arguments,
        train_dataset=features,
        data_collator=transformers.default_data_collator,
    )
    begin = time.perf_counter()
    trainer.train()
    return len(features), time.perf_counter() - begin


class Clock(pl.Callback):
    """Time the training loop."""

    seconds = 0.0

    def on_train_start(self, *_: Any) -> None:
        self._begin = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self._begin


def our_epoch(data: Path, model: Path, tokenizer: Any, folder: Path) -> tuple[int, float]:
    """Train one epoch with the project's defaults; return windows and seconds."""
    module = QADataModule(
        data_files={"train": str(data), "validation": str(data)},
        tokenizer=tokenizer,
        alignment="keep",
        max_question_length=128,
        cache_dir=str(folder / "cache"),
    )
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        gradient_clip_val=1.0,
        callbacks=[clock],
        default_root_dir=str(folder),
    )
    trainer.fit(
        QAModule(str(model), learning_rate=LEARNING_RATE, weight_decay=0.01), datamodule=module
    )
    return len(module.train_features), clock.seconds


def measure(options: argparse.Namespace) -> None:
    """Print the table."""
    tokenizer = AutoTokenizer.from_pretrained(DATA / "longformer_bpe")
    ways = {"notebook": notebook_epoch, "qa_lightning": our_epoch}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_data(folder, options.data, options.questions)
        model = write_model(folder, options.layers, len(tokenizer))
        for _ in range(options.rounds):
            for way, epoch in ways.items():
                windows, seconds = epoch(data, model, tokenizer, folder)
                speeds[way].append(windows / seconds)
    medians = {way: statistics.median(values) for way, values in speeds.items()}
    print_table(
        f"One epoch over {options.questions} questions, {options.layers} layers of base size, "
        f"{torch.get_num_threads()} thread, {allocator()}",
        ["way", "windows per second", "ratio"],
        [[way, speed, speed / medians["notebook"]] for way, speed in medians.items()],
    )


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA / "squad_v1_pt_sample.json")
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep-memory", action="store_true", help="again, without page faults")
    options = parser.parse_args()
    if options.keep_memory and not NO_PAGE_FAULTS.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **NO_PAGE_FAULTS})
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    measure(options)


if __name__ == "__main__":
    main()
