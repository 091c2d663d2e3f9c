"""Bounds of nested values: a few bytes of YAML or pickle can stand for more than any memory."""

from collections.abc import Callable
from typing import Any

import yaml

MAX_VALUES = 100_000
MAX_DEPTH = 64
MAX_YAML = 4_000_000

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


def bounded_yaml(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a loader of YAML that refuses what is deeper or larger than a person's settings.

    Args:
        load: loads YAML of plain values.

    >>> bounded_yaml(yaml.safe_load)("[&x [1], *x]")
    [[1], [1]]
    """

    def bounded(text: str) -> Any:
        if len(text) > MAX_YAML:
            raise yaml.YAMLError(f"it is longer than {MAX_YAML:,} characters")
        depth = 0
        for event in yaml.parse(text, Loader=_LOADER):  # events: deep YAML overflows the stack
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise yaml.YAMLError(f"it is nested deeper than {MAX_DEPTH} levels")
        value = load(text)
        if problem := plain_problem(value):
            raise yaml.YAMLError(problem)
        return value

    return bounded
