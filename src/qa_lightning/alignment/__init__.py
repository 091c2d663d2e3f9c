"""Checks and repairs answer spans: examples in, examples with the column ``spans`` out.

Public: `align_examples` and its `AlignmentAudit`; the modules inside do one step each.
"""

from qa_lightning.alignment.ceilings import (
    Ceiling,
    TokenWindows,
    answer_ceiling,
    with_ceilings,
)
from qa_lightning.alignment.dataset import (
    ALIGNMENT_VERSION,
    DEFAULT_THRESHOLD,
    POLICIES,
    align_examples,
)
from qa_lightning.alignment.lexicon import detect_language
from qa_lightning.alignment.locate import locate_answer
from qa_lightning.alignment.records import STATUSES, AlignedSpan, AlignmentAudit, ShownAnswer

__all__ = [
    "ALIGNMENT_VERSION",
    "DEFAULT_THRESHOLD",
    "POLICIES",
    "STATUSES",
    "AlignedSpan",
    "AlignmentAudit",
    "Ceiling",
    "ShownAnswer",
    "TokenWindows",
    "align_examples",
    "answer_ceiling",
    "detect_language",
    "locate_answer",
    "with_ceilings",
]
