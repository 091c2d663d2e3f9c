"""Windows that are worth reading: which they are, and that they are the model's own."""

import random
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest

import running
from answerer_support import write_checkpoint
from features_support import CORPUS, tokenizer_of
from predict_support import Questions, predict
from qa_lightning.answerer import Document, QuestionAnswerer
from qa_lightning.answerer.cutting import WindowCutter, screened
from qa_lightning.answerer.parts import read_answers
from qa_lightning.callbacks import AnswerEvaluation, PredictionWriter
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings, WindowTable
from qa_lightning.screening import AUTO_FROM, AUTO_READ, Stretch, WordPlaces, worth_reading
from qa_lightning.screening.ranking import bm25
from qa_lightning.screening.words import asked_words, words_of

ROWS = running.rows_of(24)
FAMILIES = ["roberta", "roberta-prefix", "bert", "unigram", "xlnet"]
SCRIPTS = [
    "naïve Ärzte’s",
    "東京都は日本の首都",
    "การเมืองไทย",
    "وبالمدينة الكبرى",
    "Ankara'nın",
    "\u200b",
    "",
]


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    path = write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")
    return QuestionAnswerer.from_checkpoint(path, device="cpu")


def generated_text(seed: int, words: int = 900) -> str:
    """Return a text of sentences, scripts, blanks and line breaks at random."""
    draw = random.Random(seed)
    pieces = [draw.choice([*CORPUS, *SCRIPTS]) for _ in range(words // 12)]
    return "".join(piece + draw.choice([" ", " ", "\n\n", "  "]) for piece in pieces)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Universidades universitárias", ["univer", "univer"]),
        ("Straße STRASSE", ["strass", "strass"]),
        ("İstanbul ılık Łódź", ["istanb", "ilik", "lodz"]),
        ("الجامعة وبالجامعة جامعة", ["جامعة", "جامعة", "جامعة"]),
        ("हिन्दी में", ["हिनदी", "म"]),
        ("東京都 GPT4模型", ["東京", "京都", "gpt4", "模型"]),
        ("8.5 km\u00ads", ["8", "5", "kms"]),
        ("— ... —", []),
    ],
)
def test_words_are_compared_without_accents_case_and_endings(text: str, words: list[str]) -> None:
    assert words_of(text).folded == words


@pytest.mark.parametrize("seed", range(6))
def test_words_stand_where_the_text_has_them(seed: int) -> None:
    text = generated_text(seed)
    folded, starts = words_of(text)
    assert (np.diff(starts) > 0).all()
    for word, start in zip(folded, starts, strict=True):
        again = words_of(text[start : start + 40]).folded
        assert again[0] == word


def test_common_words_of_a_language_ask_for_nothing() -> None:
    assert asked_words("Quem foi o fundador da empresa?", "pt-BR") == ["fundad", "empres"]
    assert asked_words("Quem é ele?", "pt") == ["quem", "e", "ele"]  # there are no others
    assert asked_words("Who founded it?", None) == ["who", "founde", "it"]


@pytest.mark.parametrize("seed", range(8))
def test_the_ranking_is_that_of_bm25s(seed: int) -> None:
    draw = random.Random(seed)
    text = " ".join(f"w{int(draw.paretovariate(0.6)) % 60}" for _ in range(700))
    places = WordPlaces.of(text, offsets_of(text))
    start_w = np.arange(0, 700, draw.randint(7, 40))
    end_w = np.minimum(start_w + draw.randint(20, 60), 700)
    asked = [f"w{number}" for number in draw.sample(range(70), 6)]
    words = text.split()
    peer = bm25s.BM25(k1=1.5, b=0.75, method="lucene", dtype="float64")
    windows = zip(start_w.tolist(), end_w.tolist(), strict=True)
    peer.index([words[start:end] for start, end in windows], show_progress=False)
    expected = peer.get_scores([word for word in asked if word in peer.vocab_dict])
    found = bm25(places.counts(asked, start_w, end_w), places.lengths(start_w, end_w))
    assert found == pytest.approx(expected, abs=1e-6)


def offsets_of(text: str) -> np.ndarray:
    """Return the characters of words between blanks, as a tokenizer's."""
    ends = np.array([place for place, letter in enumerate(text + " ") if letter == " "])
    return np.stack([np.append(0, ends[:-1] + 1), ends], axis=1).astype(np.int32)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["right", "left"])
def test_pieces_that_are_ranked_are_the_windows_that_are_read(family: str, side: str) -> None:
    """Words of a window are those that begin with its tokens, whatever the question's length."""
    tokenizer = tokenizer_of(family)
    tokenizer.truncation_side = side
    settings = WindowSettings(max_length=60, doc_stride=13, max_question_length=24)
    cutter = WindowCutter(tokenizer, settings)
    documents = cutter.documents([generated_text(seed, 500) for seed in range(2)])
    for count in (1, 30):
        questions = [" ".join(CORPUS[0].split()[:count])] * 2
        table = WindowTable(next(cutter.cut(questions, documents).rows))  # type: ignore[arg-type]
        windows = [table.context_offsets(w) for w in range(len(table))]
        stretches = stretches_of(cutter, questions, documents)
        assert len(windows) == sum(len(stretch.start_w) for stretch in stretches) > 10
        rows = iter(windows)
        for stretch, document in zip(stretches, documents, strict=True):
            folded, starts = words_of(document.text)
            told = stretch.document.places
            counted = told.counts(folded, stretch.start_w, stretch.end_w).T
            lengths = told.lengths(stretch.start_w, stretch.end_w)
            for counts, length, offsets in zip(counted, lengths, rows, strict=False):
                after = [s for s, _ in document.offsets_n2.tolist() if s > offsets[-1, 0]]
                inside = (starts >= offsets[0, 0]) & (starts < (after or [10**9])[0])
                theirs = [word for word, is_in in zip(folded, inside, strict=True) if is_in]
                assert abs(length - len(theirs)) <= 1  # a character of several tokens, halved
                wrong = [w for w, n in zip(folded, counts, strict=True) if n != theirs.count(w)]
                assert len(set(wrong)) <= 1


def stretches_of(
    cutter: WindowCutter, questions: Sequence[str], documents: Sequence[Document]
) -> list[Stretch]:
    """Return what the cutter lets be ranked."""
    found: list[Stretch] = []

    def choose(_: Sequence[str], stretches: Sequence[Stretch]) -> np.ndarray:
        found.extend(stretches)
        return np.ones(sum(len(stretch.start_w) for stretch in stretches), bool)

    cutter.cut(questions, documents, choose=choose)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_screened_windows_are_some_of_all_to_the_bit(family: str) -> None:
    settings = WindowSettings(max_length=60, doc_stride=13, max_question_length=24)
    cutter = WindowCutter(tokenizer_of(family), settings)
    documents = cutter.documents([generated_text(seed) for seed in range(4)])
    questions = [row["question"] for row in ROWS[:4]]
    chosen = (None, screened(5, "pt"))
    rows = [next(cutter.cut(questions, documents, choose=each).rows).table for each in chosen]
    every, some = (table.to_pylist() for table in rows)
    assert len(some) == 20
    assert [row for row in every if row in some] == some


def test_answers_come_from_the_windows_that_are_read(answerer: QuestionAnswerer) -> None:
    for seed in range(2):
        text = generated_text(seed, 2_500)
        document = answerer.read(text)
        for row in ROWS[:3]:
            whole = answerer.answer(row["question"], document, 20, screen="all")
            assert whole.windows_read == whole.windows > AUTO_FROM
            assert answerer.answer(row["question"], text, 20, screen=10_000) == whole
            some = answerer.answer(row["question"], document, 20, screen=3)
            assert (some.windows, some.windows_read) == (whole.windows, 3)
            assert some.null_score >= whole.null_score  # the least of fewer windows
            assert all(answer.text == text[answer.start_char : answer.end_char] for answer in some)
            assert some[0].score <= whole[0].score + 1e-4


def test_auto_reads_all_of_short_documents_and_where_no_word_is_found(
    answerer: QuestionAnswerer,
) -> None:
    text = generated_text(1, 2_500)
    short = answerer.answer("Onde fica o rio?", text[:300], screen="auto")
    assert short.windows_read == short.windows
    unknown = answerer.answer("Xylographe zzz?", text, screen="auto")
    assert unknown.windows_read == unknown.windows > AUTO_FROM
    assert answerer.answer("Onde fica o rio Douro?", text, screen="auto").windows_read == AUTO_READ


def test_many_documents_are_screened_together(answerer: QuestionAnswerer) -> None:
    texts = [generated_text(seed) for seed in range(6)]
    texts.insert(2, "")
    asked = ROWS[0]["question"]
    whole = answerer.answer_documents(asked, texts, 5, screen="all")
    assert answerer.answer_documents(asked, texts, 5, screen=10_000) == whole
    some = answerer.answer_documents(asked, texts, 5, screen=4)
    assert (some.windows, some.windows_read) == (whole.windows, 4)
    for answer in some:
        text = texts[answer.document]
        assert answer.text == text[answer.start_char : answer.end_char]
    assert answerer.answer_documents(asked, [], screen=4).text is None


@pytest.mark.parametrize("screen", [0, -1, True, "some", 2.5, None])
def test_what_is_no_number_of_windows_is_refused(
    answerer: QuestionAnswerer, screen: object
) -> None:
    for call in (
        lambda: answerer.answer("Quem?", "texto", screen=screen),
        lambda: answerer.answer_documents("Quem?", ["texto"], screen=screen),
        lambda: AnswerEvaluation(screen=screen),
        lambda: PredictionWriter(screen=screen),
    ):
        with pytest.raises(InputError, match="screen` to be `all`, `auto` or a whole number"):
            call()


def test_nothing_to_rank_by_keeps_the_order() -> None:
    text = "um dois três quatro"
    stretch = Stretch(Placed(text), np.array([0, 1, 2]), np.array([1, 2, 3]))
    chosen = worth_reading("zzz", [stretch], screen=2, language=None)
    assert chosen.tolist() == [True, True, False]


class Placed:
    """Words of a text, each a token."""

    def __init__(self, text: str) -> None:
        self.places = WordPlaces.of(text, offsets_of(text))


def test_predict_reads_what_the_answerer_reads(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    rows = [{**row, "context": generated_text(n % 3, 400)} for n, row in enumerate(ROWS)]
    predict(Questions(rows), PredictionWriter(output_dir=str(tmp_path), screen=2))
    expected = answerer.answer_batch(rows, screen=2)
    assert {answers.windows_read for answers in expected} == {2}
    found = list(read_answers(tmp_path / "answers.jsonl"))
    assert [row["answer"] for row in found] == [answers.text for answers in expected]


@pytest.mark.front_door
def test_an_evaluation_reads_what_the_answerer_reads(tmp_path: Path) -> None:
    rows = [
        {**row, "context": " ".join([row["context"], *(r["context"] for r in ROWS[n + 1 : n + 7])])}
        for n, row in enumerate(ROWS[:8])
    ]
    data = running.write_rows(tmp_path / "rows.json", rows)
    train = running.write_rows(tmp_path / "train.json", ROWS[:2])
    settings = {"train": str(train), "validation": str(data)}
    folder = tmp_path / "run"
    running.run(
        "fit",
        *("--data.data_files", settings, "--data.language", "pt", "--data.max_length", 64),
        *("--data.doc_stride", 16, "--data.max_question_length", 24),
        *("--data.cache_dir", tmp_path / "cache", "--evaluation.screen", 2),
        *("--model.model_name_or_path", running.write_model(tmp_path / "model")),
        *("--data.batch_size", 8, "--trainer.max_epochs", 1),
        *("--trainer.default_root_dir", folder, "--trainer.accelerator", "cpu"),
        *("--trainer.logger", False, "--trainer.enable_progress_bar", False),
    )
    answerer = QuestionAnswerer.from_checkpoint(folder, device="cpu")
    expected = answerer.answer_batch(rows, screen=2)
    assert {answers.windows_read for answers in expected} == {2}
    found = running.read_json(folder / "answers" / "val" / "predictions.json")
    assert list(found.values()) == [answers.text for answers in expected]
    scores = running.read_json(folder / "answers" / "val" / "scores.json")
    assert scores["screen"] == 2
    assert scores["examples"] == len(rows)
