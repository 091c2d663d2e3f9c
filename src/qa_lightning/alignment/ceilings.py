"""The best official scores that any extractive model can reach on some examples.

An extractive model answers with a span of the context. Where the gold text is none (a third of
squad_v1_pt), even a perfect one falls short of 100; scores are to be read against that ceiling.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from qa_lightning.alignment.flat_text import FlatText, tokens_of
from qa_lightning.alignment.places import Anywhere, AtBounds
from qa_lightning.alignment.reach import best_scores
from qa_lightning.alignment.records import AlignmentAudit
from qa_lightning.borders import word_borders
from qa_lightning.languages import answers_end_at_borders

Boundaries = Literal["characters", "borders", "words", "tokens"]

_WORD: Final = re.compile(r"\S+")
_LOOKED_AT: Final = 200  # contexts, to see whether they have blanks
_FEWEST_BLANKS: Final = 0.07  # of the characters: Thai has some 4 %, German and Finnish 11 to 13
_CHUNK: Final = 64


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


class TokenWindows(NamedTuple):
    """Hold where an example's windows lie in its context's tokens.

    Attributes:
        offsets_n2: characters of each token, half-open.
        windows_w2: first token and end of each window.
    """

    offsets_n2: npt.NDArray[np.integer[Any]]
    windows_w2: npt.NDArray[np.integer[Any]]


class _Kind(NamedTuple):
    """Hold what spans a ceiling is of: where they begin and end, and their most words or tokens."""

    boundaries: Boundaries
    limit: int | None = None


class _Row(NamedTuple):
    context: str
    texts: Sequence[str]
    windows: TokenWindows | None = None


def with_ceilings(
    audit: AlignmentAudit,
    examples: Dataset,
    *,
    language: str | None = None,
    max_answer_length: int | None = None,
    windows: Iterable[TokenWindows] | None = None,
    num_proc: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> AlignmentAudit:
    """Return an audit with the ceilings of its examples.

    ``exact_match`` and ``f1`` count any span of the context. Where the language writes blanks
    between words, ``…_word_borders`` counts spans that begin and end where words do (as
    ``evaluation.word_borders`` searches), and ``…_<n>_words`` at most ``max_answer_length`` words
    from blank to blank. ``…_in_windows`` counts spans of at most so many tokens inside one window,
    where windows are given.

    Args:
        audit: the account of these examples.
        examples: canonical examples, with whatever other columns.
        language: ISO 639-1 code; None to see from the contexts whether there are blanks.
        max_answer_length: longest answer that the evaluation allows, in tokens.
        windows: each example's windows.
        num_proc: number of processes; None for this one alone.
        progress: called with the number of examples done since the last call.
    """
    kinds = {"": _Kind("characters")}
    if _has_words(examples, language):
        kinds["_word_borders"] = _Kind("borders")
        if max_answer_length is not None:
            kinds[f"_{max_answer_length}_words"] = _Kind("words", max_answer_length)
    if windows is not None:
        kinds["_in_windows"] = _Kind("tokens", max_answer_length)
    rows = _rows(examples, windows)
    found = _ceilings(rows, tuple(kinds.values()), num_proc=num_proc, progress=progress)
    ceilings = {
        f"{name}{suffix}": getattr(ceiling, name)
        for suffix, ceiling in zip(kinds, found, strict=True)
        for name in ("exact_match", "f1")
    }
    return replace(audit, ceilings=ceilings)


def _has_words(examples: Dataset, language: str | None) -> bool:
    if language is not None:
        return answers_end_at_borders(language)
    contexts = examples[:_LOOKED_AT]["context"]
    blanks = sum(char.isspace() for context in contexts for char in context)
    return bool(blanks >= _FEWEST_BLANKS * sum(map(len, contexts)))


def _rows(examples: Dataset, windows: Iterable[TokenWindows] | None) -> Iterator[_Row]:
    laid = iter(windows) if windows is not None else None
    context = ""
    for row in examples.select_columns(["context", "answers"]):
        if row["context"] != context:  # else the same object, which goes to a process once
            context = row["context"]
        yield _Row(context, row["answers"]["text"], next(laid) if laid is not None else None)


def answer_ceiling(
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    boundaries: Boundaries = "characters",
    max_answer_length: int | None = None,
    windows: Iterable[TokenWindows] | None = None,
) -> Ceiling:
    """Return the best official scores that spans of the contexts can reach.

    Exact: the best span is searched, not sampled. Unanswerable examples count as reached.

    Args:
        rows: context and gold texts of each example; those of one context best stand together.
        boundaries: ``characters`` for any span; ``borders`` for spans that begin and end where
            words do, punctuation apart (``borders.word_borders``); ``words`` for spans from blank
            to blank, punctuation included. Tokens' where ``windows`` are given.
        max_answer_length: longest span allowed, in tokens where ``windows`` are given, else in
            words from blank to blank, and so with ``boundaries="words"`` alone.
        windows: each example's windows; a span lies in one. None for no such limit.

    >>> answer_ceiling([("O filme custou 8,2 milhões.", ["8.2 milhões"]), ("Sim.", ["Nunca"])])
    Ceiling(exact_match=50.0, f1=50.0, examples=2)
    """
    kind = _Kind("tokens" if windows is not None else boundaries, max_answer_length)
    laid = iter(windows) if windows is not None else None
    full = (_Row(*row, next(laid) if laid is not None else None) for row in rows)
    (ceiling,) = _ceilings(full, (kind,))
    return ceiling


def _ceilings(
    rows: Iterable[_Row],
    kinds: tuple[_Kind, ...],
    *,
    num_proc: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Ceiling]:
    """Return the ceiling of each kind."""
    total, count = np.zeros((len(kinds), 2)), 0
    work = partial(_scores, kinds=kinds)
    # Spawned, since forking a process that holds torch or tokenizer threads may hang.
    several = num_proc is not None and num_proc > 1
    with (
        ProcessPoolExecutor(num_proc, mp_context=get_context("spawn"))
        if several
        else nullcontext() as pool
    ):
        chunks = _chunks(iter(rows))
        for part in pool.map(work, chunks) if pool is not None else map(work, chunks):
            total += part.sum(axis=0)
            count += len(part)
            if progress is not None:
                progress(len(part))
    scores = 100.0 * total / max(count, 1)
    return [Ceiling(float(em), float(f1), count) for em, f1 in scores]


def _chunks(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _scores(rows: Sequence[_Row], kinds: Sequence[_Kind]) -> npt.NDArray[np.float64]:
    """Return exact match and F1, 0 to 1, of each row and kind; the unit of work of one process."""
    found = np.ones((len(rows), len(kinds), 2))
    reader = _Reader("")
    for row, (context, texts, windows) in enumerate(rows):
        if reader.context != context:
            reader = _Reader(context)
        for number, kind in enumerate(kinds):
            if texts:
                found[row, number] = _best_of(reader, texts, kind, windows)
    return found


def _best_of(
    reader: "_Reader", texts: Sequence[str], kind: _Kind, windows: TokenWindows | None
) -> tuple[float, float]:
    """Return the best exact match and F1, 0 to 1, of one example's spans."""
    places = reader.places(kind, windows)
    best = 0.0, 0.0
    distinct = {text: tokens_of(text) for text in texts}
    if any(gold and places.holds(text) for text, gold in distinct.items()):
        return 1.0, 1.0
    for gold in distinct.values():
        exact_match, f1 = best_scores(places, gold)
        best = max(best[0], exact_match), max(best[1], f1)
    return best


class _Reader:
    """Keep what is found out about one context for all questions on it.

    Args:
        context: the raw text.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        self._tokens: tuple[Any, AtBounds] | None = None

    @cached_property
    def _text(self) -> FlatText:
        return FlatText(self.context)

    def places(self, kind: _Kind, windows: TokenWindows | None) -> Anywhere:
        """Return where the spans of a kind may begin and end."""
        if kind.boundaries == "characters":
            return self._anywhere
        if kind.boundaries == "borders":
            return self._at_borders
        if kind.boundaries == "words":
            return self._at_words.limited(kind.limit)
        assert windows is not None
        if self._tokens is None or self._tokens[0] is not windows.offsets_n2:
            self._tokens = windows.offsets_n2, self._at_tokens(windows.offsets_n2.tolist())
        return self._tokens[1].limited(kind.limit, _reach(windows))

    @cached_property
    def _anywhere(self) -> Anywhere:
        return Anywhere(self._text)

    @cached_property
    def _at_borders(self) -> AtBounds:
        places = np.flatnonzero(word_borders(self.context)).tolist()
        blank = [char.isspace() for char in self.context]
        starts = [place for place in places if place < len(blank) and not blank[place]]
        return AtBounds(self._text, starts, [p for p in places if p and not blank[p - 1]])

    @cached_property
    def _at_words(self) -> AtBounds:
        spans = [match.span() for match in _WORD.finditer(self.context)]
        return AtBounds(self._text, [start for start, _ in spans], [end for _, end in spans])

    def _at_tokens(self, offsets: Sequence[Sequence[int]]) -> AtBounds:
        starts, ends = [], []
        for start, end in offsets:  # a token may bring blanks along, which answers leave off
            text = self.context[start:end]
            starts.append(end - len(text.lstrip()))
            ends.append(max(start + len(text.rstrip()), starts[-1]))
        return AtBounds(self._text, starts, ends)


def _reach(windows: TokenWindows) -> Sequence[int]:
    """Return for every token the end of the last window that holds it."""
    windows_w2 = windows.windows_w2[np.argsort(windows.windows_w2[:, 0], kind="stable")]
    last_n = np.searchsorted(windows_w2[:, 0], np.arange(len(windows.offsets_n2)), "right") - 1
    reach: list[int] = windows_w2[last_n, 1].tolist()
    return reach
