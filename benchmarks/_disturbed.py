"""Right labels disturbed in known ways: by other offsets, and by another setting of the text.

Each way takes a document with answers that stand at their offsets and gives another whose answers
stand at known places, and offsets as some tool would have written them.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import regex
from datasets import Dataset, Features, List, Value

from qa_lightning.alignment import DEFAULT_THRESHOLD, AlignmentAudit, align_examples

UNSPACED = regex.compile(r"[\u0e00-\u0eff\u3000-\u30ff\u3400-\u9fff]")
SEEN = regex.compile(r"[^\s\p{Cf}](?:.*[^\s\p{Cf}])?", regex.DOTALL)
FEATURES = Features(
    {
        **dict.fromkeys(("id", "title", "context", "question"), Value("string")),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    }
)


class Label(NamedTuple):
    """Hold one answer.

    Attributes:
        context: the document.
        question: what is asked.
        text: gold text, as the data set has it.
        start: where the data set says that it stands.
        true_start: where it stands.
        true_end: one past its end.
    """

    context: str
    question: str
    text: str
    start: int
    true_start: int
    true_end: int


class Figures(NamedTuple):
    """Hold what became of labels.

    Attributes:
        labels: all of them.
        wrong: those trusted at another place, or with other edges.
        lost: those without a trusted span.
    """

    labels: int
    wrong: int
    lost: int


def exact_labels(rows: Iterable[dict]) -> list[Label]:
    """Return the labels of canonical rows whose text stands at its offset."""
    return [
        Label(row["context"], row["question"], text, start, start, start + len(text))
        for row in rows
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        if row["context"].startswith(text, start)
    ]


Edit = Callable[[str], list[str]]


def edited(label: Label, edit: Edit, *, offset: str = "true", outside: bool = False) -> Label:
    """Return a label in a document whose characters an edit replaced one by one.

    Args:
        label: an exact label.
        edit: a context to what stands for each of its characters.
        offset: ``true`` for the place in the new document, ``old`` for the one in the old, ``none``
            for 0.
        outside: leave the answer itself as it is.
    """
    pieces = edit(label.context)
    if outside:
        pieces[label.true_start : label.true_end] = list(label.text)
    begins = [0, *accumulate(map(len, pieces))]
    start, end = begins[label.true_start], begins[label.true_end]
    context = "".join(pieces)
    seen = SEEN.search(context, start, end)
    start, end = (start, end) if seen is None else seen.span()
    stated = {"true": start, "old": label.true_start, "none": 0}[offset]
    return label._replace(context=context, start=stated, true_start=start, true_end=end)


def with_emoji(context: str) -> list[str]:
    """Put a pair of emoji between words here and there."""
    return [
        " 🚲👩\u200d🔬 " if letter == " " and place % 7 == 0 else letter
        for place, letter in enumerate(context)
    ]


def with_lines(context: str, line_break: str = "\n", width: int = 60) -> list[str]:
    """Break lines at blanks, or, where none are written, anywhere."""
    pieces, column = list(context), 0
    for place, letter in enumerate(context):
        column += 1
        if column < width:
            continue
        if letter == " ":
            pieces[place], column = line_break, 0
        elif letter == "-" and context[place - 1].isalpha():
            pieces[place], column = "-" + line_break, 0
        elif UNSPACED.match(letter):
            pieces[place], column = letter + line_break, 0
    return pieces


def with_hyphens(context: str) -> list[str]:
    """Break lines inside words of five letters or more."""
    pieces, column = list(context), 0
    for match in regex.finditer(r"\p{Ll}{3,}(?=\p{Ll}{2})", context):
        column = match.end() if column == 0 else column
        if match.end() - column > 60 and not UNSPACED.search(match.group()):
            pieces[match.end() - 1] += "-\n"
            column = match.end()
    return pieces


def with_blanks(context: str) -> list[str]:
    """Write blanks of all kinds, one after the other."""
    kinds = ["  ", "\u00a0", "\t", "\u2009", " \n", "\u202f", "\u3000", "\u200b ", "\n\n    "]
    blanks = iter(kinds * len(context))
    return [next(blanks) if letter == " " else letter for letter in context]


def with_no_width(context: str) -> list[str]:
    """Put soft hyphens and zero-width characters inside words, not into letters."""
    pieces = list(context)
    marks = iter(["\u00ad", "\u200b", "\ufeff", "\u2060"] * len(context))
    for match in regex.finditer(r"\p{L}\p{M}*\K(?=\p{L}{2})", context):
        if match.start() % 5 == 0:
            pieces[match.start() - 1] += next(marks)
    return pieces


def decomposed(context: str) -> list[str]:
    """Decompose letters (NFD)."""
    return [unicodedata.normalize("NFD", letter) for letter in context]


def _drift(label: Label, count: Callable[[str], int]) -> Label:
    return label._replace(start=count(label.context[: label.true_start]))


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _utf8(text: str) -> int:
    return len(text.encode())


def _crlf(text: str) -> int:
    return len(text) + text.count("\n")


def _shifted(most: int) -> Callable[[Label], Label]:
    generator = random.Random(most)

    def shift(label: Label) -> Label:
        by = generator.randint(1, most) * generator.choice((-1, 1))
        return label._replace(start=max(label.true_start + by, 0))

    return shift


WAYS: dict[str, Callable[[Label], Label]] = {
    "exact": lambda one: one,
    "shifted by 1 to 3": _shifted(3),
    "shifted by 1 to 13": _shifted(13),
    "counted from 1": lambda one: one._replace(start=one.true_start + 1),
    "UTF-16 units": lambda one: _drift(edited(one, with_emoji, outside=True), _utf16),
    "UTF-8 bytes": lambda one: _drift(edited(one, with_emoji, outside=True), _utf8),
    "graphemes": lambda one: _drift(
        edited(one, with_emoji, outside=True), lambda text: len(regex.findall(r"\X", text))
    ),
    r"\r\n for \n": lambda one: _drift(edited(one, with_lines), _crlf),
    r"\n for \r\n": lambda one: _drift(
        edited(one, lambda text: with_lines(text, "\r\n")), lambda text: len(text.replace("\r", ""))
    ),
    r"UTF-16, \r\n for \n": lambda one: _drift(
        edited(edited(one, with_emoji, outside=True), with_lines),
        lambda text: _utf16(text) + text.count("\n"),
    ),
    "single blanks counted": lambda one: _drift(
        edited(one, with_blanks), lambda text: len(re.sub(r"\s+", " ", text))
    ),
    "composed counted, decomposed": lambda one: _drift(
        edited(one, decomposed), lambda text: len(unicodedata.normalize("NFC", text))
    ),
    "wrapped": lambda one: edited(one, with_lines),
    "wrapped, old offsets": lambda one: edited(one, with_lines, offset="old"),
    "wrapped, no offsets": lambda one: edited(one, with_lines, offset="none"),
    "hyphenated": lambda one: edited(one, with_hyphens),
    "hyphenated, old offsets": lambda one: edited(one, with_hyphens, offset="old"),
    "other blanks": lambda one: edited(one, with_blanks),
    "other blanks, no offsets": lambda one: edited(one, with_blanks, offset="none"),
    "no-width characters": lambda one: edited(one, with_no_width),
    "no-width, old offsets": lambda one: edited(one, with_no_width, offset="old"),
    "decomposed": lambda one: edited(one, decomposed),
    "decomposed, old offsets": lambda one: edited(one, decomposed, offset="old"),
}  # fmt: skip


def judged(labels: Sequence[Label], language: str | None = None) -> tuple[Figures, AlignmentAudit]:
    """Align labels as one data set, and compare with where they stand."""
    examples = Dataset.from_list(
        [
            {
                "id": str(index),
                "title": "",
                "context": one.context,
                "question": one.question,
                "answers": {"text": [one.text], "answer_start": [one.start]},
            }
            for index, one in enumerate(labels)
        ],
        features=FEATURES,
    )
    aligned, audit = align_examples(
        examples, policy="repair", threshold=DEFAULT_THRESHOLD, drop=False, language=language
    )
    spans = [(row["start_char"][0], row["end_char"][0]) for row in aligned["spans"]]
    lost = sum(start is None for start, _ in spans)
    right = sum(
        span == (one.true_start, one.true_end) for span, one in zip(spans, labels, strict=True)
    )
    return Figures(len(labels), len(labels) - right - lost, lost), audit
