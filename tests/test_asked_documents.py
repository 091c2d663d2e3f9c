"""Questions beside documents: every question of every document, from files of any kind."""

import json
from pathlib import Path
from typing import Any

import docx
import pytest

from documents_support import write_pdf
from qa_lightning.cli.reference import keys_of
from qa_lightning.documents import PASSWORD, read_document
from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples, source_fingerprint
from running import fail, run

QUESTIONS = ["Onde nasceu Alba?", "Quando?"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of documents of four kinds, one in a folder of its own, and questions."""
    inner = tmp_path / "acervo" / "antigos"
    inner.mkdir(parents=True)
    write_pdf(inner / "a.pdf", [["Alba nasceu em Évora."], ["Foi em 1801."]])
    (inner.parent / "b.md").write_text("# Vida\n\nBruna nasceu em Faro.", encoding="utf-8")
    (inner.parent / "c.txt").write_bytes("Clara nasceu em São Tomé.".encode("cp1252"))
    word = docx.Document()
    word.add_paragraph("Dora nasceu no Porto.")
    word.save(str(inner.parent / "d.docx"))
    rows = "\n".join(["question", *QUESTIONS])
    (inner.parent / "perguntas.csv").write_text(rows, encoding="utf-8")
    return inner.parent


def rows_of_split(paths: Any) -> list[dict[str, Any]]:
    return load_examples({"predict": paths}, split="predict", with_answers=False).to_list()


def test_every_question_is_asked_of_every_document(folder: Path) -> None:
    rows = rows_of_split(str(folder))
    names = [str(Path("antigos", "a.pdf")), "b.md", "c.txt", "d.docx"]
    assert [row["title"] for row in rows] == [name for name in names for _ in QUESTIONS]
    assert [row["question"] for row in rows] == QUESTIONS * 4
    assert len({row["id"] for row in rows}) == 8
    for row in rows:
        assert row["context"] == read_document(folder / row["title"]).text
    listed = sorted(str(path) for path in folder.rglob("*.*"))
    assert {row["context"] for row in rows_of_split(listed)} == {row["context"] for row in rows}


def test_ids_of_questions_stay_in_sight(folder: Path) -> None:
    lines = [{"id": f"p{n}", "question": question} for n, question in enumerate(QUESTIONS)]
    (folder / "perguntas.csv").unlink()
    (folder / "p.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    ids = [row["id"] for row in rows_of_split([str(folder / "p.jsonl"), str(folder / "b.md")])]
    assert ids == ["b.md#p0", "b.md#p1"]


def test_a_changed_document_is_other_data(folder: Path) -> None:
    def mark() -> str:
        return source_fingerprint({"predict": str(folder)}, split="predict", with_answers=False)

    before = mark()
    assert mark() == before
    (folder / "b.md").write_text("Bruna nasceu em Beja.", encoding="utf-8")
    assert mark() != before


def test_rows_that_have_a_context_need_no_documents(folder: Path) -> None:
    row = {"id": "1", "question": "?", "context": "Texto próprio."}
    (folder / "perguntas.csv").unlink()
    (folder / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert [one["context"] for one in rows_of_split(str(folder))] == ["Texto próprio."]


def test_documents_without_questions_or_text_are_told(folder: Path) -> None:
    with pytest.raises(InputError, match="found documents alone"):
        rows_of_split([str(folder / "b.md"), str(folder / "c.txt")])
    write_pdf(folder / "scan.pdf", [[], []])
    with pytest.raises(InputError, match=r"scan\.pdf; none of its 2 pages"):
        rows_of_split(str(folder))


def test_all_documents_that_cannot_be_read_are_told_at_once_or_left_out(
    folder: Path, locked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    locked.rename(folder / "fechado.pdf")
    write_pdf(folder / "scan.pdf", [[], []])
    (folder / "cortado.pdf").write_bytes(b"%PDF-1.7")
    (folder / "velho.docx").write_bytes(b"\xd0\xcf\x11\xe0")
    bad = ["fechado.pdf", "scan.pdf", "cortado.pdf", "velho.docx"]
    with pytest.raises(InputError, match="4 of 8 documents cannot be read") as raised:
        rows_of_split(str(folder))
    assert all(name in str(raised.value) for name in bad)
    assert "`data.skip_unreadable: true`" in str(raised.value)
    settings: dict[str, Any] = {"split": "predict", "with_answers": False, "skip_unreadable": True}
    rows = load_examples({"predict": str(folder)}, **settings).to_list()
    assert len({row["title"] for row in rows}) == 4
    (warning,) = (text for text in caplog.messages if "left out" in text)
    assert all(name in warning for name in bad)
    with pytest.raises(InputError, match="2 of 2 documents"):
        load_examples({"predict": [str(folder / name) for name in (*bad[:2], "perguntas.csv")]},
                      **settings)  # fmt: skip


def test_predict_answers_from_a_folder_of_documents(
    small: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", "--config", small, "--trainer.max_steps=1")
    files = json.dumps({"predict": str(folder)})
    common = ("--config", small, "--ckpt_path", "last", "--data.predict_split", "predict")
    write_pdf(folder / "scan.pdf", [[], []])
    message = fail(capsys, "predict", *common, "--data.data_files", files)
    assert "1 of 5 documents cannot be read" in message
    run("predict", *common, "--data.data_files", files, "--data.skip_unreadable=true")
    (folder / "scan.pdf").unlink()
    lines = (tmp_path / "run/answers/predict/answers.jsonl").read_text("utf-8").splitlines()
    texts = {row["id"]: row["context"] for row in rows_of_split(str(folder))}
    answers = [json.loads(line) for line in lines]
    assert [answer["id"] for answer in answers] == list(texts)
    for answer in answers:
        assert answer["answer"] == texts[answer["id"]][answer["start_char"] : answer["end_char"]]


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    from reportlab.lib.pdfencrypt import StandardEncryption

    lock = StandardEncryption("abre-te", canPrint=0)
    return write_pdf(tmp_path / "x.pdf", [["Segredo em Évora."]], encrypt=lock)


def test_a_password_comes_from_the_environment_and_is_no_option(
    locked: Path,
    small_files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ("answer", "--checkpoint", small_files["model"], "--question", "?", "--document")
    message = fail(capsys, *asked, locked, locked.with_name("none.pdf"))
    assert "encrypted" in message
    assert "found nothing there" in message
    assert PASSWORD in fail(capsys, *asked, locked)
    monkeypatch.setenv(PASSWORD, "outra")
    assert "the password is another" in fail(capsys, *asked, locked)
    monkeypatch.setenv(PASSWORD, "abre-te")
    assert "x.pdf, page 1" in run(*asked, locked)
    assert not [key.name for key in keys_of("answer") if "password" in key.name]


def test_a_password_is_asked_for_where_somebody_is_there(
    locked: Path, small_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import qa_lightning.cli.answer as command

    prompts: list[str] = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return "abre-te"

    monkeypatch.setattr(command, "getpass", typed)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    told = run(
        "answer", "--checkpoint", small_files["model"], "--question", "?", "--document", locked
    )
    assert "x.pdf, page 1" in told
    assert prompts == [f"password of {locked}: "]


@pytest.mark.slow
def test_a_pdf_of_sixty_megabytes_is_read(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    rng = np.random.default_rng(0)
    canvas = Canvas(str(tmp_path / "x.pdf"))
    for number in range(5):
        noise = Image.fromarray(rng.integers(0, 256, (2_100, 2_100, 3), dtype=np.uint8))
        canvas.drawImage(ImageReader(noise), 0, 0, 500, 500)
        canvas.drawString(72, 700, f"O número da página é {number + 1}.")
        canvas.showPage()
    canvas.save()
    assert (tmp_path / "x.pdf").stat().st_size > 60 << 20
    document = read_document(tmp_path / "x.pdf")
    start = document.text.index("página é 4")
    assert document.pages_of(start, start + 10) == (4,)
