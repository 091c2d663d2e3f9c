"""Folders that appear whole or not at all, and are written by one run at a time."""

import fnmatch
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from filelock import FileLock, Timeout
from huggingface_hub import is_offline_mode
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.errors import HFValidationError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented

from qa_lightning.errors import InputError

LOCK = ".lock"
_SCRATCH = ".new."  # what is written in a folder before it is whole; a kill leaves it


def folder_problems(folder: Path, option: str) -> Iterator[str]:
    """Yield a sentence if a folder to write is there already, with something in it.

    Args:
        folder: to be written.
        option: its name for the user.
    """
    is_file = folder.exists() and not folder.is_dir()
    if is_file or (folder.exists() and any(not _is_scratch(path) for path in folder.iterdir())):
        found = "is a file" if is_file else "holds something"
        yield (
            f"Expected `{option}` to be a new or an empty folder; {folder} {found}. Name "
            "another, or remove it."
        )


def _is_scratch(path: Path) -> bool:
    return path.name.startswith(_SCRATCH) and path.is_dir()


def bytes_in(folder: Path, pattern: str = "*", *, deeper: bool = True) -> int:
    """Add up the sizes of a folder's files, of which others may take some away meanwhile.

    Args:
        folder: need not exist.
        pattern: of the files' names.
        deeper: look into its folders too.
    """
    total = 0
    for place, below, names in os.walk(folder):  # what is gone when it is looked at, is passed over
        if not deeper:
            below.clear()
        for name in fnmatch.filter(names, pattern):
            with suppress(OSError):
                total += Path(place, name).stat().st_size
    return total


class Need(NamedTuple):
    """Say what a folder, which need not exist, will be given.

    Attributes:
        what: will be written, for the user.
        key: the option that names the folder.
        folder: where it is written.
        size: in bytes, less what it replaces.
    """

    what: str
    key: str
    folder: Path
    size: int


def room_problems(needs: Iterable[Need]) -> Iterator[str]:
    """Yield a sentence for each disk that has no room for all that will be written to it."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        if "://" not in str(need.folder):
            disks.setdefault(_existing(need.folder).stat().st_dev, []).append(need)
    for each in disks.values():
        free = shutil.disk_usage(_existing(each[0].folder)).free
        needed = sum(need.size for need in each)
        if needed > free:
            listed = ", and ".join(
                f"{need.what} in {need.folder}: {need.size / 1e9:.2f} GB" for need in each
            )
            yield (
                f"Expected room for {listed}; {free / 1e9:.2f} GB are free. Make room, or name "
                f"another folder by {' or '.join(f'`{need.key}`' for need in each)}."
            )


def _existing(folder: Path) -> Path:
    whole = folder.expanduser().absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())


def stream_problems(path: Path) -> Iterator[str]:
    """Yield a clause if a path to read is a pipe or a device, which may never end, or never begin.

    What the shell hands over (``/dev/stdin``, ``<(command)``) is a stream that somebody writes.

    >>> list(stream_problems(Path("/dev/zero")))
    ['/dev/zero is no file, but a device. Name a file.']
    """
    handed = str(path).startswith(("/dev/stdin", "/dev/fd/", "/proc/self/fd/"))
    kinds = {"a pipe": path.is_fifo, "a device": path.is_char_device, "a socket": path.is_socket}
    for kind, holds in (kinds | {"a disk": path.is_block_device}).items():
        if not handed and holds():
            yield f"{path} is no file, but {kind}. Name a file."


def absent_folder(name: str, *, repo_type: str = "model") -> str | None:
    """Return a sentence if a folder or Hub id means a folder, and that is not there; else None.

    Such a name is no Hub id, or its first part is a folder here (``runs/nope``): the Hub would be
    asked for it, with all its retries. So is any name where the Hub cannot be reached. What was
    fetched from there before is no such name.

    Args:
        name: of a folder, or of a repository on the Hub.
        repo_type: ``model`` or ``dataset``.

    >>> absent_folder("./no/such/folder")
    'there is no such folder.'
    >>> absent_folder("allenai/longformer-base-4096")
    """
    # A name that is too long for a file raises in `Path.exists`; an address is no folder.
    if "://" in name or os.path.exists(os.path.expanduser(name)):  # noqa: PTH110, PTH111
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return "there is no such folder."
    parent = name.rpartition("/")[0]
    cached = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=repo_type)
    if cached.is_dir():
        return None
    if not parent or not Path(parent).is_dir():
        return _unreachable()
    return (
        f"there is no such folder in {Path(parent).absolute()}. If a repository of the Hub is "
        f"meant, work in a folder that has no folder {parent}."
    )


def _unreachable() -> str | None:
    """Return a sentence if nobody here knows the Hub's address; a proxy may know it."""
    hub = urlsplit(ENDPOINT)
    if is_offline_mode() or {"https", "http", "all"} & set(getproxies()):
        return None
    try:
        socket.getaddrinfo(hub.hostname, hub.port or hub.scheme)
    except socket.gaierror as error:
        return (
            f"there is no such folder here, and {hub.hostname} cannot be reached "
            f"({error.strerror}). Check the name, or the network."
        )
    return None


def check_checkpoint_is_there(name: str) -> None:
    """Refuse the name of a checkpoint, a run or a model that can only be a folder's that is gone.

    Raises:
        InputError: there is no such folder; the Hub is not asked for it.
    """
    if absent := absent_folder(name):
        raise InputError(f"Expected a checkpoint or a folder at {name}; {absent}")


@contextmanager
def whole_folder(folder: Path, option: str) -> Iterator[Path]:
    """Give a scratch folder to fill, and put it in place when the block ends without an error.

    An empty folder that is there stays the same one: it may be where the user stands, or a volume
    that is mounted, neither of which can be put another in place of. What a killed process has left
    in it is swept away.

    Args:
        folder: does not exist, or is empty.
        option: its name for the user.

    Raises:
        InputError: it cannot be written; nothing is left behind.
    """
    try:
        if folder.exists():
            for left in filter(_is_scratch, folder.iterdir()):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
                yield Path(scratch)
                for file in Path(scratch).iterdir():
                    file.rename(folder / file.name)
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            yield whole
            shutil.move(whole, folder)
    except OSError as error:
        raise InputError(
            f"Expected `{option}` to be a folder that can be written; {folder} cannot: "
            f"{error.strerror or error}. Name another."
        ) from error


@contextmanager
def locked_folder(folder: Path, option: str) -> Iterator[None]:
    """Hold a folder for one process; the system lets go of it however the process ends.

    Args:
        folder: is made if it does not exist.
        option: its name for the user.

    Raises:
        InputError: another process holds it, or it cannot be written.
    """
    lock = FileLock(folder / LOCK, blocking=False)
    holder = Path(lock.lock_file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"Expected no other run in {folder}; {_text_of(holder) or 'another process'} is "
            f"writing there. Wait until it has ended, or name another folder by `{option}`."
        ) from None
    except OSError as error:
        raise InputError(
            f"Expected `{option}` to be a folder that can be written; {folder} cannot: "
            f"{error.strerror or error}. Name another."
        ) from error
    try:
        with suppress(OSError):  # it is only for the message
            holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # while it is held: who waits for it sees that it is gone
            holder.unlink()
        lock.release()


def _text_of(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")[:100]
    return ""
