"""Where the special tokens of a question-context pair stand."""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.errors import InputError
from qa_lightning.features.settings import Separators, slow_tokenizer_error

log = logging.getLogger(__name__)

NOTHING_BETWEEN = (
    "the pair template of %s puts nothing between question and context: where one ends and the "
    "other begins can be told by their words alone. %s."
)
_PROBE_TEXT = "O rio nasce na serra, corre 120 km e chega ao mar. Who built the bridge over it?"
_LOST_LETTERS_ALLOWED = 0.05
_PROBES = ("a", "e", "o", "A", "0", ".", "的", "ا", "и")


@dataclass(frozen=True)
class PairLayout:
    """Hold the special tokens around the two texts of a window, as ids.

    A window is ``before, first text, between, second text, after``.

    Attributes:
        before: ids in front of the first text.
        between: ids between the texts.
        after: ids behind the second text.
        question_first: the question is the first text (the tokenizer pads on the right).
        cls_group: which of the three groups holds the token of no answer, 0 to 2.
        cls_index: its place in that group.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    question_first: bool
    cls_group: int = 0
    cls_index: int = 0

    @property
    def special_tokens(self) -> int:
        """Count the special tokens of a window."""
        return len(self.before) + len(self.between) + len(self.after)

    def cls_token_w(
        self, first_length_w: NDArray[np.int64], second_length_w: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the place of the no-answer token in windows of the given text lengths."""
        texts_w = (0 * first_length_w, first_length_w, first_length_w + second_length_w)
        specials = (0, len(self.before), len(self.before) + len(self.between))
        return texts_w[self.cls_group] + specials[self.cls_group] + self.cls_index


def layout_of(tokenizer: PreTrainedTokenizerBase, separators: Separators) -> PairLayout:
    """Read a tokenizer's pair template, or build the asked one from its special tokens.

    Args:
        tokenizer: a fast tokenizer.
        separators: ``auto``, 2 or 3 (see ``WindowSettings``).

    Raises:
        InputError: the tokenizer is slow, loses characters, or lacks the special tokens that are
            needed.
    """
    if not tokenizer.is_fast:
        raise slow_tokenizer_error(tokenizer)
    _check_offsets(tokenizer)
    if separators == "auto":
        before, between, after = _probe_template(tokenizer)
    else:
        cls = _special_id(tokenizer, "cls_token_id", "bos_token_id")
        separator = _special_id(tokenizer, "sep_token_id", "eos_token_id")
        before, between, after = (cls,), (separator,) * (separators - 1), (separator,)
    group, index = _find_cls(tokenizer, (before, between, after))
    return PairLayout(
        before=before,
        between=between,
        after=after,
        question_first=tokenizer.padding_side == "right",
        cls_group=group,
        cls_index=index,
    )


def separators_in_training(
    tokenizer: PreTrainedTokenizerBase, separators: Separators
) -> Separators:
    """Return the separators to train with: one stands between the texts, whatever the template.

    Where the tokenizer's own puts nothing between them, ``auto`` becomes 2, which is what the
    checkpoint then keeps; a model that was trained without one goes on without.
    """
    if separators != "auto" or layout_of(tokenizer, "auto").between:
        return separators
    try:
        layout_of(tokenizer, 2)
    except InputError:
        log.warning(NOTHING_BETWEEN, type(tokenizer).__name__, "It knows none to put there either")
        return "auto"
    return 2


def _check_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse tokenizers whose offsets lose characters: answers could not contain them.

    Some cut the first letter of each word off (transformers#16321), or have no offsets at all.
    Letters that belong to no token tell them from those that merely drop accents.
    """
    encoding = tokenizer(
        [_PROBE_TEXT], add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    covered = {place for span in encoding["offset_mapping"][0] for place in range(*span)}
    letters = [place for place, char in enumerate(_PROBE_TEXT) if char.isalnum()]
    lost = len(set(letters) - covered)
    if lost > _LOST_LETTERS_ALLOWED * len(letters):
        raise InputError(
            "Expected a tokenizer whose offsets cover the text. Got "
            f"{type(tokenizer).__name__}, for which {lost} of {len(letters)} letters and digits of "
            f"{_PROBE_TEXT!r} belong to no token. Use the checkpoint's own fast tokenizer in its "
            "current version, or set `add_prefix_space` to what its tokenizer.json says."
        )


def _probe_template(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], ...]:
    """Encode a pair of plain texts and read what the tokenizer put around them."""
    for probe in _PROBES:
        encoding = tokenizer(probe, probe)
        ids, owners = encoding["input_ids"], encoding.sequence_ids(0)
        if 0 in owners and 1 in owners:
            break
    else:
        raise InputError(
            "Expected a tokenizer that gives at least one token for a plain letter or digit. "
            f"Got none for {', '.join(map(repr, _PROBES))} from {type(tokenizer).__name__}. "
            "Use a tokenizer with an unknown token or with bytes."
        )
    last = len(owners) - 1
    first_start, first_end = owners.index(0), last - owners[::-1].index(0) + 1
    second_start, second_end = owners.index(1), last - owners[::-1].index(1) + 1
    return tuple(ids[:first_start]), tuple(ids[first_end:second_start]), tuple(ids[second_end:])


def _special_id(tokenizer: PreTrainedTokenizerBase, name: str, fallback: str) -> int:
    for candidate in (getattr(tokenizer, name), getattr(tokenizer, fallback)):
        if candidate is not None:
            return int(candidate)
    raise InputError(
        f"Expected a tokenizer with a `{name.removesuffix('_id')}` or a "
        f"`{fallback.removesuffix('_id')}` for `data.separators` 2 or 3. "
        f"{type(tokenizer).__name__} has neither. Set `data.separators` to auto."
    )


def _find_cls(
    tokenizer: PreTrainedTokenizerBase, groups: tuple[tuple[int, ...], ...]
) -> tuple[int, int]:
    """Find the token of no answer as run_qa.py does: CLS, else BOS, else the first token."""
    for wanted in (tokenizer.cls_token_id, tokenizer.bos_token_id):
        for number, group in enumerate(groups):
            if wanted is not None and wanted in group:
                return number, group.index(wanted)
    return 0, 0
