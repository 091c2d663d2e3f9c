"""A checkpoint's file → plain values and tensors; nothing in it is run, whoever wrote it."""

import os
import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch

from qa_lightning.errors import InputError
from qa_lightning.saved.reasons import reason
from qa_lightning.saved.writing import SEAL_LENGTH, seal

_NAME_BYTES = 255
_AT_ONCE = 1 << 22
_END_LENGTH = 22

_SHAPES: dict[str, type] = {
    "callbacks": dict,
    "datamodule_hyper_parameters": dict,
    "epoch": int,
    "global_step": int,
    "hyper_parameters": dict,
    "loops": dict,
    "lr_schedulers": list,
    "optimizer_states": list,
    "pytorch-lightning_version": str,
    "state_dict": dict,
}
"""What Lightning stores under the keys that are read."""


def read_saved(path: str | PathLike[str], *, mapped: bool = True) -> dict[str, Any]:
    """Read a checkpoint's file, verified, as plain values and tensors.

    Args:
        path: the file, or its ``file://`` address.
        mapped: leave the tensors in the file until they are used.

    Raises:
        InputError: it is no file of this machine, damaged, or holds what is not plain.
    """
    file = local_file(path)
    if not file.is_file():
        found = "that is no file" if file.exists() else "found no such file"
        raise InputError(f"Expected a checkpoint at {file}; {found}. Name a .ckpt file.")
    if problem := damage(file):
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {file}; {problem}. Name another "
            "of the run's `checkpoints` folder."
        )
    try:
        loaded = torch.load(file, weights_only=True, map_location="cpu", mmap=mapped)
    except Exception as error:  # torch raises five different types for a file that is none
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {file}; it could not be read: "
            f"{reason(error)}"
        ) from None  # torch's own text advises to trust the file
    contents: dict[str, Any] = loaded if isinstance(loaded, dict) else {}
    for key, kind in _SHAPES.items():
        value = contents.get(key)
        if value is not None and not isinstance(value, kind):
            raise InputError(
                f"Expected `{key}` of the checkpoint at {file} to be a {kind.__name__}; got a "
                f"{type(value).__name__}. Name a file that `lightning fit` wrote."
            )
    return contents


def local_file(name: str | PathLike[str]) -> Path:
    """Return the file of this machine that a name means.

    Raises:
        InputError: it can be no file's, or is an address of another machine, which Lightning would
            read by other rules.

    >>> local_file("file:///runs/best.ckpt")
    PosixPath('/runs/best.ckpt')
    """
    if not isinstance(name, str | PathLike):
        raise InputError(f"Expected the path of a file or a folder; got {name!r:.80}.")
    text = str(name)
    if "\0" in text or any(len(os.fsencode(part)) > _NAME_BYTES for part in Path(text).parts):
        raise InputError(
            f"Expected the path of a file or a folder; no file is called {text!r:.80}."
        )
    scheme, address, _ = text.partition("://")
    if not address:
        return Path(text).expanduser()
    if scheme.lower() != "file":
        raise InputError(
            f"Expected a checkpoint on this machine; got the address {text!r}. Download it first, "
            "and name the file."
        )
    return Path(url2pathname(urlsplit(text).path))


def damage(file: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, as a clause; None if it is whole.

    Every byte is compared with its checksum, which `torch.load` never looks at. A file that
    another program wrote has those of its tensors alone.
    """
    try:
        if file.stat().st_size == 0:
            return "it is empty"
        with zipfile.ZipFile(file) as archive:
            # torch packs nothing: what is packed could unfold to more than the memory.
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                return "it is a packed archive, not what torch writes"
            if any(entry.file_size != entry.compress_size for entry in entries):
                return "it is damaged (in its directory)"
            if not _has_no_comment(file):
                return None if _is_sealed(file) else "it is damaged"
            part = archive.testzip()
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"
    except Exception:  # zipfile raises many types for a directory that makes no sense
        return "that file is none, or is cut off or damaged"
    return None if part is None else f"it is damaged (in {part})"


def _has_no_comment(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-_END_LENGTH, os.SEEK_END)
        end = stream.read()
    return end.startswith(b"PK\5\6") and end.endswith(b"\0\0")


def _is_sealed(file: Path) -> bool:
    """Return whether a file is, to the byte, as `write_saved` left it."""
    left = file.stat().st_size - SEAL_LENGTH - 2
    checksum = 0
    with file.open("rb") as stream:
        while left > 0 and (data := stream.read(min(left, _AT_ONCE))):
            checksum = zlib.crc32(data, checksum)
            left -= len(data)
        end = stream.read()
    # As torch wrote it the comment's length was zero.
    return end == SEAL_LENGTH.to_bytes(2, "little") + seal(zlib.crc32(b"\0\0", checksum))
