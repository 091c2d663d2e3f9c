"""Data sets of the Hub, by `datasets` and its caches, online and offline."""

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

import datasets
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from qa_lightning.errors import InputError
from qa_lightning.examples.readers import dataset_batch
from qa_lightning.examples.schema import ColumnNames, RawBatch

_logger = logging.getLogger(__name__)

# Data sets whose Hub name is, or was, a loading script → the same data as Parquet.
_PARQUET_OF = {
    "squad_v1_pt": "nunorc/squad_v1_pt",
    "squad": "rajpurkar/squad",
    "squad_v2": "rajpurkar/squad_v2",
    "xquad": "google/xquad",
}
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_FAILURES = (OSError, ValueError, datasets.exceptions.DatasetsError, HfHubHTTPError)


class _Opened(NamedTuple):
    """Hold a builder and the commit, or else the hash, of what it builds."""

    builder: datasets.DatasetBuilder
    commit: str


class HubSource:
    """Read a data set of the Hub, or its copy in the local caches."""

    def __init__(
        self,
        repo_id: str,
        *,
        config: str | None,
        revision: str | None,
        cache_dir: str | PathLike[str] | None,
    ) -> None:
        self.label = repo_id
        self._repo_id = repo_id
        self._config = config
        self._revision = revision
        self._cache_dir = fspath(cache_dir) if cache_dir is not None else None

    def splits(self) -> tuple[str, ...]:
        """Return the splits that the data set's card names, else those that are built."""
        if not self._opened.builder.info.splits:
            self._prepare()
        return tuple(self._opened.builder.info.splits or ())

    def batches(self, split: str, columns: ColumnNames) -> Iterator[RawBatch]:
        """Yield the whole split as one batch, mapped from disk."""
        self._prepare()
        dataset = self._opened.builder.as_dataset(split=split)
        yield dataset_batch(dataset, columns, f"{self._repo_id} ({split})")

    def identity(self, splits: Sequence[str]) -> object:
        """Return the id and the commit."""
        return ["hub", self._repo_id, self._opened.commit]

    def _prepare(self) -> None:
        try:
            self._opened.builder.download_and_prepare()
        except _FAILURES as error:
            raise InputError(
                f"Expected to build the data set {self.label}; got: {error}"
            ) from error

    @cached_property
    def _opened(self) -> _Opened:
        try:
            builder = self._builder_of(self._repo_id, revision=self._revision)
        except InputError:
            raise
        except _FAILURES as error:
            return self._open_snapshot() or self._refuse(error)
        if not _is_from_cache(builder):
            return _Opened(builder, str(builder.hash))
        return self._check_revision(builder)

    def _builder_of(self, path: str, *, revision: str | None) -> datasets.DatasetBuilder:
        try:
            return datasets.load_dataset_builder(
                path, name=self._config, revision=revision, cache_dir=self._cache_dir
            )
        except RuntimeError as error:
            if "Dataset scripts are no longer supported" not in str(error):
                raise
            raise InputError(self._script_message()) from None

    def _check_revision(self, builder: datasets.DatasetBuilder) -> _Opened:
        """Hold the revision against what offline `datasets` found: it does not look at it."""
        cached = str(builder.hash)
        if self._revision is None or cached.startswith(self._revision):
            return _Opened(builder, cached)
        snapshot = self._snapshot()
        if snapshot is not None and snapshot.name == cached:
            return _Opened(builder, cached)
        opened = self._open_snapshot()
        if opened is not None:
            return opened
        if _COMMIT.fullmatch(self._revision):
            raise InputError(
                f"Expected {self._repo_id} at the revision {self._revision}; offline, the cache "
                f"holds {cached}. Load it once online, or leave `revision` out."
            )
        _logger.warning(
            "%s: cannot check offline that %s is %s", self._repo_id, cached, self._revision
        )
        return _Opened(builder, cached)

    def _open_snapshot(self) -> _Opened | None:
        """Open the copy that `snapshot_download` keeps, if it has data at the revision."""
        snapshot = self._snapshot()
        if snapshot is None:
            return None
        try:
            return _Opened(self._builder_of(str(snapshot), revision=None), snapshot.name)
        except _FAILURES as error:
            _logger.info("the snapshot %s holds no whole data set: %s", snapshot, error)
            return None

    def _snapshot(self) -> Path | None:
        try:
            return Path(
                huggingface_hub.snapshot_download(
                    self._repo_id,
                    repo_type="dataset",
                    revision=self._revision,
                    local_files_only=True,
                )
            )
        except (LocalEntryNotFoundError, OSError, ValueError):
            return None

    def _refuse(self, error: Exception) -> _Opened:
        at = "".join(
            f", {name} {value!r}"
            for name, value in (("config", self._config), ("revision", self._revision))
            if value
        )
        reason = str(error).strip().rstrip(".")
        raise InputError(
            f"Expected the Hub data set {self._repo_id!r}{at}; got: {reason}. No file or folder "
            f"{Path(self._repo_id).absolute()} exists either. Check the name, the config and the "
            f"network; offline, it must be in the local cache. {self._parquet_hint()}".rstrip()
        ) from None

    def _script_message(self) -> str:
        hint = self._parquet_hint() or (
            "Look for a Parquet conversion of it: try `revision: refs/convert/parquet`, or search "
            "the Hub for a copy, or convert it once with `datasets` 3 and `to_parquet`."
        )
        return (
            f"Expected a data set of files; {self._repo_id} is still a loading script, which "
            f"`datasets` 4 and later do not run. {hint}"
        )

    def _parquet_hint(self) -> str:
        parquet = _PARQUET_OF.get(self._repo_id)
        return f"As Parquet it is {parquet!r}: use that name." if parquet else ""


def _is_from_cache(builder: datasets.DatasetBuilder) -> bool:
    return any("packaged_modules.cache" in kind.__module__ for kind in type(builder).__mro__)
