"""The best spans of each window, found on the device of the logits, kept in a few hundred bytes."""

from qa_lightning.candidates.characters import WindowCandidates, to_characters
from qa_lightning.candidates.search import MAX_N_BEST, BestSpans, best_spans, top_k_spans
from qa_lightning.candidates.windows import SEARCHES, TokenCandidates, window_candidates

__all__ = [
    "MAX_N_BEST",
    "SEARCHES",
    "BestSpans",
    "TokenCandidates",
    "WindowCandidates",
    "best_spans",
    "to_characters",
    "top_k_spans",
    "window_candidates",
]
