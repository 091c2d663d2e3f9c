"""Where exactly a found answer begins and ends: the words and marks at its edges."""

import html
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from qa_lightning.alignment.contexts import Context
from qa_lightning.alignment.matching import Candidate
from qa_lightning.alignment.similarity import have_same_sense
from qa_lightning.alignment.words import FUNCTION_WEIGHT, Word

_QUOTES: Final = "\"'“”‘’«»"
_OPENERS: Final = _QUOTES + "(["
_BRACKETS: Final = {"(": ")", "（": "）", "[": "]"}
_FARTHEST_BRACKET: Final = 24


class Edges(NamedTuple):
    """Hold a range of context words, and how many of them stand for unmatched answer words.

    Attributes:
        start_word: first context word.
        end_word: one past the last.
        substituted: words taken in since they stand where the answer has another word.
    """

    start_word: int
    end_word: int
    substituted: int


def refined_edges(candidate: Candidate, answer: Sequence[Word], context: Context) -> Edges:
    """Return a window with the words at its edges that belong to the answer.

    A word that stands where the answer has an unmatched one (``contrato de publicação`` for
    ``acordo de publicação``) comes in; then the answer's leading article or preposition, where
    the context has one of its own and not inside a contraction.
    """
    matched = {match.answer_word for match in candidate.matches}
    missing = [
        index
        for index, word in enumerate(answer)
        if index not in matched and _may_be_substituted(index, word, context)
    ]
    edges = Edges(candidate.start_word, candidate.end_word, 0)
    meant = sorted(index for index in matched if answer[index].weight > FUNCTION_WEIGHT)
    if len(missing) == 1 and meant:
        for widen in (_with_head, _with_tail):
            if not edges.substituted:
                edges = widen(edges, answer, missing[0], meant, context)
        if not edges.substituted:
            edges = _with_other_name(edges, answer, missing[0], candidate, context)
    edges = _with_trailing_words(_with_leading_words(edges, answer, context), answer, context)
    return _with_enclitics(edges, context)


def _may_be_substituted(index: int, word: Word, context: Context) -> bool:
    """Tell whether a word is content, or a name that translation took for a preposition."""
    if word.weight >= 1.0:
        return True
    is_opening = index == 0 and word.is_capitalized
    return is_opening and word.is_function and word.key not in context.lexicon.articles


def _are_same_form(one: Word, other: Word, context: Context) -> bool:
    return one.key == other.key or have_same_sense(one, other, context.lexicon)


def _with_head(
    edges: Edges, answer: Sequence[Word], missing: int, matched: Sequence[int], context: Context
) -> Edges:
    """Take in the word that stands before a window as the missing one before the matched."""
    if missing > matched[0]:
        return edges
    between = answer[missing + 1 : matched[0]]
    place = edges.start_word - len(between) - 1
    if place < 0:
        return edges
    run = context.words[place : edges.start_word + 1]
    wanted = answer[missing : matched[0] + 1]
    if not _stands_for(wanted, run, run[0], context):
        return edges
    if not between and len(matched) < 2 and not _are_names(wanted, run):
        return edges
    return Edges(place, edges.end_word, 1)


def _with_tail(
    edges: Edges, answer: Sequence[Word], missing: int, matched: Sequence[int], context: Context
) -> Edges:
    """Take in the word that stands after a window as the missing one after the matched."""
    if missing < matched[-1]:
        return edges
    between = answer[matched[-1] + 1 : missing]
    place = edges.end_word + len(between)
    if place >= len(context.words):
        return edges
    run = context.words[edges.end_word - 1 : place + 1]
    wanted = answer[matched[-1] : missing + 1]
    if not _stands_for(wanted, run, run[-1], context):
        return edges
    if not between and not _continues(run, len(matched)) and not _are_names(wanted[1:], run):
        return edges
    return Edges(edges.start_word, place + 1, 1)


def _continues(run: Sequence[Word], matched: int) -> bool:
    """Tell whether a last word goes on as the ones before: a name does not end in a verb."""
    return matched > 1 and run[0].is_capitalized == run[-1].is_capitalized


def _with_other_name(
    edges: Edges, answer: Sequence[Word], missing: int, candidate: Candidate, context: Context
) -> Edges:
    """Take in the other half of a name, whichever side it stands on.

    Translation turns names into words and then their order about: ``Poeira Ervin`` for
    ``Ervin Staub``, ``Corrida do Ouro`` for ``Gold Rush``.
    """
    first, last = edges.start_word, edges.end_word - 1
    words = context.words
    beside = {
        match.context_word
        for match in candidate.matches
        if _are_neighbours(answer, missing, match.answer_word)
    }
    if not answer[missing].is_capitalized:
        return edges
    follows = last in beside and last + 1 < len(words)
    if follows and words[last].is_capitalized and _continues_name(words[last + 1]):
        return Edges(first, last + 2, 1)
    precedes = first in beside and first > 0
    if precedes and _continues_name(words[first]) and _is_name(words[first - 1]):
        return Edges(first - 1, last + 1, 1)
    return edges


def _are_neighbours(answer: Sequence[Word], one: int, other: int) -> bool:
    between = answer[min(one, other) + 1 : max(one, other)]
    return answer[other].weight >= 1.0 and all(word.is_function for word in between)


def _is_name(word: Word) -> bool:
    return word.is_capitalized and word.weight >= 1.0


def _continues_name(word: Word) -> bool:
    return _is_name(word) and word.gap.isspace()


def _are_names(wanted: Sequence[Word], run: Sequence[Word]) -> bool:
    return all(word.is_capitalized or word.key[0].isdigit() for word in (*wanted, *run))


def _stands_for(
    wanted: Sequence[Word], run: Sequence[Word], substitute: Word, context: Context
) -> bool:
    """Tell whether a run of context words is the answer's, but for one word of content.

    Args:
        wanted: the answer's words from the missing one to the nearest matched one.
        run: as many words of the context.
        substitute: the one of them that would stand for the missing word.
        context: their context.
    """
    if substitute.weight < 1.0:
        return False
    same_gaps = all(
        one.gap.strip() in ("", other.gap.strip())
        for one, other in zip(run[1:], wanted[1:], strict=True)
    )
    return same_gaps and all(
        one.is_function and _are_same_form(one, other, context)
        for one, other in zip(wanted[1:-1], run[1:-1], strict=True)
    )


def _with_leading_words(edges: Edges, answer: Sequence[Word], context: Context) -> Edges:
    start = edges.start_word
    leading = list(takewhile(lambda word: word.is_function, answer))
    while leading and start > 0 and not context.words[start].gap.strip(_OPENERS + " "):
        found, after = context.words[start - 1], context.words[start]
        if _is_leading(leading[-1], found, after, context):
            leading.pop()
        elif _is_contraction_of(leading[-2:], found, context):
            del leading[-2:]
        else:
            break
        start -= 1
    return edges._replace(start_word=start)


def _with_trailing_words(edges: Edges, answer: Sequence[Word], context: Context) -> Edges:
    """Take in the function words that end the answer: ``Runs Through It``."""
    end = edges.end_word
    trailing = list(takewhile(lambda word: word.is_function, reversed(answer)))
    if len(trailing) == len(answer):
        return edges
    for word in reversed(trailing):
        if end == len(context.words) or context.words[end].gap.strip() not in ("", word.gap):
            break
        if not _are_same_form(word, context.words[end], context):
            break
        end += 1
    return edges._replace(end_word=end)


def _with_enclitics(edges: Edges, context: Context) -> Edges:
    """Take in the pronoun that is written onto the last word: ``expandiu-se``."""
    end = edges.end_word
    while end < len(context.words) and context.words[end].gap == "-":
        if not context.words[end].is_function:
            break
        end += 1
    return edges._replace(end_word=end)


def _is_leading(wanted: Word, found: Word, after: Word, context: Context) -> bool:
    """Tell whether a word before a window is the answer's leading one.

    An article answers for an article, but not for a contraction with one (``à`` for ``a``). A
    preposition does not reach across the opening of a quotation.
    """
    articles = context.lexicon.articles
    if wanted.key in articles:
        return context.text[found.start_char : found.end_char].casefold() in articles
    return not after.gap.strip() and found.is_function and _are_same_form(wanted, found, context)


def _is_contraction_of(wanted: Sequence[Word], found: Word, context: Context) -> bool:
    """Tell whether a word joins a preposition and an article: ``à corte``, ``para o tribunal``."""
    lexicon = context.lexicon
    if len(wanted) < 2 or wanted[1].key not in lexicon.articles:
        return False
    is_contracted = context.text[found.start_char : found.end_char].casefold() in lexicon.contracted
    return is_contracted and have_same_sense(wanted[0], found, lexicon)


def closed_end(context: Context, start_char: int, end_char: int) -> int:
    """Return the end of a span moved behind the brackets or the quotation mark that it opens."""
    end_char = _behind_brackets(context.text, start_char, end_char)
    inside = html.unescape(context.text[start_char:end_char])
    rest = context.text[end_char : end_char + _FARTHEST_BRACKET]
    for mark in ("&quot;", '"', "”"):
        opened = inside.count("“") - inside.count("”") if mark == "”" else inside.count('"') % 2
        if opened > 0 and rest.startswith(mark):
            return end_char + len(mark)
    return end_char


def _behind_brackets(text: str, start_char: int, end_char: int) -> int:
    """Return the end behind the last bracket that a span opens; its own where one stays open."""
    inside = html.unescape(text[start_char:end_char])
    missing = {
        closing: max(inside.count(opening) - inside.count(closing), 0)
        for opening, closing in _BRACKETS.items()
    }
    if any(missing.values()):
        rest = text[end_char : end_char + _FARTHEST_BRACKET]
        for place, sign in enumerate(rest, end_char + 1):
            if sign in _BRACKETS:
                missing[_BRACKETS[sign]] += 1
            elif sign in missing:
                missing[sign] = max(missing[sign] - 1, 0)
            if not any(missing.values()):
                return place
    return end_char
