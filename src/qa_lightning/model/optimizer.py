"""Which parameters learn at which rate, which of them decay, and which do not learn at all."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from qa_lightning.ranges import Rule, number, whole

# As transformers names the stacked layers of its encoders.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.(\d+)\.")
_A_LAYER = re.compile(rf"{_LAYER.pattern[:-2]}$")
_EMBEDDING = "emb"
_SCALE = "rate_scale"

RULES: dict[str, Rule] = {
    "learning_rate": number(above=0),
    "head_learning_rate": number(
        above=0, optional=True, remedy="null is for `model.learning_rate`."
    ),
    "layer_decay": number(above=0, most=1, remedy="1 gives all layers one rate."),
    "weight_decay": number(0),
    "adam_betas": Rule(
        "to be two numbers from 0 to below 1",
        "AdamW's are [0.9, 0.999].",
        lambda betas: len(betas) == 2 and all(number(0, below=1).allows(beta) for beta in betas),
    ),
    "schedule_steps": whole(1, optional=True, remedy="null is for the whole training."),
    "warmup_ratio": number(0, 1, remedy="It is a share of all optimizer steps."),
}


def parameter_groups(
    module: nn.Module,
    *,
    backbone: nn.Module,
    learning_rate: float,
    weight_decay: float,
    head_learning_rate: float | None = None,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Split trainable parameters by their rate, and into those that decay and those that do not.

    The topmost layer of the backbone learns at ``learning_rate``, every other one at
    ``layer_decay`` times the rate of the layer above, and the embeddings at ``layer_decay`` times
    that of the lowest layer (Howard & Ruder 2018; Clark et al. 2020, ELECTRA). What is not of the
    backbone, which is the head, learns at ``head_learning_rate``. Matrices decay; biases and norms
    do not. Where all rates are equal, there are two groups.

    Args:
        module: what is trained.
        backbone: the part of it without the question-answering head.
        learning_rate: of the topmost layer.
        weight_decay: of matrices.
        head_learning_rate: None is ``learning_rate``.
        layer_decay: 0 to 1; 1 gives all layers the same rate.
    """
    head_scale = 1.0 if head_learning_rate is None else head_learning_rate / learning_rate
    exponents = _layers_above(backbone)
    groups = defaultdict(list)
    for parameter in module.parameters():
        if parameter.requires_grad:
            place = exponents.get(parameter)
            scale = head_scale if place is None else layer_decay**place
            groups[scale, parameter.ndim >= 2].append(parameter)
    return [
        {
            "params": groups[scale, decays],
            "lr": scale * learning_rate,
            "weight_decay": weight_decay if decays else 0.0,
            _SCALE: scale,
        }
        for scale, decays in sorted(groups, reverse=True)
    ]


def base_rate(group: Mapping[str, Any]) -> float:
    """Return the topmost layer's present rate, from any group of ``parameter_groups``."""
    # A checkpoint of an earlier version restores groups without a scale: all at the same rate.
    return float(group["lr"] / group.get(_SCALE, 1.0))


def is_layer(name: str) -> bool:
    """Say whether a module's name is that of one of the encoder's stacked layers."""
    return _A_LAYER.search(name) is not None


def follow_rate(scheduler: Any, rate: float) -> None:
    """Give all groups of ``parameter_groups`` another rate, at the schedule's present place.

    ``LearningRateFinder`` sets the rate of the optimizer alone, which the schedule's next step
    takes back; a resumed run has the rate that it began with in its checkpoint.

    Args:
        scheduler: of transformers; others, as the finder's own, are left alone.
        rate: of the topmost layer.
    """
    if not isinstance(scheduler, LambdaLR):
        return
    groups = scheduler.optimizer.param_groups
    rates = [rate * group.get(_SCALE, 1.0) for group in groups]
    if scheduler.base_lrs == rates:
        return
    scheduler.base_lrs = rates
    for base, group, share in zip(rates, groups, scheduler.lr_lambdas, strict=True):
        group["initial_lr"] = base
        group["lr"] = base * share(scheduler.last_epoch)
    scheduler._last_lr = [group["lr"] for group in groups]


def freeze_embeddings(backbone: nn.Module) -> None:
    """Take the embeddings out of training; DDP does not wait for what needs no gradient."""
    for name, parameter in backbone.named_parameters():
        if _is_embedding(name):
            parameter.requires_grad_(False)


def schedule_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence if a schedule wants to know how long an endless training takes."""
    without_end = settings["lr_schedule"] in ("constant", "constant_with_warmup", "inverse_sqrt")
    if settings["schedule_steps"] is None and (settings["warmup_ratio"] or not without_end):
        yield (
            f"Expected an end of training for `model.lr_schedule` {settings['lr_schedule']} with "
            f"`model.warmup_ratio` {settings['warmup_ratio']}; `max_epochs` -1 or `max_time` alone "
            "gives none. Set `model.schedule_steps`, `trainer.max_steps` or `trainer.max_epochs`, "
            "or `model.lr_schedule` to constant."
        )


def _layers_above(backbone: nn.Module) -> dict[nn.Parameter, int]:
    """Return how many layers lie above each parameter; the embeddings have all above them."""
    layers = {name: _LAYER.search(name) for name, _ in backbone.named_parameters()}
    numbers = {name: int(match[1]) for name, match in layers.items() if match}
    count = 1 + max(numbers.values(), default=-1)
    return {
        parameter: (
            count - 1 - numbers[name] if name in numbers else count * int(_is_embedding(name))
        )
        for name, parameter in backbone.named_parameters()
    }


def _is_embedding(name: str) -> bool:
    return _EMBEDDING in name and _LAYER.search(name) is None
