"""What a notebook shows of answers and audits."""

import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from qa_lightning.alignment import align_examples
from qa_lightning.answerer import Answers, PlacedAnswer
from qa_lightning.answerer.records import snippet_around
from qa_lightning.examples import MemorySource, load_examples
from running import rows_of


class Balanced(HTMLParser):
    """Check that every tag is closed, and collect the marked texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.marked: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "mark":
            self.marked.append(data)


def answers_on(context: str, start: int, end: int, *, answerable: bool = True) -> Answers:
    placed = PlacedAnswer(
        context[start:end], start, end, 1.0, 0.75, snippet_around(context, start, end)
    )
    return Answers("Quem <é>?", (placed,), answerable, 0.25, 0.0)


@given(st.text("ab <>&\"'\né", min_size=1, max_size=400), st.data())
def test_the_answer_is_marked_and_nothing_is_markup(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    page = answers_on(context, start, end)._repr_html_()
    assert "".join(Balanced(page).marked) == context[start:end]
    assert "Quem &lt;é&gt;?" in page
    shown = unescape(re.sub(r"<[^>]*>", "", page))
    assert answers_on(context, start, end)[0].snippet.text in shown


def test_no_answer_is_told_with_what_it_would_have_been() -> None:
    page = answers_on("Ana fundou a empresa.", 0, 3, answerable=False)._repr_html_()
    assert "No answer" in page
    assert Balanced(page).marked == ["Ana"]
    assert Answers("Q?", (), False, 1.0, 0.0)._repr_html_().endswith("(confidence 1.00)</div>")


def test_an_audit_shows_its_counts() -> None:
    examples = load_examples(MemorySource({"train": rows_of(7)}), split="train")
    _, audit = align_examples(examples, policy="repair", language="pt")
    page = audit._repr_html_()
    Balanced(page)
    assert f"<td>exact</td><td>{audit.by_status['exact']}</td>" in page
    assert "7 answers of 7 questions" in page
