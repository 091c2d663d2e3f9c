"""The question answerer against a slow reader of our own, and against its own promises."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import running
from answerer_support import Span, reference_spans, write_checkpoint
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.documents import text_document
from qa_lightning.errors import InputError

ROWS = running.rows_of(6)
CHINESE = "北京大學位於中國北京市海淀區，創辦於一八九八年。"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoints" / "best.ckpt")


@pytest.fixture(scope="module")
def answerer(checkpoint: Path) -> QuestionAnswerer:
    return QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def abstaining(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    fitted = {"threshold": -1e6, "temperature": 2.0, "no_answer": True}
    path = write_checkpoint(tmp_path_factory.mktemp("no_answer") / "best.ckpt", fitted=fitted)
    return QuestionAnswerer.from_checkpoint(path, device="cpu")


@pytest.mark.parametrize("row", ROWS[:3], ids=lambda row: row["id"])
def test_answers_are_those_of_a_slow_reader(answerer: QuestionAnswerer, row: running.Row) -> None:
    answers = answerer.answer(row["question"], row["context"], n_best=20)
    expected = reference_spans(row["question"], row["context"])[:20]
    found = [Span(a.start_char, a.end_char, a.score) for a in answers]
    assert [s.score for s in found] == pytest.approx([s.score for s in expected], abs=1e-3)
    assert found[0][:2] == expected[0][:2]
    assert {s[:2] for s in found[:10]} == {s[:2] for s in expected[:10]}


def test_an_answer_is_its_place_in_the_document(answerer: QuestionAnswerer) -> None:
    row = ROWS[0]
    answers = answerer.answer(row["question"], row["context"], 5)
    assert len(answers) == 5
    assert answers.is_answerable
    assert (answers.text, answers.start_char, answers.end_char) == answers[0][:3]
    assert answers.confidence == answers[0].confidence
    scores = [answer.score for answer in answers]
    assert scores == sorted(scores, reverse=True)
    for answer in answers:
        assert answer.text == row["context"][answer.start_char : answer.end_char]
        assert 0 <= answer.confidence <= 1
        text, start, end = answer.snippet
        assert text == row["context"][start:end]
        assert start <= answer.start_char < answer.end_char <= end
    total = sum(a.confidence for a in answerer.answer(row["question"], row["context"], 20))
    assert total + answers.no_answer_probability == pytest.approx(1)


def test_confidence_does_not_depend_on_how_many_answers_are_asked_for(
    answerer: QuestionAnswerer,
) -> None:
    row = ROWS[1]
    one, five = (answerer.answer(row["question"], row["context"], n) for n in (1, 5))
    assert one[0] == five[0]


@pytest.mark.parametrize("tokens_per_batch", [1, 100, 100_000])
def test_a_batch_gives_what_single_questions_give(
    checkpoint: Path, answerer: QuestionAnswerer, tokens_per_batch: int
) -> None:
    batched = QuestionAnswerer.from_checkpoint(
        checkpoint, device="cpu", tokens_per_batch=tokens_per_batch
    )
    rows = [*ROWS, {"question": "Quem?", "context": ""}, {"question": "Onde?", "context": "Lá."}]
    single = [answerer.answer(row["question"], row["context"], 3) for row in rows]
    for got, expected in zip(batched.answer_batch(rows, n_best=3), single, strict=True):
        assert [a[:3] for a in got] == [a[:3] for a in expected]
        assert [a.score for a in got] == pytest.approx([a.score for a in expected], abs=1e-4)


def test_threads_get_equal_answers(answerer: QuestionAnswerer) -> None:
    expected = [answerer.answer(row["question"], row["context"]) for row in ROWS]
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(answerer.answer, row["question"], row["context"]) for row in ROWS * 5]
        got = [job.result() for job in jobs]
    assert got == expected * 5


def test_many_questions_tokenize_their_document_once(
    answerer: QuestionAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ROWS[0]["context"]
    questions = [row["question"] for row in ROWS]
    expected = [answerer.answer(question, context) for question in questions]
    seen: list[str] = []
    tokenizer = answerer.reader.tokenizer
    original = type(tokenizer).__call__
    monkeypatch.setattr(
        type(tokenizer),
        "__call__",
        lambda self, texts, *rest, **keys: (
            seen.extend(texts),
            original(self, texts, *rest, **keys),
        )[1],
    )
    monkeypatch.setattr("qa_lightning.answerer.deciding.ROWS_AT_ONCE", 2)
    got = answerer.answer_batch({"question": q, "context": context} for q in questions)
    assert [a[0][:3] for a in got] == [a[0][:3] for a in expected]
    assert seen.count(context) == 1
    seen.clear()
    document = answerer.read(context)
    again = [answerer.answer(question, document) for question in questions]
    assert [a[0][:3] for a in again] == [a[0][:3] for a in expected]
    assert answerer.answer_questions(questions, context)[2][0][:3] == expected[2][0][:3]
    assert seen.count(context) == 2


def test_the_best_of_many_documents(answerer: QuestionAnswerer) -> None:
    documents = [row["context"] for row in ROWS] + [""]
    question = ROWS[2]["question"]
    each = [answerer.answer(question, document, 20) for document in documents]
    expected = sorted(
        ((-a.score, n, a.start_char, a.text) for n, answers in enumerate(each) for a in answers)
    )[:4]
    merged = answerer.answer_documents(question, documents, n_best=4)
    assert [(a.document, a.start_char, a.text) for a in merged] == [e[1:] for e in expected]
    assert all(documents[a.document][a.start_char : a.end_char] == a.text for a in merged)
    assert 0 < merged.confidence < 1
    assert not answerer.answer_documents(question, ["", " "]).is_answerable
    assert not answerer.answer_documents(question, []).is_answerable


@pytest.mark.parametrize("context", ["", "   ", "\n\t"])
def test_nothing_is_in_an_empty_document(answerer: QuestionAnswerer, context: str) -> None:
    answers = answerer.answer("Quem?", context)
    assert not answers.is_answerable
    assert answers.answer is answers.text is answers.start_char is answers.snippet is None
    assert list(answers) == []
    assert json.loads(json.dumps(answers.to_dict()))["answer"] is None


@pytest.mark.parametrize(
    "context",
    [CHINESE, "Привет, мир! " * 30, "مرحبا بالعالم " * 20, "Olá \ud83d mundo 👩‍👩‍👧 novo"],
)
def test_other_scripts_keep_their_places(answerer: QuestionAnswerer, context: str) -> None:
    for answer in answerer.answer("北京在哪裡? \udc00", context, 20):
        assert answer.text == context[answer.start_char : answer.end_char]
        assert answer.text.strip() == answer.text != ""


def test_no_answer_is_a_flag_and_the_spans_stay(abstaining: QuestionAnswerer) -> None:
    row = ROWS[0]
    answers = abstaining.answer(row["question"], row["context"], 2)
    assert not answers.is_answerable
    assert answers.text is None
    assert len(answers) == 2
    assert answers.confidence == answers.no_answer_probability
    answered = abstaining.with_settings(null_score_threshold=1e6)
    assert answered.answer(row["question"], row["context"]).text == answers[0].text
    merged = abstaining.answer_documents(row["question"], [row["context"]], 2)
    assert (merged.is_answerable, len(merged)) == (False, 2)
    assert merged[0].confidence == pytest.approx(answers[0].confidence)


def test_a_runs_folder_means_its_best_checkpoint(
    checkpoint: Path, answerer: QuestionAnswerer
) -> None:
    row = ROWS[0]
    for folder in (checkpoint.parents[1], checkpoint.parent):
        again = QuestionAnswerer.from_checkpoint(folder, device="cpu")
        assert again.answer(row["question"], row["context"]) == answerer.answer(
            row["question"], row["context"]
        )


def test_overwriting_the_checkpoint_does_not_reach_the_answerer(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "best.ckpt")
    answerer = QuestionAnswerer.from_checkpoint(path, device="cpu")
    row = ROWS[0]
    before = answerer.answer(row["question"], row["context"])
    with path.open("r+b") as file:  # in place, as a training run writes
        file.write(b"\0" * path.stat().st_size)
    assert answerer.answer(row["question"], row["context"]) == before


def test_mistakes_are_told(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"not a checkpoint")
    model = running.write_model(tmp_path / "base")
    (tmp_path / "empty").mkdir()
    for source, message in (
        (tmp_path / "absent.ckpt", "no such file"),
        (broken, "that file is none"),
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path / "empty", "neither `checkpoints/best.ckpt` .* nor `config.json`"),
        ("of-somebody-else/model", "is no folder here, and as a Hub id it could not be loaded"),
    ):
        with pytest.raises(InputError, match=message):
            QuestionAnswerer.from_checkpoint(source)
    with pytest.raises(InputError, match="row 1 has no context"):
        answerer.answer_batch([{"question": "a?", "context": "b"}, {"question": "a?"}])
    with pytest.raises(InputError, match="got an empty one"):
        answerer.answer("  ", "b")
    for context, message in (
        (None, "document in row 0; got NoneType"),
        (tmp_path / "a.txt", "`documents.read_document` reads it"),
    ):
        with pytest.raises(InputError, match=message):
            answerer.answer("a?", context)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"in row 0; got Document\. Give its `text`"):
        answerer.answer_batch([("a?", text_document("b", "a.txt"))])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"several rows; got a DataFrame\. Give its rows"):
        answerer.answer_batch(pd.DataFrame({"question": ["a?"], "context": ["b"]}))
    for n_best in (0, 2.5):
        with pytest.raises(InputError, match="`n_best`"):
            answerer.answer("a?", "b", n_best)  # type: ignore[arg-type]
    for rows in (["a?"], [("a?", "b", "c")]):
        with pytest.raises(InputError, match="or pairs of the two; row 0 is a"):
            answerer.answer_batch(rows)  # type: ignore[arg-type]
    for iterates in ({"question": "a?", "context": "b"}, "a?"):
        with pytest.raises(InputError, match="Expected several rows"):
            answerer.answer_batch(iterates)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Expected several questions; got one str"):
        answerer.answer_questions("a?", "b")
    with pytest.raises(InputError, match="Expected several documents; got one str"):
        answerer.answer_documents("a?", "b")
    with pytest.raises(InputError, match="at most 78 tokens, the network's positions"):
        answerer.with_settings(max_length=79)
    for device in ("gpu", "cuda:99"):
        with pytest.raises(InputError, match="Expected `device`"):
            QuestionAnswerer.from_checkpoint(model, device=device)
    assert QuestionAnswerer.from_checkpoint(model).answer("Quem?", ROWS[0]["context"]).text


def test_loading_draws_no_bar_and_leaves_others_theirs(
    checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    try:
        logging.enable_progress_bar()
        QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
        assert "Loading" not in capfd.readouterr().err
        assert logging.is_progress_bar_enabled()
    finally:
        if not shown:
            logging.disable_progress_bar()
