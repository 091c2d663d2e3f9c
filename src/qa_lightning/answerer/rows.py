"""What users give to be answered: rows of question and document, checked as they come."""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import Any

from qa_lightning.answerer.cutting import Document, WindowCutter
from qa_lightning.answerer.deciding import portions
from qa_lightning.errors import InputError
from qa_lightning.ranges import shown

Row = Mapping[str, Any] | tuple[str, "str | Document"]


def read_rows(
    rows: Iterable[Row], cutter: WindowCutter
) -> Iterator[tuple[list[str], list[Document]]]:
    """Yield questions and documents of some rows at a time, each text tokenized once.

    Raises:
        InputError: a row is none.
    """
    return read_pairs((question_and_context(row, n) for n, row in enumerate(rows)), cutter)


def read_pairs(
    pairs: Iterable[tuple[str, "str | Document"]], cutter: WindowCutter
) -> Iterator[tuple[list[str], list[Document]]]:
    """Yield questions and documents of some pairs at a time, each text tokenized once."""
    earlier: dict[str, Document] = {}
    for portion in portions(pairs):
        texts = {context for _, context in portion if isinstance(context, str)}
        read = {text: earlier[text] for text in texts if text in earlier}
        fresh = sorted(texts - read.keys())
        read |= dict(zip(fresh, cutter.documents(fresh), strict=True))
        documents = [read[c] if isinstance(c, str) else c for _, c in portion]
        yield [question for question, _ in portion], documents
        earlier = read


def refuse_one_text(given: object, what: str) -> None:
    """Refuse what iterates, but not over what is meant: characters, or keys."""
    if isinstance(given, str | Mapping | Document):
        raise InputError(f"Expected several {what}; got one {type(given).__name__}. Put it in [].")
    if hasattr(given, "columns") and hasattr(given, "to_dict"):
        raise InputError(
            f"Expected several {what}; got a {type(given).__name__}. Give its rows, such as "
            "`frame.to_dict('records')` of pandas; `AnswerQuestions` answers frames as they are."
        )
    if not isinstance(given, Iterable):
        raise InputError(f"Expected a list of {what}; got {shown(given)}. Give one, or [].")


def question_and_context(row: Row, number: int) -> tuple[str, str | Document]:
    """Return a row's question and document.

    Args:
        row: as the user gave it.
        number: for messages.

    Raises:
        InputError: it is none.
    """
    if isinstance(row, tuple) and len(row) == 2:
        question, context = row
    elif not isinstance(row, Mapping):
        raise InputError(
            "Expected mappings with `question` and `context`, or pairs of the two; row "
            f"{number} is a {type(row).__name__}."
        )
    else:
        missing = sorted({"question", "context"} - row.keys())
        if missing:
            raise InputError(
                f"Expected rows with `question` and `context`; row {number} has no "
                f"{' and no '.join(missing)}."
            )
        question, context = row["question"], row["context"]
    checked_question(question, f" in row {number}")
    if not isinstance(context, Document):
        checked_text(context, "a document", f" in row {number}")
    return question, context


def checked_question(question: object, where: str = "") -> str:
    """Refuse what asks nothing.

    Args:
        question: as the user gave it.
        where: it stands, for messages.
    """
    text = checked_text(question, "a question", where)
    if not text.strip():
        raise InputError(f"Expected a question{where}; got an empty one.")
    return text


def checked_text(text: object, what: str, where: str) -> str:
    """Refuse what is no text.

    Args:
        text: as the user gave it.
        what: it should be the text of.
        where: it stands, for messages.
    """
    if not isinstance(text, str):
        file = isinstance(text, PathLike)
        advice = " `documents.read_document` reads it." if file else ""
        advice = " Give its `text`." if hasattr(text, "text") else advice
        raise InputError(f"Expected the text of {what}{where}; got {type(text).__name__}.{advice}")
    return text
