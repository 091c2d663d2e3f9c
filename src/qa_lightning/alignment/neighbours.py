"""Where an offset points by those of the other answers in its context, whatever they count.

Offsets into another text than the one at hand (its markup taken out, a title in front, lines
joined, another tool's units) keep the order and the distances of this one. An answer whose text
stands once shows how far offsets are off around it, and so where a repeated one is meant.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from qa_lightning.alignment.occurrences import NEAR, Wanted

OTHER_TEXT: Final = "characters of another text"
_ASKED: Final = 3  # the nearest
_APART: Final = 30  # characters: closer offsets tell no scale
_PROOF: Final = 10  # answers
_EXPLAINED: Final = 0.5
_CONTRADICTED: Final = 0.05
_SHARED: Final = 0.9


class Anchor(NamedTuple):
    """Hold the offset of an answer whose text stands once.

    Attributes:
        start: what the data set says.
        place: where its text stands.
    """

    start: int
    place: int


class Scale(NamedTuple):
    """Hold how the offsets of a whole file go with the characters of its contexts.

    Attributes:
        ratio: characters for one that offsets count.
        shared_drift: characters from an offset to its text that nearly all answers of the file
            share; None where they do not.
    """

    ratio: float = 1.0
    shared_drift: float | None = None


@dataclass(frozen=True)
class Neighbours:
    """Hold what the answers of one context show of the offsets in it.

    Attributes:
        anchors: distinct, in their order.
        scale: what the whole file shows.
    """

    anchors: Sequence[Anchor]
    scale: Scale

    def place(self, start: int, *, but: Anchor | None = None) -> int | None:
        """Return where an offset points by two of its neighbours that agree; None without.

        It may be outside of the context, which is then a part of the text that was labelled.

        Args:
            start: the offset.
            but: the answer in question, which is not asked, nor are others at its place.
        """
        near = self._near(start, but)
        drifts = [one.place - self.scale.ratio * one.start for one in near]
        middle = median(drifts) if len(drifts) == _ASKED else drifts[0] if drifts else 0.0
        agreeing = [drift for drift in drifts if abs(drift - middle) <= NEAR]
        is_told = len(agreeing) > 1 or len(drifts) == 1
        drift = middle if is_told else self.scale.shared_drift
        return None if drift is None else round(self.scale.ratio * start + drift)

    def stand_near(self, start: int) -> bool:
        """Tell whether a neighbour of an offset stands where characters say, as this may then."""
        return any(one.start == one.place for one in self._near(start, None))

    def _near(self, start: int, but: Anchor | None) -> list[Anchor]:
        at = bisect_left(self.anchors, (start, 0))
        near = [
            one
            for one in self.anchors[max(at - 2 * _ASKED, 0) : at + 2 * _ASKED]
            if but is None or one.place != but.place
        ]
        return sorted(near, key=lambda one: abs(one.start - start))[:_ASKED]


def anchor_of(wanted: Wanted, start: int, *, stands: bool) -> Anchor | None:
    """Return what an answer shows of the offsets around it: nothing where it stands twice."""
    text, answer = wanted.context.text, wanted.answer
    if stands:
        is_single = text.find(answer) == start and text.find(answer, start + 1) < 0
        return Anchor(start, start) if is_single else None
    found = wanted.in_blanks() if start > 0 else []
    return Anchor(start, found[0].start_char) if len(found) == 1 else None


class NeighboursTally:
    """Gather what the answers of each context show, and count what it explains."""

    def __init__(self) -> None:
        self._anchors: defaultdict[str, set[Anchor]] = defaultdict(set)

    def add(self, wanted: Wanted, start: int, *, stands: bool) -> Anchor | None:
        """Add an answer, with whether it stands at its offset; return what it shows."""
        anchor = anchor_of(wanted, start, stands=stands)
        if anchor is not None:
            self._anchors[wanted.context.text].add(anchor)
        return anchor

    def proven(self) -> Scale | None:
        """Return the scale of the file if neighbours explain most of what is astray, else None."""
        groups = [sorted(anchors) for anchors in self._anchors.values()]
        scale = _scale_of(groups)
        explained = contradicted = astray = 0
        for anchors in groups:
            neighbours = Neighbours(anchors, scale)
            for one in anchors:
                place = neighbours.place(one.start, but=one)
                is_near = abs(one.start - one.place) <= NEAR
                is_told = place is not None and abs(place - one.place) <= NEAR
                astray += not is_near
                explained += is_told and not is_near
                is_exact = one.start == one.place  # and stays
                contradicted += is_near and not is_exact and place is not None and not is_told
        least = max(_PROOF, _EXPLAINED * astray)
        return scale if explained >= max(least, contradicted / _CONTRADICTED) else None

    def of(self, context: str, scale: Scale) -> Neighbours:
        """Return the answers of one context that were added."""
        return Neighbours(sorted(self._anchors[context]), scale)


def _scale_of(contexts: Sequence[Sequence[Anchor]]) -> Scale:
    """Return the middle of what all pairs of a context's answers show, and what most share."""
    ratios = [1.0]
    for anchors in contexts:
        for index, one in enumerate(anchors):
            after = bisect_left(anchors, (one.start + _APART, 0), index)
            for other in anchors[after : after + _ASKED]:
                ratios.append((other.place - one.place) / (other.start - one.start))
    ratio = median(ratios)
    drifts = [one.place - ratio * one.start for anchors in contexts for one in anchors]
    middle = median(drifts or [0.0])
    sharing = sum(abs(drift - middle) <= NEAR for drift in drifts)
    return Scale(ratio, middle if sharing >= _SHARED * len(drifts) else None)
