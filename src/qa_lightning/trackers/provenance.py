"""What a run was made with: versions and commit."""

import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import qa_lightning

_PACKAGES = ("torch", "lightning", "transformers", "datasets", "tokenizers", "torchmetrics")


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of those that decide its results."""
    found = {"python": platform.python_version(), "qa_lightning": qa_lightning.__version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # installed in another way, as by Conda
            found[name] = "unknown"
    return found


def git_commit(folders: Iterable[Path] | None = None) -> str | None:
    """Return the commit that the code stands at, with ``-dirty`` if it was edited since.

    Args:
        folders: the first that is part of a repository counts; None: this package's, then the
            working folder.

    Returns:
        None outside a repository, or without git.
    """
    places = [Path(__file__).parent, Path.cwd()] if folders is None else folders
    return next((commit for place in places if (commit := _commit(place))), None)


def _commit(folder: Path) -> str | None:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
