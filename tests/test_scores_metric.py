"""The scorer as a metric of `evaluate`: offline, alone, without lock files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_lightning.errors import InputError
from qa_lightning.scores import example_scores, squad_metric, squad_scores


def row(name, text):
    return {"id": name, "prediction_text": text}


def gold(name, *texts):
    return {"id": name, "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}


def test_rows_of_squad():
    metric = squad_metric(language="pt")
    predictions, references = (
        [row("1", "o rio"), row("2", "mar")],
        [gold("1", "rio"), gold("2", "mar")],
    )
    figures = metric.compute(predictions=predictions, references=references)
    expected = squad_scores({"1": "o rio", "2": "mar"}, {"1": ["rio"], "2": ["mar"]}, language="pt")
    assert figures == pytest.approx(expected)
    for prediction, reference in zip(predictions, references, strict=True):
        metric.add(prediction=prediction, reference=reference)
    assert metric.compute() == pytest.approx(expected)


def test_rows_of_squad_v2_in_batches():
    metric = squad_metric()
    odds = {"1": 0.1234567890123, "2": 0.9, "3": 0.95}
    for name, probability in odds.items():
        metric.add_batch(
            predictions=[row(name, "mar") | {"no_answer_probability": probability}],
            references=[gold(name, "mar") if name == "1" else gold(name)],
        )
    figures = metric.compute()
    assert figures["best_exact"] == 100.0
    assert figures["best_exact_thresh"] == odds["1"]  # to the last digit
    assert (figures["HasAns_total"], figures["NoAns_total"]) == (1, 2)


def test_a_fresh_process_needs_no_network_no_lock_and_no_evaluate_before_it_asks(tmp_path):
    code = (
        "import sys, qa_lightning.answers\n"
        "from qa_lightning.scores import squad_metric\n"
        "assert not {'evaluate', 'lightning', 'torchmetrics', 'transformers'} & set(sys.modules)\n"
        "answers = {'text': ['a b'], 'answer_start': [0]}\n"
        "figures = squad_metric().compute(predictions=[{'id': '1', 'prediction_text': 'b'}],"
        " references=[{'id': '1', 'answers': answers}])\n"
        "assert figures['exact_match'] == 100.0\n"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert [path for path in Path(tmp_path).rglob("*") if path.is_file()] == []


TEXTS = st.sampled_from(["Lima", "o rio", "Rio de Janeiro", "1821", "the sea"])
FORMS = {
    "texts": lambda golds: golds,
    "a tuple": tuple,
    "one text": lambda golds: golds[0] if len(golds) == 1 else golds,
    "the Hub's": lambda golds: {"text": golds, "answer_start": [0] * len(golds)},
    "the Hub's, one": lambda golds: {"text": golds[0] if len(golds) == 1 else golds},
    "SQuAD's": lambda golds: [{"text": text, "answer_start": 0} for text in golds],
    "with holes": lambda golds: [*golds, None],
    "None": lambda golds: golds or None,
    "an empty text": lambda golds: golds or "",
}


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_gold_answers_of_any_form_score_the_same(cases):
    predictions = {str(number): case[0] for number, case in enumerate(cases)}
    golds = {str(number): case[1] for number, case in enumerate(cases)}
    expected = squad_scores(predictions, golds)
    for form in FORMS.values():
        references = {name: form(texts) for name, texts in golds.items()}
        assert squad_scores(predictions, references) == expected
        assert example_scores(predictions, references).ids == tuple(golds)


def test_the_metric_reads_the_same_forms():
    golds = {"1": ["Lima", "the sea"], "2": [], "3": ["1821"]}
    rows = [row("1", "sea"), row("2", None), row("3", "1822")]
    texts = {"1": "sea", "2": None, "3": "1822"}
    for form in FORMS.values():
        metric = squad_metric()
        references = [{"id": name, "answers": form(texts)} for name, texts in golds.items()]
        assert metric.compute(predictions=rows, references=references) == squad_scores(texts, golds)


def test_none_is_no_answer():
    golds = {"1": ["Lima"], "2": None}
    figures = squad_scores({"1": "Lima", "2": None}, golds)
    assert (figures["exact_match"], figures["NoAns_f1"]) == (100.0, 100.0)
    assert squad_scores({"1": None, "2": "Lima"}, golds)["f1"] == 0.0
    assert squad_scores({"1": None}, {"1": ["None"]})["f1"] == 0.0


@pytest.mark.parametrize(
    ("predictions", "references", "told"),
    [
        ({"q7": "Lima"}, {"q7": 3}, "id 'q7' has a int"),
        ({"q7": "Lima"}, {"q7": {"texts": ["Lima"]}}, "id 'q7' has a dict with texts"),
        ({"q7": "Lima"}, {"q7": [["Lima"]]}, "id 'q7' has a list"),
        ({"q7": "Lima"}, {"q7": [{"answer": "Lima"}]}, "has a dict with answer"),
        ({"q7": "Lima"}, [{"id": "q7", "answers": "Lima"}], "`references` to map .* got a list"),
        ([{"id": "q7"}], {"q7": "Lima"}, "`predictions` to map .* got a list"),
        (
            {"q7": {"text": "Lima"}},
            {"q7": "Lima"},
            "each prediction to be a text.* 'q7' has a dict",
        ),
        ({"q7": 3.0}, {"q7": "Lima"}, "id 'q7' has a float"),
        ({7: "Lima"}, {"7": "Lima"}, "'7' of the references is str, and 7 of the .* int"),
        ({"7": "Lima"}, {7: "Lima"}, "7 of the references is int, and '7' of the .* str"),
        ({"1": "a", 7: "Lima"}, {"1": "a", "7": "Lima"}, "Expected ids of one type; '7'"),
        ({"1": "a", 7: "Lima"}, {"1": None, "7": "Lima"}, "Expected ids of one type; '7'"),
        ({"a/1": "a"}, {"1": "a", "7": "Lima"}, "no id is in both: the first are 'a/1' and '1'"),
    ],
)
def test_what_has_another_form_is_refused(predictions, references, told):
    with pytest.raises(InputError, match=told):
        squad_scores(predictions, references)


def test_rows_of_another_form_are_refused():
    metric = squad_metric()
    with pytest.raises(InputError, match="`id` and `prediction_text`"):
        metric.compute(predictions=[{"id": "1"}], references=[gold("1", "x")])
    with pytest.raises(InputError, match="`id` and `answers`"):
        squad_metric().compute(predictions=[row("1", "x")], references=[{"id": "1"}])
    for one, told in (("1992", "a string, '1992'"), (["1992"], "a list,"), (None, "a NoneType")):
        with pytest.raises(InputError, match=f"references as dicts .* got {told}"):
            squad_metric().compute(predictions=[row("1", "1992")], references=[one])
        with pytest.raises(InputError, match=f"predictions as dicts .* got {told}"):
            squad_metric().compute(predictions=[one], references=[gold("1", "1992")])
