"""Files that unfold: gzip, and Parquet, of which a few bytes may stand for more than any memory."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow.parquet as pq

from qa_lightning.errors import InputError

_UNPACKED = 1 << 28  # bytes that any gzip file may unfold to
_UNFOLDED = 100  # times its size; texts unfold to some five times theirs
_ROWS_UNFOLDED = 64  # rows of Parquet that are unfolded at once to look at their size
_MOST_UNFOLDED = 1 << 31  # bytes that they may have, if each value is as large as all of its column
_GZIP_MAGIC = b"\x1f\x8b"


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file, unpacking it when its first bytes say gzip, whatever its name says."""
    if is_packed(path):
        return cast(BinaryIO, io.BufferedReader(_Unpacked(path)))
    return path.open("rb")


def is_packed(path: Path) -> bool:
    """Say whether a file is one of gzip, by its first bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def check_unfolded(file: pq.ParquetFile, names: Sequence[str], path: Path) -> None:
    """Refuse a file that a few bytes make larger than the memory, before it is in it.

    What its pages unfold to it says itself; a value that is repeated is told by reading.
    """
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    chunks = [
        group.column(number).total_uncompressed_size
        for group in groups
        for number in range(group.num_columns)
    ]
    left = _may_unfold_to(path) - sum(chunks)
    rows = max(1, min(_ROWS_UNFOLDED, _MOST_UNFOLDED // max([1, *chunks])))
    batches = file.iter_batches(batch_size=rows, columns=names, use_threads=False)
    while left >= 0 and (batch := next(batches, None)) is not None:
        left -= batch.nbytes
    if left < 0:
        raise _unfolds_too_far(path)


def _may_unfold_to(path: Path) -> int:
    return max(_UNPACKED, _UNFOLDED * path.stat().st_size)


def _unfolds_too_far(path: Path) -> InputError:
    return InputError(
        f"Expected data in {path}; it unfolds to more than {_UNFOLDED} times its size, as no text "
        "does. Unpack it yourself if you trust it, and name that file."
    )


class _Unpacked(io.RawIOBase):
    """Unpack a gzip file, up to what any text may unfold to."""

    def __init__(self, path: Path) -> None:
        self._stream = gzip.GzipFile(path)
        self._path = path
        self._left = _may_unfold_to(path)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes.

        Raises:
            InputError: there are too many, as in a file that is made to fill the memory.
        """
        data = self._stream.read1(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise _unfolds_too_far(self._path)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()
