"""Answers as one page of HTML: the documents with the answers marked, and the way to each.

It is one file, loads nothing and runs no script; what documents and questions hold is escaped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from qa_lightning.answerer.records import Answers, PlacedAnswer

_FAINT: Final = 0.18  # of the mark's colour, of an answer that is hardly one


class _Shown(NamedTuple):
    """Hold an answer and what the page calls it."""

    name: str
    answer: "PlacedAnswer"


class _Piece(NamedTuple):
    """Hold a piece of a document's text, and the answers that cover it and begin with it."""

    text: str
    strength: float
    begins: tuple[_Shown, ...]


class _Section(NamedTuple):
    """Hold one document, or a part of one."""

    title: str
    pieces: Sequence[_Piece]


def answers_page(asked: "Iterable[Answers]") -> str:
    """Return a page with some questions' answers, marked in their documents.

    Each answer in the list leads to its place, and each place back to the list, by links: with a
    click, a finger or the keyboard. The stronger the mark, the higher the confidence.

    Args:
        asked: what was answered.
    """
    from jinja2 import Environment, StrictUndefined

    shown = [
        (answers, [_Shown(f"{q}-{a}", answer) for a, answer in enumerate(answers, start=1)])
        for q, answers in enumerate(asked, start=1)
    ]
    template = (resources.files(__package__) / "page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(template).render(
        asked=[{"answers": answers, "shown": entries} for answers, entries in shown],
        sections=list(_sections(shown)),
        strength=_strength,
        heat=_heat,
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # half a character has no UTF-8 form


def _sections(shown: "Sequence[tuple[Answers, list[_Shown]]]") -> Iterator[_Section]:
    """Yield each document once, with the answers of all questions that stand in it."""
    held: dict[tuple[int, str], tuple[list[str], list[_Shown]]] = {}
    for answers, entries in shown:
        for number, text in answers.texts.items():
            titles, theirs = held.setdefault((text.start_char, text.text), ([], []))
            found = [entry for entry in entries if entry.answer.document == number]
            theirs.extend(found)
            titles.extend(entry.answer.source for entry in found if entry.answer.source)
    for (start, content), (titles, theirs) in held.items():
        title = titles[0] if titles else "Document"
        part = f", from character {start:,}" if start else ""
        yield _Section(f"{title}{part}", list(_pieces(content, start, theirs)))


def _pieces(text: str, first_char: int, entries: Sequence[_Shown]) -> Iterator[_Piece]:
    """Yield a text in pieces that the same answers cover."""
    spans = [
        (shown.answer.start_char - first_char, shown.answer.end_char - first_char, shown)
        for shown in entries
    ]
    places = sorted({0, len(text), *(p for start, end, _ in spans for p in (start, end))})
    for start, end in pairwise(places):
        covering = [shown for first, last, shown in spans if first <= start and end <= last]
        strength = max((_strength(shown.answer.confidence) for shown in covering), default=0.0)
        begins = tuple(shown for first, _, shown in spans if first == start)
        yield _Piece(text[start:end], strength, begins)


def _strength(confidence: float) -> float:
    """Return how much of the mark's colour a confidence has, 0 to 1."""
    return round(_FAINT + (1 - _FAINT) * min(max(confidence, 0.0), 1.0), 2)


def _heat(answer: "PlacedAnswer") -> Iterator[Mapping[str, Any]]:
    """Yield the tokens of an answer's sentence, and what stands between them."""
    start = answer.sentence.start_char
    for token in answer.tokens:
        if token.start_char > start:
            first, last = (at - answer.sentence.start_char for at in (start, token.start_char))
            yield {"text": answer.sentence.text[first:last], "token": None}
        yield {"text": token.text, "token": token}
        start = max(start, token.end_char)
