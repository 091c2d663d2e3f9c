"""The result files: their shapes, and that they are there whole or not at all."""

import json
import math

import numpy as np
import pytest

from qa_lightning.answers import Answer, QuestionAnswers
from qa_lightning.reports import evaluation
from qa_lightning.reports.evaluation import FILES, write_evaluation, write_predictions
from qa_lightning.scores import SliceScore, squad_scores

CONTEXT = "O rio «Ganges» é longo 😀"
SURE = QuestionAnswers(
    "é1",
    0,
    (Answer("Ganges", 7, 13, 5.0, 0.7), Answer("rio «Ganges»", 2, 14, 3.0, 0.2)),
    1.0,
    -4.0,
    0.1,
    True,
)
NONE = SURE._replace(id="2", is_answerable=False, null_score=4.0, null_odds=-1.0)
EMPTY = QuestionAnswers("3", 2, (), 0.5, math.inf, 1.0, False)


def read(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    found = [json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES]
    assert found.pop() == {}  # the questions, none of which was given
    return found


def test_shapes_are_run_qas(tmp_path):
    folder = write_evaluation(tmp_path / "a" / "val", answers=[SURE, EMPTY], scores={"f1": 50.0})
    predictions, n_best, odds, scores = read(folder)
    assert predictions == {"é1": "Ganges", "3": ""}
    assert n_best == {
        "é1": [
            {
                "text": "Ganges",
                "probability": 0.7,
                "score": 5.0,
                "start_char": 7,
                "end_char": 13,
            },
            {
                "text": "rio «Ganges»",
                "probability": 0.2,
                "score": 3.0,
                "start_char": 2,
                "end_char": 14,
            },
        ],
        "3": [],
    }
    for entry in n_best["é1"]:
        assert CONTEXT[entry["start_char"] : entry["end_char"]] == entry["text"]
    assert odds["é1"] == -4.0
    assert odds["3"] == pytest.approx(np.finfo(np.float32).max)
    assert scores == {"f1": 50.0}
    assert "«Ganges»" in (folder / "nbest_predictions.json").read_text(encoding="utf-8")


def test_files_feed_the_official_script(tmp_path):
    folder = write_evaluation(tmp_path / "val", answers=[SURE, EMPTY], scores={}, no_answer=True)
    predictions, _, odds, _ = read(folder)
    figures = squad_scores(predictions, {"é1": ["Ganges"], "3": []}, no_answer_scores=odds)
    assert (figures["exact"], figures["best_exact_thresh"]) == (100.0, -4.0)


def test_the_no_answer_stands_in_its_place_among_the_n_best(tmp_path):
    folder = write_evaluation(
        tmp_path / "val", answers=[SURE, NONE, EMPTY], scores={}, no_answer=True
    )
    predictions, n_best, _, _ = read(folder)
    assert predictions["2"] == ""
    none = {"text": "", "probability": 0.1, "score": 4.0, "start_char": None, "end_char": None}
    assert n_best["2"][1] == none
    assert [entry["text"] for entry in n_best["é1"]] == ["Ganges", "rio «Ganges»", ""]
    assert [entry["probability"] for entry in n_best["3"]] == [1.0]
    for entries in n_best.values():
        assert sum(entry["probability"] for entry in entries) == pytest.approx(1.0)


def test_the_latest_evaluation_takes_the_place_of_the_one_before(tmp_path):
    folder = tmp_path / "val"
    write_evaluation(folder, answers=[SURE, NONE], scores={"epoch": 1, "f1": 1.0})
    write_evaluation(folder, answers=[EMPTY], scores={"epoch": 2})
    predictions, n_best, odds, scores = read(folder)
    assert list(predictions) == list(n_best) == list(odds) == ["3"]
    assert scores == {"epoch": 2}
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("moment", ["write", "swap"])
def test_a_failure_leaves_the_evaluation_before(tmp_path, monkeypatch, moment):
    folder = tmp_path / "val"
    write_evaluation(folder, answers=[SURE], scores={"epoch": 1})
    scores = {"epoch": object()} if moment == "write" else {"epoch": 2}
    if moment == "swap":
        rename = evaluation.Path.rename

        def broken(path, target):
            if path.name.endswith(".new"):
                raise OSError("no space left")
            return rename(path, target)

        monkeypatch.setattr(evaluation.Path, "rename", broken)
    with pytest.raises((TypeError, OSError)):
        write_evaluation(folder, answers=[EMPTY], scores=scores)
    assert read(folder)[3] == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_killed_run_leaves_nothing_in_the_way(tmp_path):
    (tmp_path / ".val.new").mkdir()
    (tmp_path / ".val.new" / "half").write_text("x")
    (tmp_path / ".val.old").mkdir()
    (tmp_path / ".val.old" / "whole").write_text("x")
    write_evaluation(tmp_path / "val", answers=[SURE], scores={})
    assert list(tmp_path.iterdir()) == [tmp_path / "val"]


def test_scores_hold_records_and_numbers_that_json_lacks(tmp_path):
    scores = {
        "loss": math.nan,
        "slices": [SliceScore("windows", "1", 3, 50.0, 60.0)],
        "interval": (1.0, math.inf),
        "nested": {"count": 3, "name": "á"},
    }
    folder = write_evaluation(tmp_path / "val", answers=[], scores=scores)
    assert read(folder)[3] == {
        "loss": None,
        "slices": [{"name": "windows", "value": "1", "count": 3, "exact_match": 50.0, "f1": 60.0}],
        "interval": [1.0, None],
        "nested": {"count": 3, "name": "á"},
    }


def test_predictions_without_gold(tmp_path):
    odd = SURE._replace(id="4", answers=(Answer("a\ud800b", 0, 3, 1.0, 1.0),))
    folder = write_predictions(tmp_path / "predict", answers=[SURE, odd])
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["nbest_predictions.json", "predictions.json"]
    assert json.loads((folder / "predictions.json").read_text("utf-8"))["4"] == "a\ud800b"
