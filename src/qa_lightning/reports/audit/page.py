"""An audit as one self-contained page to look through."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final, NamedTuple

from datasets import Dataset

from qa_lightning.alignment import STATUSES, AlignmentAudit
from qa_lightning.reports.audit.facts import DatasetFacts
from qa_lightning.reports.audit.tables import summary_rows

_AROUND: Final = 300  # characters of the context on each side of a span
MAX_ENTRIES: Final = 5_000  # more make a page that browsers scroll badly


class _Entry(NamedTuple):
    """Hold one answer as the page shows it."""

    id: str
    question: str
    answer: str
    status: str
    confidence: float
    before: str
    found: str
    after: str


def audit_page(
    aligned: Dataset,
    audit: AlignmentAudit,
    facts: DatasetFacts,
    *,
    title: str,
    seed: int = 0,
) -> str:
    """Return a page with the summary and every answer in its context, filtered by status.

    Everything is escaped and nothing is loaded from elsewhere. Of more than `MAX_ENTRIES` answers
    a random choice is shown, and the page says so.

    Args:
        aligned: examples with spans.
        audit: what `align_examples` told of them.
        facts: what else is worth telling.
        title: name of the data set.
        seed: of the choice.
    """
    from jinja2 import Environment, StrictUndefined

    entries = list(_entries(aligned))
    shown = entries
    if len(entries) > MAX_ENTRIES:
        chosen = sorted(random.Random(seed).sample(range(len(entries)), MAX_ENTRIES))
        shown = [entries[index] for index in chosen]
    counted = Counter(entry.status for entry in shown)
    template = (resources.files(__package__) / "page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(template).render(
        title=title,
        summary=list(summary_rows(audit, facts)),
        statuses=[(status, counted[status]) for status in STATUSES if counted[status]],
        entries=shown,
        shown=len(shown),
        answers=len(entries),
    )


def _entries(aligned: Dataset) -> Iterator[_Entry]:
    for row in aligned:
        for index in range(len(row["answers"]["text"])):
            yield _entry(row, index)


def _entry(row: Mapping[str, Any], index: int) -> _Entry:
    spans, context = row["spans"], row["context"]
    start, end = spans["start_char"][index], spans["end_char"][index]
    if start is None:
        before, found, after = _shortened(context, 2 * _AROUND), "", ""
    else:
        before = context[max(start - _AROUND, 0) : start]
        before = f"…{before}" if start > _AROUND else before
        found, after = context[start:end], _shortened(context[end:], _AROUND)
    return _Entry(
        id=row["id"],
        question=row["question"],
        answer=row["answers"]["text"][index],
        status=spans["status"][index],
        confidence=spans["confidence"][index],
        before=before,
        found=found,
        after=after,
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
