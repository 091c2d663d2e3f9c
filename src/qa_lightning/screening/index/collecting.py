"""A folder → its files, and the documents that stand in them."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from qa_lightning.documents import SUFFIXES, Document, read_document, text_document
from qa_lightning.encodings import open_text
from qa_lightning.errors import InputError

JSON_LINES: Final = (".jsonl", ".ndjson")
_TEXT_KEYS: Final = ("text", "context")
_CHUNK: Final = 1 << 20


class NoDocumentsError(InputError):
    """Tell that a folder holds no documents, whyever."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"Expected a folder of documents (text, Markdown, HTML, DOCX, PDF, JSON Lines) at "
            f"{folder}; found {found}."
        )


def files_of(folder: Path, *, without: Path) -> dict[str, Path]:
    """Return the files of documents in a folder and those below it, by their place in it.

    Hidden ones are left out, and what a link leads to that is a folder.

    Args:
        folder: to look in.
        without: a folder that is left out: the index itself may stand there.

    Raises:
        NoDocumentsError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise NoDocumentsError(folder, "a file" if folder.exists() else "nothing there")
    skipped = without.resolve()
    files: dict[str, Path] = {}
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != skipped
        )
        for name in sorted(names):
            path = here / name
            known = path.suffix.lower() in {*SUFFIXES, *JSON_LINES}
            if known and not name.startswith(".") and path.is_file():
                inside = os.fsencode(path.relative_to(folder).as_posix())
                files[inside.decode(errors="backslashreplace")] = path  # names may be no UTF-8
    if not files:
        raise NoDocumentsError(folder, "none")
    return files


def content_hash(path: Path) -> str:
    """Return 32 hexadecimal digits of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def documents_of(path: Path) -> Iterator[tuple[int, Document]]:
    """Yield a file's documents, each with its row: 0 of a file that is one, from 1 of JSON Lines.

    Raises:
        InputError: it cannot be read, or a line holds no text.
    """
    if path.suffix.lower() not in JSON_LINES:
        yield 0, read_document(path)
        return
    with open_text(lambda: path.open("rb"), path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, text_document(_text_of(line, path, number), f"{path.name}:{number}")


def _text_of(line: str, path: Path, number: int) -> str:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in line {number} of {path}; it is none: {error}") from None
    texts = [row.get(key) for key in _TEXT_KEYS] if isinstance(row, dict) else []
    for text in texts:
        if isinstance(text, str):  # JSON can hold half a character, and the index cannot
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    found = f"the keys {', '.join(row)[:80]}" if isinstance(row, dict) else type(row).__name__
    raise InputError(
        f"Expected a JSON object with `text` (or `context`) in line {number} of {path}; got "
        f"{found}."
    )
