"""The best scores in reach, against a search through every span."""

import json
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features_support import make_examples
from qa_lightning.alignment import (
    TokenWindows,
    align_examples,
    answer_ceiling,
    reach,
    with_ceilings,
)
from qa_lightning.borders import word_borders
from qa_lightning.normalization import normalize_squad

PIECES = [
    *("a", "the", "an", "The", "he", "e", "th", "Paris", "paris,", "bathe", "(1990)", "1990s"),
    *("e-mail", "mail", "&quot;B&quot;", ".", "“the—x”", "—x", "t-he", "İs", "北京", "大", "a—b"),
]
BLANKS = [" ", " ", " ", "", "\n", "\u00a0"]
CONTEXTS = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from(BLANKS)), min_size=1, max_size=9
).map(lambda parts: "".join(map("".join, parts)))
ANSWERS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)
GOLD = st.lists(ANSWERS, min_size=1, max_size=2)


def scores(prediction: str, gold: str) -> tuple[float, float]:
    """The official rules, written once more."""
    said, wanted = normalize_squad(prediction).split(), normalize_squad(gold).split()
    same = sum((Counter(said) & Counter(wanted)).values())
    f1 = 2.0 * same / (len(said) + len(wanted)) if same else 0.0
    return float(said == wanted), f1


def best_of(context, texts, spans):
    """Return the best scores of some spans, those of blanks alone left out."""
    said = {context[start:end] for start, end in spans}
    found = [scores(one, text) for one in said if one.strip() for text in texts]
    return [100 * max((score[n] for score in found), default=0.0) for n in (0, 1)]


def found(context, texts, **options):
    ceiling = answer_ceiling([(context, texts)], **options)
    return pytest.approx([ceiling.exact_match, ceiling.f1])


@settings(deadline=None, max_examples=150)
@given(CONTEXTS, GOLD)
def test_any_span(context, texts):
    places = range(len(context) + 1)
    spans = [(start, end) for start in places for end in places if start < end]
    assert best_of(context, texts, spans) == found(context, texts)


@settings(deadline=None, max_examples=100)
@given(CONTEXTS, GOLD)
def test_spans_at_word_borders(context, texts):
    places = np.flatnonzero(word_borders(context)).tolist()
    spans = [(start, end) for start in places for end in places if start < end]
    assert best_of(context, texts, spans) == found(context, texts, boundaries="borders")


@settings(deadline=None, max_examples=100)
@given(CONTEXTS, GOLD, st.sampled_from([None, 1, 2, 4]))
def test_whole_words(context, texts, limit):
    words = [match.span() for match in re.finditer(r"\S+", context)]
    spans = [
        (words[first][0], words[last][1])
        for first in range(len(words))
        for last in range(first, min(len(words), first + (limit or len(words))))
    ]
    options = {"boundaries": "words", "max_answer_length": limit}
    assert best_of(context, texts, spans) == found(context, texts, **options)


@settings(deadline=None, max_examples=150)
@given(CONTEXTS, GOLD, st.sampled_from([None, 1, 2, 5]), st.data())
def test_tokens_in_windows(context, texts, limit, data):
    cuts = data.draw(st.sets(st.integers(1, max(1, len(context) - 1))))
    cuts = sorted({0, len(context), *(cut for cut in cuts if cut < len(context))})
    tokens = list(pairwise(cuts))
    length = data.draw(st.integers(1, len(tokens)))
    step = data.draw(st.integers(1, length))
    windows = [
        (first, min(first + length, len(tokens)))
        for first in range(0, max(1, len(tokens) - length + step), step)
    ]
    if data.draw(st.booleans()):  # some tokenizers cut from the end
        windows.reverse()
    spans = [
        (tokens[first][0], tokens[last][1])
        for low, high in windows
        for first in range(low, high)
        for last in range(first, min(high, first + (limit or high)))
    ]
    laid = [TokenWindows(np.array(tokens), np.array(windows))]
    expected = best_of(context, texts, spans)
    assert expected == found(context, texts, max_answer_length=limit, windows=laid)


def test_several_tokens_of_one_character():
    laid = [TokenWindows(np.array([[0, 2], [3, 4], [3, 4], [3, 4], [5, 9]]), np.array([[0, 5]]))]
    row = [("Um 你 dois", ["你"])]
    assert answer_ceiling(row, windows=laid, max_answer_length=1)[:2] == (100.0, 100.0)


def test_unanswerable_questions_count_as_reached():
    assert answer_ceiling([("Texto.", [])])[:2] == (100.0, 100.0)
    assert answer_ceiling([])[:2] == (0.0, 0.0)


UNSPACED = {
    "zh": "北京大學位於中國北京市海淀區創辦於一八九八年是中國近代第一所國立大學",
    "ja": "東京は日本の首都であり世界最大級の都市の一つとして知られている",
    "th": "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย",
}


@pytest.mark.parametrize("language", [*UNSPACED, None])
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_languages_without_blanks_have_no_words_to_be_a_ceiling(language, data):
    text = data.draw(st.sampled_from(list(UNSPACED.values()))) * 3
    spans = []
    for _ in range(4):
        start = data.draw(st.integers(0, len(text) - 2))
        spans.append((start, data.draw(st.integers(start + 1, len(text)))))
    examples = make_examples([("?", text)] * 4).add_column(
        "answers", [{"text": [text[a:b]], "answer_start": [a]} for a, b in spans]
    )
    audit = align_examples(examples, policy="keep", language="zh")[1]
    ceilings = with_ceilings(audit, examples, language=language, max_answer_length=30).ceilings
    assert ceilings == {"exact_match": 100.0, "f1": 100.0}


def comparisons(monkeypatch, context, gold):
    """Count the spans that are compared, over all kinds of spans."""
    counted = Counter()
    original = reach.f1_of

    def counting(*numbers):
        counted["spans"] += 1
        return original(*numbers)

    monkeypatch.setattr(reach, "f1_of", counting)
    tokens = np.array([match.span() for match in re.finditer(r"\w+|[^\w\s]", context)])
    starts = np.arange(0, len(tokens), 250)
    laid = [TokenWindows(tokens, np.stack([starts, starts + 380], axis=1))]
    for options in ({}, {"boundaries": "borders"}, {"windows": laid, "max_answer_length": 30}):
        answer_ceiling([(context, [gold])], **options)
    monkeypatch.undo()
    return counted["spans"]


@pytest.mark.parametrize("words", [1, 5, 30, 100, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["reworded", "shuffled", "foreign"])
def test_the_work_is_linear_in_the_length_of_the_context(monkeypatch, words, kind):
    random = np.random.default_rng(words)
    vocabulary = [f"w{n}" for n in range(2_000)]
    share = 1 / np.arange(1, 2_001)
    draw = lambda count: random.choice(vocabulary, count, p=share / share.sum()).tolist()  # noqa: E731
    text = draw(4_000)
    gold = {
        "reworded": [w if n % 5 else f"v{n}" for n, w in enumerate(text[100 : 100 + words])],
        "shuffled": random.permutation(text[100 : 100 + words]).tolist(),
        "foreign": draw(words),
    }[kind]
    counts = [
        comparisons(monkeypatch, " ".join(text[:length]), " ".join(gold))
        for length in (1_000, 4_000)
    ]
    assert counts[1] < 4.5 * counts[0] + 2_000
    assert counts[1] < 3 * 4_000 * (40 + words)  # three kinds of spans


def test_progress_and_processes(tmp_path):
    context = "O filme custou 8,2 milhões e foi um sucesso."
    texts = ["8.2 milhões", "nunca", "um sucesso"] * 50
    examples = make_examples([("?", context)] * len(texts)).add_column(
        "answers", [{"text": [text], "answer_start": [0]} for text in texts]
    )
    audit = align_examples(examples, policy="repair", language="pt", drop=False)[1]
    done: list[int] = []
    ceilings = [
        with_ceilings(audit, examples, language="pt", num_proc=processes, progress=done.append)
        for processes in (None, 2)
    ]
    assert sum(done) == 2 * len(texts)
    assert len(done) > 4
    assert ceilings[0] == ceilings[1]
    assert ceilings[0].ceilings["exact_match"] == pytest.approx(200 / 3)


@pytest.mark.realdata
def test_every_gold_text_of_xquad_is_in_reach(realdata):
    from qa_lightning.examples import load_examples

    for language in ("en", "es", "ar", "tr"):
        path = realdata / f"xquad_{language}.json"
        examples = load_examples(str(path))
        rows = [(row["context"], row["answers"]["text"]) for row in examples]
        assert answer_ceiling(rows)[:2] == (100.0, 100.0)
        if language != "ar":
            assert answer_ceiling(rows, boundaries="borders").exact_match > 99.7
        assert json.loads(path.read_text("utf-8"))["data"]


@pytest.mark.realdata
def test_the_known_ceiling_of_the_portuguese_sample(realdata):
    from qa_lightning.examples import load_examples

    examples = load_examples(str(realdata / "squad_v1_pt_sample.json"))
    rows = [(row["context"], row["answers"]["text"]) for row in examples]
    words = answer_ceiling(rows, boundaries="words")
    assert words.exact_match == pytest.approx(67.7, abs=0.05)
    assert words.f1 == pytest.approx(82.4, abs=0.05)
    borders = answer_ceiling(rows, boundaries="borders")
    anywhere = answer_ceiling(rows)
    assert words.exact_match <= borders.exact_match <= anywhere.exact_match < 75
    assert words.f1 <= borders.f1 <= anywhere.f1 < 90
