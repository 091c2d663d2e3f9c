"""Turn examples and a tokenizer into windows: ids, character offsets, gold token spans.

Each distinct context and each distinct question is tokenized once; windows are assembled from
the two with numpy, and equal the tokenizer's own pair encoding with truncation, overlap
(``stride``) and overflowing tokens.

The steps, one module each: ``settings`` (what decides the windows, and their cache key),
``layout`` (where a pair's special tokens stand), ``tokens`` (texts → flat tokens), ``windows``
(tokens → plan of windows → rows), ``labels`` (answer spans → gold tokens), ``storage`` (Arrow
files), ``building`` (the order of these), ``reading`` (rows as numpy views), ``holding`` (what
windows hold, without making them).
"""

from qa_lightning.features.building import build_features
from qa_lightning.features.holding import ContextWindows, context_windows, unheld_examples
from qa_lightning.features.labels import IGNORED
from qa_lightning.features.layout import NOTHING_BETWEEN, layout_of, separators_in_training
from qa_lightning.features.reading import WindowTable
from qa_lightning.features.settings import (
    FEATURES_VERSION,
    WINDOW_RULES,
    Separators,
    WindowSettings,
    features_fingerprint,
)

__all__ = [
    "FEATURES_VERSION",
    "IGNORED",
    "NOTHING_BETWEEN",
    "WINDOW_RULES",
    "ContextWindows",
    "Separators",
    "WindowSettings",
    "WindowTable",
    "build_features",
    "context_windows",
    "features_fingerprint",
    "layout_of",
    "separators_in_training",
    "unheld_examples",
]
