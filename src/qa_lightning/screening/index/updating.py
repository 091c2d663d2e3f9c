"""A folder of documents → its index: what is new, changed and gone since the last time."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from qa_lightning.errors import InputError
from qa_lightning.folders import locked_folder
from qa_lightning.screening.index.collecting import (
    NoDocumentsError,
    content_hash,
    documents_of,
    files_of,
)
from qa_lightning.screening.index.generations import (
    SOURCES,
    newest,
    next_generation,
    open_newest,
    refuse_other_folder,
    sweep,
)
from qa_lightning.screening.index.store import PassageWriter, engine

log = logging.getLogger(__name__)


class Changes(NamedTuple):
    """Hold what an update of an index did, in files.

    Attributes:
        new: were added.
        changed: were put in the place of what they were.
        deleted: are not there any more.
        unchanged: were left as they are.
        unreadable: could not be read, and are not in the index; they are tried again next time.
        passages: that the index holds now.
    """

    new: int
    changed: int
    deleted: int
    unchanged: int
    unreadable: int
    passages: int


def update_index(folder: Path, index: Path) -> Changes:
    """Make an index of a folder's documents, or bring it up to date; others may read it meanwhile.

    Args:
        folder: of text, Markdown, HTML, DOCX, PDF and JSON Lines files, and folders of them.
        index: where the index is, or will be.

    Raises:
        InputError: there is no such folder, the place of the index is taken, another process
            writes there, or no document can be read.
    """
    engine()
    refuse_other_folder(index)
    was_there = index.exists()
    try:
        files = files_of(folder, without=index)
        with locked_folder(index, "--output"):
            return _updated(folder, index, files)
    except NoDocumentsError as error:
        # An emptied folder may be one that is not mounted today: what took hours is kept.
        if newest(index) is not None:
            raise InputError(
                f"{error} The index {index} stays as it was, and answers from what it holds: put "
                "the documents back, or remove it if they are to be forgotten."
            ) from None
        raise
    finally:
        if not was_there:
            with suppress(OSError):  # it holds an index
                index.rmdir()


def _updated(folder: Path, index: Path, files: dict[str, Path]) -> Changes:
    known = {} if newest(index) is None else open_newest(index).sources
    hashes = dict(_hashes(files))
    if not hashes:
        raise NoDocumentsError(folder, "none that can be read")
    wanted = [name for name, told in hashes.items() if known.get(name) != told]
    gone = [name for name in known if name not in hashes]
    kept = {name: told for name, told in hashes.items() if known.get(name) == told}
    added: dict[str, str] = {}
    if not wanted and not gone:
        sweep(index)
    else:
        with next_generation(index) as scratch, PassageWriter(scratch) as writer:
            for name in (*gone, *(name for name in wanted if name in known)):
                writer.remove(name)
            added = {n: hashes[n] for n in wanted if _add(writer, n, files[n])}
            if not added and not kept:
                raise NoDocumentsError(folder, "none that can be read")
            writer.finish()
            (scratch / SOURCES).write_text(json.dumps(kept | added), encoding="utf-8")
    return Changes(
        new=sum(name not in known for name in added),
        changed=sum(name in known for name in added),
        deleted=sum(name not in files for name in gone),
        unchanged=len(kept),
        unreadable=len(files) - len(kept) - len(added),
        passages=open_newest(index).snapshot.passages,
    )


def _hashes(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    for name, path in files.items():
        try:
            yield name, content_hash(path)
        except OSError as error:
            log.warning("%s cannot be read: %s", name, error.strerror)


def _add(writer: PassageWriter, name: str, path: Path) -> bool:
    """Add a file's documents, all or none; return whether it could be read."""
    try:
        writer.add(name, documents_of(path))
    except (InputError, OSError) as error:
        writer.remove(name)
        log.warning("%s is left out: %s", name, error)
        return False
    return True
