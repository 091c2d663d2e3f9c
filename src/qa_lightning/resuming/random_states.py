"""The states of the generators of random numbers, in plain types that every reader takes."""

import random
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from qa_lightning.saved import is_plain


class RandomState(TypedDict):
    """Hold what one process draws next.

    ``python`` is ``random.getstate()``, ``numpy`` the legacy generator's state with its keys as a
    list, ``torch`` and ``cuda`` (None without a GPU) are bytes.
    """

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    torch: Tensor
    cuda: Tensor | None


def random_state() -> RandomState:
    """Return the state of this process's generators: Python's, numpy's, torch's, its GPU's."""
    name, keys, *rest = np.random.get_state()
    return RandomState(
        python=random.getstate(),
        numpy=(str(name), np.asarray(keys).tolist(), *rest),
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    )


def restore_random_state(state: RandomState) -> None:
    """Put the generators of this process into a state from before.

    >>> state = random_state()
    >>> drawn = random.random(), np.random.rand(), float(torch.rand(()))
    >>> restore_random_state(state)
    >>> drawn == (random.random(), np.random.rand(), float(torch.rand(())))
    True
    """
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def is_random_state(state: Any) -> bool:
    """Return whether a value out of a file can be restored; nothing is."""
    try:
        random.Random().setstate(state["python"])
        name, keys, *rest = state["numpy"]
        np.random.RandomState().set_state((name, np.array(keys, dtype=np.uint32), *rest))
        torch.Generator().set_state(state["torch"])
    except Exception:  # each of the three raises several types
        return False
    cuda = state.get("cuda")
    return cuda is None or (is_plain(cuda) and cuda.dtype is torch.uint8 and cuda.dim() == 1)


def seeded_generator(seed: int) -> torch.Generator:
    """Return a generator of a loader's own: making an iterator then draws from no other.

    A loader draws its workers' seed when it is iterated: from torch's own generator that would
    move dropout by one draw for each validation.
    """
    return torch.Generator().manual_seed(seed)
