"""Metrics of the user's own beside the official ones, from folders that the tests write."""

from pathlib import Path

import pytest

from qa_lightning.callbacks.further_metrics import further_figures
from qa_lightning.errors import InputError

PREDICTIONS = {"1": "the Ganges", "2": "", "3": "Indus", "4": "mar"}
GOLD = {"1": ["Ganges", "rio Ganges"], "2": [], "3": ["Indus"], "4": ["rio"]}

TEXT = "datasets.Value('string')"
ONE = f"datasets.Features({{'predictions': {TEXT}, 'references': {TEXT}}})"
MANY = f"datasets.Features({{'predictions': {TEXT}, 'references': datasets.List({TEXT})}})"
ANSWERS = (
    f"{{'text': datasets.List({TEXT}), 'answer_start': datasets.List(datasets.Value('int32'))}}"
)
FIRST_ROW = f"{{'id': {TEXT}, 'prediction_text': {TEXT}}}"
SECOND_ROW = FIRST_ROW[:-1] + ", 'no_answer_probability': datasets.Value('float32')}"
REFERENCE = f"{{'id': {TEXT}, 'answers': {ANSWERS}}}"

SCRIPT = """
import datasets
import evaluate
import numpy as np


class Own(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features={features}
        )

    def _compute(self, predictions, references):
        {body}
"""


def metric(folder: Path, name: str, features: str, body: str) -> str:
    """Write a metric's folder, as `evaluate` wants it, and return what names it."""
    script = SCRIPT.replace("{features}", features).replace("{body}", body)
    (folder / name).mkdir()
    (folder / name / f"{name}.py").write_text(script, encoding="utf-8")
    return str(folder / name)


def rows_of(prediction: str) -> str:
    return f"datasets.Features({{'predictions': {prediction}, 'references': {REFERENCE}}})"


def test_a_metric_of_texts_gets_each_answer_with_its_gold_texts(tmp_path: Path) -> None:
    one = metric(
        tmp_path, "one", ONE,
        "return {'right': sum(p == r for p, r in zip(predictions, references)), "
        "'count': np.int64(len(predictions)), 'share': np.float32(0.25), 'each': [1, 2]}",
    )  # fmt: skip
    many = metric(
        tmp_path, "many", MANY,
        "return {'golds': sum(map(len, references)), "
        "'held': sum(g in p for p, r in zip(predictions, references) for g in r)}",
    )  # fmt: skip
    assert further_figures([one, many + "/"], PREDICTIONS, GOLD) == {
        "one_right": 1.0,
        "one_count": 3.0,  # the unanswerable question is left out
        "one_share": 0.25,
        "many_golds": 4.0,
        "many_held": 2.0,
    }


def test_a_metric_that_takes_one_gold_text_or_many_gets_many(tmp_path: Path) -> None:
    name = metric(
        tmp_path, "either", f"[{ONE}, {MANY}]", "return {'golds': sum(map(len, references))}"
    )
    assert further_figures([name], PREDICTIONS, GOLD) == {"either_golds": 4.0}


def test_a_metric_of_squad_rows_gets_all_questions(tmp_path: Path) -> None:
    body = (
        "return {'count': len(predictions), "
        "'none': sum(not r['answers']['text'] for r in references), "
        "'right': sum(p['prediction_text'] in r['answers']['text'] and p['id'] == r['id'] "
        "for p, r in zip(predictions, references))}"
    )
    expected = {"count": 4.0, "none": 1.0, "right": 1.0}
    first = metric(tmp_path, "first", rows_of(FIRST_ROW), body)
    assert further_figures([first], PREDICTIONS, GOLD) == {
        f"first_{key}": value for key, value in expected.items()
    }
    # As `squad_v2`: the answers are decided, so that only a given "" counts as no answer.
    given = body[:-1] + ", 'odds': sum(p['no_answer_probability'] for p in predictions)}"
    second = metric(tmp_path, "second", rows_of(SECOND_ROW), given)
    assert further_figures([second], PREDICTIONS, GOLD) == {
        **{f"second_{key}": value for key, value in expected.items()},
        "second_odds": 1.0,
    }


def test_where_no_question_has_an_answer_a_metric_of_texts_says_nothing(tmp_path: Path) -> None:
    name = metric(tmp_path, "mean", ONE, "return {'mean': 1 / len(predictions)}")
    assert further_figures([name], {"2": ""}, {"2": []}) == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('words only\\nsecond line')", "words only"),
        ("raise ValueError", "ValueError"),
        ("return {'x': {}['key']}", "KeyError"),
        ("return {'x': 1 / 0}", "division by zero"),
        ("return [1.0]", "TypeError"),
    ],
)
def test_a_metric_that_cannot_score_texts_is_told(body: str, reason: str, tmp_path: Path) -> None:
    name = metric(tmp_path, "broken", ONE, body)
    with pytest.raises(InputError, match=rf"'{name}' could not score the answers: .*{reason}"):
        further_figures([name], PREDICTIONS, GOLD)


def test_a_metric_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`evaluation.metrics` to name metrics .*'.*/none'"):
        further_figures([str(tmp_path / "none")], PREDICTIONS, GOLD)
    (tmp_path / "faulty").mkdir()
    (tmp_path / "faulty" / "faulty.py").write_text("import evaluate\nx = (", encoding="utf-8")
    with pytest.raises(InputError, match="could not be loaded"):
        further_figures([str(tmp_path / "faulty")], PREDICTIONS, GOLD)
