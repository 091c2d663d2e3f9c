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
        ("", None),
        ("La città si trova a nord e fu fondata dai Romani, con la sua parte di storia.", None),
        ("A Real Academia Galega é unha institución da cidade da Coruña, e foi fundada no ano que "
         "os membros da academia elixiron, polos outros e para o estudo da lingua.", None),
        ("La ciudad de la que se habla está en el norte, y de ella se dice que no es la más alta.",
         None),
        ("Orașul este situat în partea de nord a țării și a fost fondat de romani.", None),
        ("De stad ligt in het noorden van het land en is in de eeuw van de handel gesticht.", None),
        ("Şehir ülkenin kuzeyinde yer alır ve Romalılar tarafından kurulmuştur.", None),
        ("Η πόλη βρίσκεται στα βόρεια της χώρας.", None),
        ("Thành phố nằm ở phía bắc của đất nước.", None),
        ("העיר נמצאת בצפון הארץ.", None),
    ],
)  # fmt: skip
def test_language_is_told_from_the_text_and_never_guessed(text, code):
    assert detect_language([text]) == code


def test_of_a_language_that_is_not_known_nothing_is():
    assert not any(vars(lexicon_of(None)).values())
    assert [code for code in LANGUAGES if lexicon_of(code).has_words] == ["pt", "en"]
