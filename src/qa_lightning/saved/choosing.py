"""Of a folder's checkpoints, the one to go on from."""

import logging
from pathlib import Path

from qa_lightning.errors import InputError
from qa_lightning.saved.reading import damage, read_saved
from qa_lightning.saved.writing import LAST

log = logging.getLogger(__name__)


def newest_whole(folder: Path, *, resumable: bool, quiet: bool = False) -> Path | None:
    """Return ``last.ckpt``, or where it is gone or damaged the newest other one that is whole.

    A run that was killed, or whose disk failed, goes on from there with one warning.

    Args:
        folder: of a run's checkpoints.
        resumable: pass over those without the optimizer's state.
        quiet: do not warn; another process of the run does.

    Returns:
        None where there is no checkpoint at all.

    Raises:
        InputError: there are some, and none can be used.
    """
    last = folder / LAST
    fault = _fault(last) if last.exists() else "it is not there"
    if fault is None:
        return last
    others = [file for file in folder.glob("*.ckpt") if file != last]
    steps = {file: _step(file, resumable=resumable) for file in others}
    usable = [file for file in others if steps[file] >= 0]
    if not usable:
        if not last.exists():
            return None
        raise InputError(
            f"Expected a checkpoint at {last}; {fault}, and no other in {folder} is whole. Remove "
            "it to start afresh, or name a checkpoint elsewhere by `--ckpt_path`."
        )
    chosen = max(usable, key=lambda file: (steps[file], file.stat().st_mtime))
    if not quiet:
        log.warning("%s: %s; %s, of step %d, is used", last, fault, chosen, steps[chosen])
    return chosen


def _fault(file: Path) -> str | None:
    """Return why a checkpoint cannot be read, as a clause; None if it can."""
    if problem := damage(file):
        return problem
    try:
        read_saved(file)
    except InputError as error:
        return f"it is damaged ({error})"
    return None


def _step(file: Path, *, resumable: bool) -> int:
    """Return how many optimizer steps a checkpoint has seen; -1 where it cannot be used."""
    try:
        contents = read_saved(file)
    except InputError:
        return -1
    if resumable and "optimizer_states" not in contents:
        return -1
    return int(contents.get("global_step", -1))
