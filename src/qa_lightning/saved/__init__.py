"""Files that a stranger may have written: checkpoints, settings, the names in them.

The one way in for each: ``reading`` (a checkpoint's file → plain values and tensors, nothing of it
run), ``contents`` (those → what ``lightning fit`` saved of a run), ``weights`` (what is wrong with
tensors), ``tokenizers`` (a tokenizer's files, by their known names alone) and ``reasons`` (what a
library's error means, without its advice). And the one way out: ``writing`` (a checkpoint's file
appears whole or not at all); ``choosing`` finds the newest that did.
"""

from qa_lightning.saved.choosing import newest_whole
from qa_lightning.saved.contents import SavedRun, read_run, saved_run, settings_problems
from qa_lightning.saved.reading import damage, local_file, read_saved
from qa_lightning.saved.reasons import reason
from qa_lightning.saved.tokenizers import TOKENIZER_FILES, write_tokenizer_files
from qa_lightning.saved.weights import is_plain, weight_problems
from qa_lightning.saved.writing import LAST, PREVIOUS, checkpoints_need, write_saved

__all__ = [
    "LAST",
    "PREVIOUS",
    "TOKENIZER_FILES",
    "SavedRun",
    "checkpoints_need",
    "damage",
    "is_plain",
    "local_file",
    "newest_whole",
    "read_run",
    "read_saved",
    "reason",
    "saved_run",
    "settings_problems",
    "weight_problems",
    "write_saved",
    "write_tokenizer_files",
]
