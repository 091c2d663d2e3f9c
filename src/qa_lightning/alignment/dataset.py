"""Whole data sets: every answer gets a checked span, by one of five policies."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

from datasets import Dataset, Features, List, Value

from qa_lightning.alignment.lexicon import detect_language
from qa_lightning.alignment.locate import locate_answer
from qa_lightning.alignment.records import STATUSES, AlignedSpan, AlignmentAudit
from qa_lightning.errors import InputError

# Part of the cache's key: raise it whenever the same input may get other spans.
ALIGNMENT_VERSION: Final = 4
DEFAULT_THRESHOLD: Final = 0.85
POLICIES: Final = ("repair", "drop", "no_answer", "keep", "strict")

SPANS_FEATURE: Final = {
    "start_char": List(Value("int32")),
    "end_char": List(Value("int32")),
    "status": List(Value("string")),
    "confidence": List(Value("float32")),
}
_CHUNK: Final = 256
_NAMED_IDS: Final = 5


class _Row(NamedTuple):
    """Hold what alignment reads of one example."""

    example_id: str
    context: str
    question: str
    texts: Sequence[str]
    starts: Sequence[int]


@dataclass(frozen=True)
class _Trust:
    """Decide which span of an answer is trusted under a policy and a threshold."""

    policy: str
    threshold: float

    def span(self, found: AlignedSpan, text: str, answer_start: int) -> tuple[int, int] | None:
        """Return the trusted ``(start_char, end_char)`` of one answer, or None."""
        if self.policy == "keep":
            return answer_start, answer_start + len(text)
        if self.policy == "drop" and found.status != "exact":
            return None
        if found.start_char is None or found.end_char is None:
            return None
        if found.confidence < self.threshold:
            return None
        return found.start_char, found.end_char


def _rows(examples: Dataset) -> Iterator[_Row]:
    for row in examples.select_columns(["id", "context", "question", "answers"]):
        answers = row["answers"]
        yield _Row(
            row["id"], row["context"], row["question"], answers["text"], answers["answer_start"]
        )


def _locate_all(rows: Iterable[_Row], language: str) -> list[list[AlignedSpan]]:
    """Locate the answers of some examples; the unit of work of one process."""
    return [
        [
            locate_answer(row.context, row.question, text, start, language=language)
            for text, start in zip(row.texts, row.starts, strict=True)
        ]
        for row in rows
    ]


def _chunks(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _located(
    examples: Dataset,
    language: str,
    num_proc: int | None,
    progress: Callable[[int], None] | None,
) -> list[list[AlignedSpan]]:
    work = partial(_locate_all, language=language)
    located: list[list[AlignedSpan]] = []

    def collect(parts: Iterable[list[list[AlignedSpan]]]) -> list[list[AlignedSpan]]:
        for part in parts:
            located.extend(part)
            if progress is not None:
                progress(len(part))
        return located

    if num_proc is None or num_proc <= 1:
        return collect(map(work, _chunks(_rows(examples))))
    # Spawned, since forking a process that holds torch or tokenizer threads may hang.
    with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn")) as pool:
        return collect(pool.map(work, _chunks(_rows(examples))))


def _spans_row(row: _Row, found: Sequence[AlignedSpan], trust: _Trust) -> dict[str, list[Any]]:
    spans = [
        trust.span(one, text, start)
        for one, text, start in zip(found, row.texts, row.starts, strict=True)
    ]
    return {
        "start_char": [None if span is None else span[0] for span in spans],
        "end_char": [None if span is None else span[1] for span in spans],
        "status": [one.status for one in found],
        "confidence": [one.confidence for one in found],
    }


def _is_repaired(found: AlignedSpan, start_char: int | None) -> bool:
    return start_char is not None and found.status != "exact"


def _check_arguments(policy: str, threshold: float) -> None:
    if policy not in POLICIES:
        raise InputError(
            f"`alignment` must be one of {', '.join(POLICIES)}. Got {policy!r}. Use 'repair' to "
            "train on checked and repaired spans."
        )
    if not 0.0 <= threshold <= 1.0:
        raise InputError(
            f"`alignment_threshold` must be a confidence from 0 to 1. Got {threshold}. Leave it "
            f"out for the default, {DEFAULT_THRESHOLD}."
        )


def _refuse_misaligned(rows: Sequence[_Row], located: Sequence[Sequence[AlignedSpan]]) -> None:
    """Raise for the policy ``strict`` where an answer's text is not at its place."""
    bad = [
        row.example_id
        for row, found in zip(rows, located, strict=True)
        if not all(_stands(row, index) for index in range(len(found)))
    ]
    if bad:
        named = ", ".join(map(repr, bad[:_NAMED_IDS]))
        raise InputError(
            f"Expected every answer at its `answer_start`, as `alignment: strict` demands. Got "
            f"{len(bad)} of {len(rows)} examples where it is not, the first: {named}. Run "
            "`qa-lightning audit` on the data, or use `alignment: repair`."
        )


def _stands(row: _Row, index: int) -> bool:
    text, start = row.texts[index], row.starts[index]
    return start >= 0 and row.context[start : start + len(text)] == text and bool(text)


def _audit(
    located: Sequence[Sequence[AlignedSpan]],
    spans: Sequence[Mapping[str, list[Any]]],
    *,
    trust: _Trust,
    dropped: int,
) -> AlignmentAudit:
    flat = [one for found in located for one in found]
    starts = [start for row in spans for start in row["start_char"]]
    counted = Counter(one.status for one in flat)
    return AlignmentAudit(
        policy=trust.policy,
        threshold=trust.threshold,
        examples=len(located),
        unanswerable=sum(not found for found in located),
        answers=len(flat),
        by_status={status: counted[status] for status in STATUSES},
        trusted=sum(start is not None for start in starts),
        repaired=sum(map(_is_repaired, flat, starts)) if trust.policy != "keep" else 0,
        changed_occurrences=sum(one.occurrence_changed for one in flat),
        inside_words=sum(one.inside_word for one in flat),
        without_span=sum(not _has_span(row) for row in spans),
        dropped=dropped,
    )


def _has_span(spans: Mapping[str, list[Any]]) -> bool:
    """Tell whether an example keeps a trusted span, or never had an answer."""
    starts = spans["start_char"]
    return not starts or any(start is not None for start in starts)


def align_examples(
    examples: Dataset,
    *,
    policy: str,
    threshold: float = DEFAULT_THRESHOLD,
    drop: bool = True,
    language: str | None = None,
    num_proc: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Dataset, AlignmentAudit]:
    """Add the column ``spans`` to examples, and say what was found and done.

    The gold columns are never changed. ``spans`` runs parallel to ``answers``: half-open
    ``start_char`` and ``end_char`` in the raw context, null where no span is trusted, with the
    ``status`` and the ``confidence`` of what was found.

    Args:
        examples: canonical examples.
        policy: ``repair`` trusts every span from the threshold on; ``drop`` only answers that
            stand at ``answer_start``; ``no_answer`` trusts as ``repair`` and keeps the others, to
            be labelled as unanswerable; ``keep`` trusts ``answer_start`` blindly; ``strict``
            refuses data with a misaligned answer.
        threshold: confidence from which a span is trusted.
        drop: leave out examples that have answers but no trusted span (for training; ``repair``
            and ``drop`` only). False for evaluation: nothing is removed.
        language: ISO 639-1 code; None to tell it from the contexts.
        num_proc: number of processes; None for this one alone.
        progress: called with the number of examples done since the last call.

    Raises:
        InputError: unknown policy or language, threshold outside 0 to 1, or, under ``strict``,
            an answer that is not at its ``answer_start``.
    """
    _check_arguments(policy, threshold)
    trust = _Trust(policy, threshold)
    rows = list(_rows(examples))
    code = language or detect_language(row.context for row in rows)
    located = _located(examples, code, num_proc, progress)
    if policy == "strict":
        _refuse_misaligned(rows, located)
    spans = [_spans_row(row, found, trust) for row, found in zip(rows, located, strict=True)]
    aligned = examples.add_column("spans", spans, feature=Features(SPANS_FEATURE))
    kept = [index for index, row in enumerate(spans) if _has_span(row)]
    if drop and policy in ("repair", "drop") and len(kept) < len(spans):
        aligned = aligned.select(kept)
    dropped = len(spans) - len(aligned)
    return aligned, _audit(located, spans, trust=trust, dropped=dropped)
