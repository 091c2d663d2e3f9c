"""Confidences that mean what they say, and the threshold of the null odds."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.answers import Answer, QuestionAnswers
from qa_lightning.calibration import (
    confidences,
    expected_calibration_error,
    fit_temperature,
    is_fitted_on,
    reliability,
    risk_coverage,
    sweep_threshold,
)
from qa_lightning.errors import InputError
from qa_lightning.scores import squad_scores


def answers_of(scores, null_score=0.0, name="q", given=True):
    spans = tuple(Answer(f"t{place}", 0, 1, score, 0.5) for place, score in enumerate(scores))
    odds = null_score - scores[0] if len(scores) else math.inf
    return QuestionAnswers(name, 0, spans, null_score, odds, 0.5, bool(spans) and given)


def drawn(count, true_temperature, seed=0):
    """Return answers whose best span is right as often as the softmax at that temperature says."""
    generator = np.random.default_rng(seed)
    answers, is_correct = [], {}
    for number in range(count):
        scores = np.sort(generator.normal(scale=4, size=5))[::-1].tolist()
        null = float(generator.normal())
        weights = np.exp(np.array([*scores, null]) / true_temperature)
        answers.append(answers_of(scores, null, f"q{number}"))
        is_correct[f"q{number}"] = bool(generator.random() < weights[0] / weights.sum())
    return answers, is_correct


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_finds_the_temperature_that_the_data_were_drawn_with(true_temperature):
    answers, is_correct = drawn(6_000, true_temperature)
    found = fit_temperature(answers, is_correct)
    assert found.temperature == pytest.approx(true_temperature, rel=0.12)
    assert found.ece_after < 0.03
    if true_temperature != 1.0:
        assert found.ece_before > 2 * found.ece_after
    assert found.fitted_count + found.reported_count == 6_000
    assert 2_800 < found.fitted_count < 3_200


def test_halves_depend_on_the_ids_alone():
    answers, is_correct = drawn(300, 2.0)
    found = fit_temperature(answers, is_correct)
    turned = fit_temperature(answers[::-1], is_correct)
    assert asdict(turned) == pytest.approx(asdict(found))
    changed = {
        name: right and is_fitted_on(name)  # all wrong in the half that is reported
        for name, right in is_correct.items()
    }
    assert fit_temperature(answers, changed).temperature == found.temperature
    assert fit_temperature(answers, changed).ece_after > found.ece_after


def test_a_half_without_errors_does_not_ask_for_certainty():
    answers = [answers_of([2.0, 1.0], 0.0, f"q{number}") for number in range(20)]
    found = fit_temperature(answers, {answer.id: True for answer in answers})
    assert 0.8 < confidences(answers, found.temperature)[0] < 0.99


def test_no_answers_and_one_answer():
    nothing = fit_temperature([], {})
    assert (nothing.temperature, nothing.ece_before, nothing.ece_after) == (1.0, None, None)
    lone = fit_temperature([answers_of([], 0.0, "q")], {"q": True})
    assert lone.fitted_count + lone.reported_count == 1
    json.dumps(asdict(lone), allow_nan=False)
    assert type(lone.temperature) is float


def test_confidence_is_of_what_was_given():
    span, none = answers_of([1.0, 0.0]), answers_of([1.0, 0.0], null_score=2.0, given=False)
    empty = answers_of([], null_score=3.0)
    total = math.exp(0.5) + 1 + math.exp(0.0), math.exp(0.5) + 1 + math.exp(1.0)
    expected = [math.exp(0.5) / total[0], math.exp(1.0) / total[1], 1.0]
    assert confidences([span, none, empty], 2.0) == pytest.approx(expected)


def test_calibration_error_and_reliability_by_hand():
    confidence, correct = [0.95, 0.95, 0.95, 0.95, 0.05, 0.05], [1, 1, 1, 0, 0, 0]
    expected = (4 * abs(0.75 - 0.95) + 2 * 0.05) / 6
    assert expected_calibration_error(confidence, correct) == pytest.approx(expected, abs=1e-6)
    bins = reliability(confidence, correct)
    assert [(entry.accuracy, entry.count) for entry in bins] == [(0.0, 2), (0.75, 4)]
    assert [entry.confidence for entry in bins] == pytest.approx([0.05, 0.95])
    assert reliability([1.0], [1])[0].count == 1


def test_risk_coverage_by_hand():
    curve = risk_coverage([0.9, 0.5, 0.9, 0.2], [1, 0, 0, 1])
    assert [(point.coverage, point.risk, point.confidence) for point in curve] == [
        (0.5, 0.5, 0.9),
        (0.75, pytest.approx(2 / 3), 0.5),
        (1.0, 0.5, 0.2),
    ]
    assert risk_coverage([], []) == []
    generator = np.random.default_rng(0)
    long = risk_coverage(generator.random(5_000), generator.random(5_000) < 0.8, points=50)
    assert len(long) == 50
    assert long[-1].coverage == 1.0
    assert json.dumps([asdict(point) for point in long])


questions = st.lists(
    st.tuples(
        st.one_of(st.integers(-3, 3).map(float), st.just(math.inf)),
        st.booleans(),
        st.sampled_from([0.0, 50.0, 100.0]),
    ),
    min_size=1,
    max_size=12,
)


@given(questions)
@settings(max_examples=200, deadline=None)
def test_sweep_equals_trying_every_threshold(rows):
    odds, has_answer, span_score = (np.array(column) for column in zip(*rows, strict=True))

    def mean_score(threshold):
        given_span = np.where(has_answer, span_score, 0.0)
        given_none = np.where(has_answer, 0.0, 100.0)
        return np.where(odds <= threshold, given_span, given_none).mean()

    found = sweep_threshold(odds, has_answer, span_score)
    tried = [mean_score(threshold) for threshold in (-9.0, *odds[np.isfinite(odds)])]
    assert found.score == pytest.approx(max(tried))
    assert mean_score(found.threshold) == pytest.approx(found.score)
    assert found.answered == (odds <= found.threshold).mean()
    assert math.isfinite(found.threshold)


def test_sweep_agrees_with_the_script_and_stands_between_the_odds():
    predictions = {"1": "right", "2": "wrong", "3": "right", "4": "wrong"}
    references = {"1": ["right"], "2": [], "3": ["right"], "4": []}
    odds = {"1": -4.0, "2": 1.0, "3": -2.0, "4": 3.0}
    script = squad_scores(predictions, references, no_answer_scores=odds)
    found = sweep_threshold(list(odds.values()), [True, False, True, False], [100, 0, 100, 0])
    assert found.score == script["best_f1"] == 100.0
    assert (script["best_f1_thresh"], found.threshold) == (-2.0, -0.5)
    with pytest.raises(InputError, match="at least one question"):
        sweep_threshold([], [], [])


def test_neighbouring_floats_are_still_told_apart():
    low = 1.0
    high = math.nextafter(low, 2.0)
    found = sweep_threshold([low, high], [True, False], [100, 0])
    assert (found.score, found.threshold) == (100.0, low)
