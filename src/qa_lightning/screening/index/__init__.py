"""An index on disk over the passages of many documents, safe to update while it is read.

``collecting`` (a folder → its files and their documents), ``store`` (passages in Tantivy's files),
``generations`` (an index's folder: each update is a new folder beside the old one, and takes its
place when it is whole), ``updating`` (what is new, changed and gone).
"""

from qa_lightning.screening.index.generations import OpenIndex, newest, open_newest
from qa_lightning.screening.index.store import FoundPassage, Snapshot
from qa_lightning.screening.index.updating import Changes, update_index

__all__ = [
    "Changes",
    "FoundPassage",
    "OpenIndex",
    "Snapshot",
    "newest",
    "open_newest",
    "update_index",
]
