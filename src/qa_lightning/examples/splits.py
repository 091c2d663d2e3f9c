"""The ``datasets`` slice syntax for any source: ``train[:5%]``, ``train[100:200]``, ``a+b``."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import datasets

from qa_lightning.errors import SplitError
from qa_lightning.ranges import shown

_REASON = 200  # characters of it that are told
_SYNTAX = "`train`, `train[:5%]`, `train[100:200]` or `train[:50%]+validation`"


class Slice(NamedTuple):
    """Hold the rows ``[start, stop)`` of one split."""

    split: str
    start: int
    stop: int


def base_names(split: str) -> tuple[str, ...]:
    """Return the splits that an instruction takes rows of, each once.

    Raises:
        SplitError: the instruction cannot be read.

    >>> base_names("train[:5%]+test+train[90%:]")
    ('train', 'test')
    """
    _parse(split)
    parts = (re.match(r"[\w.]+", part.strip()) for part in split.split("+"))
    return tuple(dict.fromkeys(part.group() for part in parts if part))


def choose_splits(split: str | None, existing: Sequence[str], label: str) -> tuple[str, ...]:
    """Check the splits that an instruction names; without one, the only split is meant.

    Raises:
        SplitError: a split does not exist, or there are several and none was named.
    """
    have = ", ".join(existing) or "none"
    if split is None:
        if len(existing) != 1:
            raise SplitError(
                f"Expected a split of {label}, which has {have}; got none. Name one of them."
            )
        return tuple(existing)
    names = base_names(split)
    if missing := [name for name in names if name not in existing]:
        raise SplitError(
            f"Expected a split of {label}, which has {have}; got {shown(', '.join(missing))}. Name "
            f"one that exists, or a part of one such as `{next(iter(existing), 'train')}[:5%]`."
        )
    return names


def slices_of(split: str, sizes: Mapping[str, int]) -> tuple[Slice, ...]:
    """Turn an instruction into slices, with the roundings of ``datasets``.

    Raises:
        SplitError: the instruction selects no rows, or its percentages do not fit the sizes.

    >>> slices_of("train[:5%]", {"train": 87599})
    (Slice(split='train', start=0, stop=4380),)
    """
    try:
        parts = _parse(split).to_absolute(dict(sizes))
    except ValueError as error:
        raise SplitError(
            f"Expected a split such as {_SYNTAX}; got {shown(split)}: {str(error)[:_REASON]}"
        ) from None
    slices = tuple(Slice(part.splitname, part.from_, max(part.from_, part.to)) for part in parts)
    if not any(part.stop > part.start for part in slices):
        have = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise SplitError(
            f"Expected examples; {shown(split)} selects none ({have}). Check the data or the slice."
        )
    return slices


def _parse(split: str) -> datasets.ReadInstruction:
    try:
        return datasets.ReadInstruction.from_spec(split)
    except (ValueError, AssertionError) as error:
        raise SplitError(
            f"Expected a split such as {_SYNTAX} (whole percentages); got {shown(split)}: "
            f"{str(error)[:_REASON]}"
        ) from None
