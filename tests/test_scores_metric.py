"""The scorer as a metric of `evaluate`: offline, alone, without lock files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qa_lightning.scores import squad_metric, squad_scores


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
