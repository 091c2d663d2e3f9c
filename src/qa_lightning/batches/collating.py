"""Rows of windows → padded tensors with their masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from qa_lightning.batches.words import BORDERS, border_masks
from qa_lightning.errors import InputError
from qa_lightning.features import IGNORED, WindowTable

GLOBAL_ATTENTIONS = ("question", "question+cls", "question_only", "cls")
GlobalAttention = Literal["question", "question+cls", "question_only", "cls"] | Sequence[int] | None

_PLACES = (
    "question_start_token",
    "question_end_token",
    "context_start_token",
    "context_end_token",
    "cls_token",
)
_LABELS = ("start_token", "last_token")
_WEIGHT = "label_weight"
_GOLD = ("gold_start_tokens", "gold_last_tokens")


class WindowDataset(Dataset[dict[str, Any]]):
    """Serve windows to a DataLoader: one dict a row, lists as views of the Arrow memory.

    Each row carries its number as ``feature_index``.

    Args:
        features: what ``build_features`` returned.
        borders: whether the rows say where words begin and end, for the search for answers.
    """

    def __init__(self, features: datasets.Dataset, *, borders: bool = False) -> None:
        self._table = WindowTable(features)
        self._numbers = [name for name in (*_PLACES, *_LABELS, _WEIGHT) if name in self._table]
        lists = ("input_ids", *_GOLD, *((BORDERS,) if borders else ()))
        self._lists = [name for name in lists if name in self._table]

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indexes: list[int]) -> list[dict[str, Any]]:
        """Return several rows; the DataLoader's fetcher asks for a whole batch at once."""
        numbers = {name: self._table.numbers(name)[indexes].tolist() for name in self._numbers}
        lists = {name: self._table.lists(name) for name in self._lists}
        return [
            {name: column[row] for name, column in numbers.items()}
            | {name: column[index] for name, column in lists.items()}
            | {"feature_index": index}
            for row, index in enumerate(indexes)
        ]

    def lengths(self) -> NDArray[np.int64]:
        """Return every window's number of tokens, for the samplers."""
        return self._table.lengths()

    def examples(self) -> NDArray[np.int32]:
        """Return the row of the examples that every window belongs to."""
        return self._table.numbers("example_index")

    def gold_counts(self) -> NDArray[np.int64]:
        """Return the number of gold spans that every window holds."""
        return self._table.lists("gold_start_tokens").lengths()


@dataclass(frozen=True, kw_only=True)
class WindowCollator:
    """Pad windows to one length and compute their masks.

    The result holds ``input_ids``, ``attention_mask``, ``global_attention_mask`` and, if asked
    for, ``token_type_ids`` (int64 [b, l]); ``context_mask`` (bool [b, l]); ``cls_positions`` and
    ``feature_index`` (int64 [b]); with labels ``start_positions`` and ``end_positions`` (int64
    [b], inclusive, -100: not to be learnt), ``label_weights`` (float32 [b]) and, if asked for,
    ``gold_start_positions`` and ``gold_end_positions`` (int64 [b, g], -100 where a window has
    fewer). All positions count the padding in front, if there is any. Rows of ``DocumentDataset``
    have ``document_index`` (int64 [b]): which document of the batch they belong to, from 0. Rows
    with borders have ``word_start_mask`` and ``word_end_mask`` (bool [b, l]): the context's tokens
    with which words begin and end.

    Attributes:
        pad_token_id: id that fills the rows.
        padding_side: ``right`` or ``left``.
        pad_to: ``longest`` row of the batch, or always ``max_length``.
        max_length: length for ``pad_to="max_length"``.
        token_types: give ``token_type_ids``: 0 up to the second text, 1 from there.
        global_attention: which tokens attend globally. ``question``: the question's tokens and
            the no-answer token (CLS), which is what transformers and the AllenAI checkpoint do
            (all positions in front of the first separator); ``question+cls`` is another name for
            it. ``question_only``: without CLS. ``cls``: CLS alone. A sequence of numbers: these
            columns of every window, counted without padding. None: no ``global_attention_mask``,
            for backbones that have none.
        all_gold_spans: give the places of all gold spans.
    """

    pad_token_id: int
    padding_side: str = "right"
    pad_to: Literal["longest", "max_length"] = "longest"
    max_length: int | None = None
    token_types: bool = False
    global_attention: GlobalAttention = "question"
    all_gold_spans: bool = False

    def __post_init__(self) -> None:
        if self.pad_to not in ("longest", "max_length"):
            raise InputError(
                f"`pad_to` must be longest or max_length. Got {self.pad_to!r}. "
                "Change `data.pad_to`."
            )
        if self.pad_to == "max_length" and self.max_length is None:
            raise InputError("`pad_to` max_length needs a `max_length`. Got None. Give both.")
        problems = list(global_attention_problems(self.global_attention))
        if self.global_attention is not None and problems:
            raise InputError(problems[0])

    @classmethod
    def for_tokenizer(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        *,
        pad_to: Literal["longest", "max_length"] = "longest",
        max_length: int | None = None,
        token_types: bool = False,
        global_attention: GlobalAttention = "question",
        all_gold_spans: bool = False,
    ) -> "WindowCollator":
        """Take padding id and side from a tokenizer.

        Raises:
            InputError: the tokenizer has no padding token.
        """
        if tokenizer.pad_token_id is None:
            raise InputError(
                "Expected a tokenizer with a padding token. "
                f"{type(tokenizer).__name__} has none. Set `tokenizer.pad_token`, for example to "
                "its end-of-sequence token."
            )
        return cls(
            pad_token_id=tokenizer.pad_token_id,
            padding_side=tokenizer.padding_side,
            pad_to=pad_to,
            max_length=max_length,
            token_types=token_types,
            global_attention=global_attention,
            all_gold_spans=all_gold_spans,
        )

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate rows that ``WindowDataset`` or the features themselves gave."""
        length_b = np.array([len(row["input_ids"]) for row in rows])
        width = self._width(length_b)
        shift_b = width - length_b if self.padding_side == "left" else 0 * length_b
        # Places in the unpadded windows; negative or beyond the length in the padding.
        place_bl = np.arange(width)[None] - shift_b[:, None]
        places = {name: np.array([row[name] for row in rows], np.int64) for name in _PLACES}
        attended_bl = (place_bl >= 0) & (place_bl < length_b[:, None])
        batch: dict[str, NDArray[Any]] = {
            "input_ids": self._padded_ids(rows, attended_bl),
            "attention_mask": attended_bl.astype(np.int64),
            "context_mask": _between(place_bl, places, "context"),
            "cls_positions": places["cls_token"] + shift_b,
            "feature_index": np.array([row["feature_index"] for row in rows], np.int64),
        }
        if self.global_attention is not None:
            global_bl = self._global_columns(place_bl, places) & attended_bl
            batch["global_attention_mask"] = global_bl.astype(np.int64)
        if self.token_types:
            batch["token_type_ids"] = _second_text(place_bl, places, attended_bl).astype(np.int64)
        if "document_index" in rows[0]:
            batch["document_index"] = np.array([row["document_index"] for row in rows], np.int64)
        if BORDERS in rows[0]:
            batch |= border_masks(rows, batch["context_mask"])
        if "start_token" in rows[0]:
            batch |= self._labels(rows, shift_b)
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def _width(self, length_b: NDArray[np.int64]) -> int:
        longest = int(length_b.max())
        if self.pad_to == "longest" or self.max_length is None:
            return longest
        if longest > self.max_length:
            raise InputError(
                f"Expected windows of at most max_length={self.max_length} tokens. Got one of "
                f"{longest}. Prepare the windows with the same `data.max_length`."
            )
        return self.max_length

    def _padded_ids(
        self, rows: Sequence[Mapping[str, Any]], attended_bl: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        ids_bl = np.full(attended_bl.shape, self.pad_token_id, np.int64)
        ids_bl[attended_bl] = np.concatenate([np.asarray(row["input_ids"]) for row in rows])
        return ids_bl

    def _global_columns(
        self, place_bl: NDArray[np.int64], places: Mapping[str, NDArray[np.int64]]
    ) -> NDArray[np.bool_]:
        if not isinstance(self.global_attention, str):
            chosen: NDArray[np.bool_] = np.isin(place_bl, list(self.global_attention or ()))
            return chosen
        question_bl = _between(place_bl, places, "question")
        cls_bl = place_bl == places["cls_token"][:, None]
        if self.global_attention == "question_only":
            return question_bl
        with_cls_bl: NDArray[np.bool_] = question_bl | cls_bl
        return cls_bl if self.global_attention == "cls" else with_cls_bl

    def _labels(
        self, rows: Sequence[Mapping[str, Any]], shift_b: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        names = dict(zip(("start_positions", "end_positions"), _LABELS, strict=True))
        labels: dict[str, NDArray[Any]] = {
            "label_weights": np.array([row[_WEIGHT] for row in rows], np.float32)
        }
        for key, column in names.items():
            label_b = np.array([row[column] for row in rows], np.int64)
            labels[key] = np.where(label_b == IGNORED, IGNORED, label_b + shift_b)
        if self.all_gold_spans:
            names = dict(zip(("gold_start_positions", "gold_end_positions"), _GOLD, strict=True))
            labels |= {key: _padded_gold(rows, name, shift_b) for key, name in names.items()}
        return labels


def global_attention_problems(choice: object, max_length: int | None = None) -> Iterator[str]:
    """Yield a sentence if a choice of global attention is neither a name nor columns of windows."""
    if isinstance(choice, str) and choice in GLOBAL_ATTENTIONS:
        return
    columns: list[Any] = list(choice) if isinstance(choice, list | tuple) else [None]
    if not all(type(column) is int and column >= 0 for column in columns):
        yield (
            f"Expected `data.global_attention` to be one of {', '.join(GLOBAL_ATTENTIONS)}, or a "
            f"list of columns counted from 0, for example [0, 1]; got {choice!r}."
        )
    elif max_length is not None and columns and max(columns) >= max_length:
        yield (
            "Expected the columns of `data.global_attention` to be below `data.max_length` "
            f"({max_length}), the tokens of a window; got {max(columns)}."
        )


def _between(
    place_bl: NDArray[np.int64], places: Mapping[str, NDArray[np.int64]], part: str
) -> NDArray[np.bool_]:
    start_b, end_b = places[f"{part}_start_token"], places[f"{part}_end_token"]
    between: NDArray[np.bool_] = (place_bl >= start_b[:, None]) & (place_bl < end_b[:, None])
    return between


def _second_text(
    place_bl: NDArray[np.int64],
    places: Mapping[str, NDArray[np.int64]],
    attended_bl: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    second_b = np.maximum(places["question_start_token"], places["context_start_token"])
    second: NDArray[np.bool_] = (place_bl >= second_b[:, None]) & attended_bl
    return second


def _padded_gold(
    rows: Sequence[Mapping[str, Any]], name: str, shift_b: NDArray[np.int64]
) -> NDArray[np.int64]:
    most = max(1, *(len(row[name]) for row in rows))
    gold_bg = np.full((len(rows), most), IGNORED, np.int64)
    for number, row in enumerate(rows):
        gold_bg[number, : len(row[name])] = np.asarray(row[name], np.int64) + shift_b[number]
    return gold_bg


def padding_share(lengths_b: Tensor, padded_length: int) -> float:
    """Return the share of a batch that is padding.

    Args:
        lengths_b: tokens of each row without padding.
        padded_length: length of the rows with padding.

    >>> padding_share(torch.tensor([5, 10]), 10)
    0.25
    """
    computed = len(lengths_b) * padded_length
    return 1.0 - float(lengths_b.sum()) / computed if computed else 0.0
