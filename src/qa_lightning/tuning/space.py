"""A search space: YAML of any keys of a run → what Optuna asks for."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from qa_lightning.bounds import check_yaml
from qa_lightning.cli.reference import keys_of
from qa_lightning.errors import InputError

_RANGE: Final = {"low", "high", "log", "step"}
_KNOWN: Final = "a list of choices, or {low: …, high: …} with `log: true` or `step: …`"

Space = dict[str, Any]
"""Dotted key → choices, or a range."""


class Trial(Protocol):
    """What is asked of a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Choose one of several values."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Choose a whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Choose a number."""


def read_space(path: Path) -> Space:
    """Read a search space; keys may be dotted or nested.

    Raises:
        InputError: it cannot be read, is empty, or an entry is neither choices nor a range.
    """
    value = read_yaml(path, "search space")
    space = _flat(value)
    if not space:
        raise InputError(f"Expected keys to search in {path}; it has none. Each is {_KNOWN}.")
    for key, entry in space.items():
        for problem in _problems(entry):
            raise InputError(
                f"Expected `{key}` in {path} to be {_KNOWN}; {problem}. Write for example "
                "`model.learning_rate: {low: 1.0e-5, high: 1.0e-4, log: true}`."
            )
    return space


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a mapping from a YAML file.

    Raises:
        InputError: it cannot be read, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text)
        value = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"Expected a {what} in YAML at {path}; {error}. Name another.") from None
    if not isinstance(value, dict):
        raise InputError(
            f"Expected keys and values in {path}; got a {type(value).__name__}. Write `key: value`."
        )
    return value


def suggested(trial: Trial, space: Space) -> dict[str, Any]:
    """Return a value for each key, as a trial suggests them."""
    values = {}
    for key, entry in space.items():
        if isinstance(entry, list):
            values[key] = trial.suggest_categorical(key, entry)
            continue
        low, high, log = entry["low"], entry["high"], bool(entry.get("log", False))
        if isinstance(low, int) and isinstance(high, int):
            values[key] = trial.suggest_int(key, low, high, step=entry.get("step") or 1, log=log)
        else:
            step = entry.get("step")
            number = trial.suggest_float(key, float(low), float(high), step=step, log=log)
            values[key] = tidy(number)
    return values


def tidy(value: Any) -> Any:
    """Return a value without what steps in binary leave behind its last digit.

    >>> tidy(0.1 + 0.2), tidy(0.0037478655147136952), tidy(8), tidy("linear")
    (0.3, 0.0037478655147136952, 8, 'linear')
    """
    if not isinstance(value, float):
        return value
    short = float(f"{value:.12g}")
    return short if math.isclose(short, value, rel_tol=1e-15) else value


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted key as YAML has them.

    >>> nested({"model.learning_rate": 0.1, "model.label_smoothing": 0.0, "seed_everything": 1})
    {'model': {'learning_rate': 0.1, 'label_smoothing': 0.0}, 'seed_everything': 1}
    """
    settings: dict[str, Any] = {}
    for key, value in values.items():
        *groups, name = key.split(".")
        inner = settings
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = value
    return settings


def merged(*settings: Mapping[str, Any], values: Collection[str] = ()) -> dict[str, Any]:
    """Return nested settings as one; later ones win, key by key.

    Args:
        settings: the first to the last.
        values: dotted keys whose mappings are values, which a later one replaces.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    >>> merged({"a": {"b": {"c": 2}}}, {"a": {"b": {"d": 3}}}, values=["a.b"])
    {'a': {'b': {'d': 3}}}
    """
    whole: dict[str, Any] = {}
    for each in settings:
        for key, value in each.items():
            both = isinstance(value, Mapping) and isinstance(whole.get(key), Mapping)
            inner = [name.removeprefix(f"{key}.") for name in values if name.startswith(f"{key}.")]
            if both and key not in values:
                whole[key] = merged(whole[key], value, values=inner)
            else:
                whole[key] = value
    return whole


def read_base(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the configuration that ``fit`` makes of several files, as far as they say it.

    Keys may be dotted or nested; what is a mapping by its type (``model.config``) is replaced.

    Raises:
        InputError: a file cannot be read, or is no mapping.
    """
    mappings = [key.name for key in keys_of("fit") if re.search(r"dict\[|Mapping\[", key.kind)]
    read = (read_yaml(path, "configuration") for path in paths)
    parts = (nested({key: value}) for each in read for key, value in each.items())
    return merged(*parts, values=mappings)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Space:
    space: Space = {}
    for key, entry in value.items():
        name = f"{prefix}{key}"
        is_group = isinstance(entry, dict) and not {"low", "high"} & set(entry)
        space |= _flat(entry, f"{name}.") if is_group else {name: entry}
    return space


def _problems(entry: Any) -> list[str]:
    if isinstance(entry, list):
        plain = all(isinstance(each, bool | int | float | str | None) for each in entry)
        if not entry or not plain:
            return ["its choices have to be plain values, one at least"]
        return []
    if not isinstance(entry, dict):
        return [f"got {entry!r}"]
    if set(entry) - _RANGE or not {"low", "high"} <= set(entry):
        return [f"got the keys {', '.join(map(str, entry))}"]
    low, high = entry["low"], entry["high"]
    step, log = entry.get("step"), entry.get("log")
    for number in (low, high):
        if isinstance(number, bool) or not isinstance(number, int | float):
            hint = " (YAML reads 1e-5 as a text: write 1.0e-5)" if isinstance(number, str) else ""
            return [f"{number!r} is no number{hint}"]
        if not math.isfinite(number):
            return [f"{number!r} is not finite"]
    if low > high:
        return [f"low {low} is above high {high}"]
    if log not in (None, True, False) or (log and (low <= 0 or step is not None)):
        return ["`log: true` wants a low above 0 and no step"]
    plain = isinstance(step, int | float) and not isinstance(step, bool)
    if step is not None and (not plain or step <= 0):
        return [f"the step {step!r} is no number above 0"]
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, float):
        return [f"the step {step!r} is not whole, and low and high are"]
    return []
