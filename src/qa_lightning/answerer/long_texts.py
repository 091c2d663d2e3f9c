"""Tokens of a very long text, piece by piece, equal to those of the whole.

A tokenizer's answer takes some 500 bytes of Python and Rust objects a token; the flat arrays that
are kept take 12. Pieces overlap, and are joined where both agree about a run of tokens.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

PIECE = 200_000  # characters
OVERLAP = 2_000
AGREED = 16  # tokens in a row that both pieces must have


class Tokens(NamedTuple):
    """Hold the tokens (n) of a text.

    Attributes:
        ids_n: token ids.
        offsets_n2: each token's characters, half-open.
    """

    ids_n: NDArray[np.int32]
    offsets_n2: NDArray[np.int32]

    def part(self, start: int, end: int | None = None) -> Self:
        """Return some of the tokens, without keeping the others in memory."""
        return self._replace(
            ids_n=self.ids_n[start:end].copy(), offsets_n2=self.offsets_n2[start:end].copy()
        )


Tokenize = Callable[[str], Tokens]


def tokenize_long(text: str, tokenize: Tokenize, *, piece: int = PIECE) -> Tokens:
    """Tokenize a text in pieces.

    Where two pieces do not agree (blanks alone, one endless word) the text is tokenized whole.

    Args:
        text: any length.
        tokenize: one call of the tokenizer, without special tokens.
        piece: characters of a piece, the overlap not counted.
    """
    joined = [tokenize(text[: piece + OVERLAP])]
    for start_char in range(piece, len(text) - OVERLAP, piece):
        following = tokenize(text[start_char : start_char + piece + OVERLAP])
        following = following._replace(offsets_n2=following.offsets_n2 + np.int32(start_char))
        seam = _seam(joined[-1], following, start_char + OVERLAP // 4)
        if seam is None:
            return tokenize(text)
        joined[-1] = joined[-1].part(0, seam[0])
        joined.append(following.part(seam[1]))
    return Tokens(*map(np.concatenate, zip(*joined, strict=True)))


def _seam(before: Tokens, after: Tokens, from_char: int) -> tuple[int, int] | None:
    """Return where each of two overlapping pieces begins a run of tokens that both have."""
    first = int(np.searchsorted(before.offsets_n2[:, 0], from_char))
    place_of = {int(start): n for n, start in enumerate(after.offsets_n2[: 4 * OVERLAP, 0])}
    for left in range(first, len(before.ids_n) - AGREED):
        right = place_of.get(int(before.offsets_n2[left, 0]))
        if right is not None and _agree(before, left, after, right):
            return left, right
    return None


def _agree(before: Tokens, left: int, after: Tokens, right: int) -> bool:
    a, b = before.part(left, left + AGREED), after.part(right, right + AGREED)
    return np.array_equal(a.ids_n, b.ids_n) and np.array_equal(a.offsets_n2, b.offsets_n2)
