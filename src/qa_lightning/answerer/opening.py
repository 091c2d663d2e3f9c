"""Documents that are read once and asked often: one, or the index of a folder of them."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qa_lightning.answerer.cutting import Document
from qa_lightning.answerer.records import Answers, PlacedAnswer
from qa_lightning.answerer.rows import checked_question
from qa_lightning.documents import Document as SourceDocument
from qa_lightning.ranges import Rule, check, whole
from qa_lightning.screening import DEFAULT_SCREEN, Screen
from qa_lightning.screening.index import FoundPassage, newest, open_newest, update_index
from qa_lightning.screening.index.store import stretches
from qa_lightning.screening.words import asked_words

if TYPE_CHECKING:
    from qa_lightning.answerer.answering import QuestionAnswerer

PASSAGES = 16
"""Passages of an index that are read of all: the answer's is among as many in 98 of 100."""

_RULES: dict[str, Rule] = {"screen": whole(1, remedy="It counts the passages that are read.")}


class OpenDocument:
    """Answer questions on a document that was tokenized once, and whose words were found once.

    Threads may share it. ``QuestionAnswerer.open`` makes it.

    Args:
        answerer: who answers.
        document: its tokens.
        source: the file that it is the text of, if it is.
    """

    def __init__(
        self, answerer: "QuestionAnswerer", document: Document, source: SourceDocument | None
    ) -> None:
        self._answerer = answerer
        self._document = document
        self.source = source
        _ = document.places  # found now, not at the first question

    @property
    def text(self) -> str:
        """The document's text."""
        return self._document.text

    def ask(
        self,
        question: str,
        n_best: int = 1,
        *,
        screen: Screen = DEFAULT_SCREEN,
        explain: bool = False,
    ) -> Answers:
        """Answer as ``QuestionAnswerer.answer`` does, to the bit."""
        answers = self._answerer.answer(
            question, self._document, n_best, screen=screen, explain=explain
        )
        return answers if self.source is None else placed_in(answers, [self.source])


class OpenFolder:
    """Answer questions on all documents of an index, as it was when it was opened.

    Threads may share it. ``QuestionAnswerer.open_folder`` makes it.

    Args:
        answerer: who answers.
        index: the index's folder.
    """

    def __init__(self, answerer: "QuestionAnswerer", index: Path) -> None:
        self._answerer = answerer
        self._snapshot, self._sources = open_newest(index)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def of(cls, answerer: "QuestionAnswerer", folder: Path, index: Path | None) -> "OpenFolder":
        """Open an index, or the documents of a folder.

        Args:
            answerer: who answers.
            folder: an index, or documents.
            index: where to keep the documents' index; None: as long as the object lives.

        Raises:
            InputError: neither is there.
        """
        if newest(folder) is not None:
            return cls(answerer, folder)
        if index is not None:
            update_index(folder, index)
            return cls(answerer, index)
        temporary = tempfile.TemporaryDirectory(prefix="qa_lightning_index.")
        update_index(folder, Path(temporary.name))
        opened = cls(answerer, Path(temporary.name))
        opened._temporary = temporary
        return opened

    @property
    def passages(self) -> int:
        """How many passages of some 200 words the documents have."""
        return self._snapshot.passages

    @property
    def files(self) -> list[str]:
        """The names of the files whose documents are in it."""
        return sorted(self._sources)

    def ask(
        self, question: str, n_best: int = 1, *, screen: int = PASSAGES, explain: bool = False
    ) -> Answers:
        """Answer a question from the passages that fit its words best.

        Args:
            question: any text.
            n_best: answers wanted.
            screen: passages to read; those of a document that overlap are read as one.
            explain: add the probabilities of the sentence's tokens.

        Returns:
            The n-best answers over all; ``source`` names the file, ``start_char`` counts in its
            text. ``windows`` and ``windows_read`` count passages. Where no passage holds a word of
            the question nothing is read, and there is no answer.

        Raises:
            InputError: the question is empty, or a number out of its range.
        """
        check(_RULES, {"screen": screen}, prefix="")
        words = asked_words(checked_question(question), self._answerer.reader.language)
        found = self._snapshot.search(words, screen)
        read = list(stretches(found))
        texts = [stretch.text for stretch in read]
        answers = self._answerer.answer_documents(
            question, texts, n_best, screen="all", explain=explain
        )
        return replace(
            answers,
            n_best=tuple(_in_file(answer, read[answer.document]) for answer in answers),
            windows=self.passages,
            windows_read=len(found),
            texts={
                number: text.moved(read[number].start_char)
                for number, text in answers.texts.items()
            },
        )


def placed_in(answers: Answers, sources: "list[SourceDocument]") -> Answers:
    """Name the documents in which answers stand, and where in them."""
    return replace(
        answers,
        n_best=tuple(
            answer._replace(
                source=sources[answer.document].name,
                place=sources[answer.document].place(answer.start_char, answer.end_char),
            )
            for answer in answers
        ),
    )


def _in_file(answer: PlacedAnswer, stretch: FoundPassage) -> PlacedAnswer:
    """Count an answer's characters in the text of its document, and say where it stands."""
    answer = answer.moved(stretch.start_char)
    document = SourceDocument("", stretch.file, stretch.elements)
    place = document.place(answer.start_char, answer.end_char)
    if stretch.row:
        place = f"line {stretch.row}"
    return answer._replace(source=stretch.file, place=place)
