"""Turn windows into batches: padding, global attention, and an order that pads little."""

from qa_lightning.batches.collating import (
    GlobalAttention,
    WindowCollator,
    WindowDataset,
    global_attention_problems,
    padding_share,
)
from qa_lightning.batches.documents import DocumentDataset, DocumentSampler
from qa_lightning.batches.ordering import EvaluationSampler, LengthGroupedSampler
from qa_lightning.batches.words import word_masks

__all__ = [
    "DocumentDataset",
    "DocumentSampler",
    "EvaluationSampler",
    "GlobalAttention",
    "LengthGroupedSampler",
    "WindowCollator",
    "WindowDataset",
    "global_attention_problems",
    "padding_share",
    "word_masks",
]
