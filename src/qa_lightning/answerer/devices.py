"""Where answers are computed, and how much of them at a time."""

import torch

from qa_lightning.errors import InputError

_TOKENS_ON_CPU = 1_024
_TOKENS_ELSEWHERE = 16_384


def best_device() -> str:
    """Return the fastest device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device that is here.

    Raises:
        InputError: it is not.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch has no one type
        raise InputError(
            f"Expected `device` to be one that is here, such as {best_device()!r}; got "
            f"{str(name)!r}: {str(error).splitlines()[0]}"
        ) from error
    return device


def tokens_at_once(device: torch.device) -> int:
    """Return how many tokens, padding included, a device reads fastest at a time.

    More are slower on a CPU, whose caches hold no more (`benchmarks/answering.py`); a GPU needs as
    many to be busy.
    """
    return _TOKENS_ON_CPU if device.type == "cpu" else _TOKENS_ELSEWHERE
