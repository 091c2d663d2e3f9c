"""What a notebook shows of answers and audits."""

import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from qa_lightning import QADataModule
from qa_lightning.alignment import AlignmentAudit, align_examples
from qa_lightning.answerer import Answers, PlacedAnswer
from qa_lightning.answerer.records import snippet_around
from qa_lightning.demo import demo_tokenizer
from qa_lightning.errors import InputError
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


@pytest.fixture(scope="module")
def noisy() -> Dataset:
    return load_examples("demo", split="train[:80]", dataset_config="noisy")


@pytest.mark.parametrize("policy", ["repair", "drop", "no_answer", "keep"])
def test_an_audit_shows_answers_of_every_status_where_they_were_found(
    policy: str, noisy: Dataset
) -> None:
    aligned, audit = align_examples(noisy, policy=policy, language="pt", drop=False)
    assert len(audit.shown) == 10
    counted = Counter(shown.status for shown in audit.shown)
    present = {status: count for status, count in audit.by_status.items() if count}
    for status, count in present.items():
        assert counted[status] >= min(count, 10 // len(present))
    rows = {row["id"]: row for row in aligned}
    for shown in audit.shown:
        row = rows[shown.id]
        passage = shown.before.removeprefix("… ") + shown.found + shown.after.removesuffix(" …")
        assert passage in row["context"]
        assert (row["question"], row["answers"]["text"][0]) == (shown.question, shown.answer)
        assert shown.status == row["spans"]["status"][0]
        assert shown.trusted == (row["spans"]["start_char"][0] is not None)
        assert shown.found or shown.status in ("unaligned", "ambiguous")
    page = audit._repr_html_()
    assert Balanced(page).marked == [shown.found for shown in audit.shown if shown.found]
    assert page.count("left out") - 1 == sum(not shown.trusted for shown in audit.shown)


def test_texts_of_an_audit_stay_where_the_data_is(tmp_path: Path) -> None:
    rows = [{**row, "question": "Onde <b>mora</b> o segredo?"} for row in rows_of(6)]
    data = QADataModule(train=rows, validation=rows, tokenizer=demo_tokenizer(seed=0),
                        cache_dir=str(tmp_path), max_length=128, doc_stride=48)  # fmt: skip
    for _ in range(2):  # made, and then read from the cache
        data.prepare_data()
        data.setup("fit")
        audit = data.alignment_audit
        assert audit is not None
        assert len(audit.shown) == 6
        assert "&lt;b&gt;mora" in audit._repr_html_()
        assert "segredo" not in json.dumps(audit.to_dict()) + repr(audit)
        data = QADataModule(**{**data.hparams, "in_memory": None, "tokenizer": data.tokenizer},
                            train=rows, validation=rows)  # fmt: skip
    assert AlignmentAudit.from_dict(audit.to_dict()) == audit


def test_a_mistake_is_one_message_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as raised:
        QADataModule(train=3)
    ask = raised.value._render_traceback_  # IPython's way to ask an exception how it looks
    assert ask() == [f"InputError: {raised.value}"]
    monkeypatch.setenv("QA_LIGHTNING_DEBUG", "1")
    with pytest.raises(NotImplementedError):  # upon which it shows the traceback
        ask()
