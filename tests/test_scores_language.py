"""The rules of single languages: MLQA's to the letter, and the Portuguese ones case by case."""

import re
import string
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.errors import InputError
from qa_lightning.languages import LANGUAGES
from qa_lightning.scores import question_word, squad_scores
from qa_lightning.scores.language_rules import normalizer_of

# --- MLQA's script, written anew as the independent reference -----------------------------------

PUNCTUATION = set(string.punctuation) | {
    chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P")
}
ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
}


def mlqa(text, language):
    text = "".join(letter for letter in text.lower() if letter not in PUNCTUATION)
    if language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    if language != "zh":
        return " ".join(text.split())
    tokens, rest = [], ""
    for letter in text:
        if "\u4e00" <= letter <= "\u9fa5":
            tokens += [*rest.split(), letter]
            rest = ""
        else:
            rest += letter
    return " ".join(tokens + rest.split())


WORDS = """el río los Ríos der Fluß die ein Haus the a An river của những sông النهر ال والبلاد
    नदी क्या 长江 在中国 long长 「江」 … ¿qué? «uno» “two” — – 1.000 a-b İ ǆ ß º \u00a0"""
words = st.sampled_from(WORDS.split())
texts = st.one_of(st.lists(words, max_size=6).map(" ".join), st.text(max_size=12))


@pytest.mark.parametrize("language", ["en", "es", "de", "ar", "hi", "vi", "zh"])
@given(text=texts)
@settings(max_examples=40, deadline=None)
def test_mlqa_languages_follow_its_script(language, text):
    assert normalizer_of(language)(text) == mlqa(text, language)


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("o rio Ganges", "Rio Ganges"),
        ("as margens", "margens"),
        ("uma ponte", "Ponte."),
        ("do Brasil", "de o Brasil"),
        ("do Brasil", "de Brasil"),
        ("nas margens", "em margens"),
        ("pela ponte", "por ponte"),
        ("às margens", "margens"),
        ("«saudade»", "saudade"),
        ("“saudade”", "saudade"),
        ("1914–1918", "1914-1918"),
        ("1914 – 1918", "1914-1918"),
        ("guarda-chuva", "guarda chuva"),
        ("1.000", "1000"),
        ("1 000 000", "1.000.000"),
        ("1\u00a0000", "1000"),
        ("1,000", "1.000"),
        ("3,5", "3.5"),
        ("1.234,50", "1234.50"),
        ("0,125", "0.125"),
        ("R$ 3,50", "R 3,50"),
        ("1.º", "1º"),
        ("AÇÃO", "ação"),
    ],
)
def test_portuguese_texts_that_agree(prediction, gold):
    figures = squad_scores({"1": prediction}, {"1": [gold]}, language="pt-BR")
    assert (figures["exact_match_pt"], figures["f1_pt"]) == (100.0, 100.0)


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [("3,5", "35"), ("1.000", "1.0"), ("avó", "avô"), ("a", "o"), ("19 de maio", "maio")],
)
def test_portuguese_texts_that_do_not_agree(prediction, gold):
    assert squad_scores({"1": prediction}, {"1": [gold]}, language="pt")["exact_match_pt"] == 0.0


def test_language_figures_stand_beside_the_official_ones():
    predictions, references = {"1": "o rio", "2": "the river"}, {"1": ["rio"], "2": ["river"]}
    official = squad_scores(predictions, references)
    figures = squad_scores(predictions, references, language="pt")
    assert official == {"exact_match": 50.0, "f1": pytest.approx(250 / 3), "total": 2.0}
    assert figures == official | {"exact_match_pt": 50.0, "f1_pt": pytest.approx(250 / 3)}
    with pytest.raises(InputError, match=r"language code out of .*; got 'xx'"):
        squad_scores(predictions, references, language="xx")


def test_language_figures_of_unanswerable_questions():
    figures = squad_scores(
        {"1": "o rio", "2": ""},
        {"1": ["rio"], "2": []},
        language="pt",
        no_answer_scores={"1": 0.2, "2": 0.9},
        no_answer_threshold=0.1,
    )
    assert (figures["exact_match_pt"], figures["NoAns_exact"]) == (50.0, 100.0)


@pytest.mark.parametrize(
    ("question", "language", "kind"),
    [
        ("Em que ano nasceu Rui?", "pt", "when"),
        ("Quantos rios há?", "pt", "how_many"),
        ("Segundo o texto, quem fundou a cidade?", "pt", "who"),
        ("Por que o rio secou?", "pt", "why"),
        ("O que é um rio?", "pt", "what"),
        ("Nasceu em Aquém-Douro?", "pt", "other"),
        ("How many rivers?", "en", "how_many"),
        ("In what year?", "en", "when"),
        ("Somehow?", "en", "other"),
        ("¿Quién fue?", "es", "who"),
        ("¿Por qué?", "es", "why"),
        ("Warum nicht?", "de", "why"),
        ("Wie viele Flüsse?", "de", "how_many"),
        ("أين يقع النهر؟", "ar", "where"),
        ("गंगा क्या है?", "hi", "what"),
        ("गंगा कहाँ है", "hi", "where"),
        ("Sông này dài bao nhiêu?", "vi", "how_many"),
        ("长江有多长？", "zh", "how_many"),
        ("他什么时候出生？", "zh", "when"),
        ("В каком году родился Пушкин?", "ru", "when"),
        ("Сколько их было?", "ru", "how_many"),
        ("แม่น้ำอยู่ที่ไหน", "th", "where"),
        ("เขาเกิดปีใด", "th", "when"),
    ],
)
def test_question_words(question, language, kind):
    assert question_word(question, language) == kind


def test_every_language_knows_the_same_kinds_of_questions():
    kinds = {code: set(language.question_words) for code, language in LANGUAGES.items()}
    assert {frozenset(found) for found in kinds.values()} == {
        frozenset({"who", "what", "which", "when", "where", "why", "how", "how_many"})
    }
