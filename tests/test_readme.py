"""The README's program without the command line is run as it stands there."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from conftest import ROOT


def program() -> str:
    """Return the first Python block that is announced as run by a test."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    announced = re.search(r"run by a test[^\n]*\n+```python\n(.*?)```", text, flags=re.DOTALL)
    assert announced
    return announced[1]


def test_it_is_twelve_lines() -> None:
    assert len([line for line in program().splitlines() if line.strip()]) <= 12


def test_it_runs_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    names: dict[str, object] = {"__name__": "readme"}
    with redirect_stdout(output):
        exec(compile(program(), "README.md", "exec"), names)
    evaluation = names["evaluation"]
    f1 = evaluation.latest.scores["f1"]
    assert f"{f1} Answer(text=" in output.getvalue()
    assert 0 <= f1 <= 100
