"""The table of languages, and what alignment reads from it."""

from importlib import resources

import pytest

from qa_lightning.alignment.lexicon import detect_language, lexicon_of
from qa_lightning.errors import InputError
from qa_lightning.languages import LANGUAGES, language_of


def test_codes_with_regions_find_their_language():
    assert language_of("pt-BR") is language_of("PT") is LANGUAGES["pt"]


def test_unknown_code_is_the_users_mistake():
    with pytest.raises(InputError, match="'xx'"):
        language_of("xx")


def test_every_word_of_the_table_is_lower_case():
    for language in LANGUAGES.values():
        words = {*language.articles, *language.function_words, *language.light_words}
        words |= {*language.cardinals, *language.ordinals, *language.multipliers}
        assert words == {word.lower() for word in words}


def test_function_and_light_words_do_not_overlap():
    for language in LANGUAGES.values():
        assert not language.function_words & language.light_words


def test_every_language_gives_a_lexicon():
    for code in LANGUAGES:
        assert lexicon_of(code).articles >= lexicon_of("en").articles


def test_glossaries_exist_and_name_no_word_alone():
    for language in LANGUAGES.values():
        if language.glossary is None:
            continue
        path = resources.files("qa_lightning.alignment") / "glossaries" / language.glossary
        lines = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")
        ]
        assert len(lines) > 1_000
        assert [line for line in lines if len(line.split()) < 2] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("O filme foi recebido com elogios pelos críticos e pelo público em geral.", "pt"),
        ("The film was received with praise by the critics and by the public.", "en"),
        ("", "en"),
    ],
)
def test_language_is_told_from_the_text(text, code):
    assert detect_language([text]) == code
