"""The helpers of the proofs on real data: what they keep, draw and average."""

import doctest
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from comparison_support import questions, write_run
from qa_lightning.comparison import compare_runs, read_runs

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_examples_in_docstrings():
    failed, attempted = doctest.testmod(importlib.import_module("_runs"))
    assert attempted > 0
    assert failed == 0


def test_data_that_are_not_there_are_told(tmp_path):
    read_rows = importlib.import_module("_proof").read_rows
    with pytest.raises(
        SystemExit, match=r"there is no .*absent\.json.*--data.*QA_LIGHTNING_REALDATA"
    ):
        read_rows(tmp_path / "absent.json")


def test_interrupted_proof_goes_on_after_its_last_whole_record(tmp_path):
    records = importlib.import_module("_runs").Records
    path = tmp_path / "runs.jsonl"
    records(path).add({"settings": {"way": "a", "seed": 0}, "windows": 3})
    with path.open("a") as file:
        file.write('{"settings": {"way": "a", "se')  # killed here

    again = records(path)
    again.add({"settings": {"way": "b", "seed": 0}, "windows": 4})

    assert again.find({"way": "a", "seed": 0})["windows"] == 3
    assert again.find({"way": "a", "seed": 1}) is None
    lines = path.read_text().splitlines()
    assert [json.loads(line)["settings"]["way"] for line in lines] == ["a", "b"]


def test_process_has_its_own_usage_and_its_failure_is_told(tmp_path):
    run_process = importlib.import_module("_runs").run_process
    big = "x = bytearray(300_000_000); x[::4096] = b'1' * len(x[::4096])"
    small = "import os; assert os.environ['OMP_NUM_THREADS'] == '1'"

    first = run_process([sys.executable, "-c", big], tmp_path / "log")
    second = run_process([sys.executable, "-c", small], tmp_path / "log")

    assert first.peak_mb > 280
    assert second.peak_mb <= first.peak_mb
    with pytest.raises(SystemExit, match=r"status 1[\s\S]*ZeroDivisionError"):
        run_process([sys.executable, "-c", "1 / 0"], tmp_path / "log")


def test_interval_widens_where_seeds_or_paragraphs_differ():
    interval = importlib.import_module("_proof_tables").paired_interval
    groups = ["a"] * 2 + ["b"] * 2 + ["c"] * 2
    by_paragraph = np.tile([0.0, 0.0, 50.0, 50.0, 100.0, 100.0], (3, 1))
    by_seed = np.repeat([[0.0], [50.0], [100.0]], 6, axis=1)

    for values in (by_paragraph, by_seed):
        low, high = interval(values, groups)
        assert 0 <= low < 25 < 75 < high <= 100


def test_the_proofs_tell_what_compare_tells(tmp_path):
    tables = importlib.import_module("_proof_tables")
    generator = np.random.default_rng(0)
    asked = questions(60, per_context=3)
    held_out = [
        {"id": name, "context": record["context"], "answers": {"text": record["golds"]}}
        for name, record in asked.items()
    ]
    records, folders = [], []
    for way, chance in (("ours", 0.7), ("peer", 0.5)):
        for seed in range(3):
            texts = {
                name: record["golds"][0] if generator.random() < chance else "other"
                for name, record in asked.items()
            }
            records.append({"settings": {"way": way, "seed": seed}, "predictions": texts})
            config = {"model": {"name": way}, "seed_everything": seed}
            folders.append(write_run(tmp_path / f"{way}{seed}", asked, texts, config=config))
    study = tables.Study.of(records, held_out, ["ours", "peer"])

    row = tables.difference_table(study, [("peer", "ours")]).splitlines()[-1]

    (comparison,) = compare_runs(read_runs(folders))
    told = {entry.name: entry for entry in comparison.overall}
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    for place, name in ((1, "exact_match"), (5, "f1")):
        entry = told[name]
        assert cells[place].split()[0] == f"{entry.value:.1f}"
        ends = [float(end) for end in cells[place + 1].split(" to ")]
        assert ends == pytest.approx([entry.low, entry.high], abs=0.06)
        assert cells[place + 2] == f"{entry.p:.3f}"
        assert cells[place + 3] == f"{entry.p_seeds:.2f}"


def test_split_is_by_title_and_the_draw_keeps_paragraphs_whole():
    proof, labels = map(importlib.import_module, ("_proof", "proof_labels"))
    rows = [
        {"id": f"{title}{place}", "title": title, "context": f"{title} {place // 3}"}
        for title in "xyz"
        for place in range(9)
    ]

    train, held_out = proof.split_titles(rows, 2, 1)
    drawn = labels.some_paragraphs(train, 7, seed=1)

    assert {row["title"] for row in train} == {"x", "y"}
    assert {row["title"] for row in held_out} == {"z"}
    assert len(drawn) == 9
    assert len({row["context"] for row in drawn}) == 3
    assert drawn == labels.some_paragraphs(train, 7, seed=1)
    assert drawn != labels.some_paragraphs(train, 7, seed=2)
    with pytest.raises(SystemExit, match="3 articles"):
        proof.split_titles(rows, 3, 1)
