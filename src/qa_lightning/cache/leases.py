"""Locks on the folders of a cache: the system takes them back when a process ends."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

IN_USE = "in_use"
BEING_MADE = f"{IN_USE}.new"
_MAKING = 60.0
"""Seconds that no process needs to lock a scratch folder that it has made."""


class Lease:
    """Hold an entry, so that nothing removes it, until the object or the process ends.

    Args:
        folder: of the entry.
        alone: nobody else may hold it.

    Raises:
        OSError: somebody does, or there is no such entry, or no locks on this file system.
    """

    def __init__(self, folder: Path, *, alone: bool = False, name: str = IN_USE) -> None:
        self._folder = folder
        self._file = (folder / name).open("rb")
        _lock(self._file, alone=alone)
        if not os.path.samestat(os.fstat(self._file.fileno()), (folder / name).stat()):
            raise FileNotFoundError(f"{folder} went away")

    @classmethod
    def of_new(cls, scratch: Path) -> Self:
        """Put ``in_use`` into a scratch folder, locked before anyone can see it."""
        file = scratch / BEING_MADE
        file.touch()
        lease = cls(scratch, alone=True, name=file.name)
        file.rename(scratch / IN_USE)
        return lease

    def share(self) -> None:
        """Let others hold it too."""
        _lock(self._file, alone=False)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Hold it anew in the process that this is sent to."""
        return Lease, (self._folder,)


def _lock(file: BinaryIO, *, alone: bool) -> None:
    try:
        import fcntl
    except ImportError as error:
        raise OSError("no locks on this system") from error
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)


def is_free(folder: Path) -> bool:
    """Say whether a folder has a lock to hold, and nobody holds it."""
    return _can_be_held(folder, IN_USE)


def is_abandoned(scratch: Path) -> bool:
    """Say whether the process that made a scratch folder is gone, however soon it went."""
    if (scratch / IN_USE).exists():
        return is_free(scratch)
    with suppress(OSError):  # it is gone by now
        being_made = (scratch / BEING_MADE).exists()
        if time.time() - scratch.stat().st_mtime > _MAKING:
            return _can_be_held(scratch, BEING_MADE) if being_made else not any(scratch.iterdir())
    return False


def _can_be_held(folder: Path, name: str) -> bool:
    try:
        Lease(folder, alone=True, name=name).close()
    except OSError:
        return False
    return True
