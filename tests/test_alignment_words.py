"""Words with offsets, their forms and their likeness."""

import html
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_lightning.alignment.forms import fold, number_key, roman_value
from qa_lightning.alignment.lexicon import lexicon_of
from qa_lightning.alignment.similarity import word_similarity
from qa_lightning.alignment.words import words_of
from qa_lightning.normalization import normalize_squad

PT = lexicon_of("pt")


def keys(text: str) -> list[str]:
    return [word.key for word in words_of(text, PT)]


def likeness(one: str, other: str) -> float:
    (first,), (second,) = words_of(one, PT), words_of(other, PT)
    return word_similarity(first, second, PT)


@given(st.text())
def test_words_stand_at_their_offsets_in_order(text):
    words = words_of(text, PT)
    assert all(0 <= word.start_char < word.end_char <= len(text) for word in words)
    assert all(one.end_char <= two.start_char for one, two in pairwise(words))


@given(st.text())
def test_forms_are_stable(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("89,4%", ["89.4", "%"]),
        ("1.250 acres", ["1250", "acres"]),
        ("40 mil", ["40000"]),
        ("US $ 24 milhões", ["$", "24000000"]),
        ("1952–87", ["1952", "1987"]),
        ("16º", ["16"]),
        ("Destiny&#39;s Child", ["destiny", "s", "child"]),
        ("&quot;D&#39;Ávila&quot;", ["davila"]),
        ("caf&eacute;", ["cafe"]),
        ("R &amp; B", ["r", "&", "b"]),
        ("cafe\u0301", ["cafe"]),
        ("", []),
        ("… —", []),
    ],
)
def test_forms_of_words(text, expected):
    assert keys(text) == expected


def test_lists_of_numbers_stay_lists():
    words = words_of("vinte, cinco e três ou 20 e 5", PT)
    assert [word.key for word in words] == ["vinte", "cinco", "e", "tres", "ou", "20", "e", "5"]


@pytest.mark.parametrize(("text", "value"), [("XX", 20), ("XIX", 19), ("IV", 4), ("Mix", None)])
def test_roman_numerals(text, value):
    assert roman_value(text) == value


def test_decimal_points_and_grouping_marks():
    assert number_key("310,000") == number_key("310.000") == "310000"
    assert number_key("3,3") == number_key("3.3")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sexto", "sexta"),
        ("20", "XX"),
        ("sete", "7"),
        ("quatro", "quarta"),
        ("vitória", "victory"),
        ("evolução", "evolution"),
        ("universidade", "university"),
        ("pagando", "pagamento"),
        ("prêmio", "award"),
        ("exemplares", "cópias"),
        ("Cleópatra", "Cleopatra"),
        ("fotografia", "photography"),
        ("animais", "animal"),
        ("reais", "royal"),
        ("jovens", "young"),
        ("cidades", "cities"),
        ("histórias", "stories"),
        ("regra", "domínio"),  # two lines of one English word: rule
        ("redução", "reduzida"),
        ("caiu", "caído"),
    ],
)
def test_renderings_of_one_word_are_alike(one, other):
    assert likeness(one, other) >= 0.85
    assert likeness(other, one) >= 0.85


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1996", "1998"),
        ("sete", "oito"),
        ("nove", "novo"),
        ("de", "em"),
        ("maior", "maioria"),
        ("casa", "vento"),
    ],
)
def test_other_words_are_not_alike(one, other):
    assert likeness(one, other) < 0.7


def test_sentences_end_at_full_stops_but_not_after_abbreviations():
    words = words_of("A Op. 3 de F. Chopin agradou. Depois veio outra! Sim", PT)
    assert [word.key for word in words if word.opens_sentence] == ["depois", "sim"]


@given(st.text())
def test_official_normalization_is_idempotent_on_plain_text(text):
    once = normalize_squad(text)
    assert once == " ".join(once.split())
    assert normalize_squad(html.escape("the  Grotto, a place")) == "grotto place"
