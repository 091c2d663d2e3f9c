"""Time a whole training epoch against the notebook's own way, in one run.

    python benchmarks/training_epoch.py [--questions 120] [--rounds 1] [--layers 4]

The notebook: features by run_qa's function, every row padded to 384 tokens (and by the model to
512), transformers' own attention, HF `Trainer`, batch 2. Ours: `QADataModule` and `QAModule` under
Lightning's `Trainer`, with what is their default. Both train the same weights (base-size layers,
the real vocabulary) in float32 on the same questions, with the same labels; the epochs take turns.
With an allocator that keeps memory the first 8 questions have to do.

Before them, both ways' losses over 20 steps of one layer: HF `Trainer` and ours, each with its own
preparation, on the same windows in the same order, dropout 0, clipping at 1.0, all rows padded to
384 and, for once, padding in ours' softmax as in transformers'.
"""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import lightning.pytorch as pl
import torch
import transformers
from transformers import AutoTokenizer, LongformerConfig, LongformerForQuestionAnswering

from _timing import again_keeping_memory, allocator, keeps_memory, print_table
from preparation import DATA, Notebook
from qa_lightning import QADataModule, QAModule
from qa_lightning.objectives import windows as window_objectives

LEARNING_RATE = 1e-6
STEPS = 20  # of the loss curve
QUESTIONS_KEEPING_MEMORY = 8


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


def write_model(folder: Path, layers: int, vocabulary: int, dropout: float = 0.1) -> Path:
    """Write a Longformer with base-size layers and random weights."""
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=vocabulary,
        num_hidden_layers=layers,
        attention_window=[512] * layers,
        max_position_embeddings=1026,
        type_vocab_size=1,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    path = folder / f"model_{layers}_{dropout}"
    LongformerForQuestionAnswering(config).save_pretrained(path)
    return path


class InOrder(transformers.Trainer):
    """HF's `Trainer` on the windows as they come, noting each step's loss."""

    losses: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        loss = super().compute_loss(*arguments, **named)
        self.losses.append(float(loss[0] if isinstance(loss, tuple) else loss))
        return loss


def notebook_trainer(
    data: Path,
    model: Path,
    tokenizer: Any,
    folder: Path,
    *,
    kind: type[transformers.Trainer] = transformers.Trainer,
    learning_rate: float = LEARNING_RATE,
    max_steps: int = -1,
) -> transformers.Trainer:
    """Prepare the features and return what trains as the notebook does."""
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    examples = datasets.Dataset.from_list(rows)
    features = examples.map(
        Notebook(tokenizer).train_features, batched=True, remove_columns=examples.column_names
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(folder / "notebook"),
        per_device_train_batch_size=2,
        learning_rate=learning_rate,
        weight_decay=0.01,
        num_train_epochs=1,
        max_steps=max_steps,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        logging_strategy="no",
    )
    trainer = kind(
        model=LongformerForQuestionAnswering.from_pretrained(model),
        args=arguments,
        train_dataset=features,
        data_collator=transformers.default_data_collator,
    )
    trainer.remove_callback(transformers.PrinterCallback)  # the tables are the output
    return trainer


def notebook_epoch(data: Path, model: Path, tokenizer: Any, folder: Path) -> tuple[int, float]:
    """Train one epoch as the notebook does; return windows and seconds."""
    trainer = notebook_trainer(data, model, tokenizer, folder)
    begin = time.perf_counter()
    trainer.train()
    return len(trainer.train_dataset), time.perf_counter() - begin


class Clock(pl.Callback):
    """Time the training loop."""

    seconds = 0.0

    def on_train_start(self, *_: Any) -> None:
        self._begin = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.seconds = time.perf_counter() - self._begin


class Losses(pl.Callback):
    """Note each step's loss."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        self.values.append(float(outputs["loss"]))


def our_data(data: Path, tokenizer: Any, folder: Path, **options: Any) -> QADataModule:
    """Return the datamodule of these questions."""
    return QADataModule(
        data_files={"train": str(data), "validation": str(data)},
        tokenizer=tokenizer,
        alignment="keep",
        max_question_length=128,
        cache_dir=str(folder / "cache"),
        **options,
    )


def our_trainer(folder: Path, callback: pl.Callback, **options: Any) -> pl.Trainer:
    """Return a trainer that does nothing but train."""
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        gradient_clip_val=1.0,
        callbacks=[callback],
        default_root_dir=str(folder),
        **options,
    )


def our_epoch(data: Path, model: Path, tokenizer: Any, folder: Path) -> tuple[int, float]:
    """Train one epoch with the project's defaults; return windows and seconds."""
    datamodule, clock = our_data(data, tokenizer, folder), Clock()
    module = QAModule(str(model), learning_rate=LEARNING_RATE, weight_decay=0.01)
    our_trainer(folder, clock, max_epochs=1).fit(module, datamodule=datamodule)
    return len(datamodule.train_features), clock.seconds


def compare_curves(data: Path, tokenizer: Any, folder: Path) -> None:
    """Print the losses of both ways, step by step, where nothing is left to chance."""
    model, rate = write_model(folder, 1, len(tokenizer), dropout=0.0), 3e-5
    theirs = notebook_trainer(
        data, model, tokenizer, folder, kind=InOrder, learning_rate=rate, max_steps=STEPS
    )
    theirs.losses = []
    theirs.train()
    datamodule, losses = our_data(data, tokenizer, folder, pad_to="max_length"), Losses()
    datamodule.prepare_data()
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    in_order = torch.utils.data.DataLoader(
        loader.dataset, batch_size=2, collate_fn=loader.collate_fn
    )
    module = QAModule(str(model), learning_rate=rate, weight_decay=0.01)
    with mock.patch.object(
        window_objectives, "mask_padding", lambda logits_bl, _: logits_bl.float()
    ):
        our_trainer(folder, losses, max_steps=STEPS).fit(module, train_dataloaders=in_order)
    pairs = list(zip(theirs.losses, losses.values, strict=True))
    largest = max(abs(a - b) for a, b in pairs)
    print_table(
        f"Losses of {STEPS} steps, largest difference {largest:.1e}; goal: 1e-4",
        ["step", "notebook", "qa_lightning"],
        [[step, f"{a:.6f}", f"{b:.6f}"] for step, (a, b) in enumerate(pairs, 1)],
    )
    if len(pairs) != STEPS or largest > 1e-4:
        raise RuntimeError(f"The loss curves differ by {largest:.1e} in {len(pairs)} steps.")


def measure(options: argparse.Namespace) -> None:
    """Print the table."""
    tokenizer = AutoTokenizer.from_pretrained(DATA / "longformer_bpe")
    ways = {"notebook": notebook_epoch, "qa_lightning": our_epoch}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not keeps_memory():
            compare_curves(write_data(folder, options.data, 2 * STEPS), tokenizer, folder)
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
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    measure(options)
    again_keeping_memory("--questions", str(min(options.questions, QUESTIONS_KEEPING_MEMORY)))


if __name__ == "__main__":
    main()
