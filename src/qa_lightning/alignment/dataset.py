"""Whole data sets: every answer gets a checked span, by one of five policies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from datasets import Dataset, Features, List, Value

from qa_lightning.alignment.exactness import SURE
from qa_lightning.alignment.locating import locate_rows
from qa_lightning.alignment.offsets import Offsets, measure_offsets
from qa_lightning.alignment.records import STATUSES, AlignedSpan, AlignmentAudit
from qa_lightning.alignment.rows import (
    Progress,
    Row,
    language_of_rows,
    read_rows,
    stated_answers,
)
from qa_lightning.alignment.shown import shown_answers
from qa_lightning.errors import InputError

# Part of the cache's key: raise it whenever the same input may get other spans.
ALIGNMENT_VERSION: Final = 15
DEFAULT_THRESHOLD: Final = 0.85
POLICIES: Final = ("repair", "drop", "no_answer", "keep", "strict")

SPANS_FEATURE: Final = {
    "start_char": List(Value("int32")),
    "end_char": List(Value("int32")),
    "status": List(Value("string")),
    "confidence": List(Value("float32")),
}
_AS_GIVEN: Final = ("drop", "strict")
_NAMED_IDS: Final = 5


@dataclass(frozen=True)
class _Trust:
    """Decide which span of an answer is trusted under a policy and a threshold."""

    policy: str
    threshold: float

    def span(self, found: AlignedSpan, row: Row, index: int) -> tuple[int, int] | None:
        """Return the trusted ``(start_char, end_char)`` of one answer, or None.

        ``keep``, ``drop`` and ``strict`` use the spans of the data and no other. What stands at its
        ``answer_start`` is never left out for doubts about the place: there is no better one.
        """
        start = row.starts[index]
        if self.policy == "keep" or (self.policy in _AS_GIVEN and row.stands(index)):
            return start, start + len(row.texts[index])
        if self.policy in _AS_GIVEN or found.start_char is None or found.end_char is None:
            return None
        confidence = SURE if found.status == "exact" else found.confidence
        if confidence < self.threshold:
            return None
        return found.start_char, found.end_char


def _spans_row(row: Row, found: Sequence[AlignedSpan], trust: _Trust) -> dict[str, list[Any]]:
    spans = [trust.span(one, row, index) for index, one in enumerate(found)]
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


def _refuse_misaligned(rows: Sequence[Row]) -> None:
    """Raise for the policy ``strict`` where an answer's text is not at its place."""
    bad = [
        row.example_id
        for row in rows
        if not all(row.stands(index) for index in range(len(row.texts)))
    ]
    if bad:
        named = ", ".join(map(repr, bad[:_NAMED_IDS]))
        raise InputError(
            f"Expected every answer at its `answer_start`, as `alignment: strict` demands. Got "
            f"{len(bad)} of {len(rows)} examples where it is not, the first: {named}. Run "
            "`qa-lightning audit` on the data, or use `alignment: repair`."
        )


def _as_given(row: Row, found: Sequence[AlignedSpan]) -> list[AlignedSpan]:
    """Return what was found with the data's own span wherever its text stands there."""
    return [
        AlignedSpan(row.starts[index], row.starts[index] + len(row.texts[index]), "exact", SURE)
        if row.stands(index) and one.status != "exact"
        else one
        for index, one in enumerate(found)
    ]


def _audit(
    located: Sequence[Sequence[AlignedSpan]],
    spans: Sequence[Mapping[str, list[Any]]],
    *,
    trust: _Trust,
    dropped: int,
    language: str | None,
    offsets: Offsets,
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
        language=language,
        drifted=sum(one.drifted for one in flat),
        offset_unit=offsets.told_unit,
        offsets_are_noise=offsets.are_noise or offsets.zeros_are_noise,
        only_zeros_are_noise=offsets.zeros_are_noise and not offsets.are_noise,
        places_are_searched=offsets.are_searched,
        inside_letters=sum(one.inside_letter for one in flat),
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
    progress: Progress | None = None,
) -> tuple[Dataset, AlignmentAudit]:
    """Add the column ``spans`` to examples, and say what was found and done.

    The gold columns are never changed. ``spans`` runs parallel to ``answers``: half-open
    ``start_char`` and ``end_char`` in the raw context, null where no span is trusted, with the
    ``status`` and the ``confidence`` of what was found.

    Args:
        examples: canonical examples.
        policy: ``repair`` trusts every span from the threshold on; ``drop`` only answers that
            stand at ``answer_start``, there; ``no_answer`` trusts as ``repair`` and keeps the
            others, to be labelled as unanswerable; ``keep`` trusts ``answer_start`` blindly;
            ``strict`` does too, and refuses data with a misaligned answer.
        threshold: confidence from which a span is trusted; an exact one is, up to 0.99.
        drop: leave out examples that have answers but no trusted span (for training; ``repair``
            and ``drop`` only). False for evaluation: nothing is removed.
        language: ISO 639-1 code; None to tell it from the contexts, which may be in one of which
            nothing is known.
        num_proc: number of processes; None for this one alone.
        progress: called with the phase, ``offsets`` or ``questions``, and the number of examples
            done in it since the last call.

    Raises:
        InputError: unknown policy or language, threshold outside 0 to 1, or, under ``strict``,
            an answer that is not at its ``answer_start``.
    """
    _check_arguments(policy, threshold)
    trust = _Trust(policy, threshold)
    tell = progress or _untold
    rows = read_rows(examples)
    if policy == "strict":
        _refuse_misaligned(rows)
    code = language or language_of_rows(rows)
    offsets = measure_offsets(stated_answers(rows, tell), code)
    located = locate_rows(rows, code, offsets, num_proc=num_proc, progress=tell)
    if policy in _AS_GIVEN:
        located = [_as_given(row, found) for row, found in zip(rows, located, strict=True)]
    spans = [_spans_row(row, found, trust) for row, found in zip(rows, located, strict=True)]
    aligned = examples.add_column("spans", spans, feature=Features(SPANS_FEATURE))
    kept = [index for index, row in enumerate(spans) if _has_span(row)]
    if drop and policy in ("repair", "drop") and len(kept) < len(spans):
        aligned = aligned.select(kept)
    dropped = len(spans) - len(aligned)
    audit = _audit(located, spans, trust=trust, dropped=dropped, language=code, offsets=offsets)
    shown = shown_answers(rows, located, [row["start_char"] for row in spans])
    return aligned, replace(audit, shown=shown)


def _untold(phase: str, done: int) -> None:
    """Take in progress that nobody asked for."""
