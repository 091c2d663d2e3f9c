"""An audit in the terminal: a summary, and single examples with their answers marked."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from datasets import Dataset
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from qa_lightning.alignment import AlignmentAudit
from qa_lightning.reports.audit.facts import DatasetFacts, Spread

STATUS_MEANINGS: Final = {
    "exact": "stands at answer_start",
    "moved": "stands elsewhere, or fits another place better",
    "surface": "written otherwise",
    "fuzzy": "worded otherwise",
    "ambiguous": "several equally good places",
    "unaligned": "not found",
}
_LONG: Final = 2_000  # characters of a context that are shown whole
_AROUND: Final = 300  # of a longer one, on each side of an answer
_CEILINGS: Final = {
    "": "a span of the text",
    "_word_borders": "whole words, punctuation apart (evaluation.word_borders)",
    "_in_windows": "a span of tokens in one window",
}


def audit_table(audit: AlignmentAudit, facts: DatasetFacts) -> Table:
    """Return the summary of an audit as a rich table."""
    table = Table(title="Audit", show_header=False, title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("number", justify="right")
    table.add_column("share", justify="right")
    for rows in (_answer_rows(audit), _ceiling_rows(audit, facts), _fact_rows(facts)):
        for what, *figures in rows:
            told = what.lstrip()
            indented = Padding(Text(told, overflow="fold"), (0, 0, 0, len(what) - len(told)))
            table.add_row(indented, *figures)
        table.add_section()
    return table


def summary_rows(audit: AlignmentAudit, facts: DatasetFacts) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of the summary: what, number, share."""
    yield from _answer_rows(audit)
    yield from _ceiling_rows(audit, facts)
    yield from _fact_rows(facts)


def _share(number: int, whole: int) -> str:
    return f"{100.0 * number / whole:.1f} %" if whole else "-"


def _answer_rows(audit: AlignmentAudit) -> Iterator[tuple[str, str, str]]:
    whole = audit.answers
    yield "questions", f"{audit.examples:,}", ""
    yield "  without an answer", f"{audit.unanswerable:,}", ""
    yield "answers", f"{whole:,}", ""
    for status, number in audit.by_status.items():
        meaning = STATUS_MEANINGS.get(status, "")
        yield f"  {status}: {meaning}", f"{number:,}", _share(number, whole)
    trusted = f"trusted (exact, or confidence {audit.threshold:g} or more)"
    yield trusted, f"{audit.trusted:,}", _share(audit.trusted, whole)
    yield "  repaired", f"{audit.repaired:,}", _share(audit.repaired, whole)
    yield "    by an offset that was off", f"{audit.drifted:,}", ""
    yield "    moved to a better occurrence", f"{audit.changed_occurrences:,}", ""
    yield "only inside larger words", f"{audit.inside_words:,}", _share(audit.inside_words, whole)
    yield "  cut inside a letter, left as they are", f"{audit.inside_letters:,}", ""
    yield "questions left without a span", f"{audit.without_span:,}", ""
    if audit.unheld is not None:
        first = ", ".join(audit.unheld_ids)
        yield "questions whose answer no window holds", f"{audit.unheld:,}", first
    yield "offsets count", audit.offset_unit or "characters", ""
    if audit.only_zeros_are_noise:
        yield "  0 stands for a missing one, where the text is not there", "", ""
    elif audit.offsets_are_noise:
        yield "  where the text is not there they say nothing", "", ""
    if audit.places_are_searched:
        yield "  where it is, a search put it: the questions prove that nobody chose", "", ""
    yield "language", audit.language or "not told: no rules but of writing", ""


def _ceiling_rows(audit: AlignmentAudit, facts: DatasetFacts) -> Iterator[tuple[str, str, str]]:
    if not audit.ceilings:
        return
    yield "best official scores in reach", "EM", "F1"
    most = facts.max_answer_length
    limited = {f"_{most}_words": f"from blank to blank, at most {most} words"}
    for suffix, meaning in {**_CEILINGS, **limited}.items():
        if f"f1{suffix}" in audit.ceilings:
            scores = (audit.ceilings[f"{name}{suffix}"] for name in ("exact_match", "f1"))
            exact_match, f1 = (f"{score:.1f}" for score in scores)
            yield f"  {meaning}", exact_match, f1


def _fact_rows(facts: DatasetFacts) -> Iterator[tuple[str, str, str]]:
    yield "distinct contexts", f"{facts.contexts:,}", ""
    yield "  with HTML entities", f"{facts.entity_contexts:,}", ""
    yield "duplicated ids", f"{facts.duplicate_ids:,}", ""
    yield "duplicated questions (same context)", f"{facts.duplicate_questions:,}", ""
    yield "empty contexts", f"{facts.empty_contexts:,}", ""
    yield "empty questions", f"{facts.empty_questions:,}", ""
    long = f"answers longer than {facts.max_answer_length} words"
    yield long, f"{facts.long_answers:,}", ""
    yield "words in a context", *_spread(facts.context_words)
    yield "questions on a context", *_spread(facts.questions_per_context)


def _spread(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:,}", f"95 %: {spread.high:,}, max: {spread.largest:,}"


def example_panels(aligned: Dataset, number: int, *, seed: int = 0) -> Iterator[Panel]:
    """Yield random examples, the answers highlighted in their contexts.

    Args:
        aligned: examples with spans.
        number: how many, all of them where there are fewer.
        seed: of the choice.
    """
    chosen = random.Random(seed).sample(range(len(aligned)), min(number, len(aligned)))
    for index in sorted(chosen):
        yield _panel(aligned[index])


def _panel(row: Mapping[str, Any]) -> Panel:
    body = Text(row["context"])
    notes = Text()
    spans = row["spans"]
    marked = []
    for index, answer in enumerate(row["answers"]["text"]):
        start, end = spans["start_char"][index], spans["end_char"][index]
        if start is not None:
            body.stylize("bold black on yellow", start, end)
            marked.append((start, end))
        found = "no span" if start is None else repr(row["context"][start:end])
        told = f"{spans['status'][index]}, {spans['confidence'][index]:.2f}"
        notes.append(f"\n{answer!r} → {found} ({told})")
    question = Text(f"\n\n{row['question']}", style="bold")
    shown = Text.assemble(_around(body, marked), question, notes)
    return Panel(shown, title=Text(row["id"]), title_align="left")


def _around(body: Text, marked: Sequence[tuple[int, int]]) -> Text:
    """Return a text, of a long one only what stands around its marks; else its beginning."""
    if len(body) <= _LONG:
        return body
    parts: list[tuple[int, int]] = []
    for start, end in sorted(marked) or [(0, 0)]:
        low, high = max(0, start - _AROUND), min(len(body), end + _AROUND)
        if parts and low <= parts[-1][1]:
            low, high = parts[-1][0], max(parts.pop()[1], high)
        parts.append((low, high))
    shown = Text(" … ").join(body[low:high] for low, high in parts)
    return Text.assemble("… " if parts[0][0] else "", shown, " …" if high < len(body) else "")
