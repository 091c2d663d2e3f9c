"""Predictions and gold texts in the forms that people have them → texts by id, or a refusal.

A text read letter by letter, or a dictionary read by its keys, would score 0 without a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qa_lightning.errors import InputError

Given = str | Mapping[str, Any] | Sequence[Any] | None


def predicted_texts(predictions: Mapping[str, str | None]) -> dict[str, str]:
    """Return each prediction's text, ``""`` where there is none.

    Raises:
        InputError: predictions are no mapping of texts.
    """
    _check_mapping(predictions, "predictions", "the answer's text")
    return {name: _prediction(text, name) for name, text in predictions.items()}


def gold_texts(references: Mapping[str, Given]) -> dict[str, Sequence[str]]:
    """Return each question's gold texts, none where it has no answer.

    Raises:
        InputError: references are in no form that is known.
    """
    _check_mapping(references, "references", "its gold texts")
    return {name: texts_of(given, name) for name, given in references.items()}


def texts_of(given: Given, name: str) -> Sequence[str]:
    """Return the gold texts of one question, given as a text, texts, a Hub or a SQuAD ``answers``.

    Raises:
        InputError: it is none of these.

    >>> texts_of({"text": ["Lima"], "answer_start": [7]}, "1"), texts_of(None, "1")
    (['Lima'], [])
    """
    if given is None or (isinstance(given, str) and not given):
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        return texts_of(given["text"], name) if "text" in given else _refuse(given, name)
    if not isinstance(given, Sequence | set | frozenset) or isinstance(given, bytes):
        return texts_of(given.tolist(), name) if hasattr(given, "tolist") else _refuse(given, name)
    if all(isinstance(text, str) for text in given):
        return list(given)
    return [text for item in given for text in _texts_of_item(item, name)]


def _texts_of_item(item: Any, name: str) -> Sequence[str]:
    """Return what one of several gold answers says; a list in a list would be a slip."""
    if isinstance(item, str):
        return [item]
    if item is None or (isinstance(item, Mapping) and isinstance(item.get("text"), str)):
        return texts_of(item, name)
    return _refuse(item, name)


def _refuse(given: object, name: str) -> Sequence[str]:
    keys = f" with {', '.join(map(str, list(given)[:4]))}" if isinstance(given, Mapping) else ""
    raise InputError(
        "Expected gold answers as a text, texts, {text: [...]}, dicts with `text`, or None for no "
        f"answer; id {name!r} has a {type(given).__name__}{keys}. Take the texts out of it."
    )


def _prediction(text: object, name: str) -> str:
    if text is None or isinstance(text, str):
        return text or ""
    raise InputError(
        f"Expected each prediction to be a text, or None for no answer; id {name!r} has a "
        f"{type(text).__name__}. Take the text out of it."
    )


def _check_mapping(given: object, what: str, value: str) -> None:
    if not isinstance(given, Mapping):
        raise InputError(
            f"Expected `{what}` to map an example's id to {value}; got a {type(given).__name__}. "
            "Rows with `id` are what `squad_metric().compute` takes."
        )
