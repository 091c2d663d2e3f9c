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


class EndlessYAMLError(yaml.YAMLError):
    """Tell which bound a text of YAML passes."""


def check_yaml(text: str) -> None:
    """Refuse YAML that is deeper or larger than a person's settings, before it is made values.

    It is read as events: deep YAML overflows the stack, and merged keys (``<<``) are multiplied
    while values are made.

    Raises:
        EndlessYAMLError: it passes a bound.
        yaml.YAMLError: it is none.

    >>> check_yaml("[&x [1], *x]")
    >>> check_yaml("&x [*x]")
    Traceback (most recent call last):
        ...
    qa_lightning.bounds.EndlessYAMLError: it holds itself
    """
    if len(text) > MAX_YAML:
        raise EndlessYAMLError(f"it is longer than {MAX_YAML:,} characters")
    sizes = [0]
    open_names: list[str | None] = []
    named: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            open_names.append(event.anchor)
            if len(open_names) > MAX_DEPTH:
                raise EndlessYAMLError(f"it is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = sizes.pop(), open_names.pop()
            sizes[-1] += size
            if name is not None:
                named[name] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_names:
                raise EndlessYAMLError("it holds itself")
            sizes[-1] += named.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            sizes[-1] += 1
        if sizes[-1] > MAX_VALUES:
            raise EndlessYAMLError(f"it stands for more than {MAX_VALUES:,} values")


def bounded_yaml(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a loader of YAML that refuses what `check_yaml` does.

    >>> bounded_yaml(yaml.safe_load)("[&x [1], *x]")
    [[1], [1]]
    """

    def bounded(text: str) -> Any:
        check_yaml(text)
        return load(text)

    return bounded
