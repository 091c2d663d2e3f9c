"""The keys of every command, told without importing the parsers: help, suggestions, completion.

``reference.json`` beside this file is written by ``make reference`` from the parsers themselves
(see ``cli.referencing``); a test writes it anew and compares.
"""

import difflib
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

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
# Names that the same things have in transformers' Trainer and run_qa.py, and elsewhere.
ELSEWHERE: Final = {
    "bf16": "trainer.precision",
    "epochs": "trainer.max_epochs",
    "eval_steps": "trainer.val_check_interval",
    "fp16": "trainer.precision",
    "gpus": "trainer.devices",
    "gradient_accumulation_steps": "trainer.accumulate_grad_batches",
    "logging_steps": "trainer.log_every_n_steps",
    "lr": "model.learning_rate",
    "lr_scheduler_type": "model.lr_schedule",
    "max_grad_norm": "trainer.gradient_clip_val",
    "max_seq_length": "data.max_length",
    "n_best_size": "evaluation.n_best",
    "num_train_epochs": "trainer.max_epochs",
    "output_dir": "trainer.default_root_dir",
    "per_device_eval_batch_size": "data.eval_batch_size",
    "per_device_train_batch_size": "data.batch_size",
    "preprocessing_num_workers": "data.num_proc",
    "resume_from_checkpoint": "ckpt_path",
    "save_steps": "checkpoint.every_n_train_steps",
    "seed": "seed_everything",
    "train_batch_size": "data.batch_size",
    "train_file": "data.data_files",
    "validation_file": "data.data_files",
}
_CUTOFF: Final = 0.6
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
    """

    name: str
    kind: str
    default: str
    help: str

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
    text = _brief(key.help) + default
    first, *rest = textwrap.wrap(text, WIDTH - width - 2) or [""]
    yield f"  {'--' + key.name:<{width}}{first}".rstrip()
    yield from (" " * (width + 2) + line for line in rest)


def _brief(text: str) -> str:
    """Return the first thing that a help text says.

    >>> _brief("``{split: path}``, in place (Smith et al. 2021) of it; more")
    '``{split: path}``, in place (Smith et al. 2021) of it'
    """
    veiled = _CLOSED.sub(lambda found: "x" * len(found[0]), text)
    end = _END.search(veiled)
    return text[: end.start() if end else None].rstrip(".:")


def _entry(key: Key) -> Iterator[str]:
    default = f", default: {key.default}" if key.default else ""
    yield f"--{key.name}  ({key.kind}{default})"
    yield from textwrap.wrap(key.help, WIDTH, initial_indent="    ", subsequent_indent="    ")


def unknown_option(command: str, arguments: Sequence[str]) -> str | None:
    """Return the message for the first option that a command does not have; None without one.

    What hangs on a known key is the parser's to judge: ``--model.config.hidden_size``,
    ``--trainer.logger.project``.
    """
    known = {key.name for key in keys_of(command)}
    for argument in arguments:
        if not argument.startswith("--") or argument == "--":
            continue
        name = argument[2:].partition("=")[0].removesuffix("+")
        parents = name.split(".")
        heads = {".".join(parents[:length]) for length in range(1, len(parents) + 1)}
        # A group as a whole (`--data FILE`) is the parser's too.
        if heads & known or name in groups_of(command) or name == "help":
            continue
        close = suggestion(name, known)
        hint = f"Did you mean `--{close}`?" if close else f"`lightning {command} --help` has them."
        return f"Expected an option of `{command}`; got `--{name}`. {hint}"
    return None


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """Return the key that a wrong name means most likely; None where nothing is like it.

    >>> suggestion("trainer.epochs", ["trainer.min_epochs", "trainer.max_epochs"])
    'trainer.max_epochs'
    """
    keys = sorted(known)
    plain = name.replace("-", "_")
    last = plain.rpartition(".")[2]
    if (meant := ELSEWHERE.get(last)) in keys:
        return meant
    rank = {key: number for number, key in enumerate(POPULAR)}

    def likeness(key: str) -> tuple[float, int, float]:
        own = key.rpartition(".")[2]
        words, own_words = set(last.split("_")), set(own.split("_"))
        same = 1.0 if own == last else len(words & own_words) / len(words | own_words)
        spelled = difflib.SequenceMatcher(None, plain, key).ratio()
        written = difflib.SequenceMatcher(None, last, own).ratio()
        return max(same, written, spelled), -rank.get(key, len(rank)), spelled

    best = max(keys, key=likeness, default=None)
    return best if best is not None and likeness(best)[0] >= _CUTOFF else None


def completion(shell: str, commands: Iterable[str]) -> str:
    """Return the script that completes commands and options in ``bash`` or ``zsh``."""
    options = {
        command: " ".join(f"--{key.name}" for key in keys_of(command)) for command in commands
    }
    cases = "\n".join(f'    {command}) words="{words}" ;;' for command, words in options.items())
    script = "\n".join(
        [
            "_qa_lightning() {",
            '  local current="${COMP_WORDS[COMP_CWORD]}" words=""',
            '  case "${COMP_WORDS[1]}" in',
            cases,
            "  esac",
            f'  if [ "$COMP_CWORD" -eq 1 ]; then words="{" ".join(options)}"; fi',
            '  case "$current" in',
            '    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;',
            '    *) if [ "$COMP_CWORD" -eq 1 ]',
            '       then COMPREPLY=($(compgen -W "$words" -- "$current"))',
            '       else COMPREPLY=($(compgen -f -- "$current")); fi ;;',
            "  esac",
            "}",
            "complete -o filenames -F _qa_lightning lightning qa-lightning",
        ]
    )
    lead = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return lead + script
