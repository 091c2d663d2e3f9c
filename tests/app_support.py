"""A page that is served in this process, and an answerer whose answers are known."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import Page

from qa_lightning.answerer import Answers, PlacedAnswer
from qa_lightning.answerer.records import snippet_around
from qa_lightning.app import Corrections, build_page, serve


class Finder:
    """Answer with the places of the words that a question quotes, most certain first.

    Without any of them there is no answer; the nearest would have been the document's first word.
    """

    def read(self, text: str) -> Any:
        return SimpleNamespace(text=text)

    def answer_documents(self, question: str, documents: Sequence[Any], n_best: int) -> Answers:
        found = [
            (number, place.start(), place.end())
            for words in re.findall('"(.*?)"', question)
            for number, document in enumerate(documents)
            for place in re.finditer(re.escape(words), document.text)
        ][:n_best]
        spans = found or [(0, *re.search(r"\S+", documents[0].text).span())]
        shares = [0.6 / 2**rank for rank in range(len(spans))]
        return Answers(
            question=question,
            n_best=tuple(
                PlacedAnswer(
                    documents[number].text[start:end],
                    start,
                    end,
                    score=share,
                    confidence=share if found else 0.1,
                    snippet=snippet_around(documents[number].text, start, end),
                    document=number,
                )
                for share, (number, start, end) in zip(shares, spans, strict=True)
            ),
            is_answerable=bool(found),
            no_answer_probability=0.05 if found else 0.9,
            null_score=0.0,
        )


@contextmanager
def served(answerer: Any, corrections: Path) -> Iterator[str]:
    """Serve the page on this machine; yield its address."""
    page = build_page(answerer, Corrections(corrections), name="demo")
    try:
        yield serve(page, host="127.0.0.1", port=None)
    finally:
        page.close(verbose=False)


def visit(page: Page, address: str) -> Page:
    """Open the page and wait until it is ready."""
    page.goto(address)
    page.locator(".qa-reader").wait_for(state="attached")
    return page


def open_text(page: Page, text: str) -> None:
    """Paste a document; what is done next waits for it on the server."""
    page.get_by_role("tab", name="Paste a text").click()
    page.get_by_label("Text of a document").fill(text)
    page.get_by_role("button", name="Open the text").click()


def ask(page: Page, question: str) -> None:
    """Ask, and wait for the answers."""
    box = page.get_by_label("Question", exact=True)
    box.fill(question)
    box.press("Enter")
    page.locator(".qa-question", has_text=question).wait_for()
