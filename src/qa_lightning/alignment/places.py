"""Where the spans of a text may begin and end: anywhere, or at words, signs or tokens."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from itertools import count
from typing import Self, TypeVar

from qa_lightning.alignment.flat_text import PUNCTUATION, End, FlatText, Start, tokens_of

PlaceT = TypeVar("PlaceT", Start, End)


class Anywhere:
    """Let spans of a text begin and end at any character.

    Args:
        text: the text.
    """

    def __init__(self, text: FlatText) -> None:
        self.text = text

    def starts(self, wanted: Iterable[str]) -> list[Start]:
        """Return the starts that the best span may have, in their order."""
        text, found = self.text, []
        for token in wanted:
            found += [Start(text.starts[place], place, "") for place in text.places.get(token, ())]
            for place in self._cut(f"{token}\n"):
                found.append(Start(text.ends[place], place + 1, token))
            found += self._in_articles[0].get(token, ())
        return sorted(found)

    def ends(self, wanted: Iterable[str]) -> list[End]:
        """Return the ends that the best span may have, in their order."""
        text, found = self.text, []
        for token in wanted:
            found += [End(text.ends[place], place, "") for place in text.places.get(token, ())]
            for place in self._cut(f"\n{token}"):
                found.append(End(text.starts[place], place - 1, token))
            found += self._in_articles[1].get(token, ())
        return sorted(found)

    @cached_property
    def _in_articles(self) -> tuple[dict[str, list[Start]], dict[str, list[End]]]:
        places = self.text.within_articles
        return (
            _by_name((start.head, start) for start in map(self.text.start, places)),
            _by_name((end.tail, end) for end in map(self.text.end, places)),
        )

    def _cut(self, pattern: str) -> Iterator[int]:
        """Yield the places of longer tokens that begin, or end, with a token and its line's end."""
        lines, token = self.text.vocabulary, pattern.strip("\n")
        at = lines.find(pattern)
        while at >= 0:
            line = lines.rfind("\n", 0, at + 1) + 1
            whole = lines[line : lines.index("\n", line)]
            if whole != token:
                yield from self.text.places[whole]
            at = lines.find(pattern, at + 1)

    def holds(self, span: str) -> bool:
        """Say whether a text stands somewhere word for word."""
        return span in self.text.context

    def allows(self, start: Start, end: End) -> bool:
        """Say whether a span may have these two ends, in this order."""
        return True

    def infixes(self, wanted: Iterable[str]) -> Iterator[str]:
        """Yield texts of spans that may be the best of those within one token."""
        flat = self.text.flat
        return (token for token in wanted if token in flat)

    def has_empty(self) -> bool:
        """Say whether a span, of other than blanks, has no token at all."""
        flat = self.text.flat
        return "a" in flat or "the" in flat or not PUNCTUATION.isdisjoint(self.text.context)


class AtBounds(Anywhere):
    """Let spans of a text begin and end where units do: words, signs, tokens.

    Args:
        text: the text.
        starts: raw characters where units begin, ascending.
        ends: raw characters where units end, ascending.
    """

    def __init__(self, text: FlatText, starts: Sequence[int], ends: Sequence[int]) -> None:
        super().__init__(text)
        self._raw_starts, self._raw_ends = starts, ends
        self._limit: int | None = None
        self._reach: Sequence[int] | None = None
        self._flat_starts = [text.flat_at[start] for start in starts]
        self._flat_ends = [text.flat_at[end] for end in ends]
        self._starts = list(map(text.start, self._flat_starts, count()))
        self._ends = list(map(text.end, self._flat_ends, count()))
        self._heads = _by_name((start.head, start) for start in self._starts if start.head)
        self._tails = _by_name((end.tail, end) for end in self._ends if end.tail)
        # With which a token is whole and nothing else comes along: the last, and the first.
        self._exact_starts = {one.token: one for one in self._starts if not one.head}
        self._exact_ends = {one.token: one for one in reversed(self._ends) if not one.tail}

    def limited(self, limit: int | None, reach: Sequence[int] | None = None) -> Self:
        """Return the same places for spans that are limited.

        Args:
            limit: most units of a span; None for any number.
            reach: for every unit the end, in units, of the last window that holds it; None where
                there are no windows.
        """
        places = copy(self)
        places._limit, places._reach = limit, reach
        return places

    def holds(self, span: str) -> bool:
        """Say whether a text stands somewhere word for word, from unit to unit."""
        context, starts, ends = self.text.context, self._raw_starts, self._raw_ends
        at = context.find(span)
        while at >= 0:
            first = bisect_right(starts, at) - 1
            last = bisect_left(ends, at + len(span))
            is_whole = first >= 0 and last < len(ends) and starts[first] == at
            if is_whole and ends[last] == at + len(span) and self._allows(first, last):
                return True
            at = context.find(span, at + 1)
        return False

    def starts(self, wanted: Iterable[str]) -> list[Start]:
        """Return the starts that the best span may have, in their order."""
        found = {start for token in wanted for start in self._heads.get(token, ())}
        for place in self._places(wanted):
            at = bisect_right(self._starts, place, key=lambda start: start.token)
            found.update(self._starts[max(at - 1, 0) : at])  # and what it brings along
            found.update(filter(None, [self._exact_starts.get(place)]))
        return sorted(found, key=lambda start: start.unit)

    def ends(self, wanted: Iterable[str]) -> list[End]:
        """Return the ends that the best span may have, in their order."""
        found = {end for token in wanted for end in self._tails.get(token, ())}
        for place in self._places(wanted):
            at = bisect_left(self._ends, place, key=lambda end: end.token)
            found.update(self._ends[at : at + 1])
            found.update(filter(None, [self._exact_ends.get(place)]))
        return sorted(found, key=lambda end: end.unit)

    def _places(self, wanted: Iterable[str]) -> Iterator[int]:
        return (place for token in wanted for place in self.text.places.get(token, ()))

    def allows(self, start: Start, end: End) -> bool:
        """Say whether a span may have these two ends, in this order."""
        return self._allows(start.unit, end.unit)

    def _allows(self, first: int, last: int) -> bool:
        last = max(first, last)  # several tokens of one character: any of them is the first
        is_short = self._limit is None or last - first < self._limit
        return is_short and (self._reach is None or last < self._reach[first])

    def infixes(self, wanted: Iterable[str]) -> Iterator[str]:
        """Yield texts of spans that may be the best of those within one token."""
        flat, context = self.text.flat, self.text.context
        for token in wanted:
            at = flat.find(token)
            while at >= 0:
                last = bisect_left(self._flat_ends, at + len(token))
                for first in self._starts_before(at) if last < len(self._ends) else ():
                    if self._allows(first, last):
                        yield context[self._raw_starts[first] : self._raw_ends[last]]
                at = flat.find(token, at + 1)

    def _starts_before(self, place: int) -> Iterator[int]:
        """Yield the last start at or before a place; more if it leaves a piece of an article."""
        first = bisect_right(self._flat_starts, place) - 1
        while first >= 0:
            yield first
            if self._flat_starts[first] not in self.text.within_articles:
                return
            first -= 1

    def has_empty(self) -> bool:
        """Say whether a span, of other than blanks, has no token at all."""
        starts, ends, context = self._raw_starts, self._raw_ends, self.text.context
        for first, start in enumerate(starts):
            at = bisect_right(ends, start)
            for last in range(at, min(at + len("the"), len(ends))):
                said = context[start : ends[last]]
                if said.strip() and self._allows(first, last) and not tokens_of(said):
                    return True
        return False


def _by_name(named: Iterable[tuple[str, PlaceT]]) -> dict[str, list[PlaceT]]:
    found: dict[str, list[PlaceT]] = defaultdict(list)
    for name, place in named:
        found[name].append(place)
    return found
