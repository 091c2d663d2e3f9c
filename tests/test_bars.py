"""Bars: every phase that may be long tells how far it is, from its first to its last example."""

import io
from collections import defaultdict

import pytest
from rich.console import Console

from qa_lightning import QADataModule, bars
from qa_lightning.bars import Bars
from qa_lightning.cli import audit
from qa_lightning.datamodule import preparation


@pytest.fixture
def told(monkeypatch):
    """Return what phases tell: the sum of what is done, and the last total."""
    phases = defaultdict(lambda: [0, None])

    class Recording(Bars):
        def __call__(self, phase, done, total=None):
            phases[phase][0] += done
            phases[phase][1] = total

    for room in (audit, preparation):
        monkeypatch.setattr(room, "Bars", Recording)
    return phases


def test_an_audit_tells_each_phase(told, small_files, tmp_path):
    files = ["--output", str(tmp_path / "a.jsonl"), "--html", str(tmp_path / "a.html")]
    arguments = [str(small_files["train"]), "--tokenizer", str(small_files["tokenizer"]), *files]
    audit.run(audit.build_parser().parse_args(arguments))
    assert told.pop("reading") == [16, None]
    assert told.pop("lines") == told.pop("page") == [0, None]
    phases = ("offsets", "questions", "windows", "ceilings", "facts")
    assert told == {phase: [16, 16] for phase in phases}


def test_preparing_for_fit_tells_each_phase(told, small_files, tmp_path):
    files = {"train": str(small_files["train"]), "validation": str(small_files["validation"])}
    data = QADataModule(
        data_files=files,
        tokenizer=str(small_files["tokenizer"]),
        max_length=64,
        doc_stride=16,
        alignment="drop",
        cache_dir=str(tmp_path),
    )
    data.prepare_data()
    again = ("repaired: offsets", "repaired: questions")  # of validation, whatever the policy
    for split, examples, more in (("train", 16, ()), ("val", 6, again)):
        assert told.pop(f"{split}: reading") == [examples, None]
        done, total = told.pop(f"{split}: windows")
        assert done == total >= examples
        for phase in ("offsets", "questions", "tokens", *more):
            assert told.pop(f"{split}: {phase}") == [examples, examples]
    assert not told
    data.prepare_data()
    assert not told  # it is there already


def test_a_terminal_shows_them_and_takes_them_away(monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda: console)
    with Bars(shown=True) as told:
        told("reading", 5_000)
        told("questions", 300, 820)
        told("questions", 520, 820)
        tasks = {task.description: task for task in told._progress.tasks}
        assert tasks["reading"].total == tasks["reading"].completed == 5_000
        assert tasks["questions"].finished
    assert "820/820" in shown.getvalue()
    assert console.is_terminal


def test_nobody_who_looks_no_bars(monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    with Bars() as told:
        told("questions", 1, 2)
    assert bars.is_quiet()
    assert capsys.readouterr() == ("", "")
