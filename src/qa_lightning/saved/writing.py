"""Plain values and tensors → a checkpoint's file, which appears whole or not at all."""

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

from qa_lightning.errors import InputError
from qa_lightning.folders import Need, bytes_in

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
"""The last checkpoint, and the one before it, kept for the day that the last is damaged."""

_COMMENT = b"qa_lightning crc32=%08x"
SEAL_LENGTH = len(_COMMENT % 0)


def seal(checksum: int) -> bytes:
    """Return the comment, of the zip that torch writes, that tells its checksum.

    The zip's own checksums leave out its directory, by which torch finds the tensors.

    Args:
        checksum: CRC-32 of the file as torch wrote it, without a comment.
    """
    return _COMMENT % checksum


_AT_A_TIME = 4  # last, previous, best, and the one that is being written


def write_saved(values: Mapping[str, Any], path: Path, *, keep_previous: bool = False) -> None:
    """Write a checkpoint's file beside its place, see it on the disk, then rename it.

    Args:
        values: what `torch.save` stores.
        path: the file's place.
        keep_previous: leave the file that was there as ``previous.ckpt``.

    Raises:
        InputError: the disk is full, or the folder cannot be written; what was there before is as
            it was.
    """
    scratch = path.with_name(f".{path.name}.part")  # one name, so that a kill leaves one at most
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _CheckedFile(scratch) as file:
            torch.save(dict(values), cast(IO[bytes], file))
            file.finish()
        if keep_previous and path.exists():
            _keep(path, path.with_name(PREVIOUS))
        scratch.replace(path)
        _synchronize(path.parent)
    except OSError as error:
        before = (
            " What was saved before is whole; `--ckpt_path last` goes on from it."
            if path.with_name(LAST).is_file()
            else ""
        )
        raise InputError(
            f"Expected to write a checkpoint to {path}; it could not be: {error.strerror or error}."
            f" Make room, or name another folder by `checkpoint.dirpath`.{before}"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def checkpoints_need(folder: Path, size: int, *, fresh: bool = False) -> Need:
    """Return what room a run's checkpoints need.

    Args:
        folder: of the checkpoints; it need not exist.
        size: of one, in bytes.
        fresh: those that are there are kept elsewhere; else they will be replaced.
    """
    held = 0 if fresh else bytes_in(folder, "*.ckpt", deeper=False)
    what = "checkpoints (the last, the one before it, the best, and one that is being written)"
    return Need(what, "checkpoint.dirpath", folder, _AT_A_TIME * size - held)


class _CheckedFile:
    """Write a file, and keep the disk's own error: torch raises another one over it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._error: OSError | None = None
        self._checksum = 0

    def write(self, data: Any) -> int:
        self._checksum = zlib.crc32(data, self._checksum)
        try:
            return self._file.write(data)
        except OSError as error:
            self._error = error
            raise

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        """Seal it, and see all of it on the disk."""
        self._file.seek(-2, os.SEEK_END)  # where a zip has the length of its comment
        self._file.write(SEAL_LENGTH.to_bytes(2, "little") + seal(self._checksum))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "_CheckedFile":
        return self

    def __exit__(self, kind: Any, raised: BaseException | None, trace: Any) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._error = self._error or error
        if self._error is not None:
            raise self._error from None


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name; where a file can have only one, its new one."""
    link = previous.with_name(f".{previous.name}.part")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # not every file system has links
        path.replace(previous)
        return
    try:
        link.replace(previous)
    finally:
        link.unlink(missing_ok=True)


def _synchronize(folder: Path) -> None:
    """See the folder's new names on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems know no such thing
        pass
    finally:
        os.close(handle)
