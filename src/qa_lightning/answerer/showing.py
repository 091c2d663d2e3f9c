"""Answers as a notebook shows them: marked in their passage, everything escaped."""

from html import escape
from typing import TYPE_CHECKING, Final

from qa_lightning.marking import marked_html

if TYPE_CHECKING:
    from qa_lightning.answerer.records import Answers, PlacedAnswer

_QUIET: Final = "opacity:.75;font-size:90%"


def passage_html(answer: "PlacedAnswer") -> str:
    """Return an answer's snippet with the answer marked, and where it stands."""
    snippet = answer.snippet
    start, end = answer.start_char - snippet.start_char, answer.end_char - snippet.start_char
    before, found, after = snippet.text[:start], snippet.text[start:end], snippet.text[end:]
    lead = "… " if snippet.start_char else ""
    return (
        f"{marked_html(lead + before, found, after)}"
        f'<div style="{_QUIET}">confidence {answer.confidence:.2f} · characters '
        f"{answer.start_char} to {answer.end_char}"
        f"{f' · document {answer.document}' if answer.document else ''}</div>"
    )


def answers_html(answers: "Answers") -> str:
    """Return a question with its answers, best first; of no answer, what it would have been."""
    parts = [f"<div><strong>{escape(answers.question)}</strong></div>"]
    if not answers.is_answerable:
        told = "No answer" + (", the nearest being:" if answers.n_best else ".")
        parts.append(f"<div>{told} (confidence {answers.confidence:.2f})</div>")
    items = "".join(f"<li>{passage_html(answer)}</li>" for answer in answers)
    return "".join([*parts, f"<ol>{items}</ol>" if items else ""])
