"""Right labels stay, whatever the language; labels that drift are found, whatever the tool."""

import importlib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_lightning.alignment import DEFAULT_THRESHOLD, align_examples, locate_answer
from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

# Sentences in many scripts, an answer each, and one that is only a part of a written word.
TEXTS = {
    "en": ("The old trams of Porto cross two bridges, and 12 of the 112 are green.", "two bridges"),
    "pt": ("Os bondes antigos do Porto cruzam duas pontes, e a água é verde.", "duas pontes"),
    "tr": ("Nüfusun yoğunluğu ağırlıktır; Ankara'daki kalabalık artıyor.", "ağırlık"),
    "de": ("Ein Dampfmaschinenteil kam aus dem Bergwerk bei Köln an der Straße.", "Dampfmaschinen"),
    "it": ("Vive negli Stati Uniti dall'anno scorso, nell'Ohio.", "gli Stati Uniti"),
    "el": ("Η Αθήνα είναι η πρωτεύουσα της Ελλάδας, και η μεγαλύτερη πόλη.", "Αθήνα"),
    "ru": ("Столица России — Москва, и в Москве живёт много людей.", "Москва"),
    "ar": ("صدرت في المدينة ترجمة قديمة لترجمة لوثر، وفي عام ١٨٥٠ طبعت.", "ترجمة لوثر"),
    "he": ("האיש נקבר כבית הקברות של העיר, והוא ישן מאוד.", "בית הקברות"),
    "hi": ("यह नगर 1850 के बाद अपने राजा के साथ बसा, और नदी के पास है।", "1850 के बाद"),
    "th": ("หอไอเฟลตั้งอยู่ในกรุงปารีสและสร้างเสร็จในปี 1889", "กรุงปารีส"),
    "zh": ("埃菲尔铁塔于1889年在巴黎建造，高324米。", "巴黎"),
    "ja": ("エッフェル塔は1889年にパリで建てられ、がっしりしている。", "パリ"),
    "ko": ("그 건물은 보수적 신자들의 모임에서만 쓰였고, 서울에 있다.", "보수적 신자들의 모임"),
    "vi": ("Thành phố nằm ở phía bắc của đất nước, và má tôi ở đó.", "phía bắc"),
    "emoji": ("Ana 👩‍👩‍👧‍👦 mora aqui 🇧🇷, e Rui 👍🏽 não.", "👩‍👩‍👧‍👦 mora"),
}


@pytest.fixture
def disturbed(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("_disturbed")


def text_at(found, context):
    return None if found.start_char is None else context[found.start_char : found.end_char]


@pytest.mark.parametrize("language", [None, "pt", "en", "es"])
@pytest.mark.parametrize("name", TEXTS)
def test_exact_answers_in_every_script_stay(name, language):
    context, answer = TEXTS[name]
    start = context.index(answer)
    found = locate_answer(context, "?", answer, start, language=language)
    assert found[:3] == (start, start + len(answer), "exact")
    assert found.confidence >= DEFAULT_THRESHOLD


@given(st.sampled_from(list(TEXTS)), st.booleans(), st.data())
def test_whatever_stands_exactly_stays_exactly(name, is_decomposed, data):
    """Cut anywhere: inside words, numbers, letters and emoji, and where it stands again."""
    context = TEXTS[name][0] + " " + data.draw(st.sampled_from(list(TEXTS.values())))[0]
    context = unicodedata.normalize("NFD", context) if is_decomposed else context
    start = data.draw(st.integers(0, len(context) - 1))
    end = data.draw(st.integers(start + 1, min(start + 30, len(context))))
    if context[start:end].strip():
        found = locate_answer(context, context[:40], context[start:end], start, language=None)
        assert found[:3] == (start, end, "exact")
        assert found.confidence >= DEFAULT_THRESHOLD


def test_labels_cut_inside_a_letter_stay_and_are_counted(disturbed):
    context = unicodedata.normalize("NFD", "O café é caro.") + " 1850 के बाद"
    labels = [
        disturbed.Label(context, "?", context[start:end], start, start, end)
        for start, end in [(2, 6), (2, 7), (len(context) - 2, len(context))]
    ]
    figures, audit = disturbed.judged(labels)
    assert figures == (3, 0, 0)
    assert audit.inside_letters == 2


@pytest.mark.parametrize("policy", ["drop", "strict"])
def test_drop_and_strict_use_the_spans_of_the_data(disturbed, policy):
    context = "Em 1817 foi um destaque no ano. Depois esta casa caiu, e esta casa de sete anos."
    rows = [
        {"id": str(index), "title": "", "context": context, "question": question,
         "answers": {"text": [text], "answer_start": [context.index(text)]}}
        for index, (question, text) in enumerate(
            [("Qual casa caiu?", "esta"), ("Com que idade?", "7"), ("Qual casa?", "esta casa")]
        )
    ]  # fmt: skip
    from datasets import Dataset

    examples = Dataset.from_list(rows, features=disturbed.FEATURES)
    aligned, audit = align_examples(examples, policy=policy, language="pt")
    starts = [row["answers"]["answer_start"] for row in rows]
    assert [spans["start_char"] for spans in aligned["spans"]] == starts
    assert {status for spans in aligned["spans"] for status in spans["status"]} == {"exact"}
    assert (audit.trusted, audit.changed_occurrences) == (3, 0)
    shifted = {**rows[0], "answers": {"text": ["esta"], "answer_start": [3]}}
    examples = Dataset.from_list([shifted], features=disturbed.FEATURES)
    if policy == "strict":
        with pytest.raises(InputError, match="1 of 1"):
            align_examples(examples, policy=policy)
    else:
        assert len(align_examples(examples, policy=policy)[0]) == 0


@pytest.mark.realdata
@pytest.mark.parametrize("language", ["en", "es", "ar", "tr"])
def test_what_people_marked_stays(disturbed, realdata, language):
    labels = disturbed.exact_labels(load_examples(str(realdata / f"xquad_{language}.json")))
    figures, audit = disturbed.judged(labels)
    assert figures.labels == 1190
    assert figures.wrong + figures.lost <= 0.003 * figures.labels
    assert audit.language == ("en" if language == "en" else None)
    assert audit.offset_unit is None
    assert not audit.offsets_are_noise


@pytest.mark.realdata
@pytest.mark.parametrize("language", ["en", "es", "ar", "tr"])
def test_disturbed_labels_are_found_at_their_places(disturbed, realdata, language):
    labels = disturbed.exact_labels(load_examples(str(realdata / f"xquad_{language}.json")))
    labels = labels[400:480]
    for way, disturb in disturbed.WAYS.items():
        figures, _ = disturbed.judged([disturb(label) for label in labels])
        assert figures.wrong <= (0.03 if "no offsets" in way else 0.005) * figures.labels, way
        assert figures.lost <= (0.12 if "no offsets" in way else 0.03) * figures.labels, way
