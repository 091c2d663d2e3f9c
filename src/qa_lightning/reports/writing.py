"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_lightning.errors import InputError

PAGE = (".html", ".htm")
JSON = (".json", ".jsonl", ".ndjson")


def write_whole(path: str | os.PathLike[str], parts: Iterable[str]) -> None:
    """Write a text file beside its place, then put it there in one step.

    Raises:
        InputError: the file cannot be written.
    """
    fill_whole(path, lambda target: replace_file(target, parts))


def fill_whole(path: str | os.PathLike[str], write: Callable[[Path], None]) -> None:
    """Write a file by a function that writes it whole or not at all; make its folder.

    Of a link the file that it leads to is written; the link stays.

    Raises:
        InputError: the file cannot be written, or is a pipe or a device.
    """
    try:
        target = Path(path).resolve()
    except RuntimeError as error:  # what pathlib says of links in a circle
        raise InputError(f"Expected a file; {path} leads to itself. Name another.") from error
    for problem in place_problems(target):
        raise InputError(problem)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target)
    except OSError as error:
        raise InputError(
            f"Expected a file that can be written; got {str(path)!r} ({error.strerror}). Name "
            "another place."
        ) from None


def place_problems(target: Path, kinds: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence if what stands in a file's place must not be replaced.

    Args:
        target: where the file will be.
        kinds: what names of such files end in; what stands there under another is somebody's
            document, checkpoint or settings, named by a slip. Empty: any file may be replaced.
    """
    if target.exists() and not target.is_file():
        yield (
            f"Expected a file that can be written; {target} is a folder, a pipe or a device. Name "
            "a file."
        )
    elif kinds and target.suffix.lower() not in kinds and target.exists() and target.stat().st_size:
        yield (
            f"Expected a new file, or one that ends in {' or '.join(kinds)} to replace; {target} "
            "is something else. Name another."
        )


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
