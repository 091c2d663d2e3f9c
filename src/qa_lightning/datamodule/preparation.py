"""From raw rows to windows on disk: read once, aligned once, tokenized once.

The cache has one explicit key: the content of the data, the tokenizer, the arguments that
matter, and the version constants of our code. An entry is a folder that appears whole or not
at all, so that processes may race for it.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import datasets
from transformers import PreTrainedTokenizerBase

from qa_lightning.alignment import ALIGNMENT_VERSION, AlignmentAudit, align_examples
from qa_lightning.examples import MemorySource, load_examples, source_fingerprint
from qa_lightning.features import (
    WindowSettings,
    build_features,
    features_fingerprint,
    unheld_examples,
)

log = logging.getLogger(__name__)

PREPARATION_VERSION = 3
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
class PreparedSplit:
    """Hold one split, ready for the dataloader, memory-mapped from the cache."""

    examples: datasets.Dataset
    features: datasets.Dataset | None
    audit: AlignmentAudit | None
    fingerprint: str


def prepare_split(
    role: SplitRole,
    *,
    source: SourceSettings,
    alignment: AlignmentSettings,
    windows: WindowSettings,
    tokenizer: PreTrainedTokenizerBase,
    cache_dir: Path,
    num_proc: int | None,
) -> PreparedSplit:
    """Return a split's examples and windows, from the cache where they were made before."""
    key = cache_key(role, source=source, alignment=alignment, windows=windows, tokenizer=tokenizer)
    entry = cache_dir / key
    if (prepared := _read_if_sound(entry, key)) is not None:
        return prepared
    cache_dir.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=cache_dir))
    try:
        request = (role, source, alignment, windows)
        _build(*request, tokenizer=tokenizer, folder=scratch, num_proc=num_proc)
        _publish(scratch, entry)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _read(entry, key)


def cache_key(
    role: SplitRole,
    *,
    source: SourceSettings,
    alignment: AlignmentSettings,
    windows: WindowSettings,
    tokenizer: PreTrainedTokenizerBase,
) -> str:
    """Hash all that a prepared split depends on, without reading the rows."""
    content = source_fingerprint(
        source.source,
        split=role.split,
        dataset_config=source.dataset_config,
        revision=source.revision,
        columns=source.columns,
        cache_dir=source.cache_dir,
        seed=source.seed,
        with_answers=role.labels,
    )
    parts = [content, PREPARATION_VERSION, ALIGNMENT_VERSION, asdict(alignment), asdict(role)]
    examples = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return features_fingerprint(
        examples, tokenizer, windows, training=role.training, labels=role.labels
    )


def _build(
    role: SplitRole,
    source: SourceSettings,
    alignment: AlignmentSettings,
    windows: WindowSettings,
    *,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    num_proc: int | None,
) -> None:
    log.info("preparing split %r", role.split)
    examples = load_examples(
        source.source,
        split=role.split,
        dataset_config=source.dataset_config,
        revision=source.revision,
        columns=source.columns,
        cache_dir=source.cache_dir,
        seed=source.seed,
        with_answers=role.labels,
    )
    audit = None
    if role.labels:
        examples, audit = _aligned(role, examples, alignment, num_proc)
    _save(examples, folder / "examples")
    if role.labels:  # questions to predict may be millions: they are cut while they are answered
        features = build_features(examples, tokenizer, windows, labels=True, training=role.training)
        _save(features, folder / "features")
        rows = unheld_examples(features, examples)
        ids = [examples[row]["id"] for row in rows[:_NAMED_IDS]]
        audit = replace(audit, unheld=len(rows), unheld_ids=ids) if audit else None
    if audit is not None:
        (folder / "audit.json").write_text(json.dumps(audit.to_dict()), encoding="utf-8")


def _aligned(
    role: SplitRole, examples: datasets.Dataset, alignment: AlignmentSettings, num_proc: int | None
) -> tuple[datasets.Dataset, AlignmentAudit]:
    """Align a split; of evaluation with the repaired spans too where the labels are others.

    The figures called repaired are the same whatever a run was trained on: under ``keep`` the
    spans to train on are wrong for a third of the questions, and no model is right to say them.
    """
    align = partial(
        align_examples,
        examples,
        threshold=alignment.threshold,
        drop=role.training,
        language=alignment.language,
        num_proc=num_proc,
    )
    aligned, audit = align(policy=alignment.policy)
    if not role.training and alignment.policy in ("keep", "drop"):
        repaired, _ = align(policy="repair")
        spans, feature = repaired["spans"][:], repaired.features["spans"]
        aligned = aligned.add_column("repaired_spans", spans, feature=feature)
    return aligned, audit


def unheld_message(name: str, prepared: PreparedSplit, windows: WindowSettings) -> str | None:
    """Return a sentence on the questions whose answer no window holds, if there are such.

    Args:
        name: key of the split, such as ``train_split``.
        prepared: the split.
        windows: what its windows were made by.
    """
    audit = prepared.audit
    if audit is None or not audit.unheld:
        return None
    asked = len(prepared.examples)
    named = ", ".join(audit.unheld_ids)
    more = ", …" if audit.unheld > len(audit.unheld_ids) else ""
    return (
        f"`data.{name}`: no window of {windows.max_length} tokens that overlaps the next by "
        f"{windows.doc_stride} holds the whole answer of {audit.unheld:,} of {asked:,} questions "
        f"({named}{more}). Windows that would be taught that there is none are left out of the "
        "loss. Raise `data.doc_stride` to the longest answer's tokens, or `data.max_length`."
    )


def _save(dataset: datasets.Dataset, folder: Path) -> None:
    """Write a data set without the bar of ``save_to_disk``: copying takes no time worth one."""
    disabled = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        dataset.save_to_disk(folder)
    finally:
        if not disabled:
            datasets.enable_progress_bars()


def _publish(scratch: Path, entry: Path) -> None:
    """Move a finished entry into place; another process may have been faster."""
    try:
        scratch.rename(entry)
    except OSError:
        if not entry.is_dir():
            raise


def _read_if_sound(entry: Path, key: str) -> PreparedSplit | None:
    """Return what an entry holds; None where there is none, or a damaged one, which is removed."""
    if not entry.is_dir():
        return None
    try:
        return _read(entry, key)
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's and json's are among
        log.warning("The prepared data in %s cannot be read (%s): preparing anew.", entry, error)
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _read(entry: Path, key: str) -> PreparedSplit:
    audit_file, windows = entry / "audit.json", entry / "features"
    return PreparedSplit(
        examples=datasets.load_from_disk(str(entry / "examples")),
        features=datasets.load_from_disk(str(windows)) if windows.is_dir() else None,
        audit=AlignmentAudit.from_dict(json.loads(audit_file.read_text(encoding="utf-8")))
        if audit_file.is_file()
        else None,
        fingerprint=key,
    )
