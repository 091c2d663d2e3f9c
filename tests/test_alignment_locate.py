"""Single answers: what is found, where it begins and ends, and what must never happen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.alignment import DEFAULT_THRESHOLD, STATUSES, AlignedSpan, locate_answer
from qa_lightning.alignment.occurrences import is_whole
from qa_lightning.alignment.offsets import UNKNOWN, Offsets

VOCABULARY = (
    "o a de do em Chopin Paris prêmio música Award 1996 sete VII &quot;Crazy Love&quot; canção "
    "universidade, University (NCAA) 89,4% L&#39;Officiel d'água e - Ümit ação. 20º"
)
WORDS = st.sampled_from(VOCABULARY.split())
TEXTS = st.lists(WORDS, min_size=1, max_size=40).map(" ".join)


# A file whose answers are all the first hit of a search, as a translation's are.
SEARCHED = Offsets(zeros_are_noise=True, are_searched=True)


def locate(
    context: str, question: str, answer: str, start: int = 0, offsets: Offsets = UNKNOWN
) -> AlignedSpan:
    return locate_answer(context, question, answer, start, language="pt", offsets=offsets)


def found_text(context: str, question: str, answer: str) -> str | None:
    found = locate(context, question, answer)
    return None if found.start_char is None else context[found.start_char : found.end_char]


def assert_is_inside(found: AlignedSpan, context: str) -> None:
    assert found.status in STATUSES
    assert 0.0 <= found.confidence <= 1.0
    if found.start_char is None or found.end_char is None:
        assert found == AlignedSpan(None, None, "unaligned", 0.0)
        return
    assert 0 <= found.start_char < found.end_char <= len(context)
    assert context[found.start_char : found.end_char].strip()


@settings(deadline=None, max_examples=300)
@given(TEXTS, TEXTS, st.lists(WORDS, min_size=1, max_size=5).map(" ".join), st.integers(-3, 300))
def test_a_span_is_always_inside_the_context(context, question, answer, start):
    assert_is_inside(locate(context, question, answer, start), context)


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=20), st.integers(-3, 200))
def test_no_text_whatever_breaks_it(context, question, answer, start):
    assert_is_inside(locate(context, question, answer, start), context)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.data())
def test_the_only_place_of_an_exact_answer_is_kept(context, data):
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, len(context)))
    answer = context[start:end]
    if not answer.strip() or context.count(answer) != 1 or not is_whole(context, start, end):
        return
    found = locate(context, data.draw(TEXTS), answer, start)
    assert found[:3] == (start, end, "exact")


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_an_annotated_later_place_is_never_moved(before, after, question):
    context = f"{before} Zanzibar {after} Zanzibar {before}"
    start = context.rindex("Zanzibar")
    found = locate(context, question, "Zanzibar", start)
    assert found[:3] == (start, start + 8, "exact")


def test_the_start_of_a_text_is_no_sign_of_misalignment():
    assert locate("Sete anos.", "Quanto?", "Sete anos", 0)[:3] == (0, 9, "exact")


@pytest.mark.parametrize(
    ("context", "question", "answer", "expected"),
    [
        # writing
        ("Cerca de 89,4% são brancos.", "Quanto?", "89,4 por cento", "89,4%"),
        ("A obra do século XX agradou.", "Quando?", "século 20", "século XX"),
        ("Ele venceu em dezembro de 2014.", "Quando?", "Dezembro de 2014", "dezembro de 2014"),
        ("Era Louis Lefébure-Wély.", "Quem?", "Louis Lefebure-Wely", "Louis Lefébure-Wély"),
        ("As versões 3.3 e 3.4 do menu.", "Quais?", "3,3 e 3,4", "3.3 e 3.4"),
        ("Vendeu cerca de 40 mil cópias.", "Quanto?", "40.000", "40 mil"),
        ("Tinha vinte e cinco anos.", "Quantos?", "25", "vinte e cinco"),
        ("Tinha 125 anos.", "Quantos?", "cento e vinte e cinco", "125"),
        ("Ganhou um milhão em maio.", "Quanto?", "1 milhão", "um milhão"),
        ("Vieram mil pessoas.", "Quantas?", "1.000 pessoas", "mil pessoas"),
        ("O século XXI agradou.", "Quando?", "vigésimo primeiro século", "século XXI"),
        ("It has twenty-five rooms.", "How many?", "25", "twenty-five"),
        # wording
        ("Era o Lenox Hill Hospital.", "Onde?", "Hospital Lenox Hill", "Lenox Hill Hospital"),
        ("O single Crazy in Love vendeu.", "Qual?", "Louco de amor", "Crazy in Love"),
        ("A banda Radiohead tocou.", "Quem?", "cabeça de rádio", "Radiohead"),
        ("Foi feito para GameCube antes.", "Qual?", "Game Cube", "GameCube"),
        ("Um contrato de publicação global.", "O quê?", "acordo de publicação global",
         "contrato de publicação global"),
        ("Veja a sonata Op. 58 agora.", "Qual?", "Em. 58", "Op. 58"),
        # edges
        ("Ela disse que sua mãe ajudou.", "Quem?", "a mãe dela", "sua mãe"),
        ("Fundou a Academia de Letras.", "O quê?", "a academia de letras", "a Academia de Letras"),
        ("Perto da Academia de Letras.", "O quê?", "a academia de letras", "Academia de Letras"),
        ("É afiliada à Congregação Santa.", "A quem?", "A congregação santa", "Congregação Santa"),
        ("Enviou um emissário à corte Ming.", "Aonde?", "para o tribunal Ming", "à corte Ming"),
        ("Voltou da corte Ming.", "Aonde?", "para o tribunal Ming", "corte Ming"),
        ("Uma de &quot;Back to Black&quot; saiu.", "Qual?", "De volta ao preto", "Back to Black"),
        ("Vendida na Macy&#39;s e Dillard&#39;s em maio.", "Onde?", "dillard&#39;s",
         "Dillard&#39;s"),
        ("Quis removê-los ou destruí-los ali.", "O quê?", "Destruí-los", "destruí-los"),
        ("A fundação expandiu-se ali.", "O quê?", "fundação expandida", "fundação expandiu-se"),
        ("Apoiado pelo Centro (CSPI) ontem.", "Quem?", "centro (CSPI)", "Centro (CSPI)"),
        ("O filme A River Runs Through It saiu.", "Qual?", "Um rio passa por ele",
         "A River Runs Through It"),
    ],
)  # fmt: skip
def test_reworded_answers(context, question, answer, expected):
    assert found_text(context, question, answer) == expected


def test_statuses_tell_writing_from_wording():
    assert locate("São 89,4% hoje.", "Quanto?", "89,4 por cento").status == "surface"
    assert locate("Veio a Rainha.", "Quem?", "rainha").status == "surface"
    assert locate("Ouviu Crazy in Love.", "O quê?", "Louco de amor").status == "fuzzy"
    assert locate("Nada disso.", "O quê?", "telescópio").status == "unaligned"


def test_blank_answers_are_unaligned():
    assert locate("Nada.", "O quê?", "  ").start_char is None
    assert locate("", "O quê?", "algo").start_char is None


def test_the_occurrence_that_fits_the_question_is_taken():
    context = (
        "Zelda visitou o castelo da montanha com todos os amigos e ficou lá muitos anos, longe da "
        "guerra. No fim da história, depois da batalha, Zelda derrotou o dragão vermelho."
    )
    question = "Quem derrotou o dragão vermelho depois da batalha?"
    found = locate(context, question, "Zelda", 0, SEARCHED)
    assert found.start_char == context.rindex("Zelda")
    assert found.status == "moved"
    assert found.occurrence_changed
    assert locate(context, question, "Zelda", 0)[:3] == (0, 5, "exact")


def test_without_clear_evidence_the_occurrence_stays():
    context = "Zelda falou com Link. Depois Zelda saiu."
    found = locate(context, "Qual é o nome da princesa?", "Zelda", 0)
    assert found[:3] == (0, 5, "exact")


def test_whole_words_go_before_parts_of_words():
    context = "Foi um destaque no ano. Depois esta casa caiu."
    found = locate(context, "Qual casa caiu?", "esta", context.index("esta"))
    assert found.start_char == context.index("esta casa")
    assert found.occurrence_changed


@pytest.mark.parametrize(
    ("language", "context", "answer"),
    [
        ("zh", "埃菲尔铁塔于1889年在巴黎建造。", "巴黎"),
        ("zh", "埃菲尔铁塔于1889年在巴黎建造。", "1889"),
        ("en", "หอไอเฟลอยู่ในปารีสวันนี้", "ปารีส"),
    ],
)
def test_scripts_without_spaces_have_no_inside_of_words(language, context, answer):
    start = context.index(answer)
    found = locate_answer(context, "?", answer, start, language=language)
    assert found[:3] == (start, start + len(answer), "exact")
    assert found.confidence > 0.9


def test_an_inflected_form_that_fits_the_question_stays():
    context = "Os ursos pardos vivem no norte do parque. Na bandeira está um urso."
    question = "Que animais vivem no norte do parque?"
    assert locate(context, question, "urso", 3, SEARCHED)[:3] == (3, 7, "exact")
    assert locate(context, "O que está na bandeira?", "urso", 3, SEARCHED).start_char == 62


def test_a_chosen_place_inside_a_word_is_kept():
    context = "Turmbau: der Bauturm steht. Der Eiffelturm ist hoch, der turm auch."
    start = context.index("turm ist")
    found = locate_answer(context, "Was?", "turm", start, language="de")
    assert found[:3] == (start, start + 4, "exact")
    later = locate_answer("F1: Auto F1.", "Was?", "1", 10, language="de")
    assert (later.start_char, later.status, later.inside_word) == (10, "exact", True)
    assert later.confidence >= DEFAULT_THRESHOLD


def test_answers_of_many_sentences_are_found():
    sentences = [f"Nome{n} foi erguida na cidade de Lugar{n}." for n in range(9)]
    context = " ".join(["Antes de tudo.", *sentences, "Depois de tudo."])
    answer = " ".join(sentences).replace("erguida", "Erguida")
    assert found_text(context, "O que se conta?", answer) == " ".join(sentences)[:-1]


def test_numbers_inside_numbers_are_not_trusted_where_a_search_put_them():
    found = locate("Isso foi em 1996 na cidade.", "Quantos?", "1", 12, SEARCHED)
    assert found.inside_word
    assert found.confidence < 0.5
    stated = locate("Isso foi em 1996 na cidade.", "Quantos?", "1", 12)
    assert (stated.start_char, stated.status, stated.inside_word) == (12, "exact", True)
    assert stated.confidence >= DEFAULT_THRESHOLD
    better = locate("Em 1817 ele tinha sete anos.", "Com que idade?", "7", 6, SEARCHED)
    assert better.status == "moved"
    assert better.start_char == 18


def test_articles_in_contractions_and_inflected_words_are_trusted():
    contraction = locate("A arte do século 13 mudou.", "Quando?", "o século 13", 8)
    assert (contraction.status, contraction.inside_word) == ("exact", False)
    assert contraction.confidence > 0.9
    assert locate("As pessoas mais influentes.", "Como?", "influente", 16).confidence > 0.9


def test_equal_places_are_ambiguous():
    context = "A Praça Verde é bela. A Praça Verde é bela."
    assert locate(context, "Qual?", "praça verde").status == "ambiguous"


def test_text_elsewhere_is_moved_or_ambiguous():
    assert locate("Veio Ana.", "Quem veio?", "Ana", 0)[:3] == (5, 8, "moved")
    assert locate("Ana, Ana.", "Quem?", "Ana", 3).status == "ambiguous"


@pytest.mark.parametrize(
    ("answer", "context", "found"),
    [
        ("cats (big", "We saw Cats (big [and (old)] ones) there.", "Cats (big [and (old)] ones)"),
        ("saw :( cats", "We Saw :( cats (2), dogs (3), birds (4) and fish (5).", "Saw :( cats"),
    ],
)
def test_a_span_takes_its_brackets_ends_and_no_others(answer, context, found):
    """One that stays open took all that follows into the answer."""
    span = locate_answer(context, "?", answer, -1, language=None)
    assert context[span.start_char : span.end_char] == found
