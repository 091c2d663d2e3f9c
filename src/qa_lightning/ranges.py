"""What values an argument may have: declared once, in a table beside the arguments.

A table maps an argument to a `Rule`; `problems` applies it, in the constructors (for Python) and
before anything else of a command is done (all groups at once).
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qa_lightning.errors import InputError

MANY = 2**31 - 1
"""The most that counts may be: what the columns of windows and their tensors can hold."""
SEEDS = 2**32 - 1
"""The greatest seed that numpy takes."""


@dataclass(frozen=True)
class Rule:
    """Say what a value must be.

    Attributes:
        expected: in words, behind the argument's name; they may depend on what was found.
        remedy: a sentence that says what to do, or nothing.
        holds: whether a value that is not None is so; it may raise ``TypeError``.
        optional: None is a value too.
    """

    expected: str | Callable[[Any], str]
    remedy: str
    holds: Callable[[Any], bool]
    optional: bool = False

    def allows(self, value: object) -> bool:
        """Say whether a value is one of those."""
        if value is None:
            return self.optional
        try:
            return bool(self.holds(value))
        except TypeError:
            return False


def whole(least: int = 0, most: int = MANY, *, optional: bool = False, remedy: str = "") -> Rule:
    """Return the rule of a whole number; ``True`` is none."""

    def expected(value: Any) -> str:
        if type(value) is not int:
            return f"to be a whole number of at least {least}"
        return f"to be at least {least}" if value < least else f"to be at most {most:,}"

    return Rule(
        expected, remedy, lambda value: type(value) is int and least <= value <= most, optional
    )


def number(
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float | None = None,
    below: float | None = None,
    optional: bool = False,
    remedy: str = "",
) -> Rule:
    """Return the rule of a finite number.

    Args:
        least: the least there may be.
        most: the most there may be.
        above: in place of ``least``, where that itself may not be.
        below: in place of ``most``, where that itself may not be.
        optional: None is a value too.
        remedy: what to do.
    """
    low = f"above {above:g}" if above is not None else f"from {least:g}"
    high = f"to below {below:g}" if below is not None else f"to {most:g}"
    low_only = below is None and most == math.inf
    if low_only and above is None and least == -math.inf:
        bounds = "to be a finite number"
    elif low_only:
        bounds = f"to be {low if above is not None else f'at least {least:g}'}, and finite"
    else:
        bounds = f"to be a number {low} {high}"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not math.isfinite(value):
            return False
        floor = value > above if above is not None else value >= least
        return bool(floor and (value < below if below is not None else value <= most))

    return Rule(bounds, remedy, holds, optional)


def one_of(known: Collection[object], *, optional: bool = False, remedy: str = "") -> Rule:
    """Return the rule of a choice; ``1`` is not ``True``."""
    choices = [(type(each), each) for each in known]
    return Rule(
        f"to be one of {', '.join(map(str, known))}",
        remedy,
        lambda value: (type(value), value) in choices,
        optional,
    )


def text(*, optional: bool = True, remedy: str = "") -> Rule:
    """Return the rule of a name: blanks alone name nothing."""
    # Linux ends a path at a NUL, and no name of a Hub or a language has one.
    return Rule(
        "to be a text that is not blank",
        remedy or ("Leave it out, or set it to null." if optional else "Write one."),
        lambda value: isinstance(value, str) and bool(value.strip()) and "\0" not in value,
        optional,
    )


def flag(*, optional: bool = False) -> Rule:
    """Return the rule of true and false."""
    return Rule("to be true or false", "", lambda value: isinstance(value, bool), optional)


def problems(
    rules: Mapping[str, Rule], settings: Mapping[str, Any], *, prefix: str
) -> Iterator[str]:
    """Yield one sentence for each argument whose value breaks its rule.

    Args:
        rules: by argument.
        settings: value by argument; what is absent is not looked at.
        prefix: what the user writes before the argument's name, such as ``data.``.
    """
    for name, rule in rules.items():
        if name in settings and not rule.allows(value := settings[name]):
            expected = rule.expected if isinstance(rule.expected, str) else rule.expected(value)
            told = f"Expected `{prefix}{name}` {expected}; got {shown(value)}."
            yield f"{told} {rule.remedy}".rstrip()


def check(rules: Mapping[str, Rule], settings: Mapping[str, Any], *, prefix: str) -> None:
    """Apply a table to a constructor's arguments.

    Raises:
        InputError: some value breaks its rule; all are told.
    """
    if told := list(problems(rules, settings, prefix=prefix)):
        raise InputError("\n".join(told))


def shown(value: object) -> str:
    """Return a value as it is told: short, whatever it is.

    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'"
    """
    if isinstance(value, str):
        return repr(value if len(value) <= 75 else value[:75] + "...")
    if type(value) is int:
        return f"{value:,}" if abs(value) < 10**30 else "a number of more than 30 digits"
    told = repr(value) if isinstance(value, bool | float | list | tuple | dict) else ""
    return told if 0 < len(told) <= 80 else f"a {type(value).__name__}"
