"""The keys of every command, told without importing the parsers: help, spelling, completion.

``reference.json`` beside this file is written by ``make reference`` from the parsers themselves
(see ``cli.referencing``); a test writes it anew and compares.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from qa_lightning.cli.spelling import suggestion

FILE: Final = "reference.json"
WIDTH: Final = 100
RUN: Final = "run"
"""The group of the keys that belong to no class: ``config``, ``ckpt_path``, …"""

# What people change most: first in their groups, and the first that a wrong option may mean.
POPULAR: Final = (
    "config",
    "ckpt_path",
    "seed_everything",
    "print_config",
    "data.dataset",
    "data.data_files",
    "data.train_split",
    "data.val_split",
    "data.language",
    "data.max_length",
    "data.doc_stride",
    "data.batch_size",
    "data.alignment",
    "model.model_name_or_path",
    "model.learning_rate",
    "model.objective",
    "model.gradient_checkpointing",
    "model.lora",
    "evaluation.max_answer_length",
    "evaluation.n_best",
    "checkpoint.monitor",
    "trainer.default_root_dir",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.precision",
    "trainer.accumulate_grad_batches",
    "trainer.gradient_clip_val",
    "trainer.val_check_interval",
    "trainer.limit_train_batches",
    "trainer.limit_val_batches",
    "trainer.logger",
    "trainer.callbacks",
)
_CLOSED: Final = re.compile(r"``.*?``|\(.*?\)")
_END: Final = re.compile(r"[.;:](?= |[A-Z])")


@dataclass(frozen=True)
class Key:
    """Hold one key of a command, as its parser has it.

    Attributes:
        name: without dashes, as ``data.max_length``.
        kind: its type in words.
        default: as YAML writes it; empty where the key is required, or a switch.
        help: what its docstring says.
        positional: it is given by its place, and has no dashes.
        required: the command does nothing without it.
        many: it takes all words up to the next option.
    """

    name: str
    kind: str
    default: str
    help: str
    positional: bool = False
    required: bool = False
    many: bool = False

    @property
    def group(self) -> str:
        """The group it belongs to: what stands before the dot."""
        return self.name.partition(".")[0] if "." in self.name else RUN


@cache
def keys_of(command: str) -> tuple[Key, ...]:
    """Return the keys of a command, what people change most first in each group."""
    file = resources.files("qa_lightning.cli") / FILE
    written = json.loads(file.read_text(encoding="utf-8"))
    rank = {name: number for number, name in enumerate(POPULAR)}
    keys = [Key(**written["keys"][number]) for number in written["commands"][command]]
    return tuple(sorted(keys, key=lambda key: rank.get(key.name, len(rank))))


def groups_of(command: str) -> dict[str, list[Key]]:
    """Return a command's keys by group: the run's own first, Lightning's trainer last."""
    groups: dict[str, list[Key]] = {}
    for key in keys_of(command):
        groups.setdefault(key.group, []).append(key)
    order = [RUN, "data", "model", "evaluation", "checkpoint"]
    names = [*order, *(name for name in groups if name not in (*order, "trainer")), "trainer"]
    return {name: groups[name] for name in names if name in groups}


def help_of(command: str, about: str, asked: str | None = None) -> str:
    """Return the help of a command: an overview, or all of one group or key.

    Args:
        command: its name.
        about: what it does.
        asked: a group (``data``), a key (``data.max_length``), or ``all``; None is the overview.
    """
    groups = groups_of(command)
    if asked is None:
        return "\n".join(_overview(command, about, groups))
    name = asked.lstrip("-")
    if name in groups:
        shown = groups[name]
    else:
        shown = [key for key in keys_of(command) if name in ("all", key.name)]
    if not shown:
        close = suggestion(name, [*groups, *(key.name for key in keys_of(command))])
        hint = f" Did you mean {close}?" if close else ""
        return f"{command} has no group or key {name!r}.{hint} Groups: {', '.join(groups)}."
    return "\n".join(line for key in shown for line in _entry(key))


def _overview(command: str, about: str, groups: Mapping[str, Sequence[Key]]) -> Iterator[str]:
    yield f"usage: lightning {command} [--config FILE ...] [--key value ...]"
    yield from ("", about[:1].upper() + about[1:] + ".")
    for name, keys in groups.items():
        shown = [key for key in keys if name != "trainer" or key.name in POPULAR]
        rest = f", {len(shown)} of {len(keys)}" if len(shown) < len(keys) else ""
        yield from ("", f"{name}:" + (f"  (of Lightning's Trainer{rest})" if rest else ""))
        width = max(len(key.name) for key in shown) + 4
        for key in shown:
            yield from _line(key, width)
    yield ""
    yield f"lightning {command} --help data          all that is known of the keys of a group"
    yield f"lightning {command} --help data.columns  or of one key"
    yield f"lightning {command} --help-all           or of all"


def _line(key: Key, width: int) -> Iterator[str]:
    default = f" [{key.default}]" if key.default not in ("", "null") else ""
    text = brief(key.help) + default
    first, *rest = textwrap.wrap(text, WIDTH - width - 2) or [""]
    yield f"  {'--' + key.name:<{width}}{first}".rstrip()
    yield from (" " * (width + 2) + line for line in rest)


def brief(text: str) -> str:
    """Return the first thing that a help text says.

    >>> brief("``{split: path}``, in place (Smith et al. 2021) of it; more")
    '``{split: path}``, in place (Smith et al. 2021) of it'
    """
    veiled = _CLOSED.sub(lambda found: "x" * len(found[0]), text)
    end = _END.search(veiled)
    return text[: end.start() if end else None].rstrip(".:")


def _entry(key: Key) -> Iterator[str]:
    default = f", default: {key.default}" if key.default else ""
    yield f"--{key.name}  ({key.kind}{default})"
    yield from textwrap.wrap(key.help, WIDTH, initial_indent="    ", subsequent_indent="    ")
