"""The parsers → ``reference.json``: run as ``python -m qa_lightning.cli.referencing``."""

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from qa_lightning.callbacks import RunFolder
from qa_lightning.cli import COMMANDS, TRAINING
from qa_lightning.cli.reference import FILE
from qa_lightning.cli.training import DEFAULT_SEED, QALightningCLI, parser_settings
from qa_lightning.datamodule import QADataModule
from qa_lightning.model import QAModule
from qa_lightning.resuming import SignalWatch

_SWITCHES: Final = ("help", "print_config", "print_shtab")
# What Lightning and jsonargparse say of these is not what they do here.
_COMMON: Final = {
    "config": "a YAML file of keys: repeatable, a later one wins key by key",
    "ckpt_path": "`best` or `last` of the run's folder, or a file; `fit` resumes from it",
    "print_config": "print the whole configuration, and stop",
    "seed_everything": "seed of all random numbers; true draws one",
}
_UNUSED: Final = ("weights_only",)  # checkpoints are never read in another way


class _BuiltError(Exception):
    """Carry a parser out of LightningCLI before it parses anything."""

    def __init__(self, cli: "_ParsersOnly") -> None:
        self.cli = cli


class _ParsersOnly(QALightningCLI):
    """Build the parsers of all Trainer commands, and stop."""

    def parse_arguments(self, parser: Any, args: Any) -> NoReturn:
        raise _BuiltError(self)


def reference() -> dict[str, Any]:
    """Return every key of every command: ``keys``, and ``commands``, which number them."""
    keys: list[dict[str, Any]] = []
    commands: dict[str, list[int]] = {}
    for command, parser in _parsers().items():
        commands[command] = []
        for key in filter(None, (_key(action) for action in parser._actions)):
            if key not in keys:
                keys.append(key)
            commands[command].append(keys.index(key))
    return {"keys": keys, "commands": commands}


def reference_text() -> str:
    """Return the file's text."""
    return json.dumps(reference(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _parsers() -> dict[str, Any]:
    try:
        _ParsersOnly(
            QAModule,
            QADataModule,
            watch=SignalWatch(),
            save_config_callback=RunFolder,
            seed_everything_default=DEFAULT_SEED,
            parser_kwargs=parser_settings(),
            auto_configure_optimizers=False,
            args=[],
        )
    except _BuiltError as built:
        parsers = {name: built.cli._parser(name) for name in TRAINING}
    others = {name: import_module(f"qa_lightning.cli.{name}").build_parser() for name in COMMANDS}
    return {**parsers, **others}


def _key(action: argparse.Action) -> dict[str, Any] | None:
    """Return what the reference says of an option; None for what is no key of ours."""
    options = [option[2:] for option in action.option_strings if option.startswith("--")]
    if action.help == argparse.SUPPRESS or (not options and action.option_strings):
        return None
    name = options[0] if options else action.dest
    if (
        name in ("help", *_UNUSED)
        or name.endswith(".help")
        or type(action).__name__ == "_ActionConfigLoad"
    ):
        return None
    forms = {
        "positional": not options,
        "required": action.required,
        "many": action.nargs == "+",
    }
    return {
        "name": name,
        "kind": _kind(action),
        "default": _default(action),
        "help": " ".join((_COMMON.get(name) or action.help or "").split()).replace("%%", "%"),
        **{form: True for form, holds in forms.items() if holds},
    }


def _kind(action: argparse.Action) -> str:
    if action.nargs == 0 or action.dest in _SWITCHES:
        return "switch"
    hint = getattr(action, "_typehint", None) or action.type
    if hint is None:
        return "path" if action.dest == "config" else "str"
    name = str(hint) if getattr(hint, "__args__", None) else getattr(hint, "__name__", str(hint))
    return name.replace("typing.", "").replace("collections.abc.", "")


def _default(action: argparse.Action) -> str:
    if action.nargs == 0 or action.required or action.default == argparse.SUPPRESS:
        return ""
    return yaml.safe_dump(_plain(action.default), default_flow_style=True, width=10_000).split(
        "\n"
    )[0]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, bool | int | float | str | list | dict | None) else str(value)


def main() -> None:
    """Write the file into the package."""
    path = Path(__file__).with_name(FILE)
    path.write_text(reference_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
