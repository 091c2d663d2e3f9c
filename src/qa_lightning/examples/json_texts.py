"""JSON as data has it: each key once in its object, at a depth that rows have."""

import contextlib
import json
from typing import Any, NoReturn


class _TwiceError(ValueError):
    """Tell that a key stands twice in one object."""


def parse_json(text: str) -> Any:
    """Parse a JSON document, as ``json.loads`` but for what that takes and one would regret.

    A key that stands twice in an object (the last would win), nesting that no parser can follow
    and numbers of thousands of digits are errors with their place, too.

    Raises:
        json.JSONDecodeError: the text cannot be read.

    >>> parse_json('[1, {"a": 2}]')
    [1, {'a': 2}]
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        raise
    except _TwiceError as error:
        _raise_with_place(text, error)
    except RecursionError:
        raise json.JSONDecodeError("is nested too deep", text, 0) from None
    except ValueError as error:  # Python's bound on the digits of integers
        raise json.JSONDecodeError(f"holds a number too long ({error})", text, 0) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the key {twice!r} stands twice in one object")
    return values


def _raise_with_place(text: str, error: _TwiceError) -> NoReturn:
    """Parse again, slowly, to learn where it is: the fast parser does not tell."""
    with contextlib.suppress(RecursionError):
        _PlacingDecoder().decode(text)
    raise json.JSONDecodeError(str(error), text, 0)


class _PlacingDecoder(json.JSONDecoder):
    """Tell where the object begins that has a key twice."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_unique)
        self.parse_object = self._object
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    @staticmethod
    def _object(text_and_end: tuple[str, int], *rest: Any) -> Any:
        try:
            return json.decoder.JSONObject(text_and_end, *rest)  # type: ignore[attr-defined]
        except _TwiceError as error:
            text, end = text_and_end
            raise json.JSONDecodeError(str(error), text, end - 1) from None
