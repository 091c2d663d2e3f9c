"""The best official scores that the spans of one text can reach, by an exact search.

A span's tokens are those of the text between its ends, but for the first and the last, which may be
cut. The best span begins and ends with tokens of the gold text, or where it has to, before them.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Final

from qa_lightning.alignment.flat_text import End, tokens_of
from qa_lightning.alignment.places import Anywhere

_ROUNDING: Final = 1e-9
_BELOW_ONE: Final = 1.0 - _ROUNDING


def f1_of(shared: int, said: int, gold: int) -> float:
    """Return the official F1 of so many shared, said and gold tokens."""
    return 2.0 * shared / (said + gold)


def best_scores(spans: Anywhere, gold: Sequence[str]) -> tuple[float, float]:
    """Return the best exact match and F1, 0 to 1, of all spans against one gold text.

    Args:
        spans: where spans may be.
        gold: the gold text's tokens.
    """
    if not gold:  # the official F1 of nothing is 0, also where nothing was said
        return float(spans.has_empty()), 0.0
    exact_match, f1 = _Search(spans, gold).run()
    most = f1_of(1, 1, len(gold))
    if f1 < most or (len(gold) == 1 and not exact_match):
        for text in spans.infixes(dict.fromkeys(gold)):
            said = tokens_of(text)
            shared = (Counter(said) & Counter(gold)).total()
            f1 = max(f1, f1_of(shared, len(said), len(gold)))
            exact_match = max(exact_match, float(said == list(gold)))
            if f1 >= most:
                break
    return exact_match, f1


class _Search:
    """Search the spans of several tokens, end by end, from each back over the starts.

    Of the tokens before an end only the last few of each wanted kind count, as many as the gold
    has: where they stand bounds every span's F1. Most ends cannot beat what was found before, and
    of the others only the spans of some times the gold's length. So the time is linear in the
    text's length.
    """

    def __init__(self, spans: Anywhere, gold: Sequence[str]) -> None:
        self._spans, self._gold = spans, list(gold)
        self._wanted = Counter(gold)
        places = spans.text.places
        self._seen = sorted((at, token) for token in self._wanted for at in places.get(token, ()))
        self._starts = spans.starts(self._wanted)
        self._ends_in_order = spans.ends(self._wanted)
        self._untils = [start.until for start in self._starts]
        self._best = 0.0

    def run(self) -> tuple[float, float]:
        """Return the best exact match and F1, 0 to 1."""
        highest, promising = 0.0, None
        for end, seen, counting in self._ends():
            bound = self._bound(end, counting, highest)
            if bound > highest:
                highest, promising = bound, (end, seen)
        # What the most promising end gives rules out most of the others.
        if promising is not None and self._from(*promising):
            return 1.0, 1.0
        for end, seen, counting in self._ends():
            least = self._to_beat
            if self._bound(end, counting, least) > least and self._from(end, seen):
                return 1.0, 1.0
        return 0.0, self._best

    def _ends(self) -> Iterator[tuple[End, int, list[int]]]:
        """Yield each end, how many wanted tokens stand up to it, and the places that count."""
        counting: list[int] = []  # ascending
        queues: dict[str, deque[int]] = {token: deque() for token in self._wanted}
        seen = 0
        for end in self._ends_in_order:
            while seen < len(self._seen) and self._seen[seen][0] <= end.token:
                place, token = self._seen[seen]
                queues[token].append(place)
                counting.append(place)
                if len(queues[token]) > self._wanted[token]:
                    counting.pop(bisect_left(counting, queues[token].popleft()))
                seen += 1
            yield end, seen, counting

    @property
    def _to_beat(self) -> float:
        return min(self._best, _BELOW_ONE)  # all tokens, in another order, are no exact match

    def _bound(self, end: End, counting: Sequence[int], least: float) -> float:
        """Return an F1 that no span with this end passes; ``least`` where that is not more.

        A span that begins at the n-th place before its end shares at most so many tokens, and the
        two that may be cut. Each place further back makes it longer by a token or more: those that
        are still too few to be better are skipped.
        """
        cut, gold = 1 + bool(end.tail), len(self._gold)
        most, number, said = max(least, f1_of(cut, cut, gold)), 0, cut
        while True:
            needed = (most * (said - number + gold) - 2 * cut) / (2 - most)
            number = max(number + 1, int(needed - _ROUNDING) + 1)
            if number > len(counting):
                return most
            said = end.token - counting[-number] + 1 + cut
            most = max(most, f1_of(number + cut, said, gold))

    def _from(self, end: End, seen: int) -> bool:
        """Look at the spans with one end; return whether one is an exact match."""
        left, gold, tokens = Counter(self._wanted), len(self._gold), self._spans.text.tokens
        tail = [end.tail] if end.tail else []
        shared = _take(end.tail, left)
        for number in range(bisect_right(self._untils, end.since) - 1, -1, -1):
            start = self._starts[number]
            while seen and self._seen[seen - 1][0] >= start.token:
                seen -= 1
                shared += _take(self._seen[seen][1], left)
            said = end.token + 1 - start.token + len(tail)
            if f1_of(gold, max(said, gold), gold) <= self._to_beat:
                return False
            if not self._spans.allows(start, end):  # nor any that begins before
                return False
            said += bool(start.head)
            if not said:
                continue
            found = f1_of(shared + (left[start.head] > 0), said, gold)
            self._best = max(self._best, found)
            if found > _BELOW_ONE:
                head = [start.head] if start.head else []
                if [*head, *tokens[start.token : end.token + 1], *tail] == self._gold:
                    return True
        return False


def _take(token: str, left: Counter[str]) -> int:
    """Count a token that is still wanted, and take it off."""
    if left[token] <= 0:
        return 0
    left[token] -= 1
    return 1
