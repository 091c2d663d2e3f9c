"""Thousands of documents of any characters, one by one, in batches and in threads: no fault."""

import random
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest

from answerer_support import write_checkpoint
from qa_lightning import QuestionAnswerer
from qa_lightning.answerer import Answers

DOCUMENTS = 3_000
PIECES = [
    *(
        "Lima",
        "é",
        "e\u0301",
        "日本語",
        "🚲",
        "👩\u200d👩\u200d👧",
        "\u200b",
        "\u00ad",
        "\r\n",
        "\t",
    ),
    *("</s>", "<pad>", "\x00", "\x1b[31m", "\ufeff", "ﬁ", "ß", "İ", "नमस्ते", "שלום", "مرحبا"),
    *("1.000,50", "\r\n", "'", '"', "\\"),
]


def text(draw: random.Random, longest: int) -> str:
    """Return words, odd pieces and any other characters but lone surrogates."""
    words = []
    for _ in range(draw.randrange(longest)):
        if draw.random() < 0.7:
            words.append(draw.choice(PIECES))
        else:
            words.append(
                chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)]))
            )
        words.append(draw.choice(["", " ", "\n"]))
    return "".join(words)


def sound(answers: Answers, context: str) -> bool:
    """Say whether each answer is a piece of its document, and its confidence a probability."""
    return all(
        context[answer.start_char : answer.end_char] == answer.text and 0 <= answer.confidence <= 1
        for answer in answers
    )


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> QuestionAnswerer:
    path = write_checkpoint(tmp_path_factory.mktemp("fuzz") / "best.ckpt")
    return QuestionAnswerer.from_checkpoint(path, device="cpu")


def rows_of_seed(seed: int, count: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    rows = [(text(draw, 12), text(draw, draw.choice([1, 10, 150]))) for _ in range(count)]
    return [(question if question.strip() else "?", context) for question, context in rows]


def check(answerer: QuestionAnswerer, seed: int, count: int) -> None:
    """Answer in one batch, one by one and in threads, and compare."""
    rows = rows_of_seed(seed, count)
    batch = answerer.answer_batch(rows, n_best=2)
    assert len(batch) == len(rows)
    for (question, context), answers in zip(rows, batch, strict=True):
        assert sound(answers, context), (seed, question, context)
    some = range(0, len(rows), max(1, len(rows) // 50))
    with ThreadPoolExecutor(4) as threads:
        alone = list(threads.map(lambda row: answerer.answer(*rows[row], n_best=2), some))
    for row, answers in zip(some, alone, strict=True):
        places = [(each.start_char, each.end_char) for each in answers][:1]
        expected = [(each.start_char, each.end_char) for each in batch[row]][:1]
        assert places == expected, (seed, unicodedata.normalize("NFC", rows[row][1]))


def test_a_hundred_documents(answerer: QuestionAnswerer) -> None:
    check(answerer, 0, 100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 7))
def test_three_thousand_documents(answerer: QuestionAnswerer, seed: int) -> None:
    check(answerer, seed, DOCUMENTS // 6)
