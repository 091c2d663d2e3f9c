"""How README and the documentation are run: every block of code, every command that is named.

A block stands under a mark where it cannot run as it is: ``<!-- not run: WHY -->``, or
``<!-- run with: OPTIONS -->``, added to its `lightning` commands (``small``: a network and
windows of a test's size). Commands that are not run are still read: their options, files, targets
and extras must exist.
"""

import contextlib
import io
import json
import re
import shlex
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT
from qa_lightning.cli import COMMANDS, TRAINING
from qa_lightning.cli.arguments import unknown_option
from qa_lightning.cli.reference import groups_of, keys_of
from running import NETWORK, run, write_yaml

PROGRAMS = (["lightning"], ["qa-lightning"], ["python", "-m", "qa_lightning"])
# Read but not run: they install, ask for another machine, or have tests of their own.
READ_ONLY = (
    "pip",
    "make",
    "export",
    "source",
    ".",
    "torchrun",
    "srun",
    "wandb",
    "iconv",
    "hf",
    "git",
)
SHOWN = ("text", "json", "")

_FENCE = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>(?:not run|run with): [^\n]*?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<kind>\w*)\n(?P<code>.*?)^(?P=indent)```",
    flags=re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"`((?:lightning|qa-lightning|make|python) [^`\n]+|pip install [^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """Hold a block of code of a page.

    Attributes:
        page: its path from the root.
        kind: its language.
        code: its text.
        mark: what stands above it, without the comment's signs; empty if nothing.
    """

    page: str
    kind: str
    code: str
    mark: str

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run: ")

    @property
    def options(self) -> list[str]:
        """What is added to its commands."""
        given = self.mark.removeprefix("run with: ") if self.mark.startswith("run with: ") else ""
        return shlex.split(given)


def all_pages() -> list[Path]:
    """Return README, contributing and every page of the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    text, name = page.read_text("utf-8"), str(page.relative_to(ROOT))
    return [
        Block(name, found["kind"], textwrap.dedent(found["code"]), found["mark"] or "")
        for found in _FENCE.finditer(text)
    ]


def inline_commands(page: Path) -> list[str]:
    """Return the commands that a page's text names in passing."""
    return _INLINE.findall(_FENCE.sub("", page.read_text("utf-8")))


def commands_of(code: str) -> list[list[str]]:
    """Return the commands of a shell block, without comments.

    >>> commands_of("pip install . # first\\nlightning fit \\\\\\n  --config a.yaml")
    [['pip', 'install', '.'], ['lightning', 'fit', '--config', 'a.yaml']]
    """
    lines = code.replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [words for words in found if words]


def arguments_of(words: list[str]) -> list[str] | None:
    """Return what follows one of our programs' names; None of another's."""
    found = [program for program in PROGRAMS if words[: len(program)] == program]
    return words[len(found[0]) :] if found else None


def check_command(words: list[str]) -> None:
    """Check that what a command names exists: its program, options, files, targets, extras."""
    arguments = arguments_of(words)
    if words[0] in ("torchrun", "srun"):  # they start one of ours
        inner = [place for place, word in enumerate(words) if word in ("qa_lightning", "lightning")]
        arguments = words[inner[0] + 1 :]
    if arguments is not None:
        _check_ours(arguments)
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), words
    elif words[0] == "pip":
        named = re.findall(r"\[([\w,]+)\]", " ".join(words))
        assert set(",".join(named).split(",")) - {""} <= extras(), words
    elif words[0] == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), words


def _check_ours(arguments: list[str]) -> None:
    if not arguments or arguments[0].startswith("--") or arguments[0] == "completion":
        return
    command = arguments[0]
    if command.isupper() or command == "…":  # `lightning COMMAND --help`
        return
    for name in command.split("|"):
        assert name in {*TRAINING, *COMMANDS}, arguments
        for word in arguments[1:]:
            if word.startswith("--") and word not in ("--help", "--help-all"):
                assert unknown_option(name, word) is None, unknown_option(name, word)
    for option, value in pairwise(arguments):
        if option == "--config" and value.startswith("configs/"):
            assert (ROOT / value).is_file(), arguments


def extras() -> set[str]:
    """Return the names of the package's extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return set(project["optional-dependencies"])


def check_yaml_keys(code: str) -> None:
    """Check that a configuration's keys exist."""
    known = {key.name for key in keys_of("fit")}
    for group, values in yaml.safe_load(code).items():
        assert group in {*groups_of("fit"), "seed_everything"}, group
        for name in values if isinstance(values, dict) else ():
            assert f"{group}.{name}" in known, f"{group}.{name}"


class World:
    """A folder with what pages speak of: configurations, a run, data, documents; and what is small.

    Args:
        folder: where to make it.
        files: small data files, a tokenizer and a model.
        demo_run: a run's folder.
    """

    def __init__(self, folder: Path, files: dict[str, Path], demo_run: Path) -> None:
        import shutil

        self.folder = folder
        (folder / "configs").symlink_to(ROOT / "configs")
        for name in ("train", "validation"):
            shutil.copy(files[name], folder / f"{name}.json")
        for name in ("tokenizer", "model"):
            (folder / name).symlink_to(files[name])
        shutil.copytree(demo_run, folder / "runs" / "demo")
        text = json.loads(files["train"].read_text("utf-8"))["data"][0]["paragraphs"][0]["context"]
        (folder / "report.txt").write_text(text, "utf-8")
        for name in ("a", "b"):
            (folder / f"{name}.jsonl").write_text(
                json.dumps({"question": "Em que cidade nasceu Alba?", "context": text}), "utf-8"
            )
        write_yaml(folder / "small.yaml", SMALL)
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block, monkeypatch: pytest.MonkeyPatch) -> str:
        """Run a block; return what it printed."""
        monkeypatch.chdir(self.folder)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            if block.kind == "python":
                self._run_python(block, monkeypatch)
            elif block.kind == "bash":
                for words in commands_of(block.code):
                    self._run_command(words, block)
        return output.getvalue()

    def _run_python(self, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
        if "small" in block.options:
            monkeypatch.setattr("qa_lightning.fit", self._small_fit())
        exec(compile(block.code, block.page, "exec"), self.names)

    def _small_fit(self) -> Any:
        from qa_lightning.running import fit

        def small_fit(model: Any = None, **given: Any) -> Any:
            given["config"] = ["small.yaml"]
            given["options"] = {**given.get("options", {}), "trainer.max_epochs": 1}
            return fit("model", **given)

        return small_fit

    def _run_command(self, words: list[str], block: Block) -> None:
        arguments = arguments_of(words)
        if arguments is None:
            assert words[0] in READ_ONLY, f"{words} of {block.page} is neither run nor marked"
            return
        added = [word for word in block.options if word != "small"]
        if "small" in block.options:
            arguments = _with_small(arguments)
        sys.stdout.write(run(*arguments, *added))


SMALL = {
    "data": {"max_length": 64, "doc_stride": 16, "batch_size": 8},
    "trainer": {
        "accelerator": "cpu",
        "limit_train_batches": 2,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
}
_SMALL_ARGUMENTS = [
    "--data.max_length",
    "64",
    "--data.doc_stride",
    "16",
    "--trainer.max_steps",
    "2",
]


def _with_small(arguments: list[str]) -> list[str]:
    """Return a command with a small network, small windows and two steps."""
    given = list(arguments)
    if "--model.model_name_or_path" in given:
        given[given.index("--model.model_name_or_path") + 1] = "model"
    if "configs/demo.yaml" in given:
        shape = {f"--model.config.{key}": str(value) for key, value in NETWORK.items()}
        given += [word for pair in shape.items() for word in pair]
        given += ["--data.train_split", "train[:16]", "--data.val_split", "validation[:4]"]
        given += ["--trainer.val_check_interval", "2"]
    return [*given, *_SMALL_ARGUMENTS]
