"""Texts → flat tokens: every distinct text goes through the tokenizer once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.borders import word_borders

_CHARS_A_CALL = 1_000_000  # bounds the Python lists that the tokenizer's answer consists of


@dataclass(frozen=True)
class TokenTable:
    """Hold the tokens of distinct texts (t) one behind the other, and which row (r) has which.

    Attributes:
        text_r: index of the distinct text of each row.
        bounds_t: where each text's tokens begin in the flat arrays; one more than texts.
        ids_n: token ids of all texts.
        offsets_n2: character start and end (half-open) of each token in its text; empty unless
            asked for.
        borders_n: whether words begin and end there (see ``borders_of``); empty likewise.
    """

    text_r: NDArray[np.int64]
    bounds_t: NDArray[np.int64]
    ids_n: NDArray[np.int32]
    offsets_n2: NDArray[np.int32]
    borders_n: NDArray[np.uint8]

    @property
    def start_r(self) -> NDArray[np.int64]:
        """Return where each row's tokens begin in the flat arrays."""
        return self.bounds_t[self.text_r]

    @property
    def end_r(self) -> NDArray[np.int64]:
        """Return where each row's tokens end in the flat arrays."""
        return self.bounds_t[self.text_r + 1]

    @property
    def length_r(self) -> NDArray[np.int64]:
        """Return each row's number of tokens."""
        return np.diff(self.bounds_t)[self.text_r]


def tokenize_distinct(
    batches: Iterable[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    with_offsets: bool,
    tell: Callable[[int], None] | None = None,
) -> TokenTable:
    """Tokenize each distinct text once, without special tokens around it.

    Args:
        batches: the rows' texts in order, in portions, so that repeated texts need not be in
            memory together.
        tokenizer: a fast tokenizer.
        with_offsets: keep character offsets and word borders.
        tell: called with the number of rows whose texts have their tokens since the last call.
    """
    index_of_text: dict[str, int] = {}
    rows = [index_of_text.setdefault(text, len(index_of_text)) for text in chain(*batches)]
    ids, offsets, borders, lengths = [], [], [], [np.zeros(1, np.int64)]
    rows_t, done = np.bincount(np.array(rows, np.int64)), 0
    for texts in _portions(index_of_text):
        encoding = tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=with_offsets,
            verbose=False,  # else a warning that the text is longer than the model's positions
        )
        ids.append(np.fromiter(chain.from_iterable(encoding["input_ids"]), np.int32))
        lengths.append(np.fromiter(map(len, encoding["input_ids"]), np.int64))
        if with_offsets:
            flat = chain.from_iterable(chain.from_iterable(encoding["offset_mapping"]))
            offsets.append(np.fromiter(flat, np.int32).reshape(-1, 2))
            bounds = np.cumsum(lengths[-1])[:-1]
            parts = zip(texts, np.split(offsets[-1], bounds), strict=True)
            borders += [borders_of(text, offsets_n2) for text, offsets_n2 in parts]
        if tell is not None:
            tell(int(rows_t[done : done + len(texts)].sum()))
        done += len(texts)
    return TokenTable(
        text_r=np.array(rows, np.int64),
        bounds_t=np.cumsum(np.concatenate(lengths)),
        ids_n=np.concatenate([np.empty(0, np.int32), *ids]),
        offsets_n2=np.concatenate([np.empty((0, 2), np.int32), *offsets]),
        borders_n=np.concatenate([np.empty(0, np.uint8), *borders]),
    )


def borders_of(text: str, offsets_n2: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Say of a text's tokens where words begin and end: 1 at their start, 2 at their end, or both.

    Blanks that a token brings along make no difference: words end on either side of a blank.

    >>> borders_of("Helena Bastos", np.array([[0, 6], [6, 10], [10, 13]])).tolist()
    [3, 1, 2]
    """
    is_border = word_borders(text).view(np.uint8)
    ends_n = np.left_shift(is_border[offsets_n2[:, 1]], 1, dtype=np.uint8)
    borders_n: NDArray[np.uint8] = is_border[offsets_n2[:, 0]] | ends_n
    return borders_n


def _portions(texts: Iterable[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    chars = 0
    for text in texts:
        portion.append(text)
        chars += len(text)
        if chars >= _CHARS_A_CALL:
            yield portion
            portion, chars = [], 0
    if portion:
        yield portion
