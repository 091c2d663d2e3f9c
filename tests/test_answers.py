"""Merging the windows of a question, against a plain slow implementation."""

import copy
import math
import pickle
import string

import datasets
import numpy as np
import pytest

from qa_lightning import answers as answers_module
from qa_lightning.answers import WINDOW_SCORINGS, Answer, complete_examples, select_answers
from qa_lightning.answers import records as records_module
from qa_lightning.candidates import WindowCandidates
from qa_lightning.errors import InputError

NEVER = -np.inf


def examples_of(*contexts):
    return datasets.Dataset.from_dict(
        {"id": [f"q{row}" for row in range(len(contexts))], "context": list(contexts)}
    )


def windows_of(*windows, n_best=4):
    """Return candidates from ``(spans, null score, log normalizer)`` of each window."""
    spans = np.zeros((len(windows), n_best, 3))
    spans[:, :, 2] = NEVER
    for window, (found, _, _) in enumerate(windows):
        spans[window, : len(found)] = np.array(found).reshape(-1, 3)
    return WindowCandidates(
        feature_index_w=np.arange(len(windows)),
        start_char_wn=spans[:, :, 0].astype(np.int32),
        end_char_wn=spans[:, :, 1].astype(np.int32),
        score_wn=spans[:, :, 2].astype(np.float32),
        null_score_w=np.array([null for _, null, _ in windows], np.float32),
        log_normalizer_w=np.array([total for _, _, total in windows], np.float32),
    )


def slow(windows, example_index_w, contexts, n_best, scoring, threshold, temperature, no_answer):
    """Answer as run_qa does, one candidate at a time; spans are merged by their characters."""
    answers = {}
    for row in sorted(set(example_index_w)):
        best, nulls = {}, []
        for window in np.flatnonzero(np.asarray(example_index_w) == row):
            null, total = windows.null_score_w[window], windows.log_normalizer_w[window]
            origin = {"raw": 0.0, "relative": null, "log_probability": total}[scoring]
            nulls.append(float(null) - float(origin))
            for start, end, score in zip(
                windows.start_char_wn[window].tolist(),
                windows.end_char_wn[window].tolist(),
                windows.score_wn[window].tolist(),
                strict=True,
            ):
                text = contexts[row][start:end]
                if score == NEVER or not text.strip():
                    continue
                first = start + len(text) - len(text.lstrip())
                span = (first, first + len(text.strip()))
                best[span] = max(best.get(span, NEVER), score - float(origin))
        order = sorted(best, key=lambda span: (-best[span], span))[:n_best]
        weights = np.array([best[span] for span in order] + [min(nulls)]) / temperature
        weights = np.exp(weights - weights.max())
        weights /= weights.sum()
        odds = min(nulls) - best[order[0]] if order else math.inf
        given = bool(order) and not (no_answer and odds > threshold)
        spans = [(contexts[row][a:b], a, b, best[a, b]) for a, b in order]
        answers[row] = (spans, weights[:-1], min(nulls), odds, weights[-1], given)
    return answers


def random_case(seed):
    generator = np.random.default_rng(seed)
    letters = np.array([*string.ascii_lowercase, " ", " ", "\n", "\u00a0", "é", "😀", "\u2003"])
    contexts = ["".join(generator.choice(letters, size=30)) for _ in range(40)]
    example_index_w = generator.integers(0, 40, size=120)
    windows = []
    for _ in range(120):
        starts = generator.integers(0, 29, size=generator.integers(0, 6))
        found = [
            (start, min(30, start + generator.integers(1, 4)), generator.integers(-4, 5) / 2)
            for start in starts
        ]
        windows.append((found, generator.normal(), 5 + generator.normal()))
    return windows_of(*windows, n_best=6), example_index_w, contexts


@pytest.mark.parametrize("scoring", WINDOW_SCORINGS)
@pytest.mark.parametrize("no_answer", [False, True])
@pytest.mark.parametrize("contexts_are", ["short", "long"])
def test_equals_the_slow_implementation(scoring, no_answer, contexts_are, monkeypatch):
    # Blanks are looked for in the contexts or in the spans' texts, whichever costs less.
    monkeypatch.setattr(answers_module, "_CHARS_A_SPAN", 200 if contexts_are == "short" else 0)
    for seed in range(5):
        windows, example_index_w, contexts = random_case(seed)
        expected = slow(windows, example_index_w, contexts, 7, scoring, 0.5, 1.7, no_answer)
        answers = select_answers(
            windows,
            example_index_w=example_index_w,
            examples=examples_of(*contexts),
            n_best=7,
            window_scoring=scoring,
            null_score_threshold=0.5,
            temperature=1.7,
            no_answer=no_answer,
        )
        assert [answer.example_index for answer in answers] == list(expected)
        for answer in answers:
            spans, confidences, null, odds, none, given = expected[answer.example_index]
            assert answer.id == f"q{answer.example_index}"
            assert [found[:3] for found in answer.answers] == [span[:3] for span in spans]
            scores = [found.score for found in answer.answers]
            assert scores == pytest.approx([span[3] for span in spans])
            assert [found.confidence for found in answer.answers] == pytest.approx(confidences)
            assert (answer.null_score, answer.null_odds) == pytest.approx((null, odds))
            assert answer.no_answer_probability == pytest.approx(none)
            assert answer.is_answerable == given
            assert answer.text == (spans[0][0] if given else "")


def test_many_examples_come_block_by_block():
    contexts = [f"texto {row:04d} fim" for row in range(1_000)]
    windows = windows_of(*(([(6, 10, 1.0)], 0.0, 0.0) for _ in contexts), n_best=1)
    order = np.random.default_rng(0).permutation(1_000)
    answers = select_answers(windows, example_index_w=order, examples=examples_of(*contexts))
    assert [answer.text for answer in answers] == [f"{row:04d}" for row in range(1_000)]


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    windows, example_index_w, contexts = random_case(3)
    examples = examples_of(*contexts)
    whole = select_answers(windows, example_index_w=example_index_w, examples=examples, n_best=4)
    expected = list(whole)
    monkeypatch.setattr(answers_module, "_EXAMPLES_AT_ONCE", 7)
    monkeypatch.setattr(records_module, "_CONTEXTS_KEPT", 2)
    parts = select_answers(windows, example_index_w=example_index_w, examples=examples, n_best=4)
    assert list(parts) == expected
    assert parts == whole


def test_answers_are_a_sequence_whose_records_are_made_when_asked_for(monkeypatch):
    monkeypatch.setattr(answers_module, "_EXAMPLES_AT_ONCE", 5)
    monkeypatch.setattr(records_module, "_CONTEXTS_KEPT", 2)
    windows, example_index_w, contexts = random_case(1)
    answers = select_answers(
        windows,
        example_index_w=example_index_w,
        examples=examples_of(*contexts),
        example_indices=[*range(30, 40), 5, 2],
        no_answer=True,
    )
    records = list(answers)
    assert len(answers) == len(records) == 12
    assert [record.example_index for record in records] == [*range(30, 40), 5, 2]
    assert [answers[place] for place in range(-12, 12)] == records + records
    assert answers[2:9:3] == records[2:9:3]
    assert answers[::-1] == records[::-1]
    assert answers.predictions() == {record.id: record.text for record in records}
    assert "" in answers.predictions().values()
    for place in (12, -13):
        with pytest.raises(IndexError):
            answers[place]
    for record in records[::-1]:  # the last block's texts are not those asked for first
        for answer in record.answers[::-1]:
            assert (
                answer.text == contexts[record.example_index][answer.start_char : answer.end_char]
            )
        for place in (len(record.answers), -len(record.answers) - 1):
            with pytest.raises(IndexError):
                record.answers[place]
        assert record.answers[-1:] == tuple(record.answers)[-1:]
        assert record.scores == [answer.score for answer in record.answers]
    none = select_answers(
        windows, example_index_w=example_index_w, examples=examples_of(), example_indices=[]
    )
    assert (len(none), list(none), none.predictions()) == (0, [], {})


def test_pickles_hold_the_answers_and_not_the_examples():
    windows, example_index_w, contexts = random_case(2)
    answers = select_answers(
        windows,
        example_index_w=example_index_w,
        examples=examples_of(*(context * 1_000 for context in contexts)),
    )
    pickled = pickle.dumps(answers)
    assert len(pickled) < 30_000 < sum(map(len, contexts)) * 1_000
    read = pickle.loads(pickled)
    assert read == list(answers) == copy.deepcopy(answers)
    assert answers == read
    assert [record.scores for record in read] == [record.scores for record in answers]


def test_a_span_that_two_windows_saw_counts_once_with_its_best_score():
    windows = windows_of(([(0, 3, 2.0), (4, 7, 1.0)], 0.0, 0.0), ([(0, 3, 5.0)], 0.0, 0.0))
    (answer,) = select_answers(
        windows, example_index_w=[0, 0], examples=examples_of("one two"), window_scoring="raw"
    )
    assert [(found.text, found.score) for found in answer.answers] == [("one", 5.0), ("two", 1.0)]
    total = math.exp(5) + math.exp(1) + math.exp(0)
    assert answer.answers[0].confidence == pytest.approx(math.exp(5) / total)
    assert answer.no_answer_probability == pytest.approx(1 / total)


def test_the_null_score_is_the_least_of_the_windows():
    # The notebook keeps the greatest: a window far from the answer then speaks for all of them.
    windows = windows_of(([(0, 3, 4.0)], -3.0, 0.0), ([(4, 7, 1.0)], 9.0, 0.0))
    (answer,) = select_answers(
        windows,
        example_index_w=[0, 0],
        examples=examples_of("one two"),
        window_scoring="raw",
        no_answer=True,
    )
    assert (answer.null_score, answer.null_odds, answer.text) == (-3.0, -7.0, "one")


def test_the_best_span_is_the_answer_where_every_question_has_one():
    windows = windows_of(([(0, 3, -50.0)], 20.0, 0.0))
    arguments = {"example_index_w": [0], "examples": examples_of("one"), "window_scoring": "raw"}
    (answer,) = select_answers(windows, null_score_threshold=-100.0, **arguments)
    assert answer.answer == Answer("one", 0, 3, -50.0, answer.answers[0].confidence)
    assert answer.null_odds == 70.0
    (answer,) = select_answers(windows, no_answer=True, **arguments)
    assert (answer.answer, answer.text, answer.best_text) == (None, "", "one")
    assert answer.confidence == answer.no_answer_probability > 0.99
    (answer,) = select_answers(windows, no_answer=True, null_score_threshold=70.0, **arguments)
    assert answer.text == "one"  # greater, not equal, as in run_qa


def test_a_question_without_any_span_has_no_answer():
    windows = windows_of(([], 1.5, 0.0), ([(0, 2, 3.0)], 0.0, 0.0))
    answers = select_answers(
        windows,
        example_index_w=[0, 2],
        examples=examples_of("", "seen by no window", " \n"),
        example_indices=[2, 1, 0],
        window_scoring="raw",
    )
    assert [answer.id for answer in answers] == ["q2", "q1", "q0"]
    for answer in answers:
        assert (answer.answers, answer.answer, answer.text) == ((), None, "")
        assert answer.null_odds == math.inf
        assert answer.no_answer_probability == 1.0
    assert [answer.null_score for answer in answers] == [0.0, 0.0, 1.5]


def test_a_window_counts_relative_to_its_own_null_score():
    # The first window shouts; only the second one says that it holds the answer.
    windows = windows_of(([(0, 3, 12.0)], 14.0, 15.0), ([(4, 7, 6.0)], 1.0, 6.5))
    texts = {
        scoring: select_answers(
            windows,
            example_index_w=[0, 0],
            examples=examples_of("one two"),
            window_scoring=scoring,
        )[0].text
        for scoring in WINDOW_SCORINGS
    }
    assert texts == {"raw": "one", "relative": "two", "log_probability": "two"}


def test_temperature_flattens_and_leaves_the_order():
    windows = windows_of(([(0, 3, 4.0), (4, 7, 2.0)], 0.0, 0.0))
    arguments = {"example_index_w": [0], "examples": examples_of("one two")}
    (sharp,) = select_answers(windows, **arguments)
    (flat,) = select_answers(windows, temperature=10.0, **arguments)
    assert sharp.answers[0].confidence > flat.answers[0].confidence > 1 / 3
    assert [found[:4] for found in sharp.answers] == [found[:4] for found in flat.answers]


def test_a_diverged_network_still_gives_finite_numbers():
    windows = windows_of(([], NEVER, NEVER), ([(0, 3, np.inf)], np.inf, np.inf))
    for scoring in WINDOW_SCORINGS:
        answers = select_answers(
            windows,
            example_index_w=[0, 1],
            examples=examples_of("one", "two"),
            window_scoring=scoring,
        )
        assert math.isfinite(answers[0].null_score)
        assert math.isfinite(answers[1].answers[0].score)
        assert 0 <= answers[1].answers[0].confidence <= 1


@pytest.mark.parametrize("rows", [[-1], [0, 1]])
def test_rows_that_are_not_there_are_told(rows):
    windows = windows_of(([(0, 3, 1.0)], 0.0, 0.0))
    with pytest.raises(InputError, match="Expected rows of the 1 examples; got"):
        select_answers(
            windows, example_index_w=[0], examples=examples_of("one"), example_indices=rows
        )


def test_user_mistakes_are_told():
    windows, examples = windows_of(([(0, 3, 4.0)], 0.0, 0.0)), examples_of("one")
    for arguments, message in (
        ({"window_scoring": "loud"}, "`window_scoring` out of relative, raw, log_probability"),
        ({"n_best": 0}, "`n_best` to be at least 1; got 0"),
        ({"temperature": 0.0}, r"positive `temperature`; got 0\.0"),
        ({"temperature": math.nan}, "positive `temperature`; got nan"),
    ):
        with pytest.raises(InputError, match=message):
            select_answers(windows, example_index_w=[0], examples=examples, **arguments)


def test_only_examples_with_all_their_windows_are_complete():
    # A limit on windows must not turn the last questions into wrong answers.
    assert complete_examples([0, 1, 2, 4], example_index_f=[3, 3, 0, 1, 1]).tolist() == [0, 3]
    assert complete_examples([], example_index_f=[0]).tolist() == []
