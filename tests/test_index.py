"""An index on disk of many documents: what is in it, its updates, its readers, its answers."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import running
from answerer_support import write_checkpoint
from documents_support import write_pdf
from features_support import CORPUS
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.documents import read_document, text_document
from qa_lightning.errors import InputError
from qa_lightning.screening.index import newest, open_newest, update_index
from qa_lightning.screening.index.store import stretches
from qa_lightning.screening.passages import LENGTH, OVERLAP, passages_of
from qa_lightning.screening.words import words_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "best.ckpt")


@pytest.fixture(scope="module")
def answerer(checkpoint: Path) -> QuestionAnswerer:
    return QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")


def generated_text(seed: int, sentences: int = 40) -> str:
    draw = random.Random(seed)
    pieces = [draw.choice([*CORPUS, f"Anexo {draw.randrange(999)}.", "東京都の首都。"])
              for _ in range(sentences)]  # fmt: skip
    return "".join(piece + draw.choice([" ", "\n", "\n\n", "   "]) for piece in pieces)


@pytest.mark.parametrize("seed", range(20))
def test_passages_hold_a_text_and_what_stands_at_their_seams(seed: int) -> None:
    draw = random.Random(seed)
    text = generated_text(seed, draw.randint(1, 60))
    text = draw.choice([text, text.replace(" ", ""), text + "x" * 5_000, " " * 3_000 + text])
    found = list(passages_of(text))
    covered = [False] * len(text)
    for start, end in found:
        assert 0 < end - start <= LENGTH
        assert text[start:end].strip()
        covered[start:end] = [True] * (end - start)
    assert all(seen or letter.isspace() for letter, seen in zip(text, covered, strict=True))
    for start in range(0, max(1, len(text) - 150), 37):  # an answer of 150 characters
        if text[start : start + 150].strip() == text[start : start + 150]:
            assert any(first <= start and start + 150 <= end for first, end in found)
    assert OVERLAP > 150


@pytest.mark.parametrize("blank", ["", "   \n\t "])
def test_a_blank_text_has_no_passages(blank: str) -> None:
    assert list(passages_of(blank)) == []


def write_folder(folder: Path, draw: random.Random, names: list[str]) -> None:
    """Write, change or remove some files at random."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        choice = draw.random()
        if choice < 0.3:
            path.unlink(missing_ok=True)
        elif choice < 0.8:
            text = generated_text(draw.randrange(10**6), draw.randint(1, 50))
            rows = [json.dumps({"text": part}) for part in text.split("\n\n") if part.strip()]
            path.write_text("\n".join(rows) if name.endswith("jsonl") else text, "utf-8")


def content(index: Path) -> set[tuple[Any, ...]]:
    """Return all passages of an index."""
    snapshot = open_newest(index).snapshot
    asked = sorted({word for text in [*CORPUS, "anexo 東京都の首都"] for word in words_of(text)[0]})
    found = snapshot.search(asked, 10**9)
    assert len(found) == snapshot.passages
    return {(f.file, f.row, f.start_char, f.text, f.elements) for f in found}


@pytest.mark.parametrize("seed", range(4))
def test_an_index_that_was_updated_is_the_index_of_what_is_there(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    folder, index = tmp_path / "documents", tmp_path / "index"
    names = ["a.txt", "b.md", "sub/c.txt", "sub/deep/d.jsonl", "e.html"]
    (folder / "stays.txt").parent.mkdir()
    (folder / "stays.txt").write_text("Este documento fica, o rio Douro também.", "utf-8")
    before: dict[str, str] = {}
    for step in range(4):
        write_folder(folder, draw, names)
        changes = update_index(folder, index)
        update_index(folder, tmp_path / f"fresh{step}")
        assert content(index) == content(tmp_path / f"fresh{step}")
        now = open_newest(index).sources
        assert changes.new == len(now.keys() - before.keys())
        assert changes.deleted == len(before.keys() - now.keys())
        assert changes.unchanged == sum(before.get(name) == told for name, told in now.items())
        assert len(list(index.iterdir())) == 1  # no older one, no lock, nothing unfinished
        before = now
    assert update_index(folder, index)[:3] == (0, 0, 0)


def write_or_spoil(path: Path, draw: random.Random) -> bool:
    """Write a file, or something that cannot be read; return whether it can."""
    spoil = draw.random() < 0.3
    path.parent.mkdir(exist_ok=True)
    text = "O rio Douro. " * draw.randint(1, 300)
    rows = json.dumps({"text": text})
    path.write_text("{" if spoil else rows if path.suffix == ".jsonl" else text, "utf-8")
    if spoil and path.suffix != ".jsonl":
        path.write_bytes(b"\xff\xfe\x00\xd8")
    return not spoil


def test_what_a_killed_update_left_is_swept_where_nothing_has_changed(tmp_path: Path) -> None:
    folder, index = tmp_path / "documents", tmp_path / "index"
    folder.mkdir()
    (folder / "a.txt").write_text("O rio Douro.", "utf-8")
    update_index(folder, index)
    (folder / "a.txt").write_text("O rio Tejo.", "utf-8")
    shutil.copytree(index / "00000001", tmp_path / "old")
    update_index(folder, index)
    (tmp_path / "old").rename(index / "00000001")
    (index / ".00000003.abcdefgh").mkdir()
    assert update_index(folder, index)[:3] == (0, 0, 0)
    assert [path.name for path in index.iterdir()] == ["00000002"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_becomes_of_a_folder_its_index_is_of_it_or_stays_and_says_so(
    seed: int, tmp_path: Path
) -> None:
    """Files come, go and are spoilt, all of them too, and writers are killed at any moment."""
    draw, folder, index = random.Random(seed), tmp_path / "documents", tmp_path / "index"
    folder.mkdir()
    readable: dict[str, bool] = {}
    for _ in range(12):
        step = draw.choice(["write", "write", "write", "remove", "empty", "away", "kill"])
        if step in ("write", "kill"):
            name = draw.choice(["a.txt", "b.md", "sub/c.txt", "d.jsonl"])
            readable[name] = write_or_spoil(folder / name, draw)
        for name in list(readable) if step == "empty" else list(readable)[: step == "remove"]:
            (folder / name).unlink()
            del readable[name]
        if step == "kill":
            update_and_die(folder, index, after=draw.uniform(0.001, 0.06))
            if newest(index) is not None:
                open_newest(index)  # whole
        held = content(index) if newest(index) is not None else None
        if step == "away":
            folder.rename(tmp_path / "away")
        good = {name for name, is_readable in readable.items() if is_readable}
        if good and step != "away":
            changes = update_index(folder, index)
            assert {passage[0] for passage in content(index)} == good
            assert changes.unreadable == len(readable) - len(good)
            assert [path.name for path in index.iterdir()] == [newest(index).name]  # type: ignore[union-attr]
        else:
            told = "stays as it was.*remove it if they are to be forgotten" if held else "; found n"
            with pytest.raises(InputError, match=told):
                update_index(folder, index)
            assert (content(index) if held else newest(index)) == held
        if step == "away":
            (tmp_path / "away").rename(folder)


def update_and_die(folder: Path, index: Path, *, after: float) -> None:
    """Let a process of its own update an index, and end it within as by SIGKILL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which it has none of
        child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, after)
        with contextlib.suppress(BaseException):
            update_index(folder, index)
        os._exit(0)
    os.waitpid(child, 0)


def test_what_cannot_be_read_is_told_left_out_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, index = tmp_path / "documents", tmp_path / "index"
    folder.mkdir()
    (folder / "good.txt").write_text("O rio Douro.", "utf-8")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 cut off")
    (folder / "rows.jsonl").write_text('{"text": "Primeira linha."}\n{"body": 1}\n', "utf-8")
    (folder / ".hidden.txt").write_text("x")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    changes = update_index(folder, index)
    assert (changes.new, changes.unreadable, changes.passages) == (1, 2, 1)
    assert "bad.pdf is left out" in caplog.text
    assert "line 2 of" in caplog.text
    (folder / "rows.jsonl").write_text('{"text": "Primeira linha."}\n{"text": "x"}\n', "utf-8")
    assert update_index(folder, index)[:5] == (1, 0, 0, 1, 1)
    (folder / "rows.jsonl").write_text("{", "utf-8")  # it was readable, and is not any more
    assert update_index(folder, index).passages == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_and_texts_that_are_no_utf8_are_in_the_index_all_the_same(
    answerer: QuestionAnswerer, tmp_path: Path
) -> None:
    folder, index = tmp_path / "documents", tmp_path / "index"
    folder.mkdir()
    map_of = os.fsdecode("mapa do Brás\n.txt".encode("latin-1"))
    (folder / map_of).write_text("A zebra mora em Faro.")
    (folder / "b.jsonl").write_text('{"text": "O zorro \\ud83d mora em \\ud83d\\ude00 Viana."}')
    for _ in range(2):
        changes = update_index(folder, index)
    assert (changes.unchanged, changes.passages) == (2, 2)
    opened = answerer.open_folder(index)
    assert opened.files == ["b.jsonl", "mapa do Br\\xe1s\n.txt"]
    zebra, zorro = (opened.ask(f"{name}?", screen=1, explain=True) for name in ("zebra", "zorro"))
    assert {answer.source for answer in (*zebra, *zorro)} == set(opened.files)
    assert zorro.texts[0].text == "O zorro \ufffd mora em 😀 Viana."
    assert "😀" in zorro.to_html().encode().decode()
    for path in folder.iterdir():
        path.unlink()
    (folder / "c.txt").write_text("O rio Douro.")
    assert update_index(folder, index)[:3] == (1, 0, 2)
    with pytest.raises(InputError, match=r"name in UTF-8 for the index; got .*\\xff"):
        update_index(folder, tmp_path / os.fsdecode(b"\xff"))


READER = """
import sys, time
from pathlib import Path
from qa_lightning.screening.index import open_newest
seen, index = set(), Path(sys.argv[1])
print("reads", flush=True)
while not Path(sys.argv[2]).exists():
    snapshot = open_newest(index).snapshot
    found = snapshot.search(["versao"], 100)
    versions = {passage.text.split()[1] for passage in found}
    assert len(found) == 8 and len(versions) == 1, (len(found), versions)
    time.sleep(0.005)
    again = snapshot.search(["versao"], 100)
    assert again == found
    seen |= versions
print(len(seen), flush=True)
"""


def test_readers_have_all_of_one_update_or_all_of_another(tmp_path: Path) -> None:
    folder, index, done = tmp_path / "documents", tmp_path / "index", tmp_path / "done"

    def write(version: int) -> None:
        for name in ("a", "b", "c", "d"):
            rows = [json.dumps({"text": f"Versão {version} linha {n}"}) for n in range(2)]
            path = folder / f"{name}{version % 3}.jsonl"  # some change, some come and go
            path.write_text("\n".join(rows), "utf-8")
            (folder / f"{name}{(version - 1) % 3}.jsonl").unlink(missing_ok=True)

    folder.mkdir()
    write(0)
    update_index(folder, index)
    command = [sys.executable, "-c", READER, str(index), str(done)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reads\n"
    for version in range(1, 26):
        write(version)
        update_index(folder, index)
    done.touch()
    outputs = [reader.communicate(timeout=120)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert all(int(output) > 1 for output in outputs), outputs


def test_one_writes_at_a_time_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    from qa_lightning.folders import locked_folder

    folder, index = tmp_path / "documents", tmp_path / "index"
    folder.mkdir()
    (folder / "a.txt").write_text("O rio Douro.")
    (index / ".00000001.killed" / "whole").mkdir(parents=True)
    (index / ".00000001.killed" / "whole" / "meta.json").write_text("{")
    with locked_folder(index, "--output"), pytest.raises(InputError, match="no other run"):
        update_index(folder, index)
    assert update_index(folder, index).new == 1
    assert [path.name for path in index.iterdir()] == ["00000001"]


def small_index(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text("O rio Douro nasce em Espanha.\nA vila fica perto.\n", "utf-8")
    update_index(folder, tmp_path / "index")
    return tmp_path / "index"


def test_a_damaged_index_is_refused_whatever_is_damaged(tmp_path: Path) -> None:
    index = small_index(tmp_path)
    files = [path for path in (index / "00000001").iterdir() if not path.name.endswith(".lock")]
    assert len(files) > 6
    for path in files:
        whole = path.read_bytes()
        flipped = bytes([whole[len(whole) // 2] ^ 1])
        half = len(whole) // 2
        for spoilt in (None, b"", whole[:half], whole[:half] + flipped + whole[half + 1 :]):
            path.unlink()
            if spoilt is not None:
                path.write_bytes(spoilt)
            if path.name != "index.json" or spoilt is None or len(spoilt) < len(whole):
                with pytest.raises(InputError, match=r"Remove it, and run `qa-lightning index`"):
                    open_newest(index)
            path.write_bytes(whole)
    assert open_newest(index).snapshot.passages == 1


def test_what_is_no_index_or_an_older_one_is_refused(tmp_path: Path) -> None:
    index = small_index(tmp_path)
    manifest = index / "00000001" / "index.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"version": 0}))
    with pytest.raises(InputError, match="index of this release"):
        open_newest(index)
    with pytest.raises(InputError, match="index of this release"):
        update_index(tmp_path / "documents", index)
    for place, found in ((tmp_path / "none", "nothing there"), (tmp_path, "no index there")):
        with pytest.raises(InputError, match=found):
            open_newest(place)
    with pytest.raises(InputError, match=r"it holds (documents|index)"):
        update_index(tmp_path / "documents", tmp_path)
    with pytest.raises(InputError, match="is a file"):
        update_index(tmp_path / "documents", manifest)
    with pytest.raises(InputError, match=r"Expected a folder of documents.*nothing there"):
        update_index(tmp_path / "nowhere", tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found none"):
        update_index(tmp_path / "empty", tmp_path / "other")


def test_a_missing_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tantivy", None)
    with pytest.raises(InputError, match=r"pip install 'qa-lightning\[search\]'"):
        update_index(tmp_path, tmp_path / "index")


@pytest.mark.parametrize("seed", range(5))
def test_passages_that_overlap_are_read_as_one(seed: int, tmp_path: Path) -> None:
    text = generated_text(seed, 80)
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.txt").write_text(text, "utf-8", newline="")
    update_index(folder, tmp_path / "index")
    snapshot = open_newest(tmp_path / "index").snapshot
    for count in (1, 3, 100):
        joined = list(stretches(snapshot.search(words_of(CORPUS[seed % 3])[0][:4], count)))
        assert all(text[each.start_char : each.end_char] == each.text for each in joined)
        ends = [each.end_char for each in joined]
        assert all(a < b.start_char for a, b in zip(ends, joined[1:], strict=False))
        for each in joined:
            whole = text_document(text, "a.txt").elements_of(each.start_char, each.end_char)
            assert each.elements == tuple(whole)


def test_an_open_document_answers_as_the_answerer_to_the_bit(answerer: QuestionAnswerer) -> None:
    for seed in range(3):
        text = generated_text(seed, 60)
        document = answerer.open(text)
        for row in running.rows_of(3):
            for screen in ("all", "auto", 2):
                expected = answerer.answer(row["question"], text, 5, screen=screen)
                assert document.ask(row["question"], 5, screen=screen) == expected
    named = answerer.open(text_document(text, "a.txt"))
    answers = named.ask(row["question"], 3, screen=2)
    assert [a._replace(source=None, place=None) for a in answers] == list(expected)[:3]
    assert {answer.source for answer in answers} == {"a.txt"}
    for explain in (False, True):
        asked = {"n_best": 3, "screen": 2, "explain": explain}
        found = answerer.answer(row["question"], text_document(text, "a.txt"), **asked)
        assert found == named.ask(row["question"], **asked)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind about things of their own."""
    folder = tmp_path_factory.mktemp("documents")
    pages = [[f"Página {n}. {CORPUS[0]}"] * 3 for n in range(1, 4)]
    pages[1].append("A zebra azul mora em Viana.")
    write_pdf(folder / "report.pdf", pages)
    (folder / "notes.md").write_text("# Título\n\nUm.\n\nO zorro verde mora em Faro.\n", "utf-8")
    rows = [{"text": f"Linha {n}."} for n in range(9)] + [{"text": "A zibelina mora em Leiria."}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (folder / "long.txt").write_text(generated_text(1, 90) + "\nO zangão mora em Évora.", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("question", "file", "place"),
    [
        ("Onde mora a zebra?", "report.pdf", "page 2"),
        ("Onde mora o zorro?", "notes.md", "paragraph"),
        ("Onde mora a zibelina?", "rows.jsonl", "line 10"),
        ("Onde mora o zangão?", "long.txt", "line"),
    ],
)
def test_answers_of_a_folder_name_file_and_place(
    answerer: QuestionAnswerer, folder: Path, tmp_path: Path, question: str, file: str, place: str
) -> None:
    opened = answerer.open_folder(folder, index=tmp_path / "index")
    assert opened.files == ["long.txt", "notes.md", "report.pdf", "rows.jsonl"]
    answers = opened.ask(question, 3, screen=1)
    assert (answers.windows, answers.windows_read) == (opened.passages, 1)
    for answer in answers:
        assert answer.source == file
        assert answer.place is not None
        if file == "rows.jsonl":
            assert answer.place == place
            continue
        document = read_document(folder / file)
        span = (answer.start_char, answer.end_char)
        assert answer.text == document.text[slice(*span)]
        first, last = answer.snippet.start_char, answer.snippet.end_char
        assert answer.snippet.text == document.text[first:last]
        assert answer.place == document.place(*span)
    if place.startswith("page"):
        assert place in {answer.place for answer in opened.ask(question, 20, screen=1)}
    kept = answerer.open_folder(tmp_path / "index")
    assert kept.ask(question, 3, screen=1) == answers
    assert answerer.open_folder(folder).ask(question, 3, screen=1) == answers


def test_where_no_passage_holds_a_word_nothing_is_read(
    answerer: QuestionAnswerer, folder: Path, tmp_path: Path
) -> None:
    opened = answerer.open_folder(folder, index=tmp_path / "index")
    answers = opened.ask("Xylographe?", 3)
    assert (answers.text, len(answers), answers.windows_read) == (None, 0, 0)
    for question, screen in (("", 3), ("Onde?", 0), ("Onde?", "all")):
        with pytest.raises(InputError, match="Expected"):
            opened.ask(question, screen=screen)  # type: ignore[arg-type]


def test_an_open_folder_is_as_it_was_when_it_was_opened(
    answerer: QuestionAnswerer, folder: Path, tmp_path: Path
) -> None:
    copy, index = tmp_path / "documents", tmp_path / "index"
    shutil.copytree(folder, copy)
    opened = answerer.open_folder(copy, index=index)
    before = opened.ask("Onde mora o zorro?")
    (copy / "notes.md").write_text("Nada.")
    assert update_index(copy, index).changed == 1
    assert opened.ask("Onde mora o zorro?") == before
    assert answerer.open_folder(index).ask("Onde mora o zorro?") != before


@pytest.mark.front_door
def test_the_commands_index_and_answer(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    assert "4 new files" in running.run("index", folder, "--output", index)
    assert "4 unchanged files" in running.run("index", folder, "--output", index)
    asked = ("--question", "Onde mora a zebra?", "--checkpoint", checkpoint, "--device", "cpu")
    capsys.readouterr()
    running.run("answer", "--index", index, "--screen", 1, "--n_best", 2, *asked)
    message = running.fail(capsys, "answer", "--index", index, "--context", "x", *asked)
    assert "`--document`; got both" in message
    message = running.fail(capsys, "answer", "--index", folder, *asked)
    assert "no index there" in message
    message = running.fail(capsys, "answer", "--index", index, "--screen", "all", *asked)
    assert "`screen` to be a whole number" in message
    message = running.fail(capsys, "answer", "--index", index, "--screen", "some", *asked)
    assert "`screen` to be a whole number, auto, all or null; got some" in message
    message = running.fail(capsys, "answer", "--index", index, "--n_best", "", *asked)
    assert "`n_best` to be a whole number; got nothing" in message
    message = running.fail(capsys, "answer", "--document", folder, *asked)
    assert "is a folder. `qa-lightning index" in message
    told = running.run("answer", "--index", index, "--question", "Xylographe?", *asked[2:])
    assert "no answer: no passage holds a word" in told
