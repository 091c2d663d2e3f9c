"""What windows hold: where they lie in a context's tokens, and the answers that none holds."""

from collections.abc import Iterator
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.features.building import plan_examples
from qa_lightning.features.labels import find_held, read_spans
from qa_lightning.features.settings import WindowSettings

_ROWS_AT_ONCE = 512


class ContextWindows(NamedTuple):
    """Hold where an example's windows lie.

    Attributes:
        offsets_n2: characters of each token of the context, half-open.
        windows_w2: first token and end of each window, in their order.
        is_unheld: the example has trusted answers, and no window holds one wholly.
    """

    offsets_n2: NDArray[np.int32]
    windows_w2: NDArray[np.int64]
    is_unheld: bool


def context_windows(
    examples: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, settings: WindowSettings
) -> Iterator[ContextWindows]:
    """Yield the windows that ``build_features`` would make of each example, without making them.

    Args:
        examples: rows with the canonical columns and ``spans``.
        tokenizer: a fast tokenizer.
        settings: as for ``build_features``.
    """
    table = examples.with_format("arrow", columns=["id", "question", "context", "spans"])
    for first in range(0, len(examples), _ROWS_AT_ONCE):
        part: pa.Table = table[first : first + _ROWS_AT_ONCE]
        _, _, contexts, plan = plan_examples(part, tokenizer, settings)
        unheld_r = find_held(plan, read_spans(part.column("spans")), contexts).unheld_r
        bounds = np.searchsorted(plan.example_w, np.arange(len(part) + 1))
        offsets: dict[int, NDArray[np.int32]] = {}
        for row, (begin, end) in enumerate(zip(contexts.start_r, contexts.end_r, strict=True)):
            windows = slice(bounds[row], bounds[row + 1])
            start_w = plan.context_source_w[windows] - begin
            windows_w2 = np.stack([start_w, start_w + plan.context_length_w[windows]], axis=1)
            # One object for all questions on a context: whoever reads it need not do so anew.
            offsets_n2 = offsets.setdefault(begin, contexts.offsets_n2[begin:end])
            yield ContextWindows(offsets_n2, windows_w2, bool(unheld_r[row]))


def unheld_examples(features: datasets.Dataset, examples: datasets.Dataset) -> list[int]:
    """Return the rows of the examples whose trusted answers no window holds wholly.

    Args:
        features: all their windows that are trained on, or evaluated, with labels.
        examples: rows with ``spans``.
    """
    spans = examples.with_format("arrow", columns=["spans"])[:].column("spans")
    starts = pc.struct_field(spans, "start_char")
    trusted_r = np.zeros(len(examples), np.bool_)
    parents = pc.list_parent_indices(starts.combine_chunks()).to_numpy()
    trusted_r[parents[pc.is_valid(pc.list_flatten(starts)).to_numpy()]] = True
    columns = ["example_index", "gold_start_tokens"]
    table = features.with_format("arrow", columns=columns)[:]
    has_gold_w = pc.list_value_length(table.column("gold_start_tokens")).to_numpy() > 0
    trusted_r[table.column("example_index").to_numpy()[has_gold_w]] = False
    rows: list[int] = np.flatnonzero(trusted_r).tolist()
    return rows
