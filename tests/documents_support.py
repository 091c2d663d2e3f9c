"""PDF and DOCX files that the tests make."""

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
