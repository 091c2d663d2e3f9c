"""Single values of rows, as files of all kinds have them → texts, numbers and flags."""

import ast
import json
import math
import re
from typing import Any

_WHOLE = re.compile(r"\s*(-?\d+)(\.0*|,0)?\s*")
# What tables of text write where there is nothing; pandas reads these so too.
NO_VALUES = frozenset(
    ("NaN", "nan", "-nan", "None", "null", "NULL", "NA", "<NA>", "N/A", "n/a", "#N/A", "#NA")
)
# Spreadsheets write these in their user's language.
_TRUE = (1, "true", "1", "1.0", "yes", "verdadeiro", "sim", "verdadero", "vrai", "wahr", "vero")
_FALSE = (0, "", "false", "0", "0.0", "no", "falso", "não", "faux", "falsch")


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
        raise FaultError(f"is {kind_name(value)}, not a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise FaultError(
            f"holds the lone surrogate {half} at character {error.start}, which no tokenizer reads"
        ) from None
    return value


def is_absent(value: Any) -> bool:
    """Tell whether a value is one that tables write where there is none: null or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def whole_number(value: Any) -> int | None:
    """Return what a value is as an integer; None where it is none.

    >>> whole_number(22.0), whole_number("22.0"), whole_number(22.5), whole_number(True)
    (22, 22, None, None)
    """
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        return int(found[1]) if found else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_flag(value: Any) -> bool:
    """Read ``is_impossible``: a boolean, 0 or 1, or one of these in a text cell.

    Raises:
        FaultError: it is something else.
    """
    key = value.strip().lower() if isinstance(value, str) else value
    if key in (None, False) or key in _FALSE:
        return False
    if key is True or key in _TRUE:
        return True
    raise FaultError(f"is {value!r}, not true or false")


def parse_cell(cell: str) -> Any:
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


def kind_name(value: Any) -> str:
    """Name a value's type as a user would."""
    names = {dict: "an object", list: "a list", str: "a text", int: "an integer", float: "a number"}
    plain = names.get(type(value), f"a {type(value).__name__}")
    return "null" if value is None else "a boolean" if isinstance(value, bool) else plain
