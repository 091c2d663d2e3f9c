"""HTML and Markdown → a document: what a reader of the page sees, block by block."""

import re
from typing import Any, Final

from qa_lightning.documents.assembling import Assembler
from qa_lightning.documents.bounding import Allowance, check_markup
from qa_lightning.documents.records import Document
from qa_lightning.documents.refusals import DocumentError

_BLANKS: Final = re.compile(r"[ \t\n\r\f]+")  # what HTML collapses; no-break blanks stay
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS: Final = _HEADINGS | frozenset(
    """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset
    figcaption figure footer form header hgroup hr legend li main menu nav ol option p pre section
    summary table tbody tfoot thead title tr ul
    """.split()  # noqa: SIM905
)
_NESTED: Final = 100  # quotes and lists in each other; the reader leaves out what is deeper
_CELLS: Final = frozenset({"td", "th"})
_UNSEEN: Final = frozenset(
    "script style template noscript head iframe object svg math canvas audio video select".split()  # noqa: SIM905
)


def markdown_document(text: str, name: str) -> Document:
    """Read Markdown (CommonMark and tables): the text without its marks."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"maxNesting": _NESTED}).enable("table")
    return html_document(reader.render(text), name)


def html_document(text: str, name: str) -> Document:
    """Read HTML: what a browser would show, without scripts, styles and what is hidden.

    Raises:
        DocumentError: there is no text in it, or there is more than any page has.
    """
    from lxml import etree, html

    check_markup(text, name)
    parser = html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    try:
        root = html.document_fromstring(text.encode(), parser=parser)
    except etree.ParserError as error:  # an empty file
        raise DocumentError("no_text", name=name) from error
    if any("depth" in fault.message for fault in parser.error_log):  # the rest would be lost
        raise DocumentError("too_deep", name=name)
    reader = _BlockReader(Assembler(name, Allowance(name, len(text))))
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            reader.start(node)
        else:
            reader.end(node)
    return reader.finished()


class _BlockReader:
    """Collect running text into blocks, in the order of a document's tags."""

    def __init__(self, made: Assembler) -> None:
        self._made = made
        self._words: list[str] = []
        self._is_blank = True
        self._kinds = ["paragraph"]
        self._unseen: Any = None
        self._verbatim = 0

    def start(self, node: Any) -> None:
        """Enter an element."""
        tag = node.tag
        if self._unseen is not None:
            return
        if tag in _UNSEEN or node.get("hidden") is not None:
            self._unseen = node
            return
        if tag in _BLOCKS:
            self._close()
            kind = "heading" if tag in _HEADINGS else "row" if tag == "tr" else "paragraph"
            self._kinds.append(self._kinds[-1] if self._kinds[-1] == "row" else kind)
        elif tag in _CELLS and not self._is_blank:
            self._words.append("\t")
        elif tag == "br":
            self._words.append("\n")
        self._verbatim += tag in ("pre", "textarea")
        self._add(node.text)

    def end(self, node: Any) -> None:
        """Leave an element; the text behind it belongs to the one around it."""
        if self._unseen is not None and self._unseen is not node:
            return
        if self._unseen is node:
            self._unseen = None
        else:
            if node.tag in _BLOCKS:
                self._close(leaving=node.tag == "tr" or self._kinds[-1] != "row")
                self._kinds.pop()
            self._verbatim -= node.tag in ("pre", "textarea")
        self._add(node.tail)

    def _add(self, text: str | None) -> None:
        if text:
            self._is_blank = self._is_blank and text.isspace()
            self._words.append(text if self._verbatim else _BLANKS.sub(" ", text))

    def _close(self, *, leaving: bool = True) -> None:
        """End a block; blocks inside the cell of a table are part of its row."""
        if self._kinds[-1] == "row" and not leaving:
            self._words.append(" ")
            return
        text = "".join(self._words)
        if not self._verbatim:
            text = re.sub(r" *([\t\n]) *", r"\1", re.sub(r" +", " ", text))
        self._made.add(text.strip(" \n\r\t\f"), self._kinds[-1])
        self._words, self._is_blank = [], True

    def finished(self) -> Document:
        """Return the document."""
        self._close()
        return self._made.document()
