"""What is wrong with a checkpoint's state of a training, before any of it is put back."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from qa_lightning.errors import InputError
from qa_lightning.resuming.places import Place
from qa_lightning.resuming.random_states import is_random_state
from qa_lightning.resuming.settings import KEY
from qa_lightning.saved import is_plain

_MOST = 10**12


def check_place(values: Mapping[str, Any], path: object) -> None:
    """Refuse what `ExactResume` did not write under its key; there may be nothing.

    Args:
        values: a checkpoint's.
        path: its file, for the user.

    Raises:
        InputError: it did not.
    """
    found = values.get(KEY)
    if found is None:
        return
    kinds = {"place": dict, "random": list, "figures": dict, "due_row": dict, "data": dict}
    for key, kind in kinds.items():
        if not isinstance(found, dict) or not isinstance(found.get(key), kind):
            raise _refusal(path, f"{KEY}.{key}", f"is no {kind.__name__}")
    if not isinstance(found.get("rhythm", {}), dict):
        raise _refusal(path, f"{KEY}.rhythm", "is no dict")
    place = found["place"]
    model = Place(0, 0, 0, False, 0, False).state_dict()
    if place.keys() != {field.name for field in fields(Place)} or not _is_like(place, model):
        raise _refusal(path, f"{KEY}.place", "is no place in a training")
    for key in ("figures", "due_row"):
        if not all(type(each) in (int, float) for each in found[key].values()):
            raise _refusal(path, f"{KEY}.{key}", "holds what is no number")
    data = found["data"]
    fingerprint, processes = data.get("fingerprint"), data.get("processes")
    if type(processes) is not int or not isinstance(fingerprint, str | None):
        raise _refusal(path, f"{KEY}.data", "is no fingerprint and number of processes")
    if not found["random"] or not all(map(is_random_state, found["random"])):
        raise _refusal(path, f"{KEY}.random", "holds no states of generators")


def check_training(trainer: Any) -> None:
    """Refuse what Lightning is about to put back, if it is not of this training.

    Args:
        trainer: with its optimizers, and a checkpoint that it has read; it may have none.

    Raises:
        InputError: loops, schedules or optimizers have states of another kind.
    """
    found = trainer._checkpoint_connector._loaded_checkpoint
    if not found or "optimizer_states" not in found or "loops" not in found:
        return
    path = trainer.ckpt_path
    check_optimizers(found["optimizer_states"], trainer.optimizers, path)
    own = trainer.fit_loop.state_dict()
    own["state_dict"] = {}  # of loaders, which may have been made or not
    loops = found["loops"].get("fit_loop")
    if not _is_like(loops, own) or not _are_loaders(loops["state_dict"].get("combined_loader")):
        raise _refusal(path, "loops", "are not those of a training")
    saved, configs = found.get("lr_schedulers") or [], trainer.lr_scheduler_configs
    if len(saved) != len(configs):
        raise _refusal(path, "lr_schedulers", f"is not a list of {len(configs)}")
    for state, config in zip(saved, configs, strict=True):
        schedule = config.scheduler
        # A user's own may hold settings that were changed.
        wanted = schedule.state_dict() if isinstance(schedule, LambdaLR) else {}
        if not _is_like(state, wanted):
            raise _refusal(path, "lr_schedulers", "is of another kind than this training's")


def _are_loaders(states: Any) -> bool:
    if states is None:
        return True
    counts = ("epoch", "batches", "num_workers")
    return isinstance(states, list) and all(
        isinstance(each, dict)
        and ("position" not in each or all(type(each.get(key)) is int for key in counts))
        for each in states
    )


def check_optimizers(saved: object, optimizers: list[torch.optim.Optimizer], path: object) -> None:
    """Refuse states that are not of these optimizers: a fused step writes where it is told.

    Args:
        saved: the checkpoint's ``optimizer_states``.
        optimizers: that will load them.
        path: the checkpoint's, for the user.

    Raises:
        InputError: a tensor has not its parameter's shape, or is not dense, floating and finite.
    """
    if not isinstance(saved, list) or len(saved) != len(optimizers):
        raise _refusal(path, "optimizer_states", f"is not a list of {len(optimizers)}")
    for state, optimizer in zip(saved, optimizers, strict=True):
        for problem in _optimizer_problems(state, optimizer):
            raise _refusal(path, "optimizer_states", problem)


def _optimizer_problems(saved: object, optimizer: torch.optim.Optimizer) -> Iterator[str]:
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    states = saved.get("state") if isinstance(saved, dict) else None
    if not isinstance(groups, list) or not isinstance(states, dict):
        yield "holds no `state` and `param_groups`"
        return
    numbers = [group.get("params") if isinstance(group, dict) else None for group in groups]
    own = [group["params"] for group in optimizer.param_groups]
    if [len(each) if isinstance(each, list) else -1 for each in numbers] != list(map(len, own)):
        yield "has other groups of parameters than this training"
        return
    places, tensors = chain.from_iterable(filter(None, numbers)), chain.from_iterable(own)
    try:
        parameters: dict[Any, Tensor] = dict(zip(places, tensors, strict=True))
    except TypeError:
        yield "has parameters without numbers"
        return
    is_ours = isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW)
    for number, state in states.items():
        parameter = parameters.get(number)
        if parameter is None or not isinstance(state, dict):
            yield f"is of a parameter {number!r:.20} that there is not"
            return
        keys = {"step", "exp_avg", "exp_avg_sq"}
        if is_ours and state and not keys <= state.keys():
            yield f"has of parameter {number} not all of {', '.join(sorted(keys))}"
        for key, value in state.items():
            if not (_is_step(value) if key == "step" else _is_of(value, parameter, is_ours)):
                yield f"has as `{key}` of parameter {number} no finite, dense tensor of its shape"
    if not all(_is_number(group.get(key, 0)) for group in groups for key in ("lr", "initial_lr")):
        yield "has a rate that is no number"


def _is_like(value: Any, model: Any) -> bool:
    if isinstance(model, dict):
        # Private keys come and go with the libraries' releases.
        return isinstance(value, dict) and all(
            _is_like(value[key], each) if key in value else str(key).startswith("_")
            for key, each in model.items()
        )
    if isinstance(model, list):
        is_same = isinstance(value, list) and len(value) == len(model)
        # 1 may be a rate as 0.5 is.
        models = [float(each) if type(each) is int else each for each in model]
        return is_same and all(map(_is_like, value, models))
    if isinstance(model, bool):
        return isinstance(value, bool)
    if isinstance(model, int):
        return type(value) is int and 0 <= value <= _MOST
    if isinstance(model, float):
        return _is_number(value)
    return True


def _is_number(value: Any) -> bool:
    if is_plain(value) and value.shape == ():
        value = value.item()
    return type(value) in (int, float) and math.isfinite(value)


def _is_of(value: Any, parameter: Tensor, is_ours: bool) -> bool:
    """Return whether a value is a dense state of a parameter, with its numbers side by side."""
    if not is_ours:  # others keep what they like
        return not isinstance(value, Tensor) or is_plain(value)
    return (
        is_plain(value)
        and value.shape == parameter.shape
        and value.is_floating_point()
        and value.is_contiguous()
        and bool(value.isfinite().all())
    )


def _is_step(value: Any) -> bool:
    if isinstance(value, Tensor):
        if not is_plain(value) or value.shape != () or not value.is_floating_point():
            return False
        value = float(value)
    return type(value) in (int, float) and 0 <= value <= _MOST


def _refusal(path: object, key: str, problem: str) -> InputError:
    return InputError(
        f"Expected a checkpoint as `lightning fit` writes it at {path}; its `{key}` "
        f"{problem}. Name another checkpoint."
    )
