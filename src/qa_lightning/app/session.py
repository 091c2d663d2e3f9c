"""What one visitor of the page has opened and asked; nothing of it is kept when they leave."""

import csv
import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from qa_lightning.documents import Document, ranges, read_document, text_document
from qa_lightning.errors import InputError

if TYPE_CHECKING:
    from qa_lightning.answerer import Answers, QuestionAnswerer
    from qa_lightning.answerer import Document as ReadDocument
    from qa_lightning.app.corrections import Corrections

log = logging.getLogger(__name__)

N_BEST: Final = 5
MOST_DOCUMENTS: Final = 8  # side by side; more are for `answer --document`
LONGEST: Final = 5_000_000  # characters of one that a browser still scrolls well
LONGEST_QUESTION: Final = 1_000  # characters; models read some sixty tokens of it
_BLOCK: Final = 2_000  # characters of lines that are shown as one block


class Told(Exception):  # noqa: N818  # what a visitor is told is no program's error
    """Tell a visitor something by the name of its sentence in ``words``."""

    def __init__(self, sentence: str, **details: object) -> None:
        super().__init__(sentence)
        self.sentence, self.details = sentence, details


@dataclass(frozen=True)
class Opened:
    """Hold an open document: as a file, and as the model reads it.

    Attributes:
        key: its own, for as long as the page is open.
        document: the text, and where it stands in its file.
        read: the same, tokenized.
    """

    key: str
    document: Document
    read: "ReadDocument"


@dataclass(frozen=True)
class Asked:
    """Hold a question that was answered from some documents."""

    question: str
    opened: tuple[Opened, ...]
    answers: "Answers"


class Session:
    """Open documents, ask them, correct the answers.

    Args:
        answerer: shared by all visitors.
        corrections: where corrected answers go.
    """

    def __init__(self, answerer: "QuestionAnswerer", corrections: "Corrections") -> None:
        self.opened: list[Opened] = []
        self.asked: list[Asked] = []
        self.shown: Asked | None = None
        self.locked: list[str] = []  # encrypted files that wait for their password
        self._answerer = answerer
        self._corrections = corrections
        self._keys = count(1)
        self._lock = threading.RLock()  # one visitor's two clicks, in two threads

    def open_file(self, path: str, *, password: str | None = None) -> None:
        """Open a file.

        Raises:
            InputError: it cannot be read.
            Told: there are too many, or it is too long.
        """
        with self._lock:  # a question that comes meanwhile waits for the document
            self._open(read_document(path, password=password))

    def open_text(self, text: str, name: str) -> None:
        """Open a pasted text.

        Raises:
            Told: there is none, there are too many, or it is too long.
        """
        if not text.strip():
            raise Told("no_text")
        with self._lock:
            self._open(text_document(_sound(text), name))

    def open_alone(self, text: str, name: str) -> None:
        """Open a text in place of all that is open."""
        with self._lock:
            self.opened = []
            self.open_text(text, name)

    def _open(self, document: Document) -> None:
        if len(document.text) > LONGEST:
            raise Told("too_long", name=document.name, most=f"{LONGEST:,}")
        if len(self.opened) >= MOST_DOCUMENTS:
            raise Told("too_many", most=MOST_DOCUMENTS)
        read = self._answerer.read(document.text)
        self.opened.append(Opened(f"d{next(self._keys)}", document, read))
        self.shown = None

    def close(self, key: str) -> None:
        """Close a document; its answers go with it."""
        with self._lock:
            self.opened = [one for one in self.opened if one.key != key]
            self.shown = None

    def ask(self, question: str) -> None:
        """Answer a question from all open documents.

        Raises:
            Told: there is no question or no document, or the question is too long.
        """
        question = _sound(question).strip()
        if not question:
            raise Told("no_question")
        if len(question) > LONGEST_QUESTION:
            raise Told("long_question", most=f"{LONGEST_QUESTION:,}")
        with self._lock:
            if not self.opened:
                raise Told("no_document")
            read = [one.read for one in self.opened]
            answers = self._answerer.answer_documents(question, read, N_BEST)
            self.shown = Asked(question, tuple(self.opened), answers)
            self.asked.append(self.shown)

    def recall(self, number: int) -> None:
        """Show an earlier question again, with the documents of then."""
        with self._lock:
            self.shown = self.asked[number]
            self.opened = list(self.shown.opened)

    def correct(self, key: str, start: int, end: int) -> tuple[str, int]:
        """Keep a span as the right answer to the question that is shown.

        Returns:
            The answer, without blanks around it, and how many corrections there are.

        Raises:
            Told: nothing was asked, the span holds no words, or the file cannot be written.
        """
        text = self._document(key).text
        if not 0 <= start <= end <= len(text) or not text[start:end].strip():
            raise Told("nothing_selected")
        words = text[start:end].strip()
        start += text[start:end].index(words)
        return words, self._keep(key, (start, start + len(words)))

    def refuse(self, key: str) -> tuple[str, int]:
        """Keep that a document does not answer the question that is shown.

        Returns:
            The document's name, and how many corrections there are.
        """
        return self._document(key).name, self._keep(key, None)

    def _keep(self, key: str, span: tuple[int, int] | None) -> int:
        if self.shown is None:
            raise Told("nothing_asked")
        document = self._document(key)
        try:
            return self._corrections.keep(
                title=document.name,
                context=document.text,
                question=self.shown.question,
                span=span,
            )
        except InputError as error:  # of the file, which is the owner's and not the visitor's
            log.error("%s", error)
            raise Told("not_kept", file=self._corrections.path.name) from error

    def _document(self, key: str) -> Document:
        for one in self.opened:
            if one.key == key:
                return one.document
        raise Told("no_document")

    def documents_view(self) -> list[dict[str, Any]]:
        """Return the open documents as the page draws them."""
        return [
            {
                "key": one.key,
                "name": one.document.name,
                "blank": ranges(one.document.blank_pages),
                "blocks": list(_blocks(one.document)),
            }
            for one in self.opened
        ]

    def answers_view(self) -> dict[str, Any] | None:
        """Return the answers that are shown, best first, and whether the first is given."""
        if self.shown is None:
            return None
        answers = self.shown.answers
        return {
            "question": self.shown.question,
            "given": answers.is_answerable,
            "none": answers.no_answer_probability if answers.knows_no_answer else None,
            "answers": list(_placed(self.shown)),
        }

    def history_view(self) -> list[dict[str, Any]]:
        """Return what was asked, in its order, with what was answered."""
        return [
            {"question": one.question, "answer": one.answers.text, "of": one.answers.confidence}
            for one in self.asked
        ]

    def as_json(self) -> str:
        """Return all that was asked, as ``answer --json`` writes it, in one list."""
        rows = []
        for one in self.asked:
            entry = one.answers.to_dict()
            for answer, shown in zip(entry["n_best"], _placed(one), strict=True):
                answer["document"] = shown["name"]
                answer["place"] = " ".join(map(str, shown["place"]))
            rows.append(entry)
        return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"

    def as_csv(self) -> str:
        """Return all that was asked as a table: a line an answer, best first."""
        table = io.StringIO()
        writer = csv.writer(table)
        names = ("rank", "text", "confidence", "name", "place", "start", "end")
        head = ("answer", "confidence", "document", "place", "start_char", "end_char", "is_given")
        writer.writerow(("question", "rank", *head))
        for one in self.asked:
            for shown in _placed(one):
                is_given = one.answers.is_answerable and shown["rank"] == 1
                cells = {**shown, "place": " ".join(map(str, shown["place"]))}
                writer.writerow((one.question, *(cells[name] for name in names), is_given))
        return table.getvalue()


def _sound(text: str) -> str:
    """Return what a browser sent, without halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _placed(asked: Asked) -> Iterator[dict[str, Any]]:
    for rank, answer in enumerate(asked.answers, start=1):
        opened = asked.opened[answer.document]
        yield {
            "rank": rank,
            "key": opened.key,
            "name": opened.document.name,
            "start": answer.start_char,
            "end": answer.end_char,
            "text": answer.text,
            "confidence": round(answer.confidence, 4),
            "place": _place(opened.document, answer.start_char, answer.end_char),
        }


def _place(document: Document, start: int, end: int) -> tuple[str, int]:
    """Return the kind and the number of what a span begins in, for words of any language."""
    for page in document.pages_of(start, end):
        return "page", page
    element = document.elements_of(start, end)[0]
    return element.kind, element.number


def _blocks(document: Document) -> Iterator[tuple[int, int | None, str, str]]:
    """Yield what is shown as one paragraph: first character, page, kind, text.

    Short lines that follow each other are one block: a text of a million lines has not as many.
    """
    text, start, last = document.text, 0, None
    for element in document.elements:
        if last is not None and (
            element.kind != "line"
            or (last.kind, last.page) != ("line", element.page)
            or element.end_char - start > _BLOCK
        ):
            yield start, last.page, last.kind, text[start : last.end_char]
            start = element.start_char
        elif last is None:
            start = element.start_char
        last = element
    if last is not None:
        yield start, last.page, last.kind, text[start : last.end_char]
