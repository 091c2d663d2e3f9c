"""A folder of prepared data: entries whole and checked, unfinished ones swept, the oldest let go.

An entry is a folder named by its key. Beside its files it holds ``entry.json`` (what it is, and
the checksum of each file) and ``in_use``: whoever builds or reads an entry holds a lock on that
file, which the system takes back when the process ends, however it ends. What can be locked is
therefore nobody's: the scratch folder of a process that was killed, or an entry that may go. When
``in_use`` was last touched tells when the entry was last read.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_lightning.cache.contents import MANIFEST, checksums, damage_of, manifest_of
from qa_lightning.cache.leases import IN_USE, Lease, is_abandoned, is_free
from qa_lightning.errors import InputError
from qa_lightning.folders import bytes_in

__all__ = ["DEFAULT_ENTRIES", "DEFAULT_GIB", "Cache", "Entry", "Lease", "cache_folder"]

log = logging.getLogger(__name__)

DEFAULT_ENTRIES = 64
DEFAULT_GIB = 100.0
GIB = 2**30
_KEY = re.compile(r"[0-9a-f]{32}")
_SCRATCH = re.compile(r"\.[0-9a-f]{8}-.+|\.gone-.+")


@dataclass(frozen=True)
class Entry:
    """Tell of one entry, or of what a process left unfinished.

    Attributes:
        key: name of its folder.
        about: what it holds; empty where that is not known.
        size: of its files, in bytes.
        last_used: seconds since 1970.
        in_use: a process holds it.
        finished: it is whole, not a scratch folder.
    """

    key: str
    about: Mapping[str, Any]
    size: int
    last_used: float
    in_use: bool
    finished: bool


class Cache:
    """Keep entries by key in one folder, for any number of processes.

    Args:
        folder: made when the first entry is.
        most_entries: more than these are not kept: the ones that were not read for longest go,
            those in use never.
        most_gib: likewise for the size of all of them.
    """

    def __init__(
        self, folder: Path, *, most_entries: int = DEFAULT_ENTRIES, most_gib: float = DEFAULT_GIB
    ) -> None:
        self.folder = folder
        self._most_entries = most_entries
        self._most_gib = most_gib

    def find(self, key: str) -> tuple[Path, Lease | None] | None:
        """Return a whole entry's folder, held; None where there is none.

        A damaged one is removed, and that is told. Where the file system has no locks, nothing is
        held.
        """
        folder = self.folder / key
        if not folder.is_dir():
            return None
        lease = None
        with contextlib.suppress(OSError):  # no locks here
            lease = Lease(folder)
        if (damage := damage_of(folder)) is not None:
            log.warning("The prepared data in %s is damaged (%s): preparing anew.", folder, damage)
            self.discard(folder)
            return None
        with contextlib.suppress(OSError):  # of another user, who let us read
            os.utime(folder / IN_USE)
        return folder, lease

    @contextlib.contextmanager
    def building(self, key: str, about: Mapping[str, Any]) -> Iterator[Path]:
        """Give a folder to fill; it is the entry when the block ends without an error.

        Args:
            key: of the entry, 32 hexadecimal digits.
            about: what it holds, plain values; for who looks at the cache.

        Raises:
            InputError: the cache's folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            scratch = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=self.folder))
        except OSError as error:
            raise InputError(
                f"Expected `data.cache_dir` to be a folder to write into; {self.folder} cannot be: "
                f"{error.strerror or error}. Name another."
            ) from error
        try:
            lease = None
            with contextlib.suppress(OSError):  # no locks here
                lease = Lease.of_new(scratch)
            yield scratch
            manifest = {"about": dict(about), "files": checksums(scratch)}
            (scratch / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            if lease is not None:
                lease.share()
            _publish(scratch, self.folder / key)
            self.shrink(keep=(key,))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def sweep(self) -> list[str]:
        """Remove the scratch folders of processes that are gone; return their names.

        Only what nobody holds: a running process has a lock on its own.
        """
        scratches = [path for path in self._folders() if _SCRATCH.fullmatch(path.name)]
        return [path.name for path in scratches if self._remove_if_free(path)]

    def shrink(self, keep: Iterable[str] = ()) -> list[str]:
        """Remove the entries that were not read for longest until the bounds hold.

        Args:
            keep: keys that stay.

        Returns:
            The keys of those that went.
        """
        entries = sorted(self._finished(), key=lambda entry: entry.last_used)
        count, size = len(entries), sum(entry.size for entry in entries)
        gone = []
        for entry in entries:
            if count <= self._most_entries and size <= self._most_gib * GIB:
                break
            if entry.key not in keep and self._remove_if_free(self.folder / entry.key):
                count, size = count - 1, size - entry.size
                gone.append(entry.key)
        if gone:
            log.info("%d entries of %s made room for newer ones", len(gone), self.folder)
        return gone

    def remove(self, key: str) -> bool:
        """Remove an entry or an unfinished one; False where a process holds it."""
        folder = self.folder / key
        if not (folder / IN_USE).exists():  # of an earlier version; the user says that it may go
            self.discard(folder)
        return self._remove_if_free(folder)

    def entries(self) -> list[Entry]:
        """Return all that is there, the last used first."""
        scratches = [path for path in self._folders() if _SCRATCH.fullmatch(path.name)]
        found = [*self._finished(), *_entries(scratches)]
        return sorted(found, key=lambda entry: -entry.last_used)

    def discard(self, folder: Path) -> None:
        """Take a folder out of sight at once, then remove it, whoever holds it."""
        gone = folder.with_name(f".gone-{folder.name}-{time.time_ns()}")
        with contextlib.suppress(OSError):  # another process was faster
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if path.is_dir() and not path.is_symlink()]

    def _finished(self) -> list[Entry]:
        return list(_entries(path for path in self._folders() if _KEY.fullmatch(path.name)))

    def _remove_if_free(self, folder: Path) -> bool:
        # Entries of an earlier version have no lock: whoever read one left no sign.
        old = _KEY.fullmatch(folder.name) and not (folder / IN_USE).exists()
        if old or is_free(folder) or (_SCRATCH.fullmatch(folder.name) and is_abandoned(folder)):
            self.discard(folder)
        return not folder.exists()


def cache_folder(configured: str | None) -> Path:
    """Return the folder of prepared data.

    Args:
        configured: ``data.cache_dir``; None is the cache of ``datasets``.
    """
    if configured:
        return Path(configured).expanduser() / "qa_lightning"
    from datasets import config  # takes seconds

    return Path(config.HF_CACHE_HOME).expanduser() / "qa_lightning"


def _publish(scratch: Path, entry: Path) -> None:
    """Move a finished entry into place; another process may have been faster."""
    try:
        scratch.rename(entry)
    except OSError:
        if not entry.is_dir():
            raise


def _entries(folders: Iterable[Path]) -> Iterator[Entry]:
    """Yield what folders are; another process may have taken one away."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            yield _entry(folder)


def _entry(folder: Path) -> Entry:
    mark = folder / IN_USE
    return Entry(
        key=folder.name,
        about=manifest_of(folder).get("about", {}),
        size=bytes_in(folder),
        last_used=(mark if mark.is_file() else folder).stat().st_mtime,
        in_use=mark.is_file() and not is_free(folder),
        finished=_KEY.fullmatch(folder.name) is not None,
    )
