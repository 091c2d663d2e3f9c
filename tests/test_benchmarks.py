"""`make bench` runs what it lists, and a benchmark that fails costs no other's figures."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
RUN_APART = {
    "beside_haystack",
    "contracts",
    "service",
    "gpu",
    "index",
    "label_repair",
    "memory",
    "pipeline",
    "precision",
    "proof_labels",
    "proof_xquad",
    "onnx_export",
    "screening",
    "window_scoring",
    "word_borders",
}  # they train, want a trained checkpoint, a GPU or another environment, or have their own file


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("benchmark_runner", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_benchmark_is_run_or_known_to_be_run_apart(runner: Any) -> None:
    files = {path.stem for path in FOLDER.glob("[!_]*.py")} - {"run"}
    assert files == {*runner.BENCHMARKS, *RUN_APART}


def test_a_failure_is_told_and_costs_its_own_section_only(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "broken.py").write_text("raise SystemExit('expected a folder')")
    (folder / "whole.py").write_text("print('| ratio | 3.0 |')")
    monkeypatch.setattr(runner, "FOLDER", folder)
    monkeypatch.setattr(runner, "RESULTS", folder / "RESULTS.md")
    monkeypatch.setattr(runner, "BENCHMARKS", {"broken": (), "whole": ()})
    monkeypatch.setattr("sys.argv", ["run.py"])
    with pytest.raises(SystemExit, match="broken"):
        runner.main()
    results = (folder / "RESULTS.md").read_text(encoding="utf-8")
    assert "expected a folder" in results
    assert "| ratio | 3.0 |" in results

    # Named ones are printed; the file keeps all.
    monkeypatch.setattr("sys.argv", ["run.py", "whole"])
    runner.main()
    assert (folder / "RESULTS.md").read_text(encoding="utf-8") == results


def test_the_benchmark_for_gpus_runs_and_writes_after_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    gpu = importlib.import_module("gpu")
    rows = list(gpu.grid())
    chosen = [rows[0], next(row for row in rows if row.network != rows[0].network)]
    monkeypatch.setattr(gpu, "grid", lambda: iter(chosen))
    results = tmp_path / "RESULTS_GPU.md"
    arguments = ["--device", "cpu", "--tiny", "--output", str(results)]
    gpu.main([*arguments, "--seconds", "0"])
    assert not results.exists()
    gpu.main([*arguments, "--seconds", "600"])
    text = results.read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(chosen) + 2 + 2
    assert "Error" not in text
    assert all("Longformer base" in line for line in lines[-2:])
