"""What a caller says in Python → the settings that the command line would be given."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from qa_lightning.cli.arguments import unknown_option
from qa_lightning.errors import InputError
from qa_lightning.examples.memory import article


def model_keys(model: str | PathLike[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the ``model:`` keys that a network is named or described by."""
    if model is None:
        return {}
    if isinstance(model, Mapping):
        return dict(model)
    if isinstance(model, str | PathLike):
        return {"model_name_or_path": str(model)}
    raise InputError(
        "Expected `model` to be a Hub id, a folder or {key: value} of `model:` keys; got "
        f"{article(type(model).__name__)}."
    )


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as YAML has them.

    >>> nested({"trainer.max_epochs": 2, "trainer": {"devices": 1}})
    {'trainer': {'max_epochs': 2, 'devices': 1}}
    """
    settings: dict[str, Any] = {}
    for key, value in options.items():
        inner = value if isinstance(value, Mapping) and "." not in key else {"": value}
        for name, item in inner.items():
            set_key(settings, f"{key}.{name}".rstrip("."), item)
    return settings


def set_key(settings: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted key."""
    *groups, name = key.split(".")
    for group in groups:
        if not isinstance(settings.setdefault(group, {}), dict):
            raise InputError(f"Expected `{key}` to be in a group; `{group}` is given as a value.")
        settings = settings[group]
    settings[name] = _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PathLike) else value


def check_splits(splits: Mapping[str, object], data: Mapping[str, Any]) -> None:
    """Refuse data in memory of which the other half is neither given nor a slice of it."""
    for name, key, other in (
        ("validation", "val_split", "train"),
        ("train", "train_split", "validation"),
    ):
        if other in splits and name not in splits and key not in data:
            raise InputError(
                f"Expected `{name}` beside `{other}`; got none. Give it, or a slice of `{other}` "
                'in `options`: {"data.train_split": "'
                f'{other}[:90%]", "data.val_split": "{other}[90%:]"}}.'
            )


def check_keys(settings: Mapping[str, Any], within: str = "") -> None:
    """Refuse keys that `lightning fit` does not have: its parser would tell of a file."""
    for name, value in settings.items():
        key = f"{within}{name}"
        if not within and isinstance(value, Mapping):
            check_keys(value, f"{key}.")
        elif told := unknown_option("fit", f"--{key}"):
            raise InputError(f"Expected keys of `lightning fit` in `options`. {told}")
