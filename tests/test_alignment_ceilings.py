"""The best scores in reach, against a search through every span."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.alignment import align_examples, answer_ceiling, with_ceilings
from qa_lightning.normalization import normalize_squad

VOCABULARY = "a the Paris, paris Rome (1990) 1990 e-mail e mail &quot;B&quot; ."
WORDS = st.sampled_from(VOCABULARY.split())
CONTEXTS = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
ANSWERS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


def scores(prediction: str, gold: str) -> tuple[float, float]:
    """The official rules, written once more."""
    said, wanted = normalize_squad(prediction).split(), normalize_squad(gold).split()
    same = sum((Counter(said) & Counter(wanted)).values())
    f1 = 2.0 * same / (len(said) + len(wanted)) if same else 0.0
    return float(said == wanted), f1


def best_of_all_spans(context, texts, unit, limit=None):
    places = [match.span() for match in re.finditer(unit, context)]
    found = [(0.0, 0.0)]
    for first, (start, _) in enumerate(places):
        for _, end in places[first:]:
            if limit is None or len(context[start:end].split()) <= limit:
                found += [scores(context[start:end], text) for text in texts]
    return 100 * max(one[0] for one in found), 100 * max(one[1] for one in found)


@settings(deadline=None, max_examples=300)
@given(CONTEXTS, st.lists(ANSWERS, min_size=1, max_size=2), st.sampled_from([None, 1, 2, 4]))
def test_whole_words(context, texts, limit):
    found = answer_ceiling([(context, texts)], max_answer_length=limit)
    expected = best_of_all_spans(context, texts, r"\S+", limit)
    assert (found.exact_match, found.f1) == pytest.approx(expected)


@settings(deadline=None, max_examples=300)
@given(CONTEXTS, st.lists(ANSWERS, min_size=1, max_size=2))
def test_spans_cut_at_signs(context, texts):
    found = answer_ceiling([(context, texts)], boundaries="signs")
    expected = best_of_all_spans(context, texts, r"[^\W_]+|[^\w\s]|_")
    assert (found.exact_match, found.f1) == pytest.approx(expected)


def test_windows_and_tokens_limit_what_is_in_reach():
    context = "uno dos tres cuatro"
    offsets = [0, 3, 4, 7, 8, 12, 13, 19]
    row = [(context, ["dos tres"])]
    assert answer_ceiling(row, windows=[[offsets]]).exact_match == 100.0
    apart = answer_ceiling(row, windows=[[offsets[:4], offsets[4:]]])
    assert (apart.exact_match, apart.f1) == pytest.approx((0.0, 200 / 3))
    short = answer_ceiling(row, windows=[[offsets]], max_answer_length=1)
    assert (short.exact_match, short.f1) == pytest.approx((0.0, 200 / 3))


def test_unanswerable_questions_count_as_reached():
    assert answer_ceiling([("Texto.", [])])[:2] == (100.0, 100.0)
    assert answer_ceiling([])[:2] == (0.0, 0.0)


@pytest.mark.realdata
def test_the_known_ceiling_of_the_portuguese_sample(realdata):
    from qa_lightning.examples import load_examples

    examples = load_examples(str(realdata / "squad_v1_pt_sample.json"))
    rows = [(row["context"], row["answers"]["text"]) for row in examples]
    found = answer_ceiling(rows)
    assert found.exact_match == pytest.approx(67.7, abs=0.05)
    assert found.f1 == pytest.approx(82.4, abs=0.05)
    some = examples.select(range(0, 3_000, 30))
    ceilings = with_ceilings(
        align_examples(some, policy="repair")[1], some, max_answer_length=5
    ).ceilings
    assert ceilings["f1_5_words"] < ceilings["f1"] <= ceilings["f1_at_signs"]
