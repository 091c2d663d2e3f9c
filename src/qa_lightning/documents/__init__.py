"""Files of text, Markdown, HTML, DOCX and PDF → a ``Document``: plain text, and the way back.

The extra ``documents`` brings the readers of HTML, DOCX and PDF (lxml, python-docx, PDFium); plain
text needs none.
"""

from qa_lightning.documents.reading import SUFFIXES, read_document, text_document
from qa_lightning.documents.records import Document, Element, Rectangle, ranges
from qa_lightning.documents.refusals import PASSWORD, REASONS, DocumentError, LockedError

__all__ = [
    "PASSWORD",
    "REASONS",
    "SUFFIXES",
    "Document",
    "DocumentError",
    "Element",
    "LockedError",
    "Rectangle",
    "ranges",
    "read_document",
    "text_document",
]
