"""Answers made wrong as machine translation makes them."""

import re
import unicodedata
from collections import Counter

import pytest

from qa_lightning.demo import corrupt_answers, demo_rows
from qa_lightning.demo.noise import number_words


@pytest.fixture(scope="module")
def clean():
    return demo_rows("train")


@pytest.fixture(scope="module")
def noisy():
    return demo_rows("train", config="noisy")


@pytest.fixture(scope="module")
def pairs(clean, noisy):
    """Return right and wrong answers side by side."""
    return [
        (right["answers"]["text"][0], wrong["answers"]["text"][0])
        for right, wrong in zip(clean, noisy, strict=True)
        if right != wrong
    ]


def folded(text):
    letters = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in letters if letter.isalnum() or letter == " ").split()


def test_the_share_is_met(clean, pairs):
    assert len(pairs) == round(0.36 * len(clean))


def test_wrong_answers_look_like_squad_v1_pt(clean, noisy):
    for right, wrong in zip(clean, noisy, strict=True):
        assert {**wrong, "answers": right["answers"]} == right
        if right == wrong:
            continue
        (text,), (start_char,) = wrong["answers"]["text"], wrong["answers"]["answer_start"]
        assert start_char == 0
        assert text not in wrong["context"]
        assert text == text.strip() != ""


def test_likeness_is_spread_as_in_squad_v1_pt(pairs):
    """In the real sample 22 % differ in form alone and 24 % have no word in common."""
    likeness = Counter()
    for right, wrong in pairs:
        common = sum((Counter(folded(right)) & Counter(folded(wrong))).values())
        f1 = 2 * common / (len(folded(right)) + len(folded(wrong)))
        likeness["same" if folded(right) == folded(wrong) else "some" if f1 else "none"] += 1
    shares = {kind: count / len(pairs) for kind, count in likeness.items()}
    assert shares["same"] == pytest.approx(0.22, abs=0.05)
    assert shares["none"] == pytest.approx(0.24, abs=0.06)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\d+,\d%", r"\d+,\d por cento"),
        (r"\d\.\d{3}", r"\d,?\d{3}"),
        (r"São (\w+)", r"Saint \w+"),
        (r"Universidade de .*", r"Faculdade de .*"),
        (r"\d+ de \w+ de \d+", r"\w+ \d+, \d+"),
        (r"\d+ quilômetros", r"\d+ km"),
        (r"relógios|chapéus|médica|juiz", r"watches|hats|doctor|judge"),
        (r"[A-Z]\w+ [A-Z]\w+", r"Padre \w+ \w+"),
        (r"[A-Z]\w+", r"[a-z]\w+"),
    ],
)
def test_kinds_of_rewording(pairs, right, wrong):
    assert any(re.fullmatch(right, one) and re.fullmatch(wrong, other) for one, other in pairs)


def test_the_given_rows_are_left_as_they_are(clean):
    before = [dict(row["answers"]) for row in clean[:100]]
    corrupt_answers(clean[:100], share=1.0)
    assert [row["answers"] for row in clean[:100]] == before


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_share(clean, share):
    rows = clean[:200]
    wrong = corrupt_answers(rows, share=share, seed=3)
    assert sum(one != other for one, other in zip(rows, wrong, strict=True)) == share * 200
    assert wrong == corrupt_answers(rows, share=share, seed=3)


def test_held_out_answers_stay_clean():
    assert demo_rows("validation", config="noisy") == demo_rows("validation")
    assert demo_rows("test", config="noisy") == demo_rows("test")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7, "sete"),
        (21, "vinte e um"),
        (100, "cem"),
        (101, "cento e um"),
        (999, "novecentos e noventa e nove"),
        (1_000, "mil"),
        (1_100, "mil e cem"),
        (1_840, "mil oitocentos e quarenta"),
        (7_015, "sete mil e quinze"),
    ],
)
def test_number_words(number, words):
    assert number_words(number) == words
