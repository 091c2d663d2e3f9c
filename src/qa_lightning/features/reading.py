"""Rows of windows as numpy views of the Arrow memory, without Python lists."""

from bisect import bisect_right
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class ListColumn:
    """Read a list column row by row: each row is a view of the Arrow memory."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._bounds = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy() for chunk in chunks]
        self._first_rows = np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1].tolist()

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        chunk = bisect_right(self._first_rows, row) - 1
        bounds = self._bounds[chunk]
        row -= self._first_rows[chunk]
        view: NDArray[np.int32] = self._values[chunk][bounds[row] : bounds[row + 1]]
        return view

    def lengths(self) -> NDArray[np.int64]:
        """Return the length of every row's list."""
        parts = [np.empty(0, np.int64), *(np.diff(bounds) for bounds in self._bounds)]
        return np.concatenate(parts).astype(np.int64)


class WindowTable:
    """Read windows by ``feature_index``: numbers as whole columns, lists as views.

    Pickled, it is the data set alone; views are made anew in the other process.

    Args:
        features: what ``build_features`` returned.
    """

    def __init__(self, features: datasets.Dataset) -> None:
        self._features = features
        self._columns: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._features)

    def __contains__(self, name: str) -> bool:
        return name in self._features.column_names

    def __getstate__(self) -> dict[str, Any]:
        return {"_features": self._features, "_columns": {}}

    def numbers(self, name: str) -> NDArray[np.int32]:
        """Return a column of numbers, such as ``example_index``, of all windows."""
        if name not in self._columns:
            self._columns[name] = self._table.column(name).to_numpy()
        column: NDArray[np.int32] = self._columns[name]
        return column

    def lists(self, name: str) -> ListColumn:
        """Return a column of lists, such as ``context_offsets``, to be read by row."""
        if name not in self._columns:
            self._columns[name] = ListColumn(self._table.column(name))
        column: ListColumn = self._columns[name]
        return column

    def context_offsets(self, feature_index: int) -> NDArray[np.int32]:
        """Return character start and end of a window's context tokens: [tokens, 2]."""
        return self.lists("context_offsets")[feature_index].reshape(-1, 2)

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of every window."""
        return self.lists("input_ids").lengths()

    @property
    def _table(self) -> pa.Table:
        # Memory-mapped where the data set is; rows picked by `select` are copied.
        return self._features.with_format("arrow")[:]
