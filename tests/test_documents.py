"""Files of all kinds → text, and the way back to pages, rows and boxes."""

import random
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents_support import FONT, raw_pdf, raw_stream, write_lines, write_pdf
from qa_lightning.documents import Document, DocumentError, bounding, read_document
from qa_lightning.documents.markup import html_document, markdown_document
from qa_lightning.errors import InputError

WORDS = """
ponte cidade ação rio Évora início Órgão três país Helena jardim número são água câmara índio
êxito último história código século ilha vapor máquina
""".split()  # noqa: SIM905


def sentences(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 60))) + "." for _ in range(count)]


def span(document: Document, text: str) -> tuple[int, int]:
    start = document.text.index(text)
    return start, start + len(text)


@pytest.mark.parametrize("seed", range(6))
def test_paragraphs_of_a_pdf_come_whole_and_with_their_page(seed: int, tmp_path: Path) -> None:
    pages = [sentences(10 * seed + number, 3) for number in range(4)]
    document = read_document(write_pdf(tmp_path / "x.pdf", pages))
    assert document.text == "\n\n".join(text for page in pages for text in page)
    for number, page in enumerate(pages, start=1):
        for text in page:
            assert document.pages_of(*span(document, text)) == (number,)
    assert document.place(0, 3) == "page 1"
    assert document.place(0, len(document.text)) == "pages 1-4"


def test_boxes_lie_where_the_words_are_drawn(tmp_path: Path) -> None:
    lines = ["A ponte foi inaugurada em 1987", "por Helena Bastos, no Porto."]
    document = read_document(write_lines(tmp_path / "x.pdf", lines))
    assert document.text == "A ponte foi inaugurada em 1987 por Helena Bastos, no Porto."
    (one,) = document.rectangles(*span(document, "Helena Bastos"))
    # A4 is 842 points high; the second line's base is at 686, its letters 12 points high.
    assert one.page == 1
    assert 842 - 686 - 13 < one.top < 842 - 686 - 7
    assert 842 - 686 < one.bottom < 842 - 686 + 5
    assert 72 < one.left < 110 < one.right < 200
    first, second = document.rectangles(*span(document, "1987 por"))
    assert first.top < second.top
    assert first.left > second.left
    assert document.boxes is not None
    assert document.boxes.shape == (len(document.text), 4)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["A cons-", "trução foi longa."], "A construção foi longa."),
        (["O guarda-", "chuva e o guarda-chuva."], "O guarda-chuva e o guarda-chuva."),
        (["Foi a Trás-", "Os-Montes em maio."], "Foi a Trás-Os-Montes em maio."),
        (["Entre 1910-", "1912 houve obras."], "Entre 1910-1912 houve obras."),
        (["Um traço -", "e nada mais."], "Um traço - e nada mais."),
    ],
)
def test_words_that_a_line_end_parts_are_joined(
    lines: list[str], expected: str, tmp_path: Path
) -> None:
    assert read_document(write_lines(tmp_path / "x.pdf", lines)).text == expected


def test_tables_keep_their_rows(tmp_path: Path) -> None:
    rows = [["Nome", "Nascimento", "Cidade natal"], ["Ana", "1901", "Porto"]]
    document = read_document(write_pdf(tmp_path / "x.pdf", [["Antes.", rows, "Depois."]]))
    assert "Nome\tNascimento\tCidade natal\nAna\t1901\tPorto" in document.text
    assert document.elements_of(*span(document, "1901"))[0].kind == "row"


def test_pages_without_text_are_told_and_a_scan_is_refused(tmp_path: Path) -> None:
    document = read_document(write_pdf(tmp_path / "x.pdf", [["Texto."], [], [], ["Mais."]]))
    assert document.notes == ("no text on page 2-3 (pictures?)",)
    assert document.pages_of(*span(document, "Mais.")) == (4,)
    with pytest.raises(InputError, match="OCR"):
        read_document(write_pdf(tmp_path / "scan.pdf", [[], []]))


def test_an_encrypted_pdf_wants_its_password(tmp_path: Path) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    path = write_pdf(tmp_path / "x.pdf", [["Secreto."]], encrypt=StandardEncryption("abre"))
    with pytest.raises(InputError, match="encrypted"):
        read_document(path)
    with pytest.raises(InputError, match="the password is another"):
        read_document(path, password="fecha")
    assert read_document(path, password="abre").text == "Secreto."


@pytest.mark.parametrize("cut", [9, 200, 0.3, 0.6, 0.9])
def test_a_cut_pdf_is_refused_or_read(cut: float, tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "x.pdf", [sentences(1, 3), sentences(2, 3)])
    data = path.read_bytes()
    path.write_bytes(data[: int(cut if cut > 1 else cut * len(data))])
    try:
        assert read_document(path).text
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


def docx_of(path: Path, body: str, head: str = "") -> Path:
    """Write a DOCX file by hand: its body's XML in the smallest package."""
    space = "http://schemas.openxmlformats.org"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships"><Relationship '
        f'Id="r" Type="{space}/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'{head}<w:document xmlns:w="{space}/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def words(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def cell(text: str, about: str = "") -> str:
    return f"<w:tc><w:tcPr>{about}</w:tcPr>{words(text)}</w:tc>"


def test_what_word_wraps_is_read_once(tmp_path: Path) -> None:
    """Forms, revisions and text boxes; not what was deleted or moved away."""
    box = f"<w:txbxContent>{words('Na caixa.')}</w:txbxContent>"
    body = (
        f"<w:sdt><w:sdtContent>{words('No formulário.')}</w:sdtContent></w:sdt>"
        "<w:p><w:ins><w:r><w:t>Posto</w:t></w:r></w:ins><w:del><w:r><w:delText>fora</w:delText>"
        "</w:r></w:del><w:moveFrom><w:r><w:t>daqui</w:t></w:r></w:moveFrom>"
        "<w:hyperlink><w:r><w:tab/><w:t>além</w:t></w:r></w:hyperlink></w:p>"
        f"<w:p><w:r><w:t>Antes.</w:t><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    document = read_document(docx_of(tmp_path / "x.docx", body))
    assert document.text == "No formulário.\n\nPosto\talém\n\nAntes.\n\nNa caixa."


def test_cells_that_span_rows_stand_in_each(tmp_path: Path) -> None:
    first, on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    wide = '<w:gridSpan w:val="2"/>'
    rows = [
        cell("Norte", first + wide) + cell("Porto"),
        cell("", on + wide) + cell("Braga"),
        cell("Sul", wide) + cell("", on),
    ]
    table = "".join(f"<w:tr>{row}</w:tr>" for row in rows)
    document = read_document(docx_of(tmp_path / "x.docx", f"<w:tbl>{table}</w:tbl>"))
    assert document.text == "Norte\tPorto\nNorte\tBraga\nSul\tBraga"


LAUGHS = "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise("abcdefghijk")
)
DEEP = "<w:tbl><w:tr><w:tc>"
BOMBS: dict[str, Callable[[], str]] = {
    "blanks": lambda: words(" " * (30 << 20)),
    "paragraphs": lambda: "<w:p/>" * 4_000_001,
    "a merged cell": lambda: (
        "<w:tbl><w:tr>"
        + cell("a" * 1000, "<w:vMerge w:val='restart'/>")
        + "</w:tr>"
        + ("<w:tr>" + cell("", "<w:vMerge/>") + "</w:tr>") * 3000
        + "</w:tbl>"
    ),
    "nested": lambda: DEEP * 100_000 + "</w:tc></w:tr></w:tbl>" * 100_000,
    "laughs": lambda: words("&k;"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_word_bomb_is_refused_in_seconds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "blanks":  # half a gigabyte takes seconds to pack
        monkeypatch.setattr(bounding, "_BYTES", 20 << 20)
    head = f'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]>' if kind == "laughs" else ""
    path = docx_of(tmp_path / "x.docx", BOMBS[kind](), head)
    assert path.stat().st_size < 1 << 20
    refused_in_seconds(path)


def refused_in_seconds(path: Path) -> None:
    begin = time.process_time()
    with pytest.raises(DocumentError, match=r"x\.[a-z]+"):
        read_document(path)
    assert time.process_time() - begin < 10  # some two; it was a half minute and more


def test_a_table_of_endless_columns_is_a_table(tmp_path: Path) -> None:
    row = cell("a", '<w:gridSpan w:val="2147483647"/>') + cell("b")
    document = read_document(docx_of(tmp_path / "x.docx", f"<w:tbl><w:tr>{row}</w:tr></w:tbl>"))
    assert document.text == "a\tb"


@pytest.mark.parametrize("unit", ["<div>", "<table><tr><td>", "<ul><li>", "<b>"])
def test_html_is_read_whole_or_refused_however_deep(unit: str, tmp_path: Path) -> None:
    for depth in (100, 500, 100_000):
        (tmp_path / "x.html").write_text(f"<html>{unit * depth}fim", encoding="utf-8")
        try:
            assert read_document(tmp_path / "x.html").text == "fim"
        except DocumentError as error:
            assert (error.reason, depth) == ("too_deep", 100_000)  # noqa: PT017


def test_a_row_of_many_cells_is_read_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<table><tr>" + "<td>a" * 100_000, encoding="utf-8")
    begin = time.process_time()
    assert read_document(tmp_path / "x.html").text.count("a") == 100_000
    assert time.process_time() - begin < 10
    (tmp_path / "x.html").write_text("<p>" * 4_000_001, encoding="utf-8")
    refused_in_seconds(tmp_path / "x.html")


def test_a_text_of_endless_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a" + "\n" * 5_000_001, encoding="utf-8")
    refused_in_seconds(tmp_path / "x.txt")


def pdf_of(path: Path, kids: str, count: int, content: bytes) -> Path:
    """Write a PDF of one page, which its tree may name many times."""
    page = b"/Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {count}/Kids[{kids}]>>".encode(),
        b"<<%s/Resources<</Font<</F 5 0 R>>>>>>" % page,
        raw_stream(content),
        FONT,
    ]
    path.write_bytes(raw_pdf(objects))
    return path


WRITTEN = b"BT /F 12 Tf 72 700 Td %s ET"


def test_a_pdf_bomb_is_refused_in_seconds(tmp_path: Path) -> None:
    shown = WRITTEN % (b"(Uma palavra) Tj " * 20)
    assert read_document(pdf_of(tmp_path / "x.pdf", "3 0 R", 2**31 - 1, shown)).text  # a lie
    refused_in_seconds(pdf_of(tmp_path / "x.pdf", "3 0 R " * 20_001, 20_001, shown))
    many = WRITTEN % (b"(Uma palavra e mais outra) Tj " * 60_000)
    refused_in_seconds(pdf_of(tmp_path / "x.pdf", "3 0 R", 1, many))


def write_docx(path: Path) -> Path:
    body = docx.Document()
    body.add_heading("Relatório", level=1)
    body.add_paragraph("A ponte foi inaugurada em 1987.")
    table = body.add_table(rows=2, cols=3)
    for row, texts in zip(
        table.rows, [["Nome", "Ano", "Cidade"], ["Ana", "1901", "Porto"]], strict=True
    ):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    merged = table.add_row().cells
    merged[0].merge(merged[1]).text = "Juntas"
    merged[2].text = "Faro"
    body.add_paragraph("Fim.")
    body.save(str(path))
    return path


def test_a_word_document_keeps_its_order_and_its_rows(tmp_path: Path) -> None:
    document = read_document(write_docx(tmp_path / "x.docx"))
    assert document.text == (
        "Relatório\n\nA ponte foi inaugurada em 1987.\n\n"
        "Nome\tAno\tCidade\nAna\t1901\tPorto\nJuntas\tFaro\n\nFim."
    )
    assert document.place(*span(document, "1901")) == "row 2"
    assert document.place(*span(document, "Relatório")) == "heading 1"
    assert document.rectangles(0, 5) == []


HTML = """<!DOCTYPE html><html><head><title>T</title><style>p {color: red}</style></head><body>
<h1>Título &amp; mais</h1><p>A <b>ponte</b> foi
 inaugurada<br>em&nbsp;1987.</p><script>var x = "não";</script><div hidden>oculto</div>
<table><tr><th>Nome</th><th>Ano</th></tr><tr><td><p>Ana</p></td><td>1901</td></tr></table>
<pre>a
  b</pre>solto<!-- nota --> no fim</body></html>"""


def test_html_is_what_a_browser_shows() -> None:
    document = html_document(HTML, "x.html")
    assert document.text == (
        "Título & mais\n\nA ponte foi inaugurada\nem\u00a01987.\n\nNome\tAno\nAna\t1901\n\n"
        "a\n  b\n\nsolto no fim"
    )
    assert document.place(*span(document, "1901")) == "row 2"
    assert document.elements_of(*span(document, "Título"))[0].kind == "heading"


def test_markdown_loses_its_marks() -> None:
    text = "# Título\n\nA **ponte** de `1987`, [aqui](x.html).\n\n- um\n- dois\n\n"
    text += "|a|b|\n|-|-|\n|c|d|\n"
    document = markdown_document(text, "x.md")
    assert document.text == "Título\n\nA ponte de 1987, aqui.\n\num\n\ndois\n\na\tb\nc\td"


@given(st.lists(st.text("abç <>&\"' é\n", max_size=30), max_size=6), st.integers(0, 5))
def test_any_html_is_read_with_elements_that_hold_its_text(texts: list[str], depth: int) -> None:
    from html import escape

    inside = "".join(f"<p>{escape(text)}</p>" for text in texts)
    document = html_document(f"<div>{'<ul><li>' * depth}{inside}", "x.html")
    seen = [document.text[one.start_char : one.end_char] for one in document.elements]
    assert seen == [" ".join(text.split()) for text in texts if text.strip()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_in_any_encoding_keeps_its_lines(encoding: str, tmp_path: Path) -> None:
    text = "A construção da câmara começou em março.\r\nHelena não veio à inauguração.\n" * 20
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode(encoding))
    document = read_document(path)
    assert document.text == text
    assert document.place(*span(document, "Helena")) == "line 2"


def test_the_kind_is_told_by_the_content_before_the_name(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "x.txt", [["Um PDF."]])
    assert read_document(path).text == "Um PDF."
    named = write_docx(tmp_path / "x.docx").rename(tmp_path / "x.bin")
    assert "1987" in read_document(named).text
    page = tmp_path / "page"
    page.write_text(HTML, encoding="utf-8")
    assert "<b>" not in read_document(page).text


def broken(folder: Path) -> dict[str, Any]:
    """Return files that are no documents, with what must be told of them."""
    files: dict[str, tuple[bytes, str]] = {
        "none.pdf": (b"no pdf", "damaged, or none"),
        "empty.txt": (b" \n", "there is none"),
        "empty.html": (b"", "there is none"),
        "scan.png": (b"\x89PNG\r\n", "picture"),
        "old.docx": (b"\xd0\xcf\x11\xe0rest", "encrypted, or of Word 97"),
        "old.doc": (b"\xd0\xcf\x11\xe0rest", "Save it as DOCX"),
        "x.rtf": (b"{\\rtf1\\ansi Texto}", r"rich text \(RTF\)\. Save it as DOCX or PDF"),
        "x.jpg": (b"\xff\xd8\xff\xe0rest", r"picture \(JPEG\)\. Recognise its text first"),
        "x.bmp": (b"BM\0\0rest", "picture"),
        "x.gz": (b"\x1f\x8brest", "archive of other files"),
        "cut.docx": (b"PK\x03\x04rest", "none, or cut off"),
        "bytes.txt": (b"\x81\x8d\x00\xff\x00", "text"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    odt = "application/vnd.oasis.opendocument.text"
    archives = {
        "other.docx": ("[Content_Types].xml", "x", "damaged"),
        "some.zip": ("a.txt", "x", "Unpack it"),
        "x.odt": ("mimetype", odt, r"OpenDocument text \(ODT\)\. Save it as DOCX"),
        "x.epub": ("mimetype", "application/epub+zip", "book"),
        "x.xlsx": ("xl/workbook.xml", "x", "spreadsheet"),
        "x.pptx": ("ppt/presentation.xml", "x", "presentation"),
    }
    for name, (part, text, _) in archives.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(part, text)
    told = {name: told for name, (_, told) in files.items()}
    return {**told, **{name: told for name, (*_, told) in archives.items()}}


def test_a_text_that_begins_like_a_picture_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("BM 25 é uma fórmula.", encoding="utf-8")
    assert read_document(tmp_path / "x.txt").text == "BM 25 é uma fórmula."


def test_broken_files_are_told_by_name(tmp_path: Path) -> None:
    for name, told in broken(tmp_path).items():
        with pytest.raises(InputError, match=told) as raised:
            read_document(tmp_path / name)
        assert name in str(raised.value)
    with pytest.raises(InputError, match="found nothing there"):
        read_document(tmp_path / "absent.pdf")
    with pytest.raises(InputError, match="no regular file"):
        read_document(tmp_path)


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdf(tmp_path / "x.pdf", [["Um PDF."]])
    monkeypatch.setitem(__import__("sys").modules, "pypdfium2", None)
    with pytest.raises(InputError, match=r"qa-lightning\[documents\]"):
        read_document(path)
