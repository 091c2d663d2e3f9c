"""What the user named as data → a source that knows its splits, its rows and its identity."""

import difflib
import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import Protocol, runtime_checkable

from qa_lightning.errors import InputError
from qa_lightning.examples.asked_documents import (
    AskedDocuments,
    is_document,
    refuse_no_questions,
)
from qa_lightning.examples.hub import HubSource
from qa_lightning.examples.readers import is_data_file, kind_of, read_file
from qa_lightning.examples.schema import ColumnNames, RawBatch, Row
from qa_lightning.folders import absent_folder, stream_problems
from qa_lightning.ranges import shown

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

_DEMO_SPLITS = ("train", "validation", "test")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
# The words by which `datasets` knows the split of a file.
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


@runtime_checkable
class Source(Protocol):
    """Read splits by name; ``identity`` changes exactly when what is read would."""

    label: str

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits that exist."""

    def batches(self, split: str, columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield the raw rows of one split."""

    def identity(self, splits: Sequence[str]) -> object:
        """Return what tells these splits' contents from any other, as JSON values."""


class DemoSource:
    """Generate the rows of ``dataset: demo``."""

    label = "demo"

    def __init__(self, seed: int, config: str | None) -> None:
        self._seed = seed
        self._config = config

    def splits(self) -> tuple[str, ...]:
        """Return the splits that the generator knows."""
        return _DEMO_SPLITS

    def batches(self, split: str, columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield all rows as one batch."""
        from qa_lightning.demo import demo_rows

        rows: list[Row] = list(demo_rows(split, seed=self._seed, config=self._config))
        yield RawBatch(rows, f"demo ({split})", "row", range(1, len(rows) + 1))

    def identity(self, splits: Sequence[str]) -> object:
        """Return the generator's version, the seed and the config."""
        from qa_lightning.demo import DEMO_VERSION

        return ["demo", DEMO_VERSION, self._seed, self._config]


class FileSource:
    """Read splits out of local files."""

    def __init__(
        self, entries: Mapping[str, Sequence[Path]], label: str, *, skip_unreadable: bool = False
    ) -> None:
        self._entries = entries
        self._skip = skip_unreadable
        self.label = label

    def splits(self) -> tuple[str, ...]:
        """Return the splits that files were given for."""
        return tuple(self._entries)

    def batches(self, split: str, columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield the rows of a split, file by file."""
        files = self._files(split)
        documents = [path for path in files if is_document(path)]
        rows = [path for path in files if path not in documents]
        read = chain.from_iterable(read_file(path, columns) for path in rows)
        if documents and not rows:
            refuse_no_questions(documents)
        asked = AskedDocuments(documents, skip=self._skip) if documents else None
        yield from asked.asked(read, columns) if asked else read

    def identity(self, splits: Sequence[str]) -> object:
        """Return the kind and the hash of each file of the splits, in their order."""
        return [[name, [_identity(path) for path in self._files(name)]] for name in splits]

    def _files(self, split: str) -> list[Path]:
        entries = self._entries[split]
        if missing := [path for path in entries if not path.exists() and not _expand(path)]:
            raise InputError("\n".join(_missing_message(path) for path in missing))
        files = [file for path in entries for file in [*_expand(path), *_documents_in(path)]]
        for problem in (clause for file in files for clause in stream_problems(file)):
            raise InputError(f"Expected a file or a folder of data; {problem}")
        return files


def file_source(splits: Mapping[str, Paths], *, skip_unreadable: bool = False) -> FileSource:
    """Return the source of ``{split: path or paths}``."""
    entries = {str(split): _as_paths(paths) for split, paths in splits.items()}
    return FileSource(entries, "the data files", skip_unreadable=skip_unreadable)


def open_source(
    source: str | PathLike[str] | Sequence[str | PathLike[str]] | Mapping[str, Paths] | Source,
    *,
    config: str | None,
    revision: str | None,
    cache_dir: str | PathLike[str] | None,
    seed: int,
    skip_unreadable: bool = False,
) -> Source:
    """Find out what kind of source is meant; local files are looked for before the Hub.

    Raises:
        InputError: nothing of that name exists, or it is no source at all.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, Mapping):
        return file_source(source, skip_unreadable=skip_unreadable)
    if isinstance(source, PathLike) or (isinstance(source, str) and source != "demo"):
        path = _path_of(source)
        if isinstance(source, str) and not path.exists() and _names_hub(source):
            return HubSource(source, config=config, revision=revision, cache_dir=cache_dir)
        return FileSource(_entries_at(path), str(path), skip_unreadable=skip_unreadable)
    if isinstance(source, str):
        return DemoSource(seed, config)
    if isinstance(source, Sequence) and source:
        paths = _as_paths(source)
        entries = {_split_of_all(paths): paths}
        return FileSource(entries, f"the {len(paths)} files", skip_unreadable=skip_unreadable)
    raise InputError(
        "Expected `demo`, a Hub id, a path, a list of paths or {split: paths} as the source of "
        f"examples; got a {type(source).__name__}. Data in memory is `QADataModule(train=…)`."
    )


def _names_hub(source: str) -> bool:
    is_file_name = kind_of(Path(source)) in (
        ".json",
        ".jsonl",
        ".ndjson",
        ".csv",
        ".tsv",
        ".parquet",
    )
    return (
        _HUB_ID.fullmatch(source) is not None
        and not is_file_name
        and absent_folder(source, repo_type="dataset") is None
    )


def _as_paths(paths: Paths) -> tuple[Path, ...]:
    listed = list(paths) if isinstance(paths, list | tuple) else [paths]
    checked = [path for path in listed if isinstance(path, str | PathLike)]
    if not checked or len(checked) < len(listed):
        raise InputError(f"Expected a path or a list of paths for a split; got {paths!r}.")
    return tuple(map(_path_of, checked))


def _path_of(name: str | PathLike[str]) -> Path:
    """Return the path of a name, which may be a text that no file can be called."""
    try:
        path = Path(fspath(name)).expanduser()
        path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"Expected the name of a file or folder; {shown(fspath(name))} is none ({reason}). "
            "Data in memory is `QADataModule(train=…)`."
        ) from None
    return path


def _entries_at(path: Path) -> dict[str, Sequence[Path]]:
    """Return the splits at one path: a file, a pattern, a saved data set or a folder of files."""
    if (path / "dataset_dict.json").is_file():
        return {child.parent.name: [child.parent] for child in sorted(path.glob("*/state.json"))}
    if not path.is_dir() or kind_of(path) == "saved":
        files = _expand(path) if path.exists() or _expand(path) else _refuse_missing(path)
        return {_split_of_all(files): files}
    groups: dict[str, list[Path]] = {}
    for file in _expand(path):
        groups.setdefault(_split_word(file.relative_to(path)) or "", []).append(file)
    unnamed = groups.pop("", [])
    # Beside files that name their split, others are word lists, licences and the like.
    return {name: groups[name] for name in _SPLIT_WORDS if name in groups} or {"train": unnamed}


def _refuse_missing(path: Path) -> list[Path]:
    raise InputError(_missing_message(path))


def _expand(path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, a folder's files or a pattern's."""
    if path.is_dir() and kind_of(path) == "folder":
        files = [file for file in sorted(path.rglob("*")) if is_data_file(file)]
        return files if files else _refuse_folder(path)
    if path.exists():
        return [path]
    names = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    return [Path(name) for name in names if os.path.exists(name)]  # noqa: PTH110  # no broken links


def _documents_in(path: Path) -> list[Path]:
    """Return the documents of a folder, which rows without a context are asked of."""
    if not path.is_dir() or kind_of(path) != "folder":
        return []
    return [file for file in sorted(path.rglob("*")) if is_document(file)]


def _refuse_folder(path: Path) -> list[Path]:
    if scripts := [file.name for file in path.glob("*.py")]:
        raise InputError(
            f"Expected data in the folder {path}; found {', '.join(scripts)}. `datasets` 4 and "
            "later run no loading scripts: convert the data to Parquet or JSON. If a data set on "
            "the Hub is meant, work in a folder that has no folder of its name."
        )
    raise InputError(
        f"Expected JSON, JSON Lines, CSV or Parquet files, or what `save_to_disk` writes, in the "
        f"folder {path}; found none of them."
    )


def _split_of_all(paths: Iterable[Path]) -> str:
    words = {_split_word(Path(path.name)) for path in paths}
    return (words.pop() or "train") if len(words) == 1 else "train"


def _split_word(path: Path) -> str | None:
    """Return the split that a path names, the last word first.

    >>> _split_word(Path("squad/dev-v2.0.json"))
    'validation'
    """
    words = re.split(r"[^a-z]+", str(path).lower())
    for word in reversed(words):
        for split, names in _SPLIT_WORDS.items():
            if word in names:
                return split
    return None


def _missing_message(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"Did you mean {path.parent / close[0]}?" if close else "Check the path."
    return f"Expected a file or folder at {path}; tried {path.absolute()} and found nothing. {hint}"


def _identity(path: Path) -> list[object]:
    if kind_of(path) != "saved":
        return [kind_of(path), _digest(path)]
    return ["saved", [_digest(file) for file in sorted(path.glob("*.arrow"))]]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"Expected a file of data at {path}; it cannot be read: {error.strerror or error}. "
            "Name another."
        ) from error
