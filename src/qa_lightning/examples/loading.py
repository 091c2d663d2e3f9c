"""A source, a split and a column mapping → checked examples, or the hash of what they would be."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike

import datasets
import pyarrow as pa

from qa_lightning.bars import Progress, untold
from qa_lightning.examples.checks import (
    Places,
    SplitRows,
    check_columns,
    check_faults,
    check_unique,
    complete_ids,
    warn_of_doubts,
    warn_of_empty_texts,
    warn_of_left_out,
)
from qa_lightning.examples.rows import RowsTable, rows_table
from qa_lightning.examples.schema import (
    CANONICAL_FEATURES,
    CANONICAL_SCHEMA,
    ColumnNames,
    LeftOut,
    RawBatch,
)
from qa_lightning.examples.sources import Paths, Source, open_source
from qa_lightning.examples.splits import choose_splits, slices_of
from qa_lightning.examples.tables import canonical_table, row_dicts

_LOADING_VERSION = 5  # raise it when the same bytes come to give other examples
_SLICE_ROWS = 5_000

AnySource = str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, Paths] | Source


def load_examples(
    source: AnySource,
    *,
    split: str | None = None,
    dataset_config: str | None = None,
    revision: str | None = None,
    columns: Mapping[str, str] | None = None,
    cache_dir: str | PathLike[str] | None = None,
    seed: int | None = None,
    with_answers: bool = True,
    unique_ids: bool = True,
    skip_unreadable: bool = False,
    made_ids: bool = True,
    progress: Progress = untold,
) -> datasets.Dataset:
    """Load the examples of one split, with the canonical columns and nothing else.

    A file or a list of files is the split ``train``, unless each file's name says another
    (``dev-v2.0.json``: ``validation``). A slice counts as ``datasets`` counts. Only the selected
    rows are checked. Texts stay as they are; a title that is absent is ``""``; ids ``row-0``,
    ``row-1``, … by place in the split are made only where no row has one; integers become text.

    Args:
        source: ``demo``, a Hub id, a path, a list of paths, or ``{split: path or paths}``. An
            existing path goes before a Hub id of that name.
        split: split or slice; may be left out where there is one split.
        dataset_config: configuration of a Hub data set or of ``demo``.
        revision: branch, tag or commit of a Hub data set.
        columns: ``{canonical name: name in the file}``; dots step into structures. Also
            ``answer_text`` and ``answer_start`` (a pair for ``answers``), and ``is_impossible``.
        cache_dir: where ``datasets`` keeps Hub data sets.
        seed: seed of ``demo``.
        with_answers: whether rows need answers; without, they may be absent (empty lists).
        unique_ids: refuse an id that occurs twice; False for a look at data that is not mended
            yet, where repeated ids are logged.
        skip_unreadable: leave out documents that cannot be read, and log which; else they are
            refused, all at once.
        made_ids: number rows of which none has an id; False refuses them, where the rows are a
            part of others.
        progress: called with ``reading`` and the number of rows read since the last call.

    Raises:
        InputError: the source, the split, a column or some rows cannot be read.
    """
    names = ColumnNames.from_mapping(columns)
    opened = open_source(
        source,
        config=dataset_config,
        revision=revision,
        cache_dir=cache_dir,
        seed=seed or 0,
        skip_unreadable=skip_unreadable,
    )
    chosen = choose_splits(split, opened.splits(), opened.label)
    tell = partial(progress, "reading")
    tell(0)
    prefixes = _prefixes(chosen) if made_ids else {}
    read = {
        name: _read_split(opened, name, names, with_answers, prefixes.get(name), tell)
        for name in chosen
    }
    settings = (dataset_config, revision, with_answers, skip_unreadable)
    key = _hash(opened, split, columns, chosen, *settings)
    table = _select(
        read, split or chosen[0], opened.label, answers=with_answers, unique_ids=unique_ids
    )
    info = datasets.DatasetInfo(features=CANONICAL_FEATURES)
    # Without a fingerprint `datasets` would pickle the whole table to make one.
    name = datasets.NamedSplit((split or chosen[0]).replace(" ", ""))
    return datasets.Dataset(table, info=info, split=name, fingerprint=key)


def source_fingerprint(
    source: AnySource,
    *,
    split: str | None = None,
    dataset_config: str | None = None,
    revision: str | None = None,
    columns: Mapping[str, str] | None = None,
    cache_dir: str | PathLike[str] | None = None,
    seed: int | None = None,
    with_answers: bool = True,
    skip_unreadable: bool = False,
) -> str:
    """Hash what ``load_examples`` would read with the same arguments, without parsing it.

    It covers the arguments; of files the kind and every byte, not the name nor the time, of those
    splits only that the instruction takes rows of; of a Hub data set the commit that the Hub names
    now (offline: the commit in the local cache); of ``demo`` the seed and the generator's version.

    Raises:
        InputError: the source or the split does not exist.
    """
    opened = open_source(
        source,
        config=dataset_config,
        revision=revision,
        cache_dir=cache_dir,
        seed=seed or 0,
        skip_unreadable=skip_unreadable,
    )
    chosen = choose_splits(split, opened.splits(), opened.label)
    settings = (dataset_config, revision, with_answers, skip_unreadable)
    return _hash(opened, split, columns, chosen, *settings)


def _hash(
    opened: Source,
    split: str | None,
    columns: Mapping[str, str] | None,
    chosen: Sequence[str],
    *settings: object,
) -> str:
    parts = [
        _LOADING_VERSION,
        split,
        sorted((columns or {}).items()),
        opened.identity(chosen),
        settings,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _read_split(
    opened: Source,
    split: str,
    columns: ColumnNames,
    answers: bool,
    prefix: str | None,
    tell: Callable[[int], None],
) -> SplitRows:
    places, tables = Places(), [CANONICAL_SCHEMA.empty_table()]
    faults: list[tuple[int, str]] = []
    seen, doubts = "", Counter[str]()
    left = Counter[str]()
    for given in opened.batches(split, columns):
        batch = _kept(given, answers, left)
        if batch.origin != seen:
            check_columns(batch, columns, answers=answers)
            seen = batch.origin
        read = _read_batch(batch, columns, answers, tell)
        tables.append(read.table)
        faults += [(places.num_rows + row, what) for row, what in read.faults]
        doubts += read.doubts
        places.add(batch)
    warn_of_left_out(left, places.num_rows, f"{opened.label} ({split})")
    warn_of_doubts(doubts, f"{opened.label} ({split})")
    rows = SplitRows(pa.concat_tables(tables), faults, places)
    return complete_ids(rows, columns, prefix)


def _prefixes(splits: Sequence[str]) -> dict[str, str]:
    """Return what made-up ids of each split begin with, so that those of two never meet."""
    return {split: f"{split}-" if len(splits) > 1 else "" for split in splits}


def _kept(batch: RawBatch, answers: bool, left: Counter[str]) -> RawBatch:
    """Leave out the rows that nobody can learn from; where answers are no matter, those asked."""
    if isinstance(batch.rows, pa.Table):
        return batch
    pairs = []
    for key, row in zip(batch.keys, batch.rows, strict=True):
        taken = row if not isinstance(row, LeftOut) else None if answers else row.row
        if taken is None:
            left[row[0]] += 1
        else:
            pairs.append((key, taken))
    if len(pairs) == len(batch.rows) and not any(isinstance(row, LeftOut) for row in batch.rows):
        return batch
    return batch._replace(rows=[row for _, row in pairs], keys=[key for key, _ in pairs])


def _read_batch(
    batch: RawBatch, columns: ColumnNames, answers: bool, tell: Callable[[int], None]
) -> RowsTable:
    """Read a batch: a whole table where nothing is in doubt, else row by row."""
    if not isinstance(batch.rows, pa.Table):
        read = rows_table(batch.rows, columns, answers_required=answers)
        tell(len(batch.rows))
        return read
    table = canonical_table(batch.rows, columns, answers_required=answers)
    if table is not None:
        tell(table.num_rows)
        return RowsTable(table, [], Counter())
    tables, faults, doubts = [CANONICAL_SCHEMA.empty_table()], [], Counter[str]()
    for start in range(0, batch.rows.num_rows, _SLICE_ROWS):
        rows = row_dicts(batch.rows.slice(start, _SLICE_ROWS))
        read = rows_table(rows, columns, answers_required=answers)
        tables.append(read.table)
        faults += [(start + row, what) for row, what in read.faults]
        doubts += read.doubts
        tell(len(rows))
    return RowsTable(pa.concat_tables(tables), faults, doubts)


def _select(
    read: Mapping[str, SplitRows], split: str, label: str, *, answers: bool, unique_ids: bool
) -> pa.Table:
    """Cut the selected rows out of their splits, and check them."""
    slices = slices_of(split, {name: rows.table.num_rows for name, rows in read.items()})
    parts = [(part, read[part.split]) for part in slices]
    check_faults(parts, answers=answers)
    table = pa.concat_tables(
        rows.table.slice(part.start, part.stop - part.start) for part, rows in parts
    )
    check_unique(table.column("id"), parts, label=f"{label} ({split})", is_needed=unique_ids)
    warn_of_empty_texts(table, f"{label} ({split})")
    return table
