"""What a command line says wrongly, told from the keys alone: before anything heavy is imported."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qa_lightning.cli.reference import Key, groups_of, keys_of
from qa_lightning.cli.spelling import suggestion

_SHORT: Final = re.compile(r"-[A-Za-z]")
_SETTINGS: Final = (".yaml", ".yml")


def problem_of(command: str, arguments: Sequence[str]) -> str | None:
    """Return the message for the first thing that a command cannot take; None without one.

    What a value says is the parser's to judge, and all that hangs on a known key
    (``--model.config.hidden_size``, ``--trainer.logger.project``).

    Args:
        command: its name.
        arguments: what follows it.
    """
    if {"--help", "-h", "--"} & set(arguments):
        return None
    line = _Line(command)
    return next(line.problems(arguments), None)


def unknown_option(command: str, option: str) -> str | None:
    """Return the message for an option that a command does not have; None for one that it has."""
    return _Line(command).unknown(option)


@dataclass
class _Line:
    """Hold a command's keys, and what a line gave of them."""

    command: str
    keys: dict[str, Key] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {key.name: key for key in keys_of(self.command)}

    def problems(self, arguments: Sequence[str]) -> Iterator[str]:
        rest, given = list(arguments), set[str]()
        places = [key for key in self.keys.values() if key.positional]
        while rest:
            word = rest.pop(0)
            if _is_option(word):
                key = self._key(word)
                given |= {key.name} if key else set()
                yield from self._option(word, key, rest)
            elif places:
                given.add(places[0].name)
                places = places if places[0].many else places[1:]
            else:
                yield self._stray(word, given)
        yield from self._missing(given)

    def _option(self, word: str, key: Key | None, rest: list[str]) -> Iterator[str]:
        """Take an option's values off the rest of the line, and tell what is wrong with it."""
        option, joined, value = word.partition("=")
        if told := self.unknown(option):
            yield told
        values = [value] if joined else []
        if not joined and not (key and key.kind == "switch"):
            most = len(rest) if key and key.many else 1
            while rest and len(values) < most and not _is_option(rest[0]):
                values.append(rest.pop(0))
            if not values:
                yield self._without_value(option, key, rest)
        if key and key.name == "config":
            yield from filter(None, map(_absent_file, values))

    def unknown(self, option: str) -> str | None:
        name = _name(option)
        if option != "-c" and self._key(option) is None and name not in groups_of(self.command):
            close = suggestion(name, list(self.keys), self.command)
            return f"Expected an option of `{self.command}`; got `{option}`. " + (
                f"Did you mean {self._written(self.keys[close])}?" if close else self._see()
            )
        key = self._key(option)
        if key is not None and key.positional:
            return (
                f"Expected {self._written(key)} as it is, with no option before it; got "
                f"`{option}`. {self._see()}"
            )
        return None

    def _key(self, option: str) -> Key | None:
        """Return the key that an option is, or hangs on."""
        parents = _name(option).split(".")
        heads = (".".join(parents[:length]) for length in range(len(parents), 0, -1))
        return next((self.keys[head] for head in heads if head in self.keys), None)

    def _stray(self, word: str, given: set[str]) -> str:
        named = [name for name in ("config", "checkpoint") if name in self.keys]
        is_settings = word.endswith(_SETTINGS)
        if named and (is_settings or self.keys[named[0]].required) and named[0] not in given:
            hint = f"Did you mean `--{named[0]} {word}`?"
        else:
            close = suggestion(word, list(self.keys), self.command)
            is_like = close is not None and not is_settings and "/" not in word
            hint = f"Did you mean `--{close}`?" if is_like else self._see()
        return f"Expected an option of `{self.command}` before `{word}`; got it alone. {hint}"

    def _without_value(self, option: str, key: Key | None, rest: Sequence[str]) -> str:
        what = f", {key.help.partition('.')[0]}" if key and key.help else ""
        found = f"the option `{rest[0]}`" if rest else "none"
        return f"Expected a value after `{option}`{what}; got {found}. {self._see()}"

    def _missing(self, given: set[str]) -> Iterator[str]:
        missing = [key for key in self.keys.values() if key.required and key.name not in given]
        if missing:
            listed = " and ".join(f"{self._written(key)} ({key.help})" for key in missing)
            yield f"Expected {listed}; got none. {self._see()}"

    def _written(self, key: Key) -> str:
        """Return a key as a command line has it."""
        return f"`{key.name.upper()}`" if key.positional else f"`--{key.name}`"

    def _see(self) -> str:
        return f"`lightning {self.command} --help` has them."


def _is_option(word: str) -> bool:
    """Say whether the parsers take a word for an option: a value may begin with a number's minus.

    >>> [_is_option(word) for word in ("--a.b", "--a=b c", "-1", "-", "-- or what", "-x")]
    [True, True, False, False, False, True]
    """
    option = word.partition("=")[0]
    return " " not in option and (option.startswith("--") or _SHORT.match(option) is not None)


def _name(option: str) -> str:
    name = option.lstrip("-").partition("=")[0].removesuffix("+")
    return "config" if option == "-c" else name


def _absent_file(value: str) -> str | None:
    """Return the message for a file of settings that is not there; settings themselves may be."""
    path = Path(value)
    if not value or any(sign in value for sign in ":{\n\0") or path.exists():
        return None
    names = [each.name for each in path.parent.glob("*") if each.suffix in _SETTINGS]
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = f"Did you mean {path.with_name(near[0])}?" if near else "Check the path."
    return f"Expected a file of settings at `--config`; there is no {value}. {hint}"
