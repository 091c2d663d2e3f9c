"""Bars: every phase that may be long tells how far it is, from its first to its last example."""

import io
import re
from collections import defaultdict

import pytest
from rich.console import Console
from rich.live import Live
from rich.progress import Progress

from qa_lightning import QADataModule, bars, notebook_bars
from qa_lightning.bars import Bars, Lines, Pace
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


def test_a_log_file_is_told_now_and_then(monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    with Bars(pace=Pace(0.02)) as told:
        told("val: windows", 300, 1_820)
        told._lines._thread.join(0.3)
        told("val: tokens", 20, 820)
    told._lines._thread.join(2)
    assert not told._lines._thread.is_alive()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"val: windows: 300 of 1,820, 0:00:\d\d left\n", err)


def test_lines_come_ever_more_rarely_and_say_how_far_it_is(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    pace, due = Pace(0.5, most=60.0), []
    for second in range(400):
        now[0] = 100.0 + second / 2
        if pace.is_due():
            due.append(second / 2)
    assert due == [0.5, 5.5, 15.5, 35.5, 75.5, 135.5, 195.5]
    lines = Lines()
    monkeypatch.setattr(lines._thread, "start", lambda: None)
    lines("loading PyTorch", 0)
    assert lines.line() == "loading PyTorch …"
    now[0] += 65
    assert lines.line() == "loading PyTorch: 0:01:05 so far"
    lines("train: reading", 400)
    now[0] += 10
    assert lines.line() == "train: reading: 400, 0:00:10 so far"
    lines("train: windows", 500, 1_500)
    now[0] += 10
    assert lines.line() == "train: windows: 500 of 1,500, 0:00:20 left"


class Display:
    """Stand in for an output of IPython's that can be replaced."""

    def __init__(self):
        self.pictures = []

    def __call__(self, shown, display_id):
        assert display_id
        self.update(shown)
        return self

    def update(self, shown):
        self.pictures.append(shown._repr_mimebundle_((), ()))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seconds", [0.0, 3600.0])  # between pictures; the last one is always drawn
@pytest.mark.parametrize("transient", [True, False])
def test_a_notebook_without_widgets_has_bars_all_the_same(transient, seconds, monkeypatch):
    shown = Display()
    monkeypatch.setattr("IPython.display.display", shown)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(notebook_bars, "find_spec", lambda _: None)
    monkeypatch.setattr(notebook_bars, "_SECONDS", seconds)
    monkeypatch.setattr(Live, "refresh", Live.refresh)  # what it was is put back
    monkeypatch.setattr(Live, "stop", Live.stop)
    notebook_bars.show_in_notebooks.__wrapped__()
    console = Console(file=io.StringIO(), force_jupyter=True)
    monkeypatch.setattr(console, "_write_buffer", lambda: None)  # its own lines
    progress = Progress(console=console, transient=transient, auto_refresh=False)
    with progress:
        task = progress.add_task("<read>", total=4)
        for _ in range(4):
            progress.advance(task)
            progress.refresh()
    texts = [picture["text/plain"] for picture in shown.pictures]
    for percent in ("100%",) if seconds else ("0%", "25%", "100%"):
        assert any(f" {percent}" in text and "<read>" in text for text in texts), texts
    assert any("&lt;read&gt;" in picture["text/html"] for picture in shown.pictures)
    assert (shown.pictures[-1]["text/html"] == "") == transient


def test_a_notebook_with_widgets_keeps_richs_own(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(notebook_bars, "find_spec", lambda _: object())
    own = Live.refresh
    notebook_bars.show_in_notebooks.__wrapped__()
    assert Live.refresh is own
