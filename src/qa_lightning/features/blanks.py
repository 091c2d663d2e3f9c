"""One peculiarity of the tokenizers library, followed so that our offsets equal its own.

Byte-level post-processors trim the blank off a token's offsets. With ``add_prefix_space`` they
keep one blank of a sequence's first token, since it may be the one they put there, and take the
first token of *every* overflowing piece for a sequence's first.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.features.tokens import TokenTable

_BYTE_LEVEL_BLANK = "Ġ"


def offsets_at_window_start(
    contexts: TokenTable, tokenizer: PreTrainedTokenizerBase
) -> NDArray[np.int32]:
    """Return the offsets [tokens, 2] that tokens get as the first of a window."""
    if not _keeps_first_blank(tokenizer) or not len(contexts.ids_n):
        return contexts.offsets_n2
    distinct, inverse_n = np.unique(contexts.ids_n, return_inverse=True)
    tokens = tokenizer.convert_ids_to_tokens(distinct.tolist())
    begins = np.array([_is_blank(token[:1]) for token in tokens])[inverse_n]
    is_blank = np.array([all(map(_is_blank, token)) for token in tokens])[inverse_n]
    # The first token of a context was a sequence's first when it was tokenized on its own.
    first_n = contexts.bounds_t[:-1][np.diff(contexts.bounds_t) > 0]
    begins[first_n] = False
    start_n, end_n = contexts.offsets_n2.T
    moved = np.stack([start_n - begins, end_n - (begins & is_blank)], axis=1)
    kept: NDArray[np.int32] = np.maximum(moved, 0).astype(np.int32)
    return kept


def _is_blank(char: str) -> bool:
    return char == _BYTE_LEVEL_BLANK or char.isspace()


def _keeps_first_blank(tokenizer: PreTrainedTokenizerBase) -> bool:
    processor = tokenizer.backend_tokenizer.post_processor
    if processor is None:
        return False
    return any(
        part.get("trim_offsets") and part.get("add_prefix_space")
        for part in _processors(json.loads(processor.__getstate__()))
    )


def _processors(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield state
    for part in state.get("processors", ()):
        yield from _processors(part)
