"""An index's folder: each update is a folder of its own, the one with the highest number counts.

A folder appears under its number when it is whole, and never changes. So a reader has all of one
update or all of another, and a writer that is killed leaves nothing that is read. Files that do not
change are linked into the next folder, not copied.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from qa_lightning.errors import InputError
from qa_lightning.folders import LOCK, whole_folder
from qa_lightning.screening.index.store import Snapshot
from qa_lightning.screening.words import LETTERS

SOURCES: Final = "sources.json"
"""The content hash of each file whose documents are in the index."""

INDEX_VERSION: Final = 1  # raise it whenever an older index would be read, or found in, otherwise
_MANIFEST: Final = "index.json"
_NUMBER: Final = re.compile(r"\d{8}")
_UNFINISHED: Final = re.compile(r"\.\d{8}\..*")  # what `whole_folder` fills, of a writer killed
_CHANGING: Final = ("meta.json", ".managed.json", SOURCES)  # all others never do
_CHUNK: Final = 1 << 20
_TRIES: Final = 20


def newest(folder: Path) -> Path | None:
    """Return the folder of an index's newest update; None where there is none."""
    with suppress(OSError):
        found = [each for each in folder.iterdir() if _NUMBER.fullmatch(each.name)]
        return max(found, default=None, key=lambda each: each.name)
    return None


class OpenIndex(NamedTuple):
    """Hold an index as it was when it was opened.

    Attributes:
        snapshot: its passages.
        sources: the content hash of each file whose documents are in it.
    """

    snapshot: Snapshot
    sources: dict[str, str]


def open_newest(folder: Path) -> OpenIndex:
    """Open an index as it is now; what others write later is not seen.

    Raises:
        InputError: there is none, or it is damaged, or of another release.
    """
    for _ in range(_TRIES):
        current = newest(folder)
        if current is None:
            raise _no_index(folder)
        try:
            _check(current)
            sources = json.loads((current / SOURCES).read_text(encoding="utf-8"))
            return OpenIndex(Snapshot(current), sources)
        except FileNotFoundError as error:
            if newest(folder) == current:
                raise _damaged(folder, f"{Path(error.filename or '').name} is missing") from error
        except (OSError, ValueError) as error:
            if newest(folder) == current:
                raise _damaged(folder, str(error)) from error
    raise InputError(f"Expected an index in {folder} that stands still; it changes all the time.")


def refuse_other_folder(folder: Path) -> None:
    """Refuse to write an index into what holds something else.

    Raises:
        InputError: it does.
    """
    named = os.fsencode(folder.absolute()).decode(errors="backslashreplace")
    if named != str(folder.absolute()):  # the engine opens no other
        raise InputError(f"Expected a name in UTF-8 for the index; got {named}. Name another.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"Expected a folder for the index; {folder} is a file. Name another.")
    if folder.is_dir() and newest(folder) is None:
        others = [n.name for n in folder.iterdir() if n.name != LOCK and not _is_unfinished(n)]
        if others:
            raise InputError(
                f"Expected an index, or an empty or new folder, in {folder}; it holds {others[0]}. "
                "Name another."
            )


@contextmanager
def next_generation(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, that has the newest update's files; put it in place, whole.

    The caller holds the index's lock, and writes ``SOURCES``.

    Args:
        folder: of the index.
    """
    sweep(folder)
    current = newest(folder)
    number = int(current.name) + 1 if current else 1
    with whole_folder(folder / f"{number:08d}", "--output") as scratch:
        sizes = _link_files(current, scratch) if current else {}
        yield scratch
        _write_manifest(scratch, sizes)
    sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what a killed update left, and the generations before the newest.

    The caller holds the index's lock; who has an old one open keeps it.
    """
    current = newest(folder)
    for one in folder.iterdir():
        is_old = current is not None and one.name < current.name and _NUMBER.fullmatch(one.name)
        if is_old or _is_unfinished(one):
            shutil.rmtree(one, ignore_errors=True)


def _is_unfinished(path: Path) -> bool:
    return bool(_UNFINISHED.fullmatch(path.name))


def _link_files(current: Path, scratch: Path) -> dict[str, Any]:
    """Link the engine's files, and return what is known of those that never change."""
    known: dict[str, Any] = _manifest(current)["files"]
    for name in known:
        source, target = current / name, scratch / name
        if name in _CHANGING:
            shutil.copyfile(source, target)
        else:
            try:
                os.link(source, target)
            except OSError:  # a file system without links
                shutil.copyfile(source, target)
    return {name: told for name, told in known.items() if name not in _CHANGING}


def _write_manifest(folder: Path, known: dict[str, Any]) -> None:
    names = sorted(each.name for each in folder.iterdir() if not each.name.endswith(".lock"))
    files = {name: known.get(name) or _told(folder / name) for name in names}
    told = {"version": INDEX_VERSION, "letters": LETTERS, "files": files}
    (folder / _MANIFEST).write_text(json.dumps(told), encoding="utf-8")


def _told(path: Path) -> list[int]:
    """Return a file's size and checksum."""
    checksum = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return [path.stat().st_size, checksum]


def _manifest(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(told, dict) or not isinstance(told.get("files"), dict):
        raise ValueError(f"{_MANIFEST} holds no list of files")
    return told


def _check(folder: Path) -> None:
    told = _manifest(folder)
    if told.get("version") != INDEX_VERSION or told.get("letters") != LETTERS:
        raise InputError(
            f"Expected an index of this release (version {INDEX_VERSION}) in {folder.parent}; it "
            f"is of version {told.get('version')!r}. Remove it, and run `qa-lightning index` again."
        )
    for name, (size, checksum) in told["files"].items():
        if _told(folder / name) != [size, checksum]:
            raise ValueError(f"{name} is not as it was written")


def _no_index(folder: Path) -> InputError:
    found = "nothing there" if not folder.exists() else "no index there"
    return InputError(
        f"Expected an index, as `qa-lightning index` writes it, in {folder}; found {found}."
    )


def _damaged(folder: Path, why: str) -> InputError:
    return InputError(
        f"Expected a whole index in {folder}; it is damaged: {why}. Remove it, and run "
        "`qa-lightning index` again."
    )
