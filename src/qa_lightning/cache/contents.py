"""What an entry of a cache holds, and whether it is as it was written."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from qa_lightning.cache.leases import IN_USE

MANIFEST = "entry.json"


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return what an entry says of itself; nothing where it does not."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def checksums(folder: Path) -> dict[str, str]:
    """Return the checksum of each file of an entry, by its name within."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): _checksum(path)
        for path in files
        if path.name not in (MANIFEST, IN_USE)
    }


def damage_of(folder: Path) -> str | None:
    """Say what is wrong with an entry; None if each of its files is as it was written."""
    expected = manifest_of(folder).get("files")
    if not isinstance(expected, dict):
        return f"no {MANIFEST}"
    try:
        found = checksums(folder)
    except OSError as error:
        return error.strerror or str(error)
    wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    return f"{', '.join(wrong)} changed" if wrong else None


def _checksum(path: Path) -> str:
    state = path.stat()
    return _checksum_of(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=1024)
def _checksum_of(path: Path, *_: int) -> str:
    """Read a file once a process, as long as the system says that it is the same."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
