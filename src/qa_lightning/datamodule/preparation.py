"""From raw rows to windows on disk: read once, aligned once, tokenized once.

The cache has one explicit key: the content of the data, the tokenizer, the arguments that
matter, and the version constants of our code. An entry is a folder that appears whole or not
at all, so that processes may race for it.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from qa_lightning.alignment import ALIGNMENT_VERSION, AlignmentAudit, align_examples
from qa_lightning.bars import Bars, Progress, named, untold
from qa_lightning.cache import Cache
from qa_lightning.datamodule.prepared import (
    PreparedSplit,
    check_something_is_left,
    read_prepared,
    save_dataset,
)
from qa_lightning.errors import InputError, SplitError
from qa_lightning.examples import MemorySource, load_examples, source_fingerprint
from qa_lightning.features import (
    WindowSettings,
    build_features,
    features_fingerprint,
    unheld_examples,
)

log = logging.getLogger(__name__)

PREPARATION_VERSION = 4
_NAMED_IDS = 5

Source = str | Sequence[str] | Mapping[str, str | Sequence[str]] | MemorySource


@dataclass(frozen=True)
class SourceSettings:
    """Say where rows come from; the fields are `load_examples`' arguments."""

    source: Source
    dataset_config: str | None
    revision: str | None
    columns: Mapping[str, str] | None
    cache_dir: str | None
    seed: int
    skip_unreadable: bool = False


@dataclass(frozen=True)
class AlignmentSettings:
    """Say how answers become trusted spans; the fields are `align_examples`' arguments."""

    policy: str
    threshold: float
    language: str | None


@dataclass(frozen=True)
class SplitRole:
    """Say what a split is for.

    Attributes:
        split: name and slice, as ``train[:5%]``.
        training: windows may be left out, and examples without a trusted span are.
        labels: there are gold answers, and windows are labelled with them.
    """

    split: str
    training: bool = False
    labels: bool = True


@dataclass(frozen=True)
class Preparation:
    """Say all that a prepared split depends on, and where it is kept."""

    role: SplitRole
    source: SourceSettings
    alignment: AlignmentSettings
    windows: WindowSettings
    tokenizer: PreTrainedTokenizerBase
    cache: Cache
    num_proc: int | None

    @property
    def key(self) -> str:
        """Return the name of its entry in the cache; files are read for it, not rows."""
        return self._keys[0]

    @cached_property
    def _keys(self) -> tuple[str, str]:
        return cache_keys(
            self.role,
            source=self.source,
            alignment=self.alignment,
            windows=self.windows,
            tokenizer=self.tokenizer,
        )

    def cached(self) -> PreparedSplit | None:
        """Return it from the cache; None where it is not there, or damaged."""
        found = self.cache.find(self.key)
        if found is None:
            return None
        folder, lease = found
        try:
            return replace(read_prepared(folder, *self._keys), lease=lease)
        except (OSError, ValueError, KeyError, TypeError) as error:  # of another version
            log.warning(
                "The prepared data in %s cannot be read (%s): preparing anew.", folder, error
            )
            self.cache.discard(folder)
            return None

    def load(self, progress: Progress = untold) -> datasets.Dataset:
        """Read and check the rows.

        Raises:
            InputError: the data, the split or some rows cannot be read.
        """
        log.info("preparing split %r", self.role.split)
        return load_examples(
            self.source.source,
            split=self.role.split,
            dataset_config=self.source.dataset_config,
            revision=self.source.revision,
            columns=self.source.columns,
            cache_dir=self.source.cache_dir,
            seed=self.source.seed,
            with_answers=self.role.labels,
            skip_unreadable=self.source.skip_unreadable,
            progress=progress,
        )

    def make(self, examples: datasets.Dataset, progress: Progress = untold) -> None:
        """Align, tokenize and keep the examples that ``load`` read.

        Raises:
            InputError: nothing is left to train on, or the cache cannot be written.
        """
        with self.cache.building(self.key, self._about()) as folder:
            audit = None
            if self.role.labels:
                examples, audit = _aligned(self, examples, progress)
            save_dataset(examples, folder / "examples")
            if self.role.labels:  # questions to predict may be millions: cut when answered
                features = build_features(
                    examples,
                    self.tokenizer,
                    self.windows,
                    labels=True,
                    training=self.role.training,
                    progress=progress,
                )
                if self.role.training and audit is not None:
                    check_something_is_left(features, audit, self.alignment.policy)
                save_dataset(features, folder / "features")
                rows = unheld_examples(features, examples)
                ids = [examples[row]["id"] for row in rows[:_NAMED_IDS]]
                audit = replace(audit, unheld=len(rows), unheld_ids=ids) if audit else None
            if audit is not None:
                kept = json.dumps({**audit.to_dict(), "shown": audit.shown})  # beside the data
                (folder / "audit.json").write_text(kept, encoding="utf-8")

    def _about(self) -> dict[str, Any]:
        source = self.source.source
        told = "in memory" if isinstance(source, MemorySource) else source
        return {
            "source": told if isinstance(told, str) else json.dumps(told, default=str),
            "split": self.role.split,
            "max_length": self.windows.max_length,
            "doc_stride": self.windows.doc_stride,
            "alignment": self.alignment.policy,
            "tokenizer": str(self.tokenizer.name_or_path),
        }


def prepare_splits(
    wanted: Mapping[str, Preparation], *, bars: bool | None = None
) -> dict[str, PreparedSplit]:
    """Return splits by name, from the cache where they were made before.

    All rows are read and checked before the first split is aligned: what is wrong with the one
    for validation is told before hours go into the one for training.

    Args:
        wanted: what to prepare.
        bars: show how far it is; None is where someone watches.

    Raises:
        InputError: some split cannot be read, or has nothing to train on; all are told.
    """
    with Bars(shown=bars) as progress:
        return _prepared(wanted, progress)


def _prepared(wanted: Mapping[str, Preparation], progress: Progress) -> dict[str, PreparedSplit]:
    found: dict[str, PreparedSplit] = {}
    loaded: dict[str, datasets.Dataset] = {}
    told: list[str] = []
    for name, preparation in wanted.items():
        try:
            prepared = preparation.cached()
            if prepared is None:
                loaded[name] = preparation.load(named(progress, name))
            else:
                found[name] = prepared
        except SplitError as error:
            told.append(f"`data.{name}_split`: {error}")
        except InputError as error:
            told.append(str(error))
    if told:
        raise InputError("\n".join(dict.fromkeys(told)))
    for name in list(loaded):
        wanted[name].make(loaded.pop(name), named(progress, name))
        prepared = wanted[name].cached()
        if prepared is None:
            raise InputError(
                f"Expected the cache in {wanted[name].cache.folder} to keep what was prepared; it "
                "is gone or damaged. Check the disk, or name another `data.cache_dir`."
            )
        found[name] = prepared
    return found


def cache_keys(
    role: SplitRole,
    *,
    source: SourceSettings,
    alignment: AlignmentSettings,
    windows: WindowSettings,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[str, str]:
    """Hash all that a prepared split depends on, and that without the draw of its windows.

    The rows are not read. Both are the same where no window is drawn: of evaluation, and where all
    are kept, seeds share what is prepared.
    """
    content = source_fingerprint(
        source.source,
        split=role.split,
        dataset_config=source.dataset_config,
        revision=source.revision,
        columns=source.columns,
        cache_dir=source.cache_dir,
        seed=source.seed,
        with_answers=role.labels,
        skip_unreadable=source.skip_unreadable,
    )
    parts = [content, PREPARATION_VERSION, ALIGNMENT_VERSION, asdict(alignment), asdict(role)]
    examples = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    undrawn = replace(windows, seed=0)
    is_drawn = role.training and windows.negative_windows < 1
    key, undrawn_key = (
        features_fingerprint(
            examples, tokenizer, settings, training=role.training, labels=role.labels
        )
        for settings in (windows if is_drawn else undrawn, undrawn)
    )
    return key, undrawn_key


def _aligned(
    preparation: Preparation, examples: datasets.Dataset, progress: Progress
) -> tuple[datasets.Dataset, AlignmentAudit]:
    """Align a split; of evaluation with the repaired spans too where the labels are others.

    The figures called repaired are the same whatever a run was trained on: under ``keep`` the
    spans to train on are wrong for a third of the questions, and no model is right to say them.
    """
    role, alignment = preparation.role, preparation.alignment
    align = partial(
        align_examples,
        examples,
        threshold=alignment.threshold,
        drop=role.training,
        language=alignment.language,
        num_proc=preparation.num_proc,
        progress=partial(progress, total=len(examples)),
    )
    aligned, audit = align(policy=alignment.policy)
    if not role.training and alignment.policy in ("keep", "drop"):
        again = partial(named(progress, "repaired"), total=len(examples))
        repaired, _ = align(policy="repair", progress=again)
        spans, feature = repaired["spans"][:], repaired.features["spans"]
        aligned = aligned.add_column("repaired_spans", spans, feature=feature)
    return aligned, audit
