"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_lightning.errors import InputError


def write_whole(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write a text file beside its place, then put it there in one step.

    Raises:
        InputError: the file cannot be written.
    """
    fill_whole(path, lambda target: replace_file(target, parts))


def fill_whole(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Write a file by a function that writes it whole or not at all; make its folder.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target)
    except OSError as error:
        raise InputError(
            f"Expected a file that can be written; got {str(target)!r} ({error.strerror}). Name "
            "another place."
        ) from None


def replace_file(target: Path, parts: Iterable[str]) -> None:
    """Write a text file under a name of its own, so that two commands may, then rename it.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    with (
        whole_file(target) as scratch,
        scratch.open("w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        file.writelines(parts)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a place beside a file's to write to; what is there at the end becomes the file.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        yield Path(name)
        # mkstemp makes files that only their owner may read.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
