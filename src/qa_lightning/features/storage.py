"""Windows in Arrow: the columns, and a file that is there whole or not at all."""

import logging
import os
import tempfile
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from qa_lightning.features.labels import WindowLabels
from qa_lightning.features.windows import Ints, WindowAssembler, WindowPlaces, WindowPlan

logger = logging.getLogger(__name__)

_TOKENS_A_BATCH = 2_000_000
_PLACES = (
    "question_start_token",
    "question_end_token",
    "context_start_token",
    "context_end_token",
    "cls_token",
)


def window_features(*, with_labels: bool) -> datasets.Features:
    """Return the columns of windows and their types."""
    number = datasets.Value("int32")
    numbers = datasets.List(number)
    columns = {"example_index": number, "window_index": number, "input_ids": numbers}
    columns |= dict.fromkeys(_PLACES, number) | {"context_offsets": numbers}
    columns["context_borders"] = datasets.List(datasets.Value("uint8"))
    if with_labels:
        columns |= {"start_token": number, "last_token": number}
        columns |= {"gold_start_tokens": numbers, "gold_last_tokens": numbers}
        columns |= {"label_weight": datasets.Value("float32")}
    return datasets.Features(columns)


@cache  # for one short question to make it would take longer than to cut the windows
def _schema(with_labels: bool) -> pa.Schema:
    return window_features(with_labels=with_labels).arrow_schema


def window_batches(
    plan: WindowPlan,
    places: WindowPlaces,
    labels: WindowLabels | None,
    assembler: WindowAssembler,
) -> Iterable[pa.RecordBatch]:
    """Yield the windows in record batches of bounded size."""
    schema = _schema(labels is not None)
    batch_w = (np.cumsum(places.length_w) - places.length_w) // _TOKENS_A_BATCH
    bounds = np.searchsorted(batch_w, np.arange(batch_w.max(initial=0) + 2))
    for start, end in pairwise(bounds.tolist()):
        part = slice(start, end)
        columns = _window_columns(plan.take(part), places, part, assembler)
        if labels is not None:
            columns |= _label_columns(labels, part)
        arrays = [columns[name] for name in schema.names]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _window_columns(
    plan: WindowPlan, places: WindowPlaces, part: slice, assembler: WindowAssembler
) -> dict[str, pa.Array]:
    scalars = {"example_index": plan.example_w, "window_index": plan.window_w}
    scalars |= {name: getattr(places, f"{name}_w")[part] for name in _PLACES}
    columns = {name: _integers(values) for name, values in scalars.items()}
    columns["input_ids"] = _lists(assembler.ids(plan), places.length_w[part])
    offsets_n2 = assembler.context_offsets(plan)
    columns["context_offsets"] = _lists(offsets_n2.reshape(-1), 2 * plan.context_length_w)
    borders_n = pa.array(assembler.context_borders(plan))
    columns["context_borders"] = pa.ListArray.from_arrays(_bounds(plan.context_length_w), borders_n)
    return columns


def _label_columns(labels: WindowLabels, part: slice) -> dict[str, pa.Array]:
    count_w = labels.gold_count_w[part]
    begin = int(labels.gold_count_w[: part.start].sum())
    gold = slice(begin, begin + int(count_w.sum()))
    return {
        "start_token": _integers(labels.start_token_w[part]),
        "last_token": _integers(labels.last_token_w[part]),
        "gold_start_tokens": _lists(labels.gold_start_token_g[gold], count_w),
        "gold_last_tokens": _lists(labels.gold_last_token_g[gold], count_w),
        "label_weight": pa.array(labels.weight_w[part]),
    }


def _integers(values: Ints | NDArray[np.int32]) -> pa.Array:
    return pa.array(values.astype(np.int32, copy=False))


def _lists(values: Ints | NDArray[np.int32], length_w: Ints) -> pa.Array:
    return pa.ListArray.from_arrays(_bounds(length_w), _integers(values))


def _bounds(length_w: Ints) -> pa.Array:
    return _integers(np.concatenate([np.zeros(1, np.int64), np.cumsum(length_w)]))


def in_memory(batches: Iterable[pa.RecordBatch], *, with_labels: bool) -> datasets.Dataset:
    """Return the windows as a data set in memory."""
    schema = _schema(with_labels)
    return datasets.Dataset(pa.Table.from_batches(list(batches), schema=schema))


def save(batches: Iterable[pa.RecordBatch], path: Path, *, with_labels: bool) -> None:
    """Write the windows to a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        schema = _schema(with_labels)
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def load(path: Path, *, with_labels: bool) -> datasets.Dataset | None:
    """Open a file of windows memory-mapped; None where there is no sound one."""
    if not path.is_file():
        return None
    try:
        windows = datasets.Dataset.from_file(str(path))
    except (pa.ArrowInvalid, OSError) as error:
        logger.warning("The cached windows in %s cannot be read (%s): preparing anew.", path, error)
        return None
    expected = window_features(with_labels=with_labels)
    return windows if windows.features == expected else None
