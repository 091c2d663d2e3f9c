"""A tokenizer's files, carried in a checkpoint: only those of known names are ever written."""

from collections.abc import Mapping
from pathlib import Path

from qa_lightning.errors import InputError

TOKENIZER_FILES = frozenset(
    (
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    )
)
"""What transformers writes of a fast tokenizer as text; a name is one of these, never a path."""


def write_tokenizer_files(files: Mapping[str, str], folder: Path) -> None:
    """Write a tokenizer's files, which came in a checkpoint, into a folder of ours.

    Raises:
        InputError: a name is none of a tokenizer's; nothing is written then.
    """
    unknown = sorted(repr(name) for name in files if name not in TOKENIZER_FILES)
    if unknown:
        raise InputError(
            f"Expected the tokenizer's files in the checkpoint to be among "
            f"{', '.join(sorted(TOKENIZER_FILES))}; got {', '.join(unknown)[:200]}. Nothing was "
            "written. Name a checkpoint that `lightning fit` wrote."
        )
    for name, text in files.items():
        with (folder / name).open("x", encoding="utf-8") as file:  # a link in its place is refused
            file.write(text)
