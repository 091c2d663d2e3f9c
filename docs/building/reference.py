"""The pages of commands, keys and messages, from the parsers' own file and the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from qa_lightning.cli import COMMANDS, TRAINING
from qa_lightning.cli.reference import POPULAR, RUN, Key, groups_of, keys_of

PACKAGE: Final = Path(__file__).resolve().parents[2] / "src" / "qa_lightning"
GROUPS: Final = {
    "data": "what is read, and how it is cut into windows: the arguments of `QADataModule`",
    "model": "the network, its loss and its rates: the arguments of `QAModule`",
    "evaluation": "how answers are found, scored and written: those of `AnswerEvaluation`",
    "checkpoint": "which checkpoints are kept",
    "tracking": "what W&B, TensorBoard or the folder's own reports get",
    "prediction": "what `predict` writes",
    "trainer": "Lightning's `Trainer`, in its own words",
}
ABOUT_CALLS: Final = ("InputError", "SplitError")
_VALUE: Final = "…"
_FIELD: Final = re.compile(r"\{\w+(:[,\w]*)?\}")  # what `str.format` fills in
_ROLE: Final = re.compile(r":\w+:`~?([^`<]+?)(?:\s*<[^>]*>)?`")


def commands_page() -> str:
    """Return the page of all commands."""
    lines = [
        "# Commands",
        "",
        "Made from the parsers. `lightning` and `qa-lightning` are the same program, and so is",
        "`python -m qa_lightning`. `lightning COMMAND --help` has the same text.",
        "",
    ]
    for command, about in {**TRAINING, **COMMANDS}.items():
        name = "lightning" if command in TRAINING else "qa-lightning"
        lines += [
            f"## {name} {command} {{ #{command} }}",
            "",
            _sentence(about),
            "",
        ]
        if command in TRAINING:
            own = groups_of(command)[RUN]
            lines += ["Besides [the keys of a run](keys.md):", ""]
        else:
            own = list(keys_of(command))
        for key in own:
            lines += _entry(key, f"{command}-{key.name}")
    return "\n".join(lines) + "\n"


def keys_page() -> str:
    """Return the page of all keys of a run: of YAML files and of the command line alike."""
    lines = [
        "# Keys of a run",
        "",
        "Made from the parsers. A key `data.max_length` is `data: {max_length: …}` in a YAML file",
        "and `--data.max_length …` in a shell; `lightning fit --help data` tells the same.",
        "",
    ]
    for group, keys in groups_of("fit").items():
        if group == RUN:
            continue
        lines += [f"## {group}", "", _sentence(GROUPS.get(group, "")), ""]
        for key in keys:
            lines += _entry(key, key.name)
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _entry(key: Key, anchor: str) -> Iterator[str]:
    """Yield a key as an item that can be linked to."""
    default = f", default `{key.default}`" if key.default else ""
    often = " · often changed" if key.name in POPULAR and key.group == "trainer" else ""
    text = _ROLE.sub(r"`\1`", key.help).replace("``", "`")
    yield f'- <a id="{anchor}"></a>**`--{key.name}`** <small>`{key.kind}`{default}{often}</small>  '
    yield f"  {_closed(text)}"


def _closed(text: str) -> str:
    """Keep what looks like markup from being it.

    >>> _closed("a <b> of `<c>`")
    'a &lt;b> of `<c>`'
    """
    parts = text.split("`")
    return "`".join(
        part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts)
    )


def messages_page() -> str:
    """Return the page of all messages, by the room that says them."""
    lines = [
        "# Messages",
        "",
        "Made from the source: all that the program says when it cannot go on, with `…` where a",
        "value stands. Each says what was expected, what was found, and what to do; the longer",
        "stories are in [troubleshooting](../guides/troubleshooting.md).",
        "",
    ]
    for room, messages in messages_by_room().items():
        lines += [f"## {room}", "", *(f"- {_closed(text)}" for text in messages), ""]
    return "\n".join(lines)


def messages_by_room() -> dict[str, list[str]]:
    """Return the messages of each module of the package."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text("utf-8"))
        for message in _messages(tree):
            if message not in found.setdefault(room, []):
                found[room].append(message)
    return {room: messages for room, messages in found.items() if messages}


def _messages(node: ast.AST) -> Iterator[str]:
    """Yield literals that begin as our messages do, whole, and what an `InputError` is given."""
    if isinstance(node, ast.BinOp | ast.JoinedStr | ast.Constant):
        text = " ".join(_text(node).split())
        if text.startswith("Expected ") and re.search(r"\w{4}", text[len("Expected ") :]):
            yield text
        return
    if _is_raised(node):
        text = " ".join(_text(node.args[0]).split())
        if re.search(r"\w{4}", text) and not text.startswith("Expected "):
            yield text
    for part in ast.iter_child_nodes(node):
        yield from _messages(part)


def _is_raised(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "id", None) in ABOUT_CALLS
        and bool(node.args)
    )


def _text(node: ast.AST) -> str:
    """Return a literal's text, ``…`` for what is filled in."""
    if isinstance(node, ast.Constant):
        return _FIELD.sub(_VALUE, node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return _VALUE


def pattern_of(message: str) -> str:
    """Return a regular expression for what a message looks like when it is said.

    >>> bool(re.fullmatch(pattern_of("Expected a file; … leads to itself."), "Expected a file; "
    ...                   "/x leads to itself."))
    True
    """
    return ".+?".join(re.escape(part) for part in message.split(_VALUE))
