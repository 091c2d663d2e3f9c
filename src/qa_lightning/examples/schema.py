"""The canonical columns, and the names they have in the user's files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import datasets
import pyarrow as pa

from qa_lightning.errors import InputError

CANONICAL_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "title": datasets.Value("string"),
        "context": datasets.Value("string"),
        "question": datasets.Value("string"),
        "answers": {
            "text": datasets.List(datasets.Value("string")),
            "answer_start": datasets.List(datasets.Value("int32")),
        },
    }
)
CANONICAL_SCHEMA: pa.Schema = CANONICAL_FEATURES.arrow_schema

# What public data sets call a column, best first; a name that the user gives stands alone.
_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "qid", "query_id", "question_id", "guid"),
    "title": ("title",),
    "context": (
        *("context", "context_text", "passage.text", "passage", "paragraph", "story_text"),
        *("document", "text"),
    ),
    "question": ("question", "query_text", "question_text", "query", "q"),
    "is_impossible": ("is_impossible",),
}
# `answers.text` is what flattening a table of `answers` gives (pandas, Arrow). MRQA keeps places
# in `detected_answers`, beside texts in `answers`; NewsQA has ranges alone.
_ALIASES = {"answers.text": "answer_text", "answers.answer_start": "answer_start"}
_ANSWER_FORMS = (
    ("detected_answers",),
    ("consensus",),
    ("answers",),
    ("answer_text", "answer_start"),
    ("answers.text", "answers.answer_start"),
    ("answer", "answer_start"),
    ("answer",),
    ("answer_char_ranges",),
    ("answer_token_ranges",),
)
# Lists that hold questions, or what holds such lists; others are looked into only without these.
CONTAINERS = ("data", "articles", "documents", "paragraphs", "qas", "questions")


_SHOWN = 200  # characters of names that are no canonical columns


class Unreadable(NamedTuple):
    """Stand in the place of a row that could not even be parsed, and tell why."""

    fault: str


class LeftOut(NamedTuple):
    """Stand in the place of what an annotation tool exports and nobody can learn from.

    Attributes:
        kind: what it is, as a plural for the one warning that counts them.
        row: the question, which can be asked all the same; None where there is none.
    """

    kind: str
    row: Mapping[str, Any] | None = None


Row = Mapping[str, Any] | Unreadable | LeftOut


class RawBatch(NamedTuple):
    """Hold some consecutive rows of one file as the file has them, and where they stand.

    Attributes:
        rows: an Arrow table, or one mapping a row.
        origin: the file, or the data set and split.
        unit: what the keys count: ``row`` or ``line``, from 1.
        keys: a number each, or ``(number, place)`` for rows of nested files.
        names: all columns of the file, also those that were not read; empty for mappings.
        shape: the keys of a nested file, level by level; empty for others.
    """

    rows: pa.Table | list[Row]
    origin: str
    unit: str
    keys: Sequence[int | tuple[int, str]]
    names: tuple[str, ...] = ()
    shape: str = ""


@dataclass(frozen=True)
class ColumnNames:
    """Hold the names that canonical columns may have in the user's files, best first.

    Dots step into structures.

    Attributes:
        answer_forms: the columns that hold answers, one or a pair (texts, starts), best first.
        beside: the column of the starts of answers that have none of their own.
        given: the canonical names that the user mapped.
    """

    id: tuple[str, ...] = _NAMES["id"]
    title: tuple[str, ...] = _NAMES["title"]
    context: tuple[str, ...] = _NAMES["context"]
    question: tuple[str, ...] = _NAMES["question"]
    is_impossible: tuple[str, ...] = _NAMES["is_impossible"]
    answer_forms: tuple[tuple[str, ...], ...] = _ANSWER_FORMS
    beside: str = "answer_start"
    given: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def from_mapping(cls, columns: Mapping[str, str] | None) -> "ColumnNames":
        """Check the user's ``{canonical name: name in the file}`` and complete it.

        Raises:
            InputError: a key is no canonical column.

        >>> ColumnNames.from_mapping({"question": "pergunta"}).question
        ('pergunta',)
        """
        mapped = {_ALIASES.get(name, name): column for name, column in (columns or {}).items()}
        known = (*_NAMES, "answers", "answer_text", "answer_start")
        if unknown := sorted(set(mapped) - set(known)):
            raise InputError(
                f"Expected the keys of `columns` among {', '.join(known)}; got "
                f"{', '.join(unknown)[:_SHOWN]}. Write `columns` as {{canonical name: name in the "
                "file}."
            )
        if bad := [name for name, column in mapped.items() if not isinstance(column, str)]:
            raise InputError(f"Expected a column name for `columns.{bad[0]}`; got no text.")
        return cls(
            **{name: (mapped[name],) for name in _NAMES if name in mapped},
            answer_forms=_answer_forms(mapped),
            beside=mapped.get("answer_start", "answer_start"),
            given=frozenset(mapped),
        )

    def required(self, *, answers: bool) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
        """Yield each column that a file must have, with the forms that it may take there."""
        for name in _NAMES:
            if name in ("context", "question") or name in self.given:
                yield name, tuple((column,) for column in getattr(self, name))
        if answers:
            yield "answers", self.answer_forms

    def wanted(self, names: Sequence[str], origin: object) -> list[str]:
        """Choose the columns of a file that are read at all.

        Raises:
            InputError: one of them stands there twice; which is meant nobody knows.
        """
        every = self._known() | set(CONTAINERS)
        pairs = zip(names, self.spelled(names), strict=True)
        chosen = [name for name, spelled in pairs if spelled in every]
        for name in chosen:
            if chosen.count(name) > 1:
                raise InputError(
                    f"Expected each column of {origin} once; {name!r} stands there "
                    f"{chosen.count(name)} times. Rename or drop the others."
                )
        return chosen

    def spelled(self, names: Sequence[str]) -> list[str]:
        """Return a table's names without blanks, and capitals where that makes them known.

        >>> ColumnNames().spelled(["ID", " Context", "Who"])
        ['id', 'context', 'Who']
        """
        return list(_spelled(self, tuple(names)))

    def in_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row under names that are known, as ``spelled`` has them."""
        names = tuple(row)
        if not all(isinstance(name, str) for name in names):
            return row
        spelled = _spelled(self, names)
        return row if spelled == names else dict(zip(spelled, row.values(), strict=True))

    def _known(self) -> set[str]:
        every = {name for form in self.answer_forms for name in form} | {self.beside}
        every |= {column for name in _NAMES for column in getattr(self, name)}
        return every | {name.partition(".")[0] for name in every}

    def has_question(self, names: Iterable[str]) -> bool:
        """Tell whether what has these names is a question, and not what holds questions."""
        return not {name.partition(".")[0] for name in self.question}.isdisjoint(names)


@lru_cache(maxsize=64)  # rows of a file have few sets of names
def _spelled(columns: ColumnNames, names: tuple[str, ...]) -> tuple[str, ...]:
    known, spelled = columns._known(), []
    for given in names:
        name = given.strip()
        if name != given and (name in names or name in spelled):
            name = given  # another column, that nobody asks for
        lower = name.lower()
        is_free = lower in known and lower not in names and lower not in spelled
        spelled.append(lower if is_free and name not in known else name)
    return tuple(spelled)


def _answer_forms(mapped: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Put the user's own answer columns in the place of the usual ones."""
    texts = [mapped[name] for name in ("answer_text", "answers") if name in mapped]
    if not texts and "answer_start" not in mapped:
        return _ANSWER_FORMS
    start = mapped.get("answer_start", "answer_start")
    pairs = tuple((text, start) for text in texts or ("answer_text", "answers", "answer"))
    return pairs if "answer_start" in mapped else tuple((text,) for text in texts)
