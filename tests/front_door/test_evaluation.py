"""Evaluation through the front door: scores, losses, files, thresholds, partial passes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_lightning import QAModule
from qa_lightning.datamodule import preparation
from running import (
    CITIES,
    RECORDER,
    read_checkpoint,
    read_json,
    recorded,
    rows_of,
    run,
    scored,
    write_rows,
    write_yaml,
)

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
VALIDATION = rows_of(6, first=100)


def result_files(folder: Path) -> dict[str, Any]:
    return {path.stem: read_json(path) for path in folder.glob("*.json")}


def assert_files_are_sound(files: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Hold the four files of an evaluation against the data and an independent scorer."""
    by_id = {row["id"]: row for row in rows}
    predictions, n_best = files["predictions"], files["nbest_predictions"]
    assert list(predictions) == list(by_id)
    assert set(n_best) == set(files["null_odds"]) == set(by_id)
    for name, entries in n_best.items():
        context = by_id[name]["context"]
        spans = [entry for entry in entries if entry["start_char"] is not None]
        places = [(entry["start_char"], entry["end_char"]) for entry in spans]
        assert len(set(places)) == len(places) <= 20
        assert all(
            entry["text"] == context[slice(*place)]
            for entry, place in zip(spans, places, strict=True)
        )
        order = [entry["score"] for entry in spans]
        assert order == sorted(order, reverse=True)
        assert sum(entry["probability"] for entry in entries) <= 1 + 1e-6
        assert predictions[name] in ("", spans[0]["text"])
    for key, value in scored(predictions, rows).items():
        assert files["scores"][key] == pytest.approx(value, abs=1e-9), key


def test_scores_are_those_of_an_independent_scorer_on_the_files(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small, RECORDER)
    files = result_files(tmp_path / "run" / "answers" / "val")
    assert_files_are_sound(files, VALIDATION)
    assert "" not in files["predictions"].values()
    logged = recorded().logged[-1]
    for key in ("loss", "exact_match", "f1", "f1_repaired"):
        assert logged[f"val/{key}"] == pytest.approx(files["scores"][key], rel=1e-5)


def test_a_whole_test_split_is_scored_alike(
    small: Path, small_settings: Settings, tmp_path: Path
) -> None:
    run("fit", "--config", small)
    run("test", "--config", small, "--ckpt_path", "best", "--data.test_split", "test", RECORDER)
    files = result_files(tmp_path / "run" / "answers" / "test")
    assert_files_are_sound(files, rows_of(5, first=200))
    assert recorded().logged[-1]["test/f1"] == pytest.approx(files["scores"]["f1"], rel=1e-5)


def reference_loss(recorder: Any) -> float:
    """Compute the loss window by window with transformers' own attention and plain log-softmax."""
    from qa_lightning import QAModule

    module = recorder.model
    reference = QAModule(**{**module.hparams, "attention": "reference"})
    reference.configure_model()
    reference.load_state_dict(module.state_dict())
    network = reference.network.eval()
    losses = []
    for row in recorder.trainer.datamodule.val_features:
        ids = torch.tensor([row["input_ids"]])
        mask = torch.zeros_like(ids)
        mask[0, : row["question_end_token"]] = 1
        with torch.no_grad():
            out = network(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                global_attention_mask=mask,
                token_type_ids=torch.zeros_like(ids),
            )
        start, end = out.start_logits[0].double(), out.end_logits[0].double()
        gold = (row["start_token"], row["last_token"])
        losses.append(-(start.log_softmax(0)[gold[0]] + end.log_softmax(0)[gold[1]]).item() / 2)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_loss_is_the_mean_over_distinct_windows(
    batch_size: int, small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small, "--data.eval_batch_size", batch_size, RECORDER)
    loss = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")["loss"]
    assert loss == pytest.approx(reference_loss(recorded()), rel=1e-5)


def test_loss_and_answers_come_of_one_pass(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("fit", "--config", small)
    built: list[int] = []
    windows: list[int] = []
    build, forward = preparation.build_features, QAModule.forward

    def counted_build(examples: Any, *arguments: Any, **options: Any) -> Any:
        built.append(len(examples))
        return build(examples, *arguments, **options)

    def counted_forward(module: QAModule, batch: dict[str, torch.Tensor]) -> Any:
        windows.extend(batch["feature_index"].tolist())
        return forward(module, batch)

    monkeypatch.setattr(preparation, "build_features", counted_build)
    monkeypatch.setattr(QAModule, "forward", counted_forward)
    cache = ("--data.cache_dir", tmp_path / "cache")
    run("validate", "--config", small, "--ckpt_path", "best", *cache, RECORDER)
    assert built == [len(VALIDATION)]
    assert sorted(windows) == list(range(len(recorded().trainer.datamodule.val_features)))
    assert {"val/loss", "val/f1"} <= set(recorded().logged[-1])


def test_windows_of_unaligned_answers_are_left_out_of_the_loss_and_counted(
    small_settings: Settings, tmp_path: Path
) -> None:
    rows = rows_of(6, first=100)
    rows[2]["answers"] = {"text": ["não se acha em parte alguma"], "answer_start": [0]}
    small_settings["data"]["data_files"]["validation"] = str(
        write_rows(tmp_path / "unaligned.json", rows)
    )
    config = write_yaml(tmp_path / "unaligned.yaml", small_settings)
    run("fit", "--config", config, RECORDER)
    features = recorded().trainer.datamodule.val_features
    windows = sum(index == 2 for index in features["example_index"])
    files = result_files(tmp_path / "run" / "answers" / "val")
    assert windows > 1
    assert files["scores"]["windows_without_label"] == windows
    assert_files_are_sound(files, rows)  # the question is still scored
    labelled = features.filter(lambda row: row["start_token"] >= 0)
    assert len(labelled) == len(features) - windows


@pytest.mark.parametrize("limit", [1, 0.5])
def test_a_partial_pass_is_no_score_and_is_told(
    limit: float, small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ("--trainer.limit_val_batches", limit, "--data.eval_batch_size", 4)
    run("fit", "--config", small, *arguments, RECORDER)
    assert "windows were seen, as `limit_val_batches`" in caplog.text
    keys = set(recorded().logged[-1])
    assert "val_partial/loss" in keys
    assert not [key for key in keys if key.startswith("val/")]
    assert not (tmp_path / "run" / "answers").exists()
    assert not (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()

    run("validate", "--config", small, *arguments, "--ckpt_path", "last", RECORDER)
    assert not (tmp_path / "run" / "answers").exists()


@pytest.mark.parametrize("steps", [1, -1], ids=["some", "all"])
def test_the_sanity_check_is_no_score(steps: int, small: Path, tmp_path: Path) -> None:
    arguments = ("--trainer.num_sanity_val_steps", steps, "--trainer.limit_train_batches", 1)
    none = ("--trainer.check_val_every_n_epoch", 5)
    run("fit", "--config", small, *arguments, *none, RECORDER)
    assert not [key for logged in recorded().logged for key in logged if key.startswith("val/")]
    assert not (tmp_path / "run" / "answers").exists()
    assert not (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()


def test_predict_needs_no_answers(small_settings: Settings, tmp_path: Path) -> None:
    rows = rows_of(4, first=300)
    bare = [{key: row[key] for key in ("id", "context", "question")} for row in rows]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in bare), encoding="utf-8")
    small_settings["data"]["data_files"]["questions"] = str(file)
    small_settings["data"]["predict_split"] = "questions"
    config = write_yaml(tmp_path / "predict.yaml", small_settings)
    run("fit", "--config", config)
    run("predict", "--config", config, "--ckpt_path", "best")
    answered = predicted(tmp_path / "run")
    assert [line["id"] for line in answered] == [row["id"] for row in rows]
    for row, line in zip(rows, answered, strict=True):
        assert line["answer"]
        assert line["answer"] == row["context"][line["start_char"] : line["end_char"]]
        assert 0 <= line["confidence"] <= 1


def predicted(folder: Path) -> list[dict[str, Any]]:
    """Return what `predict` wrote into a run's folder."""
    text = (folder / "answers" / "predict" / "answers.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_data_set_of_a_single_window(small_settings: Settings, tmp_path: Path) -> None:
    rows = rows_of(1, first=100)
    rows[0]["context"] = rows[0]["context"].split(".")[0] + "."
    city = CITIES[500 % 12]
    rows[0]["answers"] = {"text": [city], "answer_start": [rows[0]["context"].index(city)]}
    file = write_rows(tmp_path / "single.json", rows)
    small_settings["data"]["data_files"]["validation"] = str(file)
    small_settings["evaluation"] = {"n_best": 1}
    run("fit", "--config", write_yaml(tmp_path / "single.yaml", small_settings), RECORDER)
    assert len(recorded().trainer.datamodule.val_features) == 1
    assert_files_are_sound(result_files(tmp_path / "run" / "answers" / "val"), rows)


# Questions that may have no answer.


@pytest.fixture
def second(small_settings: Settings, tmp_path: Path) -> Path:
    """Return a configuration whose data has questions without an answer."""
    splits = {"train": (18, 0), "validation": (9, 100), "test": (9, 200)}
    for name, (count, first) in splits.items():
        rows = rows_of(count, first=first, unanswerable=True)
        file = write_rows(tmp_path / f"{name}.json", rows)
        small_settings["data"]["data_files"][name] = str(file)
    small_settings["data"]["test_split"] = "test"
    return write_yaml(tmp_path / "second.yaml", small_settings)


def second_rows(first: int) -> list[dict[str, Any]]:
    return rows_of(9, first=first, unanswerable=True)


def swept(files: dict[str, Any], rows: list[dict[str, Any]]) -> dict[float, float]:
    """Return the F1 that each threshold of the null odds would reach."""
    odds, n_best = files["null_odds"], files["nbest_predictions"]
    best = {
        name: next(entry["text"] for entry in entries if entry["start_char"] is not None)
        for name, entries in n_best.items()
    }
    return {
        threshold: scored(
            {name: "" if odds[name] > threshold else best[name] for name in best}, rows
        )["f1"]
        for threshold in [min(odds.values()) - 1, *odds.values()]
    }


def test_the_threshold_is_fitted_on_validation_and_used_by_test(
    second: Path, tmp_path: Path
) -> None:
    run("fit", "--config", second, RECORDER)
    answers = tmp_path / "run" / "answers"
    files = result_files(answers / "val")
    rows = second_rows(100)
    assert_files_are_sound(files, rows)
    keys = ("HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1", "best_exact", "best_f1")
    for key in (*keys, "best_f1_thresh", "best_exact_thresh"):
        assert f"val/{key}" in recorded().logged[-1]
    by_threshold = swept(files, rows)
    assert files["scores"]["best_f1"] == pytest.approx(max(by_threshold.values()))
    assert files["scores"]["f1"] == pytest.approx(max(by_threshold.values()))

    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["callbacks"]
    (fitted,) = [v for k, v in state.items() if k.startswith("AnswerEvaluation")]
    threshold = fitted["threshold"]
    assert files["scores"]["threshold"] == pytest.approx(threshold)

    run("test", "--config", second, "--ckpt_path", "best")
    tested = result_files(answers / "test")
    assert_files_are_sound(tested, second_rows(200))
    for name, text in tested["predictions"].items():
        assert (text == "") == (tested["null_odds"][name] > threshold)

    # Predictions follow the checkpoint's threshold too, with no gold answers to look at.
    run("predict", "--config", second, "--ckpt_path", "best", "--data.predict_split", "test")
    texts = {line["id"]: line["answer"] or "" for line in predicted(tmp_path / "run")}
    assert texts == tested["predictions"]


def test_the_users_own_threshold_stands(second: Path, tmp_path: Path) -> None:
    run("fit", "--config", second, "--evaluation.null_score_threshold", "-1000")
    files = result_files(tmp_path / "run" / "answers" / "val")
    assert set(files["predictions"].values()) == {""}
    assert files["scores"]["NoAns_f1"] == 100
    assert_files_are_sound(files, second_rows(100))


def test_where_every_question_has_an_answer_no_threshold_is_applied(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small, "--evaluation.null_score_threshold", "-1000")
    predictions = read_json(tmp_path / "run" / "answers" / "val" / "predictions.json")
    assert "" not in predictions.values()


@pytest.mark.parametrize("scoring", ["raw", "relative", "log_probability"])
@pytest.mark.parametrize("search", ["exact", "top_k"])
def test_every_way_to_search_and_score_runs(
    scoring: str, search: str, small: Path, tmp_path: Path
) -> None:
    if not (tmp_path / "run").exists():
        run("fit", "--config", small)
    choice = ("--evaluation.window_scoring", scoring, "--evaluation.search", search)
    run("validate", "--config", small, "--ckpt_path", "best", *choice)
    assert_files_are_sound(result_files(tmp_path / "run" / "answers" / "val"), VALIDATION)
