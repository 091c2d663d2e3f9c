"""Which windows of a data set's questions are worth reading."""

from functools import cached_property

import datasets
import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.features import ContextWindows, WindowSettings, context_windows
from qa_lightning.screening.choosing import Screen, Stretch, worth_reading
from qa_lightning.screening.places import WordPlaces


def screened_windows(
    examples: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    settings: WindowSettings,
    *,
    screen: Screen,
    language: str | None,
) -> NDArray[np.bool_]:
    """Mark the windows, in the order of ``build_features``, that are worth reading.

    Args:
        examples: rows with the canonical columns and ``spans``.
        tokenizer: a fast tokenizer.
        settings: as for ``build_features``; no window is left out by them.
        screen: how many windows of a question are read.
        language: ISO code; its common words do not count.
    """
    chosen = [np.empty(0, np.bool_)]
    context: _Context | None = None
    asked = examples.select_columns(["question", "context"])
    for row, windows in zip(asked, context_windows(examples, tokenizer, settings), strict=True):
        if context is None or row["context"] != context.text:  # neighbours ask about the same
            context = _Context(row["context"], windows)
        stretch = Stretch(context, *windows.windows_w2.T)
        chosen.append(worth_reading(row["question"], [stretch], screen=screen, language=language))
    return np.concatenate(chosen)


class _Context:
    """Find the words of a context once, if they are wanted."""

    def __init__(self, text: str, windows: ContextWindows) -> None:
        self.text = text
        self._offsets_n2 = windows.offsets_n2

    @cached_property
    def places(self) -> WordPlaces:
        return WordPlaces.of(self.text, self._offsets_n2)
