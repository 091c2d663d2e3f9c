"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from qa_lightning.errors import InputError


def write_whole(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write a text file beside its place, then put it there in one step.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, parts)
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
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(parts)
        # mkstemp makes files that only their owner may read.
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
