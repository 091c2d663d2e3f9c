"""WebAnno TSV 3 (INCEpTION) → the structures of a UIMA CAS, which ``annotation`` reads.

The format stands in INCEpTION's user guide: a header names the layers and their features; a token
has a line with its place in UTF-16 units and a column for each feature; values of one annotation
that spans several tokens carry the same number.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from qa_lightning.errors import InputError

WEBANNO: Final = "#FORMAT=WebAnno TSV"
_READ: Final = "#FORMAT=WebAnno TSV 3"
_TEXT: Final = "#Text="
_LAYERS: Final = ("#T_SP=", "#T_CH=", "#T_RL=")  # spans, chains, relations
_ESCAPED: Final = re.compile(r"\\(.)")
_NAMES: Final = {"t": "\t", "n": "\n", "r": "\r"}
_STACKED: Final = re.compile(r"(?<!\\)\|")
_NUMBERED: Final = re.compile(r"(.*?)(?<!\\)\[(\d+)\]", re.DOTALL)
_TOKEN: Final = re.compile(r"\d+-\d+(?:\.\d+)?\t(\d+)-(\d+)\t")
_NOTHING: Final = ("_", "*", "")  # no annotation; one without a value


class _Layer(NamedTuple):
    """Hold a layer's name and features, each with its column; of spans alone the features count."""

    name: str
    features: tuple[tuple[int, str], ...]


def webanno_cas(lines: Iterable[str], path: Path) -> dict[str, Any]:
    """Return a document as a CAS of which only texts and spans are left.

    Raises:
        InputError: it is of another version, or a line of it is none.
    """
    numbered = enumerate((line.rstrip("\r\n") for line in lines), start=1)
    _, first = next(numbered)
    if not first.startswith(_READ):
        raise InputError(
            f"Expected WebAnno TSV 3 in {path}; it says {first[8:60]!r}. Export it as WebAnno TSV "
            "3.3 or as UIMA CAS JSON."
        )
    reader = _Reader()
    for number, line in numbered:
        if fault := reader.take(line):
            raise InputError(
                f"Expected WebAnno TSV 3 in {path}; line {number} {fault}. Export it anew, as "
                "WebAnno TSV 3.3 or as UIMA CAS JSON."
            )
    return {"%FEATURE_STRUCTURES": reader.structures(path.name)}


class _Reader:
    """Put sentences back to their places, and the values of a span together."""

    def __init__(self) -> None:
        self._layers: list[_Layer] = []
        self._columns = 3  # number, place, token
        self._sentence: list[str] = []
        self._is_placed = True
        self._text = ""
        self._units = 0  # of UTF-16, in which places count
        self._spans: dict[tuple[str, object], dict[str, Any]] = {}

    def take(self, line: str) -> str | None:
        """Read a line; return what is wrong with it."""
        if line.startswith(_LAYERS):
            self._add_layer(line)
        elif line.startswith(_TEXT):
            if self._is_placed:
                self._sentence, self._is_placed = [], False
            self._sentence.append(_plain(line[len(_TEXT) :]))
        elif line and not line.startswith("#"):
            return self._token(line)
        return None

    def _add_layer(self, line: str) -> None:
        kind, (name, *fields) = line[:6], line[6:].split("|")
        width = max(1, len(fields))
        if kind == _LAYERS[0]:
            places = tuple(enumerate(fields, start=self._columns))
            self._layers.append(_Layer(name, places))
        self._columns += width

    def _token(self, line: str) -> str | None:
        found = _TOKEN.match(line)
        if found is None:
            return "is no token with its place"
        if (cells := line.split("\t"))[-1] == "":
            cells.pop()
        if len(cells) < self._columns:
            return f"has {len(cells)} columns, and the header says {self._columns}"
        begin, end = int(found[1]), int(found[2])
        if not self._is_placed:
            if begin < self._units:
                return "begins before the sentence before it ends"
            self._place(begin)
        for layer in self._layers:
            self._annotate(layer, cells, (begin, end))
        return None

    def _place(self, begin: int) -> None:
        """Put a sentence to the place of its first token; what parts sentences is not told."""
        sentence = "\n".join(self._sentence)
        gap = begin - self._units
        self._text += (" " * gap if gap < 2 else "\n" * gap) + sentence
        self._units = begin + _units(sentence)
        self._is_placed = True

    def _annotate(self, layer: _Layer, cells: Sequence[str], place: tuple[int, int]) -> None:
        for column, feature in layer.features:
            for number, value in enumerate(_STACKED.split(cells[column])):
                if value == "_":
                    continue
                named = _NUMBERED.fullmatch(value)
                text, own = (named[1], named[2]) if named else (value, (place, number))
                span = self._spans.setdefault((layer.name, own), {"@sofa": 1, "begin": place[0]})
                span["end"] = place[1]
                if text not in _NOTHING:
                    span[feature] = _plain(text)

    def structures(self, title: str) -> list[dict[str, Any]]:
        """Return the text, its name and its spans."""
        text = {"%ID": 1, "sofaString": self._text}
        return [text, {"documentTitle": title}, *self._spans.values()]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: _NAMES.get(found[1], found[1]), text)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
