"""What the arguments of the data module may be."""

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

from qa_lightning.alignment import POLICIES
from qa_lightning.batches import global_attention_problems
from qa_lightning.features import WINDOW_RULES
from qa_lightning.languages import language_problems
from qa_lightning.ranges import SEEDS, Rule, flag, number, one_of, problems, text, whole


def _are_paths(paths: Any) -> bool:
    listed = paths if isinstance(paths, list | tuple) else [paths]
    return len(listed) > 0 and all(isinstance(path, str | PathLike) and path for path in listed)


PROCESSES = 1_024
RULES: dict[str, Rule] = {
    **WINDOW_RULES,
    "dataset": text(optional=False, remedy="Name a Hub id, a file, a folder, or demo."),
    "data_files": Rule(
        "to hold a path or a list of paths for each split",
        "For example {train: train.json, validation: dev.json}.",
        lambda files: (
            isinstance(files, Mapping) and len(files) > 0 and all(map(_are_paths, files.values()))
        ),
        optional=True,
    ),
    "in_memory": Rule(
        "to hold the hash of each split that was given in memory",
        "Leave it out: it is filled in.",
        lambda hashes: (
            isinstance(hashes, Mapping)
            and all(isinstance(each, str) for pair in hashes.items() for each in pair)
        ),
        optional=True,
    ),
    **dict.fromkeys(("train_split", "val_split"), text(optional=False)),
    **dict.fromkeys(
        ("dataset_config", "revision", "test_split", "predict_split", "tokenizer"), text()
    ),
    **dict.fromkeys(("tokenizer_revision", "cache_dir"), text()),
    "columns": Rule(
        "to hold the data's own name for each canonical column",
        "For example {context: passage}.",
        lambda names: (
            isinstance(names, Mapping)
            and all(isinstance(each, str) for pair in names.items() for each in pair)
        ),
        optional=True,
    ),
    **dict.fromkeys(("token_types", "skip_unreadable"), flag()),
    "alignment": one_of(POLICIES),
    "alignment_threshold": number(0, 1, remedy="It is a confidence."),
    "batch_size": whole(1),
    "eval_batch_size": whole(1, optional=True),
    "pad_to": one_of(("longest", "max_length")),
    "group_by_length": flag(),
    **dict.fromkeys(("all_gold_spans", "group_by_document"), flag(optional=True)),
    "windows_per_document": whole(1),
    "num_workers": whole(0, PROCESSES, remedy="0 is for none: batches are made between steps."),
    "cache_entries": whole(1),
    "cache_gib": number(above=0),
    "num_proc": whole(1, PROCESSES, optional=True),
    "seed": whole(0, SEEDS, optional=True),
}
"""What the arguments of `QADataModule` may be; the others have checks of their own."""


def data_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each argument of `QADataModule` that cannot work."""
    yield from problems(RULES, settings, prefix="data.")
    yield from language_problems(settings["language"], "data.language")
    length, stride = settings["max_length"], settings["doc_stride"]
    length = length if RULES["max_length"].allows(length) else None
    yield from global_attention_problems(settings["global_attention"], length)
    if length is not None and RULES["doc_stride"].allows(stride) and stride >= length:
        yield (
            "Expected `data.doc_stride`, the overlap of windows, to be below `data.max_length` "
            f"({length}); got {stride}. Lower it."
        )
