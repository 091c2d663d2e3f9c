"""Every form in which files hold gold answers → texts and starts.

Forms: ``{"text": [...], "answer_start": [...]}`` (the Hub's), ``[{"text", "answer_start"}, ...]``
(the SQuAD files'), either of them with single values, either of them written out in a text cell
(JSON, or the Python notation that ``Dataset.to_csv`` and pandas write), or a pair of columns.
"""

import ast
import json
from collections.abc import Sequence
from typing import Any

Gold = tuple[list[str], list[int]]
_LARGEST_START = 2**31 - 1  # `answer_start` is an int32


class FaultError(Exception):
    """Tell what is wrong with one value of one row; caught where the row is known."""


def read_text(value: Any) -> str:
    """Check that a value is a text that tokenizers take.

    Raises:
        FaultError: it is none, or holds half a character.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FaultError(
                f"is not UTF-8 (byte {error.start} is {value[error.start]:#x})"
            ) from None
    if not isinstance(value, str):
        raise FaultError(f"is {_kind(value)}, not a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise FaultError(
            f"holds the lone surrogate {half} at character {error.start}, which no tokenizer reads"
        ) from None
    return value


def read_answers(value: Any) -> Gold:
    """Read the ``answers`` of one row in any of the forms above.

    Raises:
        FaultError: it has none of these forms, or single values are wrong.

    >>> read_answers([{"text": "Lima", "answer_start": 7}])
    (['Lima'], [7])
    >>> read_answers('{"text": ["Lima"], "answer_start": [7]}')
    (['Lima'], [7])
    """
    if isinstance(value, (str, bytes)):
        value = _parse_cell(read_text(value))
    if isinstance(value, dict):
        if "text" not in value or "answer_start" not in value:
            raise FaultError(f"has the keys {sorted(map(str, value))}, not text and answer_start")
        return read_pair(value["text"], value["answer_start"])
    if not isinstance(value, (list, tuple)):
        raise FaultError(f"is {_kind(value)}, not {{text, answer_start}} or a list of these")
    return _read_records(value)


def read_pair(text: Any, start: Any) -> Gold:
    """Read answers whose texts and starts stand apart: lists, single values or cells.

    Raises:
        FaultError: the two do not belong together, or single values are wrong.
    """
    if _is_blank(text) and _is_blank(start):
        return [], []
    start = _parse_cell(start) if isinstance(start, str) else start
    if _is_list(start) and isinstance(text, str):
        text = _parse_cell(text)
    if _is_list(text) != _is_list(start):
        raise FaultError(f"pairs {_kind(text)} of text with {_kind(start)} of answer_start")
    texts, starts = (list(text), list(start)) if _is_list(text) else ([text], [start])
    if len(texts) != len(starts):
        raise FaultError(f"has {len(texts)} text and {len(starts)} answer_start: each text has one")
    return [_read_answer_text(item) for item in texts], [_read_start(item) for item in starts]


def read_flag(value: Any) -> bool:
    """Read ``is_impossible``: a boolean, 0 or 1, or one of these in a text cell.

    Raises:
        FaultError: it is something else.
    """
    key = value.strip().lower() if isinstance(value, str) else value
    if key in (None, "", False, "false", "0", "no"):
        return False
    if key in (True, "true", "1", "yes"):
        return True
    raise FaultError(f"is {value!r}, not true or false")


def _read_records(records: Sequence[Any]) -> Gold:
    texts, starts = [], []
    for record in records:
        if not isinstance(record, dict) or "text" not in record or "answer_start" not in record:
            raise FaultError(f"holds {_kind(record)} that is not {{text, answer_start}}")
        texts.append(_read_answer_text(record["text"]))
        starts.append(_read_start(record["answer_start"]))
    return texts, starts


def _read_answer_text(value: Any) -> str:
    try:
        return read_text(value)
    except FaultError as fault:
        raise FaultError(f"has a text that {fault}") from None


def _read_start(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaultError(f"has the answer_start {value!r}, not an integer")
    if not 0 <= value <= _LARGEST_START:
        raise FaultError(
            f"has the answer_start {value}; positions count characters from 0 "
            "(write 0 where it is not known: alignment looks for the answer)"
        )
    return value


def _parse_cell(cell: str) -> Any:
    """Parse a text cell as JSON, else as what Python's ``repr`` writes, numpy arrays included."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        tree = _WithoutArrays().visit(ast.parse(cell.strip(), mode="eval"))
        return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise FaultError(f"is the text {cell[:60]!r}, which is not JSON") from None


class _WithoutArrays(ast.NodeTransformer):
    """Replace ``array([...], dtype=...)`` by its list: `Dataset.to_csv` writes answers so."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        is_array = isinstance(node.func, ast.Name) and node.func.id == "array" and node.args
        return node.args[0] if is_array else node


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _kind(value: Any) -> str:
    """Name a value's type as a user would."""
    names = {dict: "an object", list: "a list", str: "a text", int: "an integer", float: "a number"}
    plain = names.get(type(value), f"a {type(value).__name__}")
    return "null" if value is None else "a boolean" if isinstance(value, bool) else plain
