"""The best official scores that any extractive model can reach on some examples.

An extractive model answers with a span of the context. Where the gold text is none (a third of
squad_v1_pt), even a perfect one falls short of 100; scores are to be read against that ceiling.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

from datasets import Dataset

from qa_lightning.alignment.records import AlignmentAudit
from qa_lightning.normalization import normalize_squad

# Where a span may begin and end: at white space, or wherever letters and other signs meet.
_UNITS: Final = {"words": re.compile(r"\S+"), "signs": re.compile(r"[^\W_]+|[^\w\s]|_")}

# Characters of the units of one window, flat: [start, end, start, end, …].
Offsets: TypeAlias = Sequence[int]


class Ceiling(NamedTuple):
    """Hold the best official scores in reach.

    Attributes:
        exact_match: official exact match of SQuAD 1.1, 0 to 100.
        f1: official F1 of SQuAD 1.1, 0 to 100.
        examples: number of examples.
    """

    exact_match: float
    f1: float
    examples: int


def with_ceilings(
    audit: AlignmentAudit,
    examples: Dataset,
    *,
    max_answer_length: int | None = None,
    windows: Iterable[Sequence[Offsets]] | None = None,
) -> AlignmentAudit:
    """Return an audit with the ceilings of its examples.

    ``exact_match`` and ``f1`` count spans of whole whitespace words; ``…_at_signs`` spans cut at
    punctuation too; ``…_<n>_words`` whole words of at most ``max_answer_length``;
    ``…_in_windows`` spans of at most so many tokens inside one window, where windows are given.

    Args:
        audit: the account of these examples.
        examples: canonical examples, with whatever other columns.
        max_answer_length: longest answer that the evaluation allows, in tokens.
        windows: see `answer_ceiling`.
    """
    rows = list(zip(examples["context"][:], _gold_texts(examples), strict=True))
    found = {"": answer_ceiling(rows), "_at_signs": answer_ceiling(rows, boundaries="signs")}
    if max_answer_length is not None:
        limited = answer_ceiling(rows, max_answer_length=max_answer_length)
        found[f"_{max_answer_length}_words"] = limited
    if windows is not None:
        inside = answer_ceiling(rows, max_answer_length=max_answer_length, windows=windows)
        found["_in_windows"] = inside
    ceilings = {
        f"{name}{suffix}": getattr(ceiling, name)
        for suffix, ceiling in found.items()
        for name in ("exact_match", "f1")
    }
    return replace(audit, ceilings=ceilings)


def _gold_texts(examples: Dataset) -> list[list[str]]:
    return [answers["text"] for answers in examples["answers"][:]]


class _Units(NamedTuple):
    """Hold the places in one window where spans may begin and end.

    Attributes:
        context: the raw context.
        spans: characters ``(start, end)`` of each unit.
        word_of: number of the whitespace word that each unit belongs to.
        lengths: running length at each unit, in what the limit counts.
    """

    context: str
    spans: Sequence[tuple[int, int]]
    word_of: Sequence[int]
    lengths: Sequence[int]


def answer_ceiling(
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    boundaries: Literal["words", "signs"] = "words",
    max_answer_length: int | None = None,
    windows: Iterable[Sequence[Offsets]] | None = None,
) -> Ceiling:
    """Return the best official scores that spans of the contexts can reach.

    Exact: the best span is searched, not sampled. Unanswerable examples count as reached.

    Args:
        rows: context and gold texts of each example.
        boundaries: ``words`` for spans of whole whitespace words, punctuation clinging to them
            included; ``signs`` for spans that may also begin and end at punctuation.
        max_answer_length: longest span allowed, in tokens where ``windows`` are given, else in
            whitespace words.
        windows: for each example the character offsets of the context tokens of each of its
            windows (``context_offsets`` of the features); a span must lie in one window and
            begin and end with its tokens, whatever ``boundaries`` says. None for no such limit.

    >>> answer_ceiling([("O filme custou 8,2 milhões.", ["8.2 milhões"]), ("Sim.", ["Nunca"])])
    Ceiling(exact_match=50.0, f1=50.0, examples=2)
    """
    exact_match, f1, count = 0.0, 0.0, 0
    all_windows = iter(windows) if windows is not None else None
    for context, texts in rows:
        if all_windows is None:
            parts: Iterable[_Units] = (_whole(context, _UNITS[boundaries]),)
        else:
            parts = (_window(context, offsets) for offsets in next(all_windows))
        is_free = all_windows is None and max_answer_length is None
        if not texts or (is_free and any(_stands(text, context) for text in texts)):
            best = 1.0, 1.0
        else:
            best = _best_of(parts, texts, max_answer_length)
        exact_match, f1, count = exact_match + best[0], f1 + best[1], count + 1
    share = 100.0 / max(count, 1)
    return Ceiling(exact_match * share, f1 * share, count)


def _best_of(
    parts: Iterable[_Units], texts: Sequence[str], limit: int | None
) -> tuple[float, float]:
    """Return the best exact match and F1, 0 to 1, that one example's spans reach."""
    exact_match = f1 = 0.0
    for units in parts:
        for text in dict.fromkeys(texts):
            best = _best_span(units, normalize_squad(text).split(), limit)
            exact_match, f1 = max(exact_match, best[0]), max(f1, best[1])
            if exact_match and f1 == 1.0:
                return exact_match, f1
    return exact_match, f1


def _stands(text: str, context: str) -> bool:
    """Tell, quickly, whether a text is whole whitespace words of a context."""
    start = context.find(text)
    end = start + len(text)
    return (
        start >= 0
        and (start == 0 or context[start - 1].isspace())
        and (end == len(context) or context[end].isspace())
        and bool(_tokens(text))
    )


def _whole(context: str, unit: re.Pattern[str]) -> _Units:
    spans = [match.span() for match in unit.finditer(context)]
    words = _word_of(context, spans)
    return _Units(context, spans, words, words)


def _window(context: str, offsets: Offsets) -> _Units:
    spans = list(zip(offsets[::2], offsets[1::2], strict=True))
    return _Units(context, spans, _word_of(context, spans), range(len(spans)))


def _word_of(context: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return the number of the whitespace word of each unit."""
    words = [0] * min(len(spans), 1)
    for (_, end), (following, _) in pairwise(spans):
        # A token may bring the space before it along.
        is_new = any(letter.isspace() for letter in context[end : following + 1])
        words.append(words[-1] + is_new)
    return words


class _Edge(NamedTuple):
    """Hold one place where a span may begin (or end), with the tokens of that word's part."""

    unit: int
    tokens: tuple[str, ...]


class _Span(NamedTuple):
    """Hold one span by its last unit, its number of tokens, and how many the gold shares."""

    end_unit: int
    tokens: int
    shared: int
    said: list[str]


def _best_span(units: _Units, gold: list[str], limit: int | None) -> tuple[float, float]:
    """Return the best exact match and F1 of one window's spans against one gold text."""
    if not gold:
        # The official F1 of nothing is 0, also where nothing was said and nothing is right.
        spans = (units.context[start:end] for start, end in units.spans)
        return float(any(not _tokens(text) for text in spans)), 0.0
    wanted = Counter(gold)
    tokens = _word_tokens(units)
    starts, ends = _edges(units, wanted)
    f1 = 0.0
    for start in starts:
        for span in _spans_from(start, ends, units, tokens, wanted):
            if limit is not None and _length(units, start.unit, span.end_unit) > limit:
                break
            if span.shared == span.tokens == len(gold) and span.said == gold:
                return 1.0, 1.0
            whole = span.tokens + len(gold)
            f1 = max(f1, 2.0 * span.shared / whole)
            # All of the gold in a longer span is the most that going on can give.
            if f1 >= 2.0 * len(gold) / whole and span.tokens >= len(gold):
                break
    return 0.0, f1


def _length(units: _Units, first: int, last: int) -> int:
    return units.lengths[last] - units.lengths[first] + 1


def _word_tokens(units: _Units) -> list[tuple[str, ...]]:
    """Return the normalised tokens of each whitespace word of a window."""
    bounds: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(units.word_of, units.spans, strict=True):
        bounds[word] = (bounds.get(word, (start, end))[0], end)
    return [_tokens(units.context[start:end]) for start, end in bounds.values()]


@lru_cache(maxsize=65_536)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(normalize_squad(text).split())


def _edges(units: _Units, wanted: Counter[str]) -> tuple[list[_Edge], list[_Edge]]:
    """Return the places where a span may usefully begin and end: at a token of the gold."""
    starts: list[_Edge] = []
    ends: list[_Edge] = []
    first_of: dict[int, int] = {}
    last_of = {word: unit for unit, word in enumerate(units.word_of)}
    for unit, word in enumerate(units.word_of):
        first = first_of.setdefault(word, unit)
        head = _tokens(units.context[units.spans[unit][0] : units.spans[last_of[word]][1]])
        tail = _tokens(units.context[units.spans[first][0] : units.spans[unit][1]])
        if last_of[word] > first or any(token in wanted for token in head):
            starts.append(_Edge(unit, head))
        if any(token in wanted for token in tail):
            ends.append(_Edge(unit, tail))
    return starts, ends


def _spans_from(
    start: _Edge,
    ends: Sequence[_Edge],
    units: _Units,
    tokens: Sequence[tuple[str, ...]],
    wanted: Counter[str],
) -> Iterator[_Span]:
    """Yield the spans that begin at one place, short to long."""
    first_word = units.word_of[start.unit]
    start_char = units.spans[start.unit][0]
    for unit in range(start.unit, len(units.spans)):
        if units.word_of[unit] != first_word:
            break
        said = list(_tokens(units.context[start_char : units.spans[unit][1]]))
        yield _Span(unit, len(said), (Counter(said) & wanted).total(), said)
    said, left, shared = [], dict(wanted), 0
    word = first_word
    for end in ends[bisect_right(ends, start.unit, key=lambda edge: edge.unit) :]:
        end_word = units.word_of[end.unit]
        while word < end_word:
            added = start.tokens if word == first_word else tokens[word]
            said.extend(added)
            shared += _take(added, left)
            word += 1
        if end_word > first_word:
            all_said = [*said, *end.tokens]
            more = _take(end.tokens, dict(left))
            yield _Span(end.unit, len(all_said), shared + more, all_said)


def _take(tokens: Iterable[str], left: dict[str, int]) -> int:
    """Count the tokens that are still wanted, and take them off."""
    taken = 0
    for token in tokens:
        if left.get(token, 0) > 0:
            left[token] -= 1
            taken += 1
    return taken
