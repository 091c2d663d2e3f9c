"""The page without a browser: what is kept, what is said, how it starts."""

import ast
import json
import random
import re
import string
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import qa_lightning.app
from app_support import Finder
from conftest import ROOT
from qa_lightning.app import Corrections, Session
from qa_lightning.app.samples import SAMPLES
from qa_lightning.app.session import LONGEST, LONGEST_QUESTION, MOST_DOCUMENTS, Told
from qa_lightning.app.words import WORDS, preferred
from qa_lightning.documents import REASONS
from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples
from running import fail, read_json, rows_of, run, write_rows


def session(folder: Path) -> Session:
    return Session(Finder(), Corrections(folder / "c.json"))


def kept(place: Path) -> list[dict[str, Any]]:
    return load_examples(place).to_list()


@pytest.mark.parametrize("seed", range(4))
def test_corrections_come_back_as_they_were_made(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    corrections, made = Corrections(tmp_path / "c.json"), {}
    contexts = ["".join(rng.choices('aé😀 \n\r\t"\\日x', k=40)) + "z" for _ in range(5)]
    for _ in range(40):
        context, question = rng.choice(contexts), f"Q{rng.randrange(6)}?"
        start = rng.randrange(len(context))
        span = rng.choice([None, (start, rng.randint(start + 1, len(context)))])
        made[context, question] = span
        count = corrections.keep(title="t", context=context, question=question, span=span)
        assert count == len(made)
    rows = kept(tmp_path / "c.json")
    assert len({row["id"] for row in rows}) == len(rows) == len(made)
    for row in rows:
        span = made[row["context"], row["question"]]
        texts = [] if span is None else [row["context"][slice(*span)]]
        assert row["answers"] == {"text": texts, "answer_start": [] if span is None else [span[0]]}


def test_what_was_in_the_file_stays(tmp_path: Path) -> None:
    rows = rows_of(5, unanswerable=True)
    place = write_rows(tmp_path / "mine.json", rows)
    Corrections(place).keep(title="n", context="Em Évora.", question="Onde?", span=(3, 8))
    assert kept(place)[:5] == rows
    assert kept(place)[5]["answers"] == {"text": ["Évora"], "answer_start": [3]}


def test_many_pages_write_at_once_and_none_is_lost(tmp_path: Path) -> None:
    """Each has a store of its own, as processes have."""

    def keep(number: int) -> None:
        store = Corrections(tmp_path / "c.json")
        store.keep(title="t", context=f"texto {number}", question="?", span=(0, 5))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(24)))
    assert {row["context"] for row in kept(tmp_path / "c.json")} == {
        f"texto {number}" for number in range(24)
    }


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"notes": [1]}', b"\x89PNG", b'[{"question": "q"}]']
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError):
        Corrections(tmp_path / "c.json")
    assert (tmp_path / "c.json").read_bytes() == content


def test_a_failed_write_leaves_the_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrections = Corrections(tmp_path / "c.json")
    corrections.keep(title="t", context="abc", question="?", span=(0, 1))
    before = (tmp_path / "c.json").read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="No space left"):
        corrections.keep(title="t", context="abd", question="?", span=(0, 1))
    assert (tmp_path / "c.json").read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.name != ".c.json.lock"] == ["c.json"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    corrections = Corrections(tmp_path / "file" / "c.json")
    with pytest.raises(InputError, match="--corrections"):
        corrections.keep(title="t", context="abc", question="?", span=(0, 1))


def test_a_visitor_whose_session_is_gone_is_told_to_load_the_page_again() -> None:
    import gradio as gr

    from qa_lightning.app.events import _visited

    with pytest.raises(gr.Error, match="Carregue-a de novo"):
        _visited(lambda session, language: None)(None, "pt")


def test_a_fault_of_ours_is_told_and_logged_without_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    import gradio as gr

    from qa_lightning.app.events import _told, _visited

    def fails(*_: Any) -> str:
        raise RuntimeError("o segredo")

    assert WORDS["pt"]["failed"] in _told("pt", fails)
    with pytest.raises(gr.Error, match="Algo deu errado"):
        _visited(fails)(session(tmp_path), "pt")
    assert caplog.text.count("RuntimeError at") == 2
    assert "segredo" not in caplog.text + "".join(capfd.readouterr())


def test_a_span_loses_its_blanks_and_must_hold_words(tmp_path: Path) -> None:
    page = session(tmp_path)
    page.open_text("a  bé  c", "t")
    page.ask('"bé"?')
    (opened,) = page.opened
    assert page.correct(opened.key, 1, 7) == ("bé", 1)
    assert kept(tmp_path / "c.json")[0]["answers"] == {"text": ["bé"], "answer_start": [3]}
    for start, end in ((1, 3), (5, 5), (6, 2), (-4, -1), (8, 99)):
        with pytest.raises(Told, match="nothing_selected"):
            page.correct(opened.key, start, end)


def test_a_page_has_its_limits(tmp_path: Path) -> None:
    page = session(tmp_path)
    with pytest.raises(Told, match="too_long"):
        page.open_text("a" * (LONGEST + 1), "t")
    for number in range(MOST_DOCUMENTS):
        page.open_text(f"texto {number}", "t")
    with pytest.raises(Told, match="too_many"):
        page.open_text("mais um", "t")


def test_a_question_waits_for_the_document_that_is_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, begun, read = session(tmp_path), threading.Event(), qa_lightning.app.session.read_document

    def slowly(*args: Any, **rest: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        return read(*args, **rest)

    monkeypatch.setattr(qa_lightning.app.session, "read_document", slowly)
    (tmp_path / "x.txt").write_text("Rui mora em Évora.", encoding="utf-8")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(page.open_file, str(tmp_path / "x.txt"))
        begun.wait()
        page.ask('"Évora"?')
        opening.result()
    assert page.shown is not None


def test_half_characters_from_a_browser_are_no_fault(tmp_path: Path) -> None:
    page = session(tmp_path)
    page.open_text("a\ud800 Évora", "t")
    page.ask('\udfff "Évora"?')
    page.correct(page.opened[0].key, 3, 8)
    assert kept(tmp_path / "c.json")[0]["answers"] == {"text": ["Évora"], "answer_start": [3]}
    json.loads(json.dumps(page.documents_view()).encode())


def names(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_both_languages_say_the_same_things() -> None:
    assert WORDS["en"].keys() == WORDS["pt"].keys()
    for key, sentence in WORDS["en"].items():
        assert names(sentence) == names(WORDS["pt"][key]), key
    assert len(set(map(str, WORDS["en"].items())) & set(map(str, WORDS["pt"].items()))) == 0
    assert {sample.language for sample in SAMPLES} == WORDS.keys()
    assert [preferred(text) for text in ("PT", "fr,pt-PT;q=.3", "xx", "")] == [
        "pt",
        "pt",
        "en",
        "en",
    ]


def test_every_message_that_the_page_can_show_has_its_words() -> None:
    """What Python tells by name, what the script says, every reason not to open a file."""
    folder = ROOT / "src/qa_lightning/app"
    said = set(re.findall(r'say\("(\w+)"\)', (folder / "reader.js").read_text("utf-8")))
    told = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Told", "told", "_toast"):
                told.update(set(texts[:1]) - {"doc_", True})
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).startswith(
                ("words", "WORDS[")
            ):
                told.update(texts[-1:])
    assert {"left", "failed", "no_question", "saved", "ask"} <= told
    reasons = {f"doc_{reason}" for reason in REASONS}
    kinds = {"page", "paragraph", "heading", "row", "line"}
    # `words` has no others: a sentence that nobody says would be kept up for nothing.
    assert WORDS["en"].keys() == said | told | reasons | kinds | {"gradio", "left", "drop", "wait"}


def test_every_reason_is_given_with_what_its_sentence_needs() -> None:
    raised = set()
    for path in (ROOT / "src/qa_lightning/documents").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "DocumentError":
                (reason,) = (one.value for one in node.args)
                given = {keyword.arg for keyword in node.keywords}
                given = given | {"kind", "package"} if None in given else given
                raised.add(reason)
                sentences = (*REASONS[reason], *(WORDS[lang][f"doc_{reason}"] for lang in WORDS))
                assert set().union(*map(names, sentences)) <= given, reason
    assert raised | {"locked", "wrong_password"} == REASONS.keys()


@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_file_that_is_no_document_is_told_in_the_visitors_language(
    language: str, tmp_path: Path
) -> None:
    from qa_lightning.app.events import Events

    events = Events(None, None, None)  # type: ignore[arg-type]
    for name, data in {"a.doc": b"\xd0\xcf\x11\xe0", "b.rtf": b"{\\rtf1", "c.png": b"\x89PNG",
                       "d.pdf": b"%PDF-1", "e.docx": b"PK", "f.txt": b" "}.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
        told = events._opened(session(tmp_path), language, str(tmp_path / name), None)
        others = {"en": ("Expected", "Salve", " não "), "pt": ("Expected", "Save", " is ")}
        assert name in told
        assert str(tmp_path) not in told
        assert not any(word in told for word in others[language]), told


def test_a_question_has_its_length_and_a_file_that_fails_is_told_without_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = session(tmp_path)
    page.open_text("Évora", "t")
    with pytest.raises(Told, match="long_question"):
        page.ask("o" * (LONGEST_QUESTION + 1))
    page.ask('"Évora"?')
    (tmp_path / "c.json").write_text("{", encoding="utf-8")
    with pytest.raises(Told, match="not_kept"):
        page.correct(page.opened[0].key, 0, 5)
    assert "c.json" in caplog.text


def test_gradio_is_imported_in_its_room_alone() -> None:
    users = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if "gradio" in names:
                users.add(path.parent.name)
    assert users == {"app"}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Look at the page once, in place of waiting for Ctrl-C."""
    looked: dict[str, str] = {}

    def look(page: Any) -> None:
        looked["address"] = page.local_url
        looked["text"] = urllib.request.urlopen(page.local_url).read().decode()
        page.close(verbose=False)

    monkeypatch.setattr(qa_lightning.app, "wait", look)
    return looked


def test_the_command_serves_the_page_on_this_machine(
    seen: dict[str, str], small_files: dict[str, Path], tmp_path: Path
) -> None:
    told = run("app", "--checkpoint", small_files["model"], "--corrections", tmp_path / "c.json")
    assert seen["address"].startswith("http://127.0.0.1:")
    assert seen["address"] in told
    assert str(tmp_path / "c.json") in told
    assert "Quem fundou a Companhia Fintivo?" in seen["text"]
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", 0), "`--port`"),
        (("--corrections", "x.csv"), ".json"),
        (("--corrections", "/dev/null"), ".json"),
        (("--checkpoint", "./nowhere"), "nowhere"),
        (("--host", "192.0.2.7"), "`--host`"),
        (("--host", "no such host"), "`--host`"),
    ],
)
def test_the_commands_mistakes_are_told(
    options: tuple[str, object],
    told: str,
    small_files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    message = fail(capsys, "app", "--checkpoint", small_files["model"], *options)
    assert told in message


def test_fit_learns_from_corrections(
    small: Path, small_files: dict[str, Path], tmp_path: Path
) -> None:
    page = session(tmp_path)
    for row in rows_of(4):
        page.open_alone(row["context"], row["title"])
        page.ask(row["question"])
        start = row["answers"]["answer_start"][0]
        page.correct(page.opened[0].key, start, start + len(row["answers"]["text"][0]))
    files = {"train": str(tmp_path / "c.json"), "validation": str(small_files["validation"])}
    run("fit", "--config", small, "--data.data_files", json.dumps(files), "--data.alignment=strict")
    assert read_json(tmp_path / "run" / "answers" / "val" / "scores.json")["f1"] >= 0


def test_without_gradio_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['gradio'] = None\n"
        "from qa_lightning.app import build_page\n"
        "from qa_lightning.errors import InputError\n"
        "try: build_page(None, None, name='x')\n"
        "except InputError as error: assert \"pip install 'qa-lightning[app]'\" in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
