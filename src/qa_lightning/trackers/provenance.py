"""What a run was made with: versions, commit and machine."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

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


def machine() -> dict[str, Any]:
    """Return what a run's speed depends on; no name of the machine or of its user."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        found["accelerators"] = ", ".join(names)
    return found


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory_gib() -> float:
    """Return the most memory that this process has held, on the accelerator if it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


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
