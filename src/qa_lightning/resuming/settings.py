"""Settings that a training which goes on cannot take: the others are applied."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

KEY = "qa_lightning_resume"
"""Where a checkpoint keeps what `ExactResume` adds to it."""

ORDER = (
    "batch_size",
    "group_by_length",
    "group_by_document",
    "windows_per_document",
    "negative_windows",
    "seed",
    "train_split",
)
"""Arguments of the datamodule that decide which windows a batch of an epoch holds."""

RHYTHM = {"accumulate_grad_batches": 1, "limit_train_batches": 1.0, "overfit_batches": 0.0}
"""Arguments of the trainer that decide which batches an epoch has, and which make a step."""

Values = Mapping[str, Any]


def resume_problems(saved: Values, model: Values, data: Values, trainer: Values) -> Iterator[str]:
    """Yield a sentence for each setting that was changed, and can neither be applied nor ignored.

    Args:
        saved: a checkpoint's values.
        model: arguments of the module now.
        data: arguments of the datamodule now.
        trainer: arguments of the trainer now.
    """
    before = saved.get("hyper_parameters") or {}
    # Each of these decides how many groups of parameters the optimizer's state is of.
    kinds: dict[str, Callable[[Any], bool]] = {
        "freeze_embeddings": bool,
        "head_learning_rate": lambda rate: rate is not None,
        "layer_decay": lambda decay: decay != 1,
    }
    for key, kind in kinds.items():
        if key in before and kind(before[key]) != kind(model[key]):
            yield _sentence(f"model.{key}", before[key], model[key], "the optimizer began")
    if is_within_epoch(saved):
        before = saved.get("datamodule_hyper_parameters") or {}
        for key in ORDER:
            if key in before and before[key] != data[key]:
                reason = "the epoch that it stands in began"
                yield _sentence(f"data.{key}", before[key], data[key], reason)
        yield from rhythm_problems(saved, trainer)


def rhythm_of(trainer: Values) -> dict[str, Any]:
    """Return the arguments of a trainer that an epoch was begun with, as they are compared."""
    given = {key: trainer.get(key) for key in RHYTHM}
    found = {key: RHYTHM[key] if value is None else value for key, value in given.items()}
    if found["overfit_batches"]:  # Lightning puts it in the other's place
        found["limit_train_batches"] = found["overfit_batches"]
    return found


def rhythm_problems(saved: Values, trainer: Values) -> Iterator[str]:
    """Yield a sentence for each argument of the trainer that was changed within an epoch."""
    if not is_within_epoch(saved):
        return
    before = saved[KEY].get("rhythm") or {}
    for key, value in rhythm_of(trainer).items():
        # 1 is a number of batches, 1.0 a share of them.
        if key in before and (type(before[key]), before[key]) != (type(value), value):
            reason = "the epoch that it stands in began"
            yield _sentence(f"trainer.{key}", before[key], value, reason)


def is_within_epoch(saved: Values) -> bool:
    """Return whether a checkpoint stands between the first and the last batch of an epoch."""
    place = (saved.get(KEY) or {}).get("place") or {}
    return bool(place.get("batch"))


def _sentence(key: str, before: Any, now: Any, reason: str) -> str:
    return (
        f"Expected `{key}` to stay {before!r}, with which {reason}; got {now!r}. Leave it out, or "
        "begin a new run from the exported weights."
    )
