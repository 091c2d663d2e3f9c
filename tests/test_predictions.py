"""Predict: written while it goes, whole, in order, resumable, the same as the answerer's."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

import running
from answerer_support import write_checkpoint
from predict_support import Questions, predict
from qa_lightning.answerer import BlockPlan, QuestionAnswerer
from qa_lightning.answerer.parts import read_answers
from qa_lightning.callbacks.predictions import PredictionWriter
from qa_lightning.errors import InputError

ROWS = running.rows_of(70)
ROWS[3]["context"] = ""
ROWS[4]["context"] = "北京大學位於中國北京市海淀區，創辦於一八九八年。" * 6
ROWS[5]["context"] = ROWS[6]["context"]


class Stop(Callback):
    """Break the run off, as a kill would."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.blocks: list[int] = []

    def on_predict_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, *rest: Any, **keys: Any
    ) -> None:
        self.blocks.append(int(batch["block"]))
        if len(self.blocks) > self.left:
            raise RuntimeError("killed")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the question answerer says to the same rows."""
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("answerer") / "best.ckpt")
    answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    answers = answerer.answer_batch(ROWS, n_best=2)
    return [{"id": row["id"], **a.to_dict()} for row, a in zip(ROWS, answers, strict=True)]


def check(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare rows but for what differs by rounding."""
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        for key in ("answer", "start_char", "end_char"):
            assert row[key] == other[key], (row, other)
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-4)
        assert [s["text"] for s in row["n_best"]] == [s["text"] for s in other["n_best"]]


@pytest.mark.parametrize(("file_format", "workers"), [("jsonl", 0), ("parquet", 0), ("jsonl", 2)])
def test_predict_writes_what_the_answerer_says(
    file_format: str, workers: int, tmp_path: Path, expected: list[dict[str, Any]]
) -> None:
    writer = PredictionWriter(output_dir=str(tmp_path), file_format=file_format, n_best=2)
    predict(Questions(ROWS, num_workers=workers), writer)
    assert writer.output_file == tmp_path / f"answers.{file_format}"
    check(list(read_answers(writer.output_file)), expected)
    assert [path.name for path in tmp_path.iterdir()] == [writer.output_file.name]


def test_a_line_is_plain_json(tmp_path: Path) -> None:
    predict(Questions(ROWS[:4]), PredictionWriter(output_dir=str(tmp_path)))
    lines = (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[3])
    assert first["answer"] == ROWS[0]["context"][first["start_char"] : first["end_char"]]
    assert len(first["n_best"]) == 1
    assert (last["answer"], last["start_char"], last["n_best"]) == (None, None, [])


@pytest.mark.realdata
def test_documents_of_hundreds_of_pages(realdata: Path, tmp_path: Path) -> None:
    articles = json.loads((realdata / "squad_v1_pt_sample.json").read_text("utf-8"))["data"]
    manual = "\n".join(p["context"] for article in articles for p in article["paragraphs"])
    rows = [{**row, "context": manual} for row in ROWS[:2]] + ROWS[3:5]
    data = Questions(rows, batch_size=64, max_length=96)
    predict(data, PredictionWriter(output_dir=str(tmp_path)))
    found = list(read_answers(tmp_path / "answers.jsonl"))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for row, source in zip(found, rows, strict=True):
        if row["answer"] is not None:
            assert row["answer"] == source["context"][row["start_char"] : row["end_char"]]
    assert [row["answer"] is None for row in found] == [False, False, True, False]


def test_a_killed_run_is_taken_up(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    stop = Stop(after=10)
    with pytest.raises(RuntimeError, match="killed"):
        predict(Questions(ROWS), PredictionWriter(output_dir=str(tmp_path), n_best=2), stop)
    parts = sorted((tmp_path / "parts").glob("part-*"))
    assert parts
    assert not (tmp_path / "answers.jsonl").exists()
    before = {path: path.stat().st_mtime_ns for path in parts}
    rest = Stop(after=10_000)

    class Keep(Callback):
        def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
            assert not any(path.exists() for path in before)  # merged

        def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
            assert {p: p.stat().st_mtime_ns for p in before} == before

    writer = PredictionWriter(output_dir=str(tmp_path), n_best=2)
    predict(Questions(ROWS), writer, rest, Keep())
    finished = {int(path.stem.removeprefix("part-")) for path in parts}
    assert set(rest.blocks) == set(range(35)) - finished  # blocks of two questions
    check(list(read_answers(tmp_path / "answers.jsonl")), expected)


def test_speed_and_time_left_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("qa_lightning.callbacks.prediction_progress._SECONDS_BETWEEN_LINES", 0.0)
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level(logging.INFO, logger=logger.name):
        predict(
            Questions(ROWS[:5]),
            PredictionWriter(output_dir=str(tmp_path)),
            enable_progress_bar=True,
        )
    lines = [record.getMessage() for record in caplog.records]
    assert any(
        re.match(r"40.0% of the questions answered, \d+ windows/s, \d+ s left", line)
        for line in lines
    )
    assert any("5 questions answered" in line for line in lines)


def test_a_partial_pass_keeps_its_parts(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    writer = PredictionWriter(output_dir=str(tmp_path), n_best=2)
    with pytest.warns(UserWarning, match="blocks of questions are not answered yet"):
        predict(Questions(ROWS), writer, limit_predict_batches=6)
    assert writer.output_file is None
    predict(Questions(ROWS), writer)
    check(list(read_answers(tmp_path / "answers.jsonl")), expected)


@pytest.mark.parametrize("change", ["weights", "questions", "n_best", "file_format"])
def test_parts_of_another_run_are_refused(change: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        predict(Questions(ROWS), PredictionWriter(output_dir=str(tmp_path)), Stop(after=6))
    rows = ROWS[:60] if change == "questions" else ROWS
    keys: dict[str, Any] = {"n_best": {"n_best": 3}, "file_format": {"file_format": "parquet"}}
    writer = PredictionWriter(output_dir=str(tmp_path), **keys.get(change, {}))
    with pytest.raises(InputError, match=change):
        predict(Questions(rows), writer, seed=int(change == "weights"))
    assert list((tmp_path / "parts").glob("part-*"))


def test_what_a_kill_while_merging_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".answers.jsonl.123").write_text("half")
    (tmp_path / ".parts.123").mkdir()
    (tmp_path / ".parts.123" / "part-00000000.jsonl").write_text("merged")
    predict(Questions(ROWS[:2]), PredictionWriter(output_dir=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


def test_all_questions_are_finished_already(tmp_path: Path) -> None:
    writer = PredictionWriter(output_dir=str(tmp_path))

    class Kill(Callback):
        def on_predict_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        predict(Questions(ROWS[:5]), Kill(), writer)  # before the writer merges
    assert len(list((tmp_path / "parts").glob("part-*"))) == 5
    rest = Stop(after=0)
    predict(Questions(ROWS[:5]), writer, rest)
    assert rest.blocks == []
    assert len(list(read_answers(tmp_path / "answers.jsonl"))) == 5


@pytest.mark.two_process
def test_two_processes_share_the_questions(tmp_path: Path, expected: list[dict[str, Any]]) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS), encoding="utf-8")
    script = Path(__file__).with_name("predict_support.py")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=True, env=environment, timeout=240
    )
    check(list(read_answers(tmp_path / "answers" / "answers.jsonl")), expected)


@pytest.mark.parametrize("questions", [0, 1, 63, 64, 65, 1_000, 70_000])
@pytest.mark.parametrize("world_size", [1, 2, 7])
def test_blocks_cover_the_questions_once(questions: int, world_size: int) -> None:
    plan = BlockPlan.of(questions)
    shares = [plan.share(rank, world_size) for rank in range(world_size)]
    assert sorted(block for share in shares for block in share) == list(range(plan.count))
    assert [row for block in range(plan.count) for row in plan.rows(block)] == list(
        range(questions)
    )
    assert plan.per_block <= 1_024
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    writer = PredictionWriter(output_dir=str(tmp_path / "file" / "answers"))
    with pytest.raises(InputError, match=r"`prediction.output_dir` to be a folder that can be"):
        predict(Questions(ROWS[:2]), writer)


@pytest.mark.parametrize("keys", [{"file_format": "csv"}, {"n_best": 0}])
def test_mistakes_are_told(keys: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"prediction.{next(iter(keys))}"):
        PredictionWriter(**keys)
