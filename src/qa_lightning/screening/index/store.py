"""Passages in the files of Tantivy, a search engine: written, and searched.

Its files never change once they are written, and are mapped into memory.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from qa_lightning.documents import Document, Element
from qa_lightning.errors import InputError
from qa_lightning.screening.passages import passages_of
from qa_lightning.screening.words import words_of

if TYPE_CHECKING:
    import tantivy

_WRITER_BYTES: Final = 128 << 20


class FoundPassage(NamedTuple):
    """Hold a passage of a document.

    Attributes:
        file: the file's place in the folder.
        row: the document's line in JSON Lines; 0 where the file is one document.
        start_char: first character in the document's text.
        text: the passage.
        elements: the document's pieces that it touches, in the document's characters.
    """

    file: str
    row: int
    start_char: int
    text: str
    elements: tuple[Element, ...]

    @property
    def end_char(self) -> int:
        """One past the last character in the document's text."""
        return self.start_char + len(self.text)


def engine() -> Any:
    """Return the search engine.

    Raises:
        InputError: it is not installed.
    """
    try:
        import tantivy
    except ModuleNotFoundError as error:
        raise InputError(
            "Expected the package tantivy, which keeps an index of documents; it is not installed. "
            "pip install 'qa-lightning[search]'"
        ) from error
    return tantivy


def _schema() -> Any:
    builder = engine().SchemaBuilder()
    builder.add_text_field("file", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    builder.add_bytes_field("content", stored=True)
    return builder.build()


class PassageWriter:
    """Write passages into a folder, beside those that stand there.

    A context whose error is passed on when nothing writes there any more: the folder may then go.

    Args:
        folder: holds the files.
    """

    def __init__(self, folder: Path) -> None:
        self._engine = engine()
        self._index = self._engine.Index(_schema(), path=str(folder))
        self._writer = self._index.writer(_WRITER_BYTES, 1)
        self._is_finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not self._is_finished:
            self._writer.rollback()
            self._writer.wait_merging_threads()

    def remove(self, file: str) -> None:
        """Take out a file's passages."""
        self._writer.delete_documents_by_term("file", file)

    def add(self, file: str, documents: Iterable[tuple[int, Document]]) -> None:
        """Add the passages of a file's documents, which come with their rows."""
        for row, document in documents:
            for start, end in passages_of(document.text):
                elements = [list(each) for each in document.elements_of(start, end)]
                text = document.text[start:end]
                content = json.dumps([row, start, text, elements], ensure_ascii=False)
                passage = self._engine.Document()
                passage.add_text("file", file)
                passage.add_text("words", " ".join(words_of(text).folded))
                passage.add_bytes("content", content.encode("utf-8", "surrogatepass"))
                self._writer.add_document(passage)

    def finish(self) -> None:
        """Write all to disk, and remove what is not used any more."""
        self._writer.commit()
        self._is_finished = True
        self._writer.wait_merging_threads()
        with self._index.writer(_WRITER_BYTES, 1) as writer:  # what merging replaced
            writer.garbage_collect_files()


class Snapshot:
    """Search the passages of a folder as they are now, whatever becomes of the folder.

    Args:
        folder: holds the files.
    """

    def __init__(self, folder: Path) -> None:
        self._engine = engine()
        index = self._engine.Index.open(str(folder))
        self._schema = index.schema
        self._searcher = index.searcher()
        self.passages: int = self._searcher.num_docs

    def search(self, words: Sequence[str], count: int) -> list[FoundPassage]:
        """Return the passages that hold some of the words, best first, by BM25.

        Args:
            words: folded, distinct.
            count: at most so many.
        """
        should = self._engine.Occur.Should
        query = self._engine.Query
        asked = [(should, query.term_query(self._schema, "words", word, "freq")) for word in words]
        limit = min(count, self.passages)  # room for as many is made at once
        if not asked or not limit:
            return []
        found = self._searcher.search(query.boolean_query(asked), limit, count=False)
        return [_passage(self._searcher.doc(address)) for _, address in found.hits]


def _passage(document: "tantivy.Document") -> FoundPassage:
    content = bytes(document.get_first("content") or b"").decode("utf-8", "surrogatepass")
    row, start, text, elements = json.loads(content)
    file = str(document.get_first("file"))
    return FoundPassage(file, row, start, text, tuple(Element(*each) for each in elements))


def stretches(passages: Iterable[FoundPassage]) -> Iterator[FoundPassage]:
    """Join passages of a document that overlap, so that nothing is read twice.

    Yields:
        The joined ones, by file, row and place.
    """
    held: FoundPassage | None = None
    for passage in sorted(passages, key=lambda each: (each.file, each.row, each.start_char)):
        if held is not None and held[:2] == passage[:2] and passage.start_char <= held.end_char:
            after = passage.text[held.end_char - passage.start_char :]
            elements = tuple(dict.fromkeys((*held.elements, *passage.elements)))
            held = held._replace(text=held.text + after, elements=elements)
            continue
        if held is not None:
            yield held
        held = passage
    if held is not None:
        yield held
