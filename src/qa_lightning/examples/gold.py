"""Every form in which files hold gold answers → texts and starts.

Forms: ``{"text": [...], "answer_start": [...]}`` (the Hub's), ``[{"text", "answer_start"}, ...]``
(the SQuAD files'), MRQA's ``char_spans``, ends in place of texts, bare texts, each of them with
single values, written out in a text cell (JSON, or the Python notation that ``Dataset.to_csv`` and
pandas write), or with the places beside them; NewsQA's ranges. Numbers may be ``22``, ``22.0`` or
``"22"``.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from qa_lightning.examples.cells import (
    FaultError,
    is_absent,
    kind_name,
    parse_cell,
    read_text,
    whole_number,
)

_LARGEST_START = 2**31 - 1  # `answer_start` is an int32
_STARTS = ("answer_start", "start", "start_char", "s")
_ENDS = ("answer_end", "end", "end_char", "e")
_NOWHERE = (0, -1)  # where files put an answer that there is none of
_NOT_FOUND = -1  # what a search says, such as that by which cdQA's annotator places answers
_FLOAT = re.compile(r"(-?\d+)\.0")
_RANGE = re.compile(r"(\d+):(\d+)")
_WRITTEN_OUT = re.compile(r"\s*[\[{]\s*[\[{'\"]")
_NONE_MEANT = frozenset({"noAnswer", "badQuestion"})


class Gold(NamedTuple):
    """Hold the answers of one row.

    Attributes:
        texts: what they say.
        starts: where they stand; 0 where that is not known.
        unplaced: how many came without a place.
    """

    texts: list[str]
    starts: list[int]
    unplaced: int = 0


class _Answer(NamedTuple):
    """Hold an answer as a file has it: without a text it lies between two places."""

    text: Any
    start: Any
    end: Any = None


def read_gold(value: Any, start: Any = None, context: str = "") -> Gold:
    """Read the answers of one row in any of the forms above.

    Args:
        value: what the row has: answers, or what they say.
        start: where they stand, if that is beside them; an answer's own place goes before it.
        context: the row's, where texts without a place are looked for.

    Raises:
        FaultError: it has none of these forms, the two do not belong together, or single values
            are wrong.

    >>> read_gold([{"text": "Lima", "answer_start": 7}])
    Gold(texts=['Lima'], starts=[7], unplaced=0)
    >>> read_gold('{"text": ["Lima"], "answer_start": [7]}').starts
    [7]
    >>> read_gold("Lima", "7.0").starts
    [7]
    """
    start = _start_beside(start)
    value = _parsed(value, context)
    if isinstance(value, dict):
        value = _records(value, start)
    elif not _is_list(value):
        value = _zipped(value, start) if _is_list(start) else [_single(value, start, context)]
    elif start is not None and value and not all(map(_is_placed, value)):
        value = _zipped(value, start)
    return _placed([answer for item in value for answer in _read_item(item, context)], context)


def _start_beside(start: Any) -> Any:
    """Return what a row has as the place of its answers: None, a number or a list of them."""
    if is_absent(start) or start == "":
        return None
    return parse_cell(start) if isinstance(start, str) and whole_number(start) is None else start


def _parsed(value: Any, context: str) -> Any:
    """Return what a text cell holds: answers written out, or else what the answer says."""
    if not isinstance(value, (str, bytes)):
        return value
    text = read_text(value)
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return parse_cell(text)
    except FaultError:
        if _WRITTEN_OUT.match(text) and text not in context:
            raise
        return text  # an answer may begin with a bracket


def _single(value: Any, start: Any, context: str) -> _Answer:
    """Return an answer that is no list nor object, as a table's cell has it."""
    if isinstance(value, str):
        return _Answer(_without_fraction(value, context), start)
    if not is_absent(value) and start is None:
        raise FaultError(f"is {kind_name(value)}, not {{text, answer_start}} or a list of these")
    return _Answer(value, start)


def _without_fraction(text: str, context: str) -> str:
    """Return ``1992`` for the ``1992.0`` of a column of numbers, where only that is in the context.

    >>> _without_fraction("1992.0", "Em 1992."), _without_fraction("2.0", "SQuAD 2.0 tem 2.")
    ('1992', '2.0')
    """
    found = _FLOAT.fullmatch(text)
    if not found or text in context:
        return text
    whole = rf"(?<!\d)(?<!\d[.,]){found[1]}(?![.,]?\d)"
    return found[1] if re.search(whole, context) else text


def read_ranges(value: Any, context: str, *, of_tokens: bool = False) -> Gold:
    """Read NewsQA's ranges, those that most annotators gave first: ``294:297|None|12:15,20:31``.

    Raises:
        FaultError: it is no text, or a range lies outside the context.
    """
    ranges = Counter(_RANGE.findall(read_text(value)))
    bounds = [(int(start), int(end)) for (start, end), _ in ranges.most_common()]
    if of_tokens:
        tokens = [word.span() for word in re.finditer(r"\S+", context)]
        if any(end > len(tokens) for _, end in bounds):
            raise FaultError(f"has a range beyond the {len(tokens)} tokens of the context")
        bounds = [(tokens[start][0], tokens[max(end, start + 1) - 1][1]) for start, end in bounds]
    return _placed([_between(start, end, context) for start, end in bounds], context)


def _records(columns: dict[str, Any], start: Any) -> list[Any]:
    """Return the answers that one object stands for: itself, or one for each place in its lists."""
    text: Any = columns.get("text")
    if "char_spans" in columns and _is_list(text):
        spans = columns["char_spans"]
        return [{"text": item, "char_spans": s} for item, s in zip(text, spans, strict=False)]
    if "text" in columns:
        own = _first(columns, _STARTS)
        start = columns[own] if own else start
        if is_absent(text) and is_absent(start):
            return []
        return _zipped(text, start) if _is_list(text) or _is_list(start) else [_Answer(text, start)]
    if _NONE_MEANT.isdisjoint(columns) and not (_first(columns, _ENDS) or "char_spans" in columns):
        raise FaultError(f"has the keys {sorted(map(str, columns))}, not text and answer_start")
    return [columns]


def _is_placed(item: Any) -> bool:
    """Tell whether an answer says where it stands, or that there is none."""
    if not isinstance(item, dict):
        return False
    return bool(_first(item, _STARTS)) or "char_spans" in item or not _NONE_MEANT.isdisjoint(item)


def _beside(item: Any, start: Any) -> Any:
    """Return an answer with the place that stands beside it, unless it has its own."""
    if _is_placed(item) or (isinstance(item, dict) and "text" not in item):
        return item
    return _Answer(item["text"] if isinstance(item, dict) else item, start)


def _zipped(text: Any, start: Any) -> list[Any]:
    """Pair texts with places; texts without any are looked for."""
    if _is_list(text) and start is None:
        return [_Answer(item, None) for item in text]
    if _is_list(text) and len(text) == 1 and not _is_list(start):
        start = [start]
    if _is_list(start) and len(start) == 1 and not _is_list(text):
        text = [text]
    if _is_list(text) != _is_list(start):
        raise FaultError(f"pairs {kind_name(text)} of text with {kind_name(start)} of answer_start")
    if len(text) != len(start):
        raise FaultError(f"has {len(text)} text and {len(start)} answer_start: each text has one")
    return [_beside(*pair) for pair in zip(text, start, strict=True)]


def _read_item(item: Any, context: str) -> Iterator[_Answer]:
    """Yield the answers that one item of a list stands for."""
    if isinstance(item, _Answer):
        yield item
    elif isinstance(item, str):
        yield _Answer(item, None)
    elif not isinstance(item, dict):
        raise FaultError(f"holds {kind_name(item)} that is not {{text, answer_start}}")
    elif "char_spans" in item:
        for start, last in _char_spans(item["char_spans"]):
            written = context[start : last + 1]
            told = read_text(item.get("text", written))
            yield _Answer(written if written.casefold() == told.casefold() else told, start)
    elif "text" in item:
        starts = _first(item, _STARTS)
        yield _Answer(item["text"], item[starts] if starts else None)
    elif (starts := _first(item, _STARTS)) and (ends := _first(item, _ENDS)):
        yield _between(_read_start(item[starts]), _read_start(item[ends]), context)
    elif _NONE_MEANT.isdisjoint(item):
        raise FaultError(f"holds {kind_name(item)} that is not {{text, answer_start}}")


def _char_spans(spans: Any) -> Iterator[tuple[int, int]]:
    """Yield first and last characters; MRQA counts the last one in."""
    if isinstance(spans, dict):
        spans = list(zip(spans.get("start", ()), spans.get("end", ()), strict=False))
    for span in spans if _is_list(spans) else ():
        pair = (span.get("start"), span.get("end")) if isinstance(span, dict) else span
        if not _is_list(pair) or len(pair) != 2:
            raise FaultError(f"has {kind_name(span)} among its char_spans, not [first, last]")
        yield _read_start(pair[0]), _read_start(pair[1])


def _between(start: int, end: int, context: str) -> _Answer:
    """Return the text between two places, without the blanks around it."""
    text = context[start:end]
    if not text.strip():
        raise FaultError(f"has the range {start}:{end}, where the context has no text")
    return _Answer(text.strip(), start + len(text) - len(text.lstrip()))


def _placed(answers: Sequence[_Answer], context: str) -> Gold:
    """Check answers, leave out those that mean none, and look for those without a place."""
    texts, starts, unplaced = [], [], 0
    for answer in answers:
        start = None if is_absent(answer.start) else whole_number(answer.start)
        is_nowhere = is_absent(answer.start) or start in _NOWHERE
        if is_absent(answer.text) and is_nowhere:
            continue
        text = _read_answer_text(_written(answer.text, start, context))
        # As in the script of SQuAD 2.0: a gold text of nothing is no answer.
        if not text.strip() and is_nowhere:
            continue
        is_lost = is_absent(answer.start) or start == _NOT_FOUND
        texts.append(text)
        starts.append(_only_place(text, context) if is_lost else _read_start(answer.start))
        unplaced += is_lost
    return Gold(texts, starts, unplaced)


def _written(value: Any, start: int | None, context: str) -> Any:
    """Return a number as text where it is seen to stand, anything else as it is."""
    number = None if isinstance(value, str) else whole_number(value)
    is_seen = start is not None and context.startswith(str(number), max(start, 0))
    return str(number) if number is not None and is_seen else value


def _only_place(text: str, context: str) -> int:
    """Return where a text stands, 0 where that is nowhere or in several places."""
    place = context.find(text)
    return max(place, 0) if context.find(text, place + 1) < 0 else 0


def _first(record: dict[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in record), None)


def _read_answer_text(value: Any) -> str:
    try:
        return read_text(value)
    except FaultError as fault:
        raise FaultError(f"has a text that {fault}") from None


def _read_start(value: Any) -> int:
    start = whole_number(value)
    if start is None:
        raise FaultError(f"has the answer_start {value!r}, not an integer")
    if not 0 <= start <= _LARGEST_START:
        raise FaultError(
            f"has the answer_start {start}; positions count characters from 0 "
            "(write 0 where it is not known: alignment looks for the answer)"
        )
    return start


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
