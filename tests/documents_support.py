"""PDF and DOCX files that the tests make."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_pdf(path: Path, pages: Sequence[Sequence[Any]], **settings: Any) -> Path:
    """Write pages of paragraphs (texts) and tables (lists of rows); no text is a drawn page."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table
    from reportlab.platypus.flowables import HRFlowable

    style = getSampleStyleSheet()["BodyText"]
    story: list[Any] = []
    for page in pages:
        for piece in page:
            story.append(Paragraph(piece, style) if isinstance(piece, str) else Table(piece))
        story += [HRFlowable(), PageBreak()]
    SimpleDocTemplate(str(path), **settings).build(story)
    return path


def write_lines(path: Path, lines: Sequence[str], *, leading: float = 14.0) -> Path:
    """Write a page of lines as they stand."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    for number, line in enumerate(lines):
        canvas.drawString(72, 700 - leading * number, line)
    canvas.save()
    return path


def raw_pdf(objects: Sequence[bytes]) -> bytes:
    """Return a PDF of objects as they stand; the first is its catalogue."""
    data = b"%PDF-1.7\n"
    for number, one in enumerate(objects, start=1):
        data += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    return data + b"trailer\n<</Size %d/Root 1 0 R>>\n%%%%EOF" % (len(objects) + 1)


def raw_stream(content: bytes, about: bytes = b"") -> bytes:
    """Return a packed stream."""
    packed = zlib.compress(content, 9)
    head = b"<<%s/Filter/FlateDecode/Length %d>>stream\n" % (about, len(packed))
    return head + packed + b"\nendstream"


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def endless_pdf(depth: int = 12) -> bytes:
    """Return a PDF whose page draws a form that draws another ten times, and so on."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources"
        b"<</XObject<</X6 6 0 R>>>>>>",
        raw_stream(b"/X6 Do"),
        FONT,
    ]
    for number in range(6, 6 + depth):
        inner = number + 1
        about = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources"
        about += b"<</Font<</F 5 0 R>>/XObject<</X%d %d 0 R>>>>" % (inner, inner)
        objects.append(raw_stream(b"/X%d Do " % inner * 10, about))
    return raw_pdf([*objects, raw_stream(b"BT /F 12 Tf (x) Tj ET", about)])
