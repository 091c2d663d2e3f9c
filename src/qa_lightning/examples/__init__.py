"""Raw data of any shape → examples with the canonical columns, checked row by row.

Sources: the word ``demo``, a Hub id, a file (JSON, JSON Lines, CSV, Parquet, each also gzipped),
a folder of such files or of ``save_to_disk``, a list of files, ``{split: file or files}``, or a
``MemorySource`` of data sets, frames and lists of rows.
Two ways lead from a raw row to an example: ``rows`` is the reference and tells what is wrong with
a row; ``tables`` does the same to whole Arrow columns when they are beyond doubt.
"""

from qa_lightning.examples.loading import load_examples, source_fingerprint
from qa_lightning.examples.memory import MemorySource
from qa_lightning.examples.schema import CANONICAL_FEATURES

__all__ = ["CANONICAL_FEATURES", "MemorySource", "load_examples", "source_fingerprint"]
