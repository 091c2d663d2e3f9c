"""Bounds of nested values: a few bytes of YAML or pickle can stand for more than any memory."""

from typing import Any

import yaml

MAX_VALUES = 100_000
MAX_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def plain_problem(value: object) -> str | None:
    """Return what is wrong with nested values, as a clause; None if they can be walked and written.

    A part that stands in several places is counted in each of them, but looked at once.

    >>> bomb = ["ha"]
    >>> for _ in range(20):
    ...     bomb = [bomb] * 10
    >>> plain_problem(bomb)
    'it stands for more than 100,000 values'
    """
    sizes: dict[int, int] = {}
    try:
        _size(value, sizes, 0)
    except _TooMuchError as problem:
        return str(problem)
    return None


class _TooMuchError(Exception):
    """Tell which bound was passed."""


def _size(value: object, sizes: dict[int, int], depth: int) -> int:
    if not isinstance(value, dict | list | tuple):
        return 1
    if depth > MAX_DEPTH:
        raise _TooMuchError(f"it holds itself, or is nested deeper than {MAX_DEPTH} levels")
    if id(value) not in sizes:
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        size = 1
        for part in parts:
            size += _size(part, sizes, depth + 1)
            if size > MAX_VALUES:
                raise _TooMuchError(f"it stands for more than {MAX_VALUES:,} values")
        sizes[id(value)] = size
    return sizes[id(value)]


def load_yaml(text: str) -> Any:
    """Load YAML of plain values that is not deeper or larger than a person's settings.

    Raises:
        yaml.YAMLError: it is, or is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):  # events, since deep YAML overflows the stack
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        value = yaml.load(text, Loader=_LOADER)  # a SafeLoader
    except (ValueError, RecursionError) as error:  # a date of month 13; a key that holds itself
        raise yaml.YAMLError(str(error)) from error
    if problem := plain_problem(value):
        raise yaml.YAMLError(problem)
    return value
