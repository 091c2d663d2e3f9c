"""What the parsers' and Lightning's own errors leave out: the file, the key that was meant."""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from qa_lightning.bounds import EndlessYAMLError, bounded_yaml, check_yaml
from qa_lightning.cli.reference import keys_of
from qa_lightning.cli.spelling import suggestion
from qa_lightning.cli.strict_yaml import load_yaml
from qa_lightning.errors import InputError
from qa_lightning.folders import stream_problems
from qa_lightning.ranges import shown
from qa_lightning.saved import reason

GROUPS = ("trainer", "model", "data", "evaluation", "checkpoint", "prediction", "tracking")
_LOAD = bounded_yaml(load_yaml)
_RESTORING = "lightning.pytorch.trainer.connectors.checkpoint_connector"
_MISTYPED_KEY = re.compile(r'Parser key "([\w.]+)":')
_VALUE = re.compile(r"(?:Given|Got) value: (.*)")
_OPTIONAL = re.compile(r"(Optional|Union)\[(.*)\]")
_BETWEEN = re.compile(r"[,|](?![^\[]*\])")
_KINDS = {
    "bool": "true or false",
    "dict": "keys and values",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "Mapping": "keys and values",
    "None": "null",
    "NoneType": "null",
    "Sequence": "a list",
    "str": "a text",
    "timedelta": "a time",
    "tuple": "a list",
}
_UNKNOWN_KEY = re.compile(
    r"(?:does not accept (?:option|nested key) '|unrecognized arguments: --)([\w.]+)"
)


def check_configs(arguments: Sequence[str]) -> None:
    """Refuse ``--config`` files that hold no keys: the parser's messages do not name the file.

    Raises:
        InputError: a file is no UTF-8, no YAML, no mapping, or larger than anybody's settings, as
            may be an option's value.
    """
    _check_values(arguments)
    for path in config_files(arguments):
        try:
            settings = _LOAD(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(
                f"Expected YAML in {path}; it cannot be read: {' '.join(str(error).split())}. "
                "Mend it there."
            ) from error
        if not isinstance(settings, dict):
            found = "nothing" if settings is None else f"a {type(settings).__name__}"
            raise InputError(
                f"Expected keys such as `data:` and `model:` in {path}; got {found}. Write them, "
                "or leave this `--config` out."
            )
        plain = [key for key in GROUPS if not isinstance(settings.get(key, {}), Mapping | None)]
        if plain:
            told = "; ".join(f"`{key}:` is {shown(settings[key])}" for key in plain)
            raise InputError(
                f"Expected keys below {', '.join(f'`{key}:`' for key in plain)} in {path}; {told}. "
                f"`lightning fit --help {plain[0]}` tells them."
            )


def _check_values(arguments: Sequence[str]) -> None:
    for name, value in pairwise([*arguments, ""]):
        option, _, joined = name.partition("=")
        if not option.startswith("--"):
            continue
        try:
            check_yaml(joined or value)
        except EndlessYAMLError as error:
            raise InputError(
                f"Expected settings at `{option}`; {error}. Write what a person would."
            ) from error
        except yaml.YAMLError:  # it need not be any
            continue


def config_files(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files that ``--config`` names."""
    for name, value in pairwise([*arguments, ""]):
        option, _, joined = name.partition("=")
        path = Path(joined or value)
        if option not in ("--config", "-c"):
            continue
        for problem in stream_problems(path):
            raise InputError(f"Expected a file of settings at `--config`; {problem}")
        if path.is_file():
            yield path


def explained(error: Exception, arguments: Sequence[str]) -> str:
    """Return a parser's message, with the file of the key, and what the key is or was meant to be.

    Args:
        error: the parser's.
        arguments: of the command line.
    """
    message, command = str(error), arguments[0]
    known = {key.name: key for key in keys_of(command)}
    found = _UNKNOWN_KEY.search(message)
    if found is not None:
        near = suggestion(found[1], list(known), command)
        hint = (
            f"Did you mean `{near}`?" if near else f"`lightning {command} --help` tells the keys."
        )
        return f"{message}{_place(found[1], arguments)}. {hint}"
    mistyped, values = _MISTYPED_KEY.match(message), _VALUE.findall(message)
    key = known.get(mistyped[1]) if mistyped else None
    if key is None or not values or "lightning." in key.kind:
        return message
    return (
        f"Expected `{key.name}` to be {kind_in_words(key.kind)}; got {values[-1] or 'nothing'}"
        f"{_place(key.name, arguments)}. `lightning {command} --help {key.name}` tells what it is."
    )


def kind_in_words(kind: str) -> str:
    """Return a type as those read it who write values and not programs.

    >>> kind_in_words("Union[int, float, NoneType]"), kind_in_words("Literal['max', 'min']")
    ('a whole number, a number or null', 'max or min')
    """
    outer = _OPTIONAL.fullmatch(kind)
    parts = (
        [*_parts(outer[2]), *(["None"] if outer[1] == "Optional" else [])]
        if outer
        else _parts(kind)
    )
    told = [word for part in parts for word in _words(part)]
    *most, last = dict.fromkeys(told)
    return f"{', '.join(most)} or {last}" if most else last


def _parts(kinds: str) -> list[str]:
    """Return what stands between the commas and bars outside of all brackets."""
    return [part.strip() for part in _BETWEEN.split(kinds)]


def _words(kind: str) -> list[str]:
    name, _, inner = kind.partition("[")
    if name == "Literal":
        return [value.strip().strip("'") for value in inner.rstrip("]").split(",")]
    return [_KINDS.get(name.rpartition(".")[2], kind)]


def _place(key: str, arguments: Sequence[str]) -> str:
    """Return the file that a key is from, in brackets: the last, unless an option came after it."""
    if any(word.partition("=")[0] == f"--{key}" for word in arguments):
        return ""
    loaded = ((path, _LOAD(path.read_text(encoding="utf-8"))) for path in config_files(arguments))
    files = [path for path, settings in loaded if _holds(settings, key.split("."))]
    return f" (in {files[-1]})" if files else ""


def _holds(settings: Any, parts: Sequence[str]) -> bool:
    if not parts:
        return True
    return (
        isinstance(settings, dict)
        and parts[0] in settings
        and _holds(settings[parts[0]], parts[1:])
    )


def is_lightnings_own(error: Exception) -> bool:
    """Say whether Lightning itself raised an error, as it does for settings that cannot work."""
    *_, (module, _) = [("", ""), *_calls(error)]
    return module.startswith("lightning.")


@contextmanager
def told(checkpoint: str | None) -> Iterator[None]:
    """Tell an error that comes of a checkpoint's states as such.

    Raises:
        InputError: in place of whatever was raised while they were put back.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not _is_of_checkpoint(error):
            raise
        raise InputError(
            f"Expected a checkpoint that this command can go on from at {checkpoint}; its states "
            f"do not fit: {type(error).__name__}: {reason(error)}. Name another."
        ) from error


def _is_of_checkpoint(error: Exception) -> bool:
    return any(
        module == _RESTORING and name.startswith(("restore", "_restore", "resume_start"))
        for module, name in _calls(error)
    )


def _calls(error: Exception) -> Iterator[tuple[str, str]]:
    """Yield module and function of each call that an error came through, the outermost first."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield frame.f_globals.get("__name__", ""), frame.f_code.co_name
