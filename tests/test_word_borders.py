"""Answers begin and end where words do: the rule, the masks, and everybody who answers."""

import unicodedata
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import running
from answerer_support import reference_spans, write_checkpoint
from features_support import MAKERS, make_examples, tokenizer_of
from predict_support import Questions, predict
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.loading import settings_of
from qa_lightning.answerer.parts import read_answers
from qa_lightning.batches import WindowCollator, WindowDataset, word_masks
from qa_lightning.borders import word_borders
from qa_lightning.callbacks import AnswerEvaluation
from qa_lightning.callbacks.predictions import PredictionWriter
from qa_lightning.callbacks.word_borders import decide_borders
from qa_lightning.features import WindowSettings, WindowTable, build_features

PIECES = [
    *("Helena", "Bastos", "l'homme", "Ankara'nın", "anglo-saxão", "$5", "24%", "8,25", "17º"),
    *("km2", "“não”", "água", unicodedata.normalize("NFD", "água"), "Ёлка", "北京大學", "ไทย"),
    *("हिन्दी", "👩‍👩‍👧", "co\u00adoperar", "می\u200cخواهم", "x", "(1990)", "a.b", "3.", "한국어"),
]
TEXTS = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "", "\n", "\u00a0"])), max_size=12
).map(lambda parts: "".join(piece + blank for piece, blank in parts))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Helena Bastos", "Helena| |Bastos"),
        ("l'homme d’Ankara'nın", "l|'|homme| |d|’|Ankara|'|nın"),
        ("anglo-saxon (1990s)", "anglo|-|saxon| |(|1990|s|)"),
        ("$5 24% 8,25 3.141 17º", "$|5| |24|%| |8,25| |3.141| |17|º"),
        ("in 1990, 5.", "in| |1990|,| |5|."),
        (unicodedata.normalize("NFD", "é à"), unicodedata.normalize("NFD", "é| |à")),
        ("北京Beijing大學", "北|京|Beijing|大|學"),
        ("ที่นี่", "ที่|นี่"),
        ("हिन्दी भाषा", "हिन्दी| |भाषा"),
        ("co\u00adoperar می\u200cخواهم", "co\u00adoperar| |می\u200cخواهم"),
        ("𝒜𝓑 Ελλάδα", "𝒜𝓑| |Ελλάδα"),
        ("", ""),
    ],
)
def test_the_rule(text: str, words: str) -> None:
    bounds = np.cumsum([0, *(len(word) for word in words.split("|"))]).tolist()
    assert np.flatnonzero(word_borders(text)).tolist() == sorted(set(bounds))


@settings(max_examples=100, deadline=None)
@given(TEXTS | st.text(max_size=20))
def test_no_letter_is_parted_from_its_word_or_its_marks(text: str) -> None:
    is_border = word_borders(text)
    assert len(is_border) == len(text) + 1
    assert is_border[0]
    assert is_border[-1]
    for place in range(1, len(text)):
        before, after = text[place - 1], text[place]
        if unicodedata.category(after)[0] == "M":
            assert not is_border[place]
        elif before.isascii() and after.isascii():
            joined = (before.isalpha() and after.isalpha()) or (
                before.isdigit() and after.isdigit()
            )
            in_number = before in ".,0123456789" and after in ".,0123456789"
            assert is_border[place] != joined or in_number
        elif before.isspace() or after.isspace():
            assert is_border[place]


@pytest.mark.parametrize("padding_side", ["right", "left"])
@pytest.mark.parametrize("family", sorted(MAKERS))
@settings(max_examples=5, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_masks_are_the_raw_contexts_borders(
    family: str, padding_side: str, texts: list[str]
) -> None:
    tokenizer = tokenizer_of(family, padding_side)
    examples = make_examples([("Onde?", text) for text in texts])
    features = build_features(
        examples, tokenizer, WindowSettings(max_length=24, doc_stride=4), labels=False
    )
    windows, table = WindowDataset(features, borders=True), WindowTable(features)
    rows = windows.__getitems__(list(range(len(windows))))
    batch = WindowCollator.for_tokenizer(tokenizer)(rows)
    starts_bl, ends_bl = word_masks(batch)
    for row, example in enumerate(windows.examples().tolist()):
        in_context = batch["context_mask"][row]
        assert not (starts_bl[row] | ends_bl[row])[~in_context].any()
        is_border = word_borders(texts[example])
        offsets = table.context_offsets(row)
        for masks_bl, places in ((starts_bl, offsets[:, 0]), (ends_bl, offsets[:, 1])):
            assert masks_bl[row][in_context].tolist() == is_border[places].tolist()


CONTEXTS = [row["context"] for row in running.rows_of(6)] + [" ".join(PIECES) * 3]
QUESTION = "Em que cidade nasceu Bruna?"


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    path = tmp_path_factory.mktemp("borders") / "best.ckpt"
    return QuestionAnswerer.from_checkpoint(
        write_checkpoint(path, fitted={"word_borders": True}), device="cpu"
    )


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_answerers_n_best_are_the_best_of_all_whole_words(
    answerer: QuestionAnswerer, context: str
) -> None:
    is_border = word_borders(context)
    every = reference_spans(QUESTION, context)
    whole = [span for span in every if is_border[span.start_char] and is_border[span.end_char]]
    assert 20 < len(whole) < len(every)
    found = answerer.answer(QUESTION, context, n_best=20)
    assert [a.score for a in found] == pytest.approx([s.score for s in whole[:20]], abs=1e-4)
    assert all(is_border[a.start_char] and is_border[a.end_char] for a in found)
    off = answerer.with_settings(word_borders=False).answer(QUESTION, context, n_best=20)
    assert [a.score for a in off] == pytest.approx([s.score for s in every[:20]], abs=1e-4)


def test_the_pipeline_and_predict_answer_so_too(answerer: QuestionAnswerer, tmp_path: Any) -> None:
    rows = running.rows_of(8)
    texts = [answerer.answer(row["question"], row["context"])[0].text for row in rows]
    pipe = answerer.as_pipeline()
    asked = [{"question": row["question"], "context": row["context"]} for row in rows]
    assert [r["answer"] for r in pipe(asked, max_answer_len=30)] == texts
    pieces = [r["answer"] for r in pipe(asked, max_answer_len=30, align_to_words=False)]
    assert pieces != texts
    for whole, expected in ((True, texts), (False, pieces)):
        writer = PredictionWriter(output_dir=str(tmp_path / str(whole)))
        predict(Questions(rows), writer, AnswerEvaluation(word_borders=whole))
        assert writer.output_file is not None
        assert [row["answer"] for row in read_answers(writer.output_file)] == expected


def trainer_on(examples: datasets.Dataset) -> Any:
    """Return as much of a trainer as is asked when it is decided."""
    split = SimpleNamespace(examples=examples)
    data = SimpleNamespace(split=lambda name: split)
    return SimpleNamespace(datamodule=data, state=SimpleNamespace(fn=SimpleNamespace(value="fit")))


def decided(spans: list[str], *, language: str | None = None, given: bool | None = None) -> bool:
    """Return what is decided on data whose gold spans are in brackets."""
    contexts = [span.replace("[", "").replace("]", "") for span in spans]
    places = [[(span.index("["), span.index("]") - 1)] for span in spans]
    examples = make_examples([("Quem?", context) for context in contexts], places)
    return decide_borders(given, language, trainer_on(examples))


@pytest.mark.parametrize(
    ("language", "expected"),
    [("pt", True), ("en-GB", True), ("tr", True), ("vi", True), ("zh", False), ("zh_TW", False),
     ("ja", False), ("th", False), ("ko", False), ("ar", False)],
)  # fmt: skip
def test_a_named_language_decides(language: str, expected: bool) -> None:
    assert decided(["Foi [Helena] Bastos."], language=language) == expected
    assert decided(["Foi [Helena] Bastos."], language=language, given=not expected) != expected


def test_of_a_language_without_name_the_gold_spans_decide() -> None:
    whole = ["Foi [Helena] Bastos.", "Em [Ankara]'da."] * 60
    assert decided(whole)
    assert decided([*whole, "O [gover]no."])
    assert not decided([*whole, "O [gover]no.", "d[o rio]"])


def test_gold_spans_out_of_reach_are_told(capfd: pytest.CaptureFixture[str], caplog: Any) -> None:
    with caplog.at_level("INFO"):
        decided(["Foi [Helena] Bastos.", "O [gover]no."], language="pt")
    told = caplog.text + capfd.readouterr().err
    assert "1 of 2 gold spans looked at begin or end within a word (examples " in told
    assert "evaluation.word_borders" in told


def test_the_decision_travels_with_the_checkpoint(answerer: QuestionAnswerer) -> None:
    trained = AnswerEvaluation(word_borders=True)
    read = AnswerEvaluation()
    read.load_state_dict(trained.state_dict())
    assert read.ends_at_borders
    read.load_state_dict({"temperature": 1.0})  # of a version that knew no borders
    assert not read.ends_at_borders
    asked = AnswerEvaluation(word_borders=False)
    asked.load_state_dict(trained.state_dict())
    assert not asked.ends_at_borders
    assert settings_of(answerer.reader)["decision"]["word_borders"] is True
