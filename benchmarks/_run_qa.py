"""Fine-tune as run_qa.py of transformers does; a process of `proof_xquad.py`.

python benchmarks/_run_qa.py SETTINGS.json RESULT.json

Written anew from the script's description. Of the script are the windows (padded to `max_length`),
the Trainer and the search for answers; what differs from it is told in `proof_xquad.py`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import transformers
from transformers import AutoTokenizer, LongformerForQuestionAnswering, TrainerCallback

from _runs import Stopwatch
from postprocessing import classic
from preparation import Notebook
from qa_lightning.features import WindowSettings

HEAD = "qa_outputs."


def with_global_attention(features: datasets.Dataset, sep_token_id: int) -> datasets.Dataset:
    """Add the mask of the tokens in front of the first separator: CLS and the question.

    It is what transformers' Longformer makes by itself from three separators; the tokenizers of
    BERT models put two.
    """

    def masks(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        ids_bl = batch["input_ids"]
        fronts = [ids.index(sep_token_id) for ids in ids_bl]
        return {
            "global_attention_mask": [
                [1] * front + [0] * (len(ids) - front)
                for ids, front in zip(ids_bl, fronts, strict=True)
            ]
        }

    return features.map(masks, batched=True)


class HeadRateTrainer(transformers.Trainer):
    """Give the head a learning rate of its own; all else is the Trainer's."""

    head_learning_rate = 0.0

    def create_optimizer(self, model: Any = None) -> Any:
        network = self.model if model is None else model
        kind, arguments = self.get_optimizer_cls_and_kwargs(self.args, network)
        decaying = set(self.get_decay_parameter_names(network))
        groups = [
            {
                "params": [
                    parameter
                    for name, parameter in network.named_parameters()
                    if parameter.requires_grad
                    and name.startswith(HEAD) == in_head
                    and (name in decaying) == decays
                ],
                "lr": self.head_learning_rate if in_head else self.args.learning_rate,
                "weight_decay": self.args.weight_decay if decays else 0.0,
            }
            for in_head in (True, False)
            for decays in (True, False)
        ]
        self.optimizer = kind(groups, **arguments)
        return self.optimizer


class Clock(TrainerCallback):
    """Time the training loop."""

    def __init__(self) -> None:
        self.watch = Stopwatch()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.watch.start()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.watch.stop()


def arguments_of(
    settings: dict[str, Any], windows: int, folder: str
) -> transformers.TrainingArguments:
    """Return the Trainer's arguments."""
    recipe = settings["recipe"]
    steps = recipe["epochs"] * -(-windows // recipe["batch_size"])
    return transformers.TrainingArguments(
        output_dir=folder,
        seed=settings["seed"],
        num_train_epochs=recipe["epochs"],
        per_device_train_batch_size=recipe["batch_size"],
        learning_rate=recipe["learning_rate"],
        warmup_steps=int(steps * recipe["warmup_ratio"]),
        weight_decay=recipe["weight_decay"],
        max_grad_norm=recipe["clip"],
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )


def read(path: str) -> datasets.Dataset:
    """Read questions."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return datasets.Dataset.from_list([json.loads(line) for line in lines])


def run(settings: dict[str, Any], folder: str) -> dict[str, Any]:
    """Train, answer the held-out questions, and return times and answers."""
    transformers.set_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    recipe = settings["recipe"]
    notebook = Notebook(
        tokenizer, WindowSettings(max_length=recipe["max_length"], doc_stride=recipe["doc_stride"])
    )
    train, held_out = read(settings["train"]), read(settings["held_out"])

    def windows_of(examples: datasets.Dataset, prepare: Any) -> datasets.Dataset:
        windows = examples.map(prepare, batched=True, remove_columns=examples.column_names)
        return with_global_attention(windows, tokenizer.sep_token_id)

    windows = windows_of(train, notebook.train_features)
    held_out_windows = windows_of(held_out, notebook.validation_features)
    network = LongformerForQuestionAnswering.from_pretrained(settings["model"])
    network.longformer.embeddings.requires_grad_(False)
    clock = Clock()
    trainer = HeadRateTrainer(
        model=network,
        args=arguments_of(settings, len(windows), folder),
        train_dataset=windows,
        data_collator=transformers.default_data_collator,
        callbacks=[clock],
    )
    trainer.head_learning_rate = recipe["head_learning_rate"]
    trainer.train()
    columns = ["input_ids", "attention_mask", "token_type_ids", "global_attention_mask"]
    logits = trainer.predict(held_out_windows.select_columns(columns)).predictions
    answers = classic(
        held_out, held_out_windows, logits[0], logits[1], cls_token_id=tokenizer.cls_token_id
    )
    return {
        **clock.watch.record(),
        "windows": recipe["epochs"] * len(windows),
        "predictions": answers,
    }


def main() -> None:
    """Read the settings, run, write the result."""
    settings_path, result_path = map(Path, sys.argv[1:])
    datasets.disable_progress_bars()
    settings = json.loads(settings_path.read_text(encoding="utf-8"))
    result = run(settings, str(result_path.with_suffix("")))
    result_path.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
