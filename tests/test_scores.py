"""The official figures, against the scripts' logic written anew and against torchmetrics."""

import collections
import logging
import math
import re
import string
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import squad as torchmetrics_squad

from qa_lightning.errors import InputError
from qa_lightning.scores import bootstrap_interval, example_scores, squad_scores

# --- the scripts, written anew as the independent reference -----------------------------------


def script_normal(text):
    kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def script_f1(gold, prediction, version):
    gold, prediction = script_normal(gold).split(), script_normal(prediction).split()
    if version == 2 and (not gold or not prediction):
        return int(gold == prediction)
    same = sum((collections.Counter(gold) & collections.Counter(prediction)).values())
    if same == 0:
        return 0
    precision, recall = same / len(prediction), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def script_1_1(predictions, references):
    exact = f1 = 0
    for name, golds in references.items():
        if name in predictions:
            text = predictions[name]
            exact += max(script_normal(text) == script_normal(gold) for gold in golds)
            f1 += max(script_f1(gold, text, 1) for gold in golds)
    total = len(references)
    return {"exact_match": 100.0 * exact / total, "f1": 100.0 * f1 / total}


def script_2_0(predictions, references, na_probs=None, threshold=1.0):
    exact, f1 = {}, {}
    for name, golds in references.items():
        kept = [gold for gold in golds if script_normal(gold)] or [""]
        text = predictions[name]
        exact[name] = max(int(script_normal(gold) == script_normal(text)) for gold in kept)
        f1[name] = max(script_f1(gold, text, 2) for gold in kept)
    figures = {}
    for key, scores in (("exact", exact), ("f1", f1)):
        final = {
            name: float(not references[name]) if (na_probs or {}).get(name, 0.0) > threshold else s
            for name, s in scores.items()
        }
        for prefix, names in (
            ("", list(references)),
            ("HasAns_", [name for name in references if references[name]]),
            ("NoAns_", [name for name in references if not references[name]]),
        ):
            if names:
                figures[prefix + key] = 100.0 * sum(final[name] for name in names) / len(names)
                figures[prefix + "total"] = len(names)
        if na_probs is not None:
            figures |= script_best(key, scores, predictions, references, na_probs)
    return figures


def script_best(key, scores, predictions, references, na_probs):
    current = best = sum(1 for golds in references.values() if not golds)
    best_threshold = 0.0
    for name in sorted(na_probs, key=lambda name: na_probs[name]):
        if name not in scores:
            continue
        current += scores[name] if references[name] else (-1 if predictions[name] else 0)
        if current > best:
            best, best_threshold = current, na_probs[name]
    return {f"best_{key}": 100.0 * best / len(scores), f"best_{key}_thresh": best_threshold}


# --- drawn cases --------------------------------------------------------------------------------

words = st.sampled_from(
    ["the", "a", "An", "Ganges", "ganges.", "river,", "rio", ",", "«", "ção", "1.000", "नदी", "河"]
)
texts = st.one_of(
    st.lists(words, max_size=5).map(" ".join),
    st.text(max_size=8),
    st.sampled_from(["", "the", "."]),
)


@st.composite
def cases(draw, min_golds):
    count = draw(st.integers(1, 8))
    names = [f"id{number}" for number in range(count)]
    golds = st.lists(texts, min_size=min_golds, max_size=3)
    references = {name: draw(golds) for name in names}
    predictions = {
        name: draw(st.one_of(texts, st.sampled_from(references[name] or [""]))) for name in names
    }
    numbers = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.floats(-20, 20))
    odds = {name: draw(numbers) for name in draw(st.permutations(names))}
    return predictions, references, odds


def all_answered(references):
    """A gold text of nothing is no answer, as in the files of 2.0: its rules hold."""
    return all(any(text.strip() for text in golds) for golds in references.values())


@given(cases(min_golds=1).filter(lambda case: all_answered(case[1])))
@settings(max_examples=120, deadline=None)
def test_equals_the_script_of_1_1(case):
    predictions, references, _ = case
    figures = squad_scores(predictions, references)
    expected = script_1_1(predictions, references)
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert set(figures) == {"exact_match", "f1", "total"}


@given(cases(min_golds=0))
@settings(max_examples=150, deadline=None)
def test_equals_the_script_of_2_0(case):
    predictions, references, odds = case
    expected = script_2_0(predictions, references, odds)
    figures = squad_scores(predictions, references, no_answer_scores=odds)
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    assert figures["exact_match"] == figures["exact"]
    assert set(figures) == set(expected) | {"exact_match"}
    expected = script_2_0(predictions, references, odds, threshold=math.inf)
    figures = squad_scores(
        predictions, references, no_answer_scores=odds, no_answer_threshold=math.inf
    )
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    if not all_answered(references):
        expected = script_2_0(predictions, references)
        figures = squad_scores(predictions, references)
        assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=1e-9)


@given(cases(min_golds=1).filter(lambda case: all_answered(case[1])))
@settings(max_examples=50, deadline=None)
def test_equals_torchmetrics(case):
    predictions, references, _ = case
    # torchmetrics lets two empty texts agree, as only the script of 2.0 does.
    predictions = {name: text if script_normal(text) else "x" for name, text in predictions.items()}
    expected = torchmetrics_squad(
        [{"id": name, "prediction_text": text} for name, text in predictions.items()],
        [
            {"id": name, "answers": {"text": golds, "answer_start": [0] * len(golds)}}
            for name, golds in references.items()
        ],
    )
    figures = squad_scores(predictions, references)
    for key, value in expected.items():
        assert figures[key] == pytest.approx(float(value), abs=1e-4)  # torchmetrics: float32


# --- single rules ---------------------------------------------------------------------------------


def test_the_rules_differ_where_a_gold_text_is_empty_after_normalisation():
    assert squad_scores({"1": "the"}, {"1": ["A"]})["f1"] == 0.0
    figures = squad_scores({"1": "the"}, {"1": ["A"]}, no_answer_scores={"1": 0.0})
    assert figures["f1"] == figures["HasAns_f1"] == 100.0


@pytest.mark.parametrize("gold", ["", [""], ["", " "], [{"text": "", "answer_start": 0}], []])
def test_a_gold_text_of_nothing_is_no_answer(gold):
    for said, score in (("", 100.0), (None, 100.0), ("the", 100.0), ("Lima", 0.0)):
        figures = squad_scores({"1": said}, {"1": gold})
        assert figures["exact_match"] == figures["f1"] == score
        assert example_scores({"1": said}, {"1": gold}).f1_e.tolist() == [score]


def test_real_no_answer_scores_move_the_threshold():
    # transformers' run_qa feeds the script a constant 0 and its best threshold says nothing.
    predictions = {"1": "right", "2": "wrong", "3": "wrong"}
    references = {"1": ["right"], "2": [], "3": []}
    odds = {"3": 3.0, "2": 1.0, "1": -4.0}
    figures = squad_scores(predictions, references, no_answer_scores=odds)
    assert (figures["best_exact"], figures["best_exact_thresh"]) == (100.0, -4.0)
    constant = squad_scores(predictions, references, no_answer_scores=dict.fromkeys(odds, 0.0))
    assert constant["best_exact"] < 100.0
    assert "best_exact" not in squad_scores(predictions, references)
    for kind in (torch.tensor, np.float32, Decimal):  # numbers of other libraries
        given = {name: kind(score) for name, score in odds.items()}
        assert squad_scores(predictions, references, no_answer_scores=given) == figures


def test_missing_predictions_are_treated_as_the_scripts_do(caplog):
    references = {"1": ["Ganges"], "2": ["Indus"]}
    with caplog.at_level(logging.WARNING):
        figures = squad_scores({"1": "Ganges", "9": "extra"}, references)
    assert figures == {"exact_match": 50.0, "f1": 50.0, "total": 2.0}
    assert "'2'" in caplog.text
    with pytest.raises(InputError, match=r"each of 2 questions; 1 are missing \(first id '2'\)"):
        squad_scores({"1": "Ganges"}, references | {"2": []})
    for second in ({}, {"2": None}, {"2": float("nan")}, {"2": "0.3"}):
        scores = {"1": 0.0, **second}
        with pytest.raises(InputError, match=r"for each of 2 questions; 1 have none .*'2'"):
            squad_scores(dict.fromkeys("12", ""), references, no_answer_scores=scores)
    with pytest.raises(InputError, match="at least one reference"):
        squad_scores({}, {})


def test_an_empty_prediction_is_similar_to_nothing():
    # simpletransformers counts it as similar to every answer.
    assert squad_scores({"1": ""}, {"1": ["Ganges"]})["f1"] == 0.0


def test_single_scores_have_the_figures_as_their_means():
    predictions = {"1": "river Ganges", "2": "", "3": "Indus"}
    references = {"1": ["Ganges"], "2": [], "3": ["Indus", "river"]}
    single = example_scores(predictions, references)
    figures = squad_scores(predictions, references, language="pt")
    assert single.ids == ("1", "2", "3")
    assert single.exact_e.tolist() == [0.0, 100.0, 100.0]
    assert single.exact_e.mean() == pytest.approx(figures["exact_match"])
    assert single.f1_e.mean() == pytest.approx(figures["f1"])
    portuguese = example_scores(predictions, references, language="pt")
    assert portuguese.f1_e.mean() == pytest.approx(figures["f1_pt"])


# --- intervals ------------------------------------------------------------------------------------


def test_interval_covers_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(300):
        values = 100.0 * (generator.random(150) < 0.7)
        low, high = bootstrap_interval(values, resamples=300, seed=trial)
        covered += low <= 70.0 <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_questions_on_one_context_are_drawn_together():
    """Hard and easy contexts: single questions promise 95 % and hold the truth far more rarely."""
    generator = np.random.default_rng(2)
    covered = {"contexts": 0, "questions": 0}
    for trial in range(200):
        groups = np.repeat(np.arange(40), generator.integers(1, 9, size=40))
        chance = (generator.random(40) < 0.6)[groups] * 0.8 + 0.1  # a mean of 0.58
        values = 100.0 * (generator.random(len(groups)) < chance)
        for name, drawn in (("contexts", groups.tolist()), ("questions", None)):
            low, high = bootstrap_interval(values, groups_e=drawn, resamples=300, seed=trial)
            covered[name] += low <= 58.0 <= high
    assert covered["questions"] / 200 < 0.85
    assert 0.9 <= covered["contexts"] / 200 <= 0.99


def test_few_contexts_promise_no_more_than_their_questions():
    values = [0.0, 100.0, 100.0, 0.0, 100.0, 100.0]
    alone = bootstrap_interval(values)
    assert bootstrap_interval(values, groups_e=["one"] * 6) == alone
    assert bootstrap_interval(values, groups_e=range(6)) == alone
    low, high = bootstrap_interval(values, groups_e=[0, 1, 1, 0, 1, 1])
    assert (low, high) == (0.0, 100.0)


def test_weights_count_an_example_as_often():
    values, weights = np.array([10.0, 20.0, 60.0]), np.array([1.0, 3.0, 1.0])
    low, high = bootstrap_interval(values, weights_e=weights, confidence=0.999, resamples=2000)
    assert (low, high) == (10.0, 60.0)  # draws of one example three times
    assert bootstrap_interval(values, weights_e=[2, 2, 2]) == bootstrap_interval(values)
    middle = bootstrap_interval(values, weights_e=[0.01, 1000.0, 0.01], confidence=0.3)
    assert middle == pytest.approx((20.0, 20.0), abs=0.01)


def test_interval_is_the_same_everywhere_and_near_the_normal_one():
    values = np.random.default_rng(0).random(20_000) * 100
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values.tolist())
    assert bootstrap_interval(values, seed=1) != (low, high)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 5)
    narrow = bootstrap_interval(values, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high
    with pytest.raises(InputError, match="at least one value"):
        bootstrap_interval([])
