"""A prepared split, and what is said of one that cannot be used, or not whole."""

import json
from dataclasses import dataclass
from pathlib import Path

import datasets

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.cache import Lease
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings


@dataclass(frozen=True)
class PreparedSplit:
    """Hold one split, ready for the dataloader, memory-mapped from the cache.

    ``fingerprint`` is of all that it was made from, ``content`` of that without the draw of
    windows, which differs between seeds. ``lease`` keeps its entry in the cache as long as the
    object is there.
    """

    examples: datasets.Dataset
    features: datasets.Dataset | None
    audit: AlignmentAudit | None
    fingerprint: str
    content: str
    lease: Lease | None = None


def read_prepared(entry: Path, key: str, content: str) -> PreparedSplit:
    """Read a split from its entry in the cache.

    Args:
        entry: its folder.
        key: its fingerprint.
        content: that without the draw of windows.

    Raises:
        OSError: a file is not there, or is none of ours (so do other errors of reading it).
    """
    audit_file, windows = entry / "audit.json", entry / "features"
    return PreparedSplit(
        examples=datasets.load_from_disk(str(entry / "examples")),
        features=datasets.load_from_disk(str(windows)) if windows.is_dir() else None,
        audit=AlignmentAudit.from_dict(json.loads(audit_file.read_text(encoding="utf-8")))
        if audit_file.is_file()
        else None,
        fingerprint=key,
        content=content,
    )


def save_dataset(dataset: datasets.Dataset, folder: Path) -> None:
    """Write a data set without the bar of ``save_to_disk``: copying takes no time worth one."""
    disabled = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        dataset.save_to_disk(folder)
    finally:
        if not disabled:
            datasets.enable_progress_bars()


def check_something_is_left(features: datasets.Dataset, audit: AlignmentAudit, policy: str) -> None:
    """Check that there are windows to train on.

    Raises:
        InputError: there are none.
    """
    if len(features) == 0:
        raise InputError(
            f"Expected something to train on; of {audit.answers} answers none can be labelled "
            f"under `data.alignment` {policy}, and no window is left. `qa-lightning audit` shows "
            "where the answers stand; repair or keep uses more of them, and a greater "
            "`data.negative_windows` more of the windows without."
        )


def unheld_message(name: str, prepared: PreparedSplit, windows: WindowSettings) -> str | None:
    """Return a sentence on the questions whose answer no window holds, if there are such.

    Args:
        name: key of the split, such as ``train_split``.
        prepared: the split.
        windows: what its windows were made by.
    """
    audit = prepared.audit
    if audit is None or not audit.unheld:
        return None
    asked = len(prepared.examples)
    named = ", ".join(audit.unheld_ids)
    more = ", …" if audit.unheld > len(audit.unheld_ids) else ""
    return (
        f"`data.{name}`: no window of {windows.max_length} tokens that overlaps the next by "
        f"{windows.doc_stride} holds the whole answer of {audit.unheld:,} of {asked:,} questions "
        f"({named}{more}). Windows that would be taught that there is none are left out of the "
        "loss. Raise `data.doc_stride` to the longest answer's tokens, or `data.max_length`."
    )
