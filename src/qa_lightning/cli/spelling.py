"""The name that a wrong one means most likely: of a command, an option, a file."""

import difflib
from collections.abc import Sequence
from typing import Final

# Names that the same things have in transformers' Trainer and run_qa.py, in Keras, and elsewhere;
# of several keys the first that a command has.
ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    "bf16": ("trainer.precision",),
    "ckpt": ("checkpoint", "ckpt_path"),
    "ckpt_path": ("checkpoint", "ckpt_path"),
    "data_dir": ("data.dataset", "folder"),
    "dataset_name": ("data.dataset",),
    "doc": ("document",),
    "docs": ("document",),
    "early_stopping": ("trainer.callbacks",),
    "early_stopping_patience": ("trainer.callbacks",),
    "epochs": ("trainer.max_epochs",),
    "eval_steps": ("trainer.val_check_interval",),
    "file": ("document", "data.data_files"),
    "fp16": ("trainer.precision",),
    "gpus": ("trainer.devices", "device"),
    "gradient_accumulation_steps": ("trainer.accumulate_grad_batches",),
    "k": ("n_best", "evaluation.n_best"),
    "logging_steps": ("trainer.log_every_n_steps",),
    "lr": ("model.learning_rate",),
    "lr_scheduler_type": ("model.lr_schedule",),
    "max_grad_norm": ("trainer.gradient_clip_val",),
    "max_seq_length": ("data.max_length", "max_length"),
    "model": ("checkpoint",),
    "model_name": ("model.model_name_or_path", "checkpoint"),
    "model_name_or_path": ("model.model_name_or_path", "checkpoint"),
    "n_best_size": ("evaluation.n_best", "n_best"),
    "name": ("model.model_name_or_path", "checkpoint"),
    "null_score_diff_threshold": ("evaluation.null_score_threshold",),
    "num_train_epochs": ("trainer.max_epochs",),
    "out": ("trainer.default_root_dir", "output", "html"),
    "output": ("trainer.default_root_dir", "output", "html"),
    "output_dir": ("trainer.default_root_dir", "output", "html"),
    "patience": ("trainer.callbacks",),
    "per_device_eval_batch_size": ("data.eval_batch_size",),
    "per_device_train_batch_size": ("data.batch_size",),
    "preprocessing_num_workers": ("data.num_proc", "num_proc"),
    "resume": ("ckpt_path",),
    "resume_from_checkpoint": ("ckpt_path",),
    "run": ("checkpoint", "trainer.default_root_dir"),
    "save_steps": ("checkpoint.every_n_train_steps",),
    "save_top_k": ("checkpoint.monitor",),
    "seed": ("seed_everything",),
    "tensorboard": ("trainer.logger",),
    "text": ("context",),
    "tokenizer_name": ("data.tokenizer", "tokenizer"),
    "top_k": ("n_best", "evaluation.n_best"),
    "train_batch_size": ("data.batch_size",),
    "train_file": ("data.data_files",),
    "validation_file": ("data.data_files",),
    "wandb": ("trainer.logger",),
}
# Of one command alone, before all others.
OF_COMMAND: Final = {
    "predict": dict.fromkeys(("out", "output", "output_dir"), "prediction.output_dir"),
    "fit": {"resume": "ckpt_path"},
}
COMMANDS_ELSEWHERE: Final = {
    "ask": "answer",
    "check": "audit",
    "convert": "export",
    "eval": "validate",
    "evaluate": "validate",
    "finetune": "fit",
    "infer": "predict",
    "inference": "predict",
    "run": "fit",
    "search": "index",
    "server": "serve",
    "sweep": "tune",
    "train": "fit",
    "ui": "app",
    "val": "validate",
    "web": "app",
}
_CUTOFF: Final = 0.6
_ALL_WORDS: Final = 0.75  # of a name that says fewer words than the key: `epochs`, `max_epochs`


def suggestion(name: str, known: Sequence[str], command: str = "") -> str | None:
    """Return the key that a wrong name means most likely; None where nothing is like it.

    Args:
        name: without dashes.
        known: the keys there are; of equally likely ones the first is taken.
        command: that the name was given to.

    >>> suggestion("trainer.epochs", ["trainer.max_epochs", "trainer.min_epochs"])
    'trainer.max_epochs'
    """
    plain = name.replace("-", "_").lower()
    group, _, last = plain.rpartition(".")
    for key in (OF_COMMAND.get(command, {}).get(last), *ELSEWHERE.get(last, ())):
        if key in known:
            return key
    words = set(last.split("_"))

    def likeness(key: str) -> tuple[float, bool]:
        own_group, _, own = key.rpartition(".")
        own_words = set(own.split("_"))
        shared = len(words & own_words) / len(words | own_words)
        if words <= own_words:
            shared = max(shared, _ALL_WORDS)
        spelled = difflib.SequenceMatcher(None, last, own).ratio()
        return max(shared, spelled), own_group == group

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= _CUTOFF else None


def command_meant(word: str, commands: Sequence[str]) -> str | None:
    """Return the command that a wrong word means most likely; None where none is like it.

    >>> command_meant("trian", ["fit", "test"]), command_meant("valdate", ["validate"])
    ('fit', 'validate')
    """
    plain = word.strip("-").lower()
    own = {name.strip("-"): name for name in commands}
    near = difflib.get_close_matches(plain, [*own, *COMMANDS_ELSEWHERE], n=1)
    return {**COMMANDS_ELSEWHERE, **own}[near[0]] if near else None
