"""A run on real data: 3,286 questions of ten articles, eight to learn from and two held out."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from running import RECORDER, read_json, recorded, run, scored, write_yaml

pytestmark = [
    pytest.mark.front_door,
    pytest.mark.realdata,
]


def rows_in(articles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": question["id"],
            "context": paragraph["context"],
            "answers": {"text": [answer["text"] for answer in question["answers"]]},
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


@pytest.fixture
def sample(realdata: Path, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Return a configuration of a small run, and the rows held out."""
    data = json.loads((realdata / "squad_v1_pt_sample.json").read_text(encoding="utf-8"))
    articles = data["data"]
    assert len(articles) == 10
    held_out = [articles[3], articles[4]]  # the two with fewest questions
    parts = {"train": [a for a in articles if a not in held_out], "validation": held_out}
    files = {name: tmp_path / f"{name}.json" for name in parts}
    for name, part in parts.items():
        files[name].write_text(json.dumps({"version": "1.1", "data": part}), encoding="utf-8")
    settings = {
        "data": {
            "data_files": {name: str(file) for name, file in files.items()},
            "tokenizer": str(realdata / "longformer_bpe"),
            "language": "pt",
            "batch_size": 8,
            "eval_batch_size": 16,
        },
        "model": {
            "config": {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "attention_window": 32,
                "max_position_embeddings": 386,
                "type_vocab_size": 1,
            },
            "learning_rate": 2e-3,
            "warmup_ratio": 0.1,
        },
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 120,
            "val_check_interval": 60,
            "check_val_every_n_epoch": None,
            "gradient_clip_val": 1.0,
            "log_every_n_steps": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(tmp_path / "run"),
        },
    }
    return write_yaml(tmp_path / "sample.yaml", settings), rows_in(held_out)


def check_files(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Hold the written files against the data and an independent scorer; return them."""
    names = ("predictions", "nbest_predictions", "null_odds", "scores")
    files = {name: read_json(folder / f"{name}.json") for name in names}
    predictions, scores = files["predictions"], files["scores"]
    assert len(predictions) == len(rows) == scores["examples"]
    for row in rows:
        assert predictions[row["id"]]
        assert predictions[row["id"]] in row["context"]
        best = files["nbest_predictions"][row["id"]][0]
        assert row["context"][best["start_char"] : best["end_char"]] == best["text"]
    for key, value in scored(predictions, rows).items():
        assert scores[key] == pytest.approx(value, abs=1e-9)
    return files


def test_a_run_on_real_data(
    sample: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config, rows = sample
    folder = tmp_path / "run" / "answers" / "val"
    cache = ("--data.cache_dir", tmp_path / "cache")
    checked: list[int] = []

    from qa_lightning.callbacks import AnswerEvaluation

    write = AnswerEvaluation._write

    def written(self: Any, trainer: Any, *others: Any) -> None:
        write(self, trainer, *others)
        check_files(folder, rows)
        checked.append(trainer.global_step)

    monkeypatch.setattr(AnswerEvaluation, "_write", written)
    with caplog.at_level("INFO", logger="qa_lightning"):
        run("fit", "--config", config, *cache, RECORDER)
    assert checked == [60, 120]
    losses = recorded().series("train/loss")
    assert sum(losses[-20:]) < 0.93 * sum(losses[:20])
    validation = list(dict.fromkeys(recorded().series("val/loss")))
    assert len(validation) == 2
    assert caplog.text.count("preparing split") == 2
    audit = recorded().trainer.datamodule.alignment_audit
    assert audit is not None
    entries = written_at(tmp_path / "cache")

    # A second run prepares nothing.
    caplog.clear()
    start = time.perf_counter()
    with caplog.at_level("INFO", logger="qa_lightning"):
        run(
            "fit", "--config", config, *cache, "--trainer.limit_train_batches", 1,
            "--trainer.max_steps", 1, "--trainer.limit_val_batches", 0,
            "--trainer.default_root_dir", tmp_path / "second",
        )  # fmt: skip
    assert "preparing split" not in caplog.text
    assert time.perf_counter() - start < 30
    assert entries == written_at(tmp_path / "cache")

    # The best checkpoint repeats its scores exactly, in another folder of answers.
    state = recorded_best(tmp_path / "run")
    checked.clear()
    again = tmp_path / "again"
    monkeypatch.setattr(AnswerEvaluation, "_write", write)
    run(
        "validate", "--config", config, *cache, "--ckpt_path", "best",
        "--evaluation.output_dir", again,
    )  # fmt: skip
    repeated = check_files(again / "val", rows)
    assert repeated["scores"]["f1"] == state
    if repeated["scores"]["global_step"] == 120:
        assert repeated == check_files(folder, rows)


def written_at(folder: Path) -> dict[str, int]:
    """Return when each file was written; `in_use` tells when its entry was read."""
    files = (path for path in folder.rglob("*") if path.name != "in_use")
    return {path.name: path.stat().st_mtime_ns for path in files}


def recorded_best(folder: Path) -> float:
    """Return the best F1 that a run's checkpoint remembers, as the score was logged."""
    from running import read_checkpoint

    callbacks = read_checkpoint(folder / "checkpoints" / "best.ckpt")["callbacks"]
    (best,) = [state for key, state in callbacks.items() if key.startswith("BestCheckpoint")]
    return pytest.approx(float(best["best_model_score"]), rel=1e-6)
