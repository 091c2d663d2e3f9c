"""What shows that weights are not to be saved or scored: numbers in them, or what they read."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, distributed, nn

from qa_lightning.errors import InputError
from qa_lightning.model.sharding import local, on_all_processes

Logits = tuple[Tensor, Tensor]


def check_weights(module: nn.Module, *, advice: str = "") -> None:
    """Refuse weights that are not finite.

    Args:
        module: what is trained.
        advice: from where to go on.

    Raises:
        InputError: some are not.
    """
    spoilt = nonfinite_weights(module)
    if spoilt:
        raise InputError(f"{spoilt_text(spoilt)}{advice}")


def nonfinite_weights(module: nn.Module) -> list[str]:
    """Return the names of a module's parameters that hold infinity or NaN, on any process."""
    named = dict(module.named_parameters())
    here = torch.stack([local(weights.detach()).isfinite().all() for weights in named.values()])
    finite = on_all_processes(here, *named.values())
    return [name for name, good in zip(named, finite.tolist(), strict=True) if not good]


def spoilt_text(names: Sequence[str]) -> str:
    """Return what to say of weights that are not finite, by their names."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"Expected finite weights; {names[0]}{more} hold infinity or NaN, and no checkpoint is "
        "written of them. Training diverged (or the checkpoint it began with was spoilt): lower "
        "`model.learning_rate`, or set `trainer.gradient_clip_val` or a `model.warmup_ratio`."
    )


def check_reading(module: nn.Module, read: Callable[[], Logits], mask_bl: Tensor) -> bool:
    """Return whether a network gives finite logits, on all processes.

    It reads without dropout, so that no random number is drawn.

    Args:
        module: the network, put back into the modes that its parts are in.
        read: returns start and end logits, each ``[b, l]``.
        mask_bl: above 0 where there is text.
    """
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            logits = read()
    finally:
        for each, training in modes.items():
            each.training = training
    bad = torch.stack([~each_bl[mask_bl > 0].isfinite().all() for each_bl in logits]).any()
    return not on_any_process(bad)


def on_any_process(flag: Tensor) -> Tensor:
    """Return whether a flag is set on any process; all of them have to call this."""
    if not is_distributed():
        return flag
    count = flag.int()
    distributed.all_reduce(count, distributed.ReduceOp.MAX)
    return count.bool()


def is_distributed() -> bool:
    """Return whether there are other processes."""
    return distributed.is_available() and distributed.is_initialized()
