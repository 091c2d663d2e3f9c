"""One answer in one context: its status, its span, its confidence."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from qa_lightning.alignment.compounds import fitted_words
from qa_lightning.alignment.confidence import Evidence, confidence_of
from qa_lightning.alignment.contexts import Context, read_context
from qa_lightning.alignment.edges import Edges, closed_end, refined_edges
from qa_lightning.alignment.exactness import (
    AMBIGUOUS,
    DRIFTED,
    INSIDE_WORD,
    SURE,
    check_exact,
    find_elsewhere,
    found_at,
)
from qa_lightning.alignment.matching import CONTENDERS, Candidate, Match, Matcher
from qa_lightning.alignment.occurrences import NEAR, Wanted
from qa_lightning.alignment.offsets import UNKNOWN, Offsets, explained_place, nearest
from qa_lightning.alignment.questions import QuestionEvidence
from qa_lightning.alignment.records import UNALIGNED, AlignedSpan
from qa_lightning.alignment.words import SYMBOLS, words_of

# What the question's words and the capitals count beside the answer's own words.
_SUPPORT_WEIGHT: Final = 0.2
_CASE_WEIGHT: Final = 0.03
_NO_RIVAL: Final = 0.25
_TIE: Final = 0.01
_BETTER_THAN_INSIDE: Final = 0.95
_CLEARLY_MEANT: Final = 0.9
_EQUAL_WORD: Final = 0.97  # likeness from which words differ in their writing only


class _Ranked(NamedTuple):
    """Hold a candidate with what it is ranked by.

    Attributes:
        candidate: the window.
        support: how well the question fits it, 0 to 1.
        same_case: share of its content words that agree in capitalisation, 0 to 1.
    """

    candidate: Candidate
    support: float
    same_case: float

    @property
    def total(self) -> float:
        """Return the score by which places compete."""
        weighed = _SUPPORT_WEIGHT * self.support + _CASE_WEIGHT * self.same_case
        return self.candidate.score + weighed


def locate_answer(
    context: str,
    question: str,
    answer: str,
    answer_start: int,
    *,
    language: str | None,
    offsets: Offsets = UNKNOWN,
) -> AlignedSpan:
    """Find the span of an answer in its context.

    In this order: the text as it stands at its offset; where a drifting offset means; the same but
    for white space; but for case and punctuation; and, where the words of the language are known,
    in other words.

    Args:
        context: raw context.
        question: raw question, whose words tell apart equally good places.
        answer: gold text.
        answer_start: where the data set says that it stands.
        language: ISO 639-1 code of the three texts; None for one that is not known.
        offsets: what the data set as a whole shows of its offsets.

    Raises:
        InputError: a language that is not in the table.

    >>> found = locate_answer("Cerca de 89,4% são brancos.", "Quantos?", "89,4 por cento", 0,
    ...                       language="pt")
    >>> found.start_char, found.end_char, found.status
    (9, 14, 'surface')
    """
    if not answer.strip():
        return UNALIGNED
    read = read_context(context, language)
    wanted = Wanted(answer, read)
    place = offsets.place(context, answer_start)
    is_outside = place is not None and place < 0 < answer_start  # of a text cut at its beginning
    place = None if place is None or place < 0 else place
    stands = answer_start >= 0 and context.startswith(answer, answer_start)
    is_elsewhere = place != answer_start
    if stands and is_elsewhere:
        is_elsewhere = offsets.stands_by_chance(answer_start)
    drifted = wanted.at(place) if place is not None and is_elsewhere else None
    if drifted is not None:
        return found_at(drifted, wanted, DRIFTED, drifted=True)
    if stands:
        return _exact(wanted, question, answer_start, offsets)
    found = _meant(wanted, answer_start, place, offsets) if place is not None else None
    pointed = place if offsets.say_something(answer_start) else None
    by_chance = is_outside or (offsets.far_by_chance and answer_start > 0)
    found = found or find_elsewhere(wanted, question, pointed, by_chance=by_chance)
    if found is not None or is_outside or not read.lexicon.has_words:
        return found or UNALIGNED
    return _reworded(read, question, answer)


def _exact(wanted: Wanted, question: str, start: int, offsets: Offsets) -> AlignedSpan:
    """Return the span of an answer that stands where the data set says."""
    found = check_exact(wanted, question, start, offsets)
    if found.confidence > INSIDE_WORD:
        return found
    # "7" inside "1817", where a search put it: perhaps the context says "sete" where it is meant.
    other = _reworded(wanted.context, question, wanted.answer)
    is_apart = other.start_char is not None and not (
        other.start_char < start + len(wanted.answer) and start < (other.end_char or 0)
    )
    if is_apart and other.confidence >= _BETTER_THAN_INSIDE:
        return other._replace(status="moved", occurrence_changed=True)
    return found


def _meant(wanted: Wanted, start: int, place: int, offsets: Offsets) -> AlignedSpan | None:
    """Return the span that an offset means although the text does not stand there."""
    if (here := wanted.at(place)) is not None:
        return found_at(here, wanted, SURE)
    if not offsets.say_something(start):
        return None
    explained = explained_place(wanted, start, offsets) if offsets.told_unit is None else None
    first, end = max(place - NEAR, 0), place + NEAR + 1
    meant = nearest(wanted.in_blanks(first, end), place, offsets, explained) or nearest(
        wanted.in_folded(first, end), place, offsets
    )
    if meant is None:
        return None
    one, probability = meant
    is_clear = probability >= _CLEARLY_MEANT
    confidence = DRIFTED if is_clear else min(probability, AMBIGUOUS)
    return found_at(one, wanted, confidence, drifted=is_clear)


def _reworded(context: Context, question: str, answer: str) -> AlignedSpan:
    """Find an answer that the context words otherwise."""
    words = fitted_words(words_of(answer, context.lexicon), context)
    matcher = Matcher(words, context)
    candidates = matcher.candidates() if words else []
    if not candidates:
        return UNALIGNED
    evidence = QuestionEvidence(question, context)
    ranked = _rank(candidates, matcher, evidence)
    best = ranked[0]
    edges = refined_edges(best.candidate, words, context)
    start_char, end_char = context.slice(edges.start_word, edges.end_word)
    end_char = closed_end(context, start_char, end_char)
    margin = _margin(ranked)
    confidence = confidence_of(_evidence(best, edges, margin, matcher, evidence))
    if margin < _TIE:
        return AlignedSpan(start_char, end_char, "ambiguous", min(confidence, AMBIGUOUS))
    return AlignedSpan(start_char, end_char, _status(best.candidate, matcher), confidence)


def _rank(
    candidates: Sequence[Candidate], matcher: Matcher, evidence: QuestionEvidence
) -> list[_Ranked]:
    """Return the candidates that compete, best first, shorter before longer."""
    top = max(candidate.score for candidate in candidates)
    competing = [candidate for candidate in candidates if candidate.score > top - CONTENDERS]
    supports = evidence.supports(
        [candidate.start_word for candidate in competing],
        [candidate.end_word for candidate in competing],
    )
    ranked = [
        _Ranked(candidate, support, _same_case(candidate, matcher))
        for candidate, support in zip(competing, supports.tolist(), strict=True)
    ]
    return sorted(
        ranked,
        key=lambda one: (-one.total, one.candidate.end_word - one.candidate.start_word),
    )


def _same_case(candidate: Candidate, matcher: Matcher) -> float:
    content = [match for match in candidate.matches if matcher.weights[match.answer_word] >= 1.0]
    same = sum(
        matcher.answer[match.answer_word].is_capitalized
        == matcher.context.words[match.context_word].is_capitalized
        for match in content
    )
    return same / max(len(content), 1)


def _margin(ranked: Sequence[_Ranked]) -> float:
    """Return how far the next best place is behind, windows that overlap the best left out."""
    best = ranked[0].candidate
    rivals = (
        one.total
        for one in ranked
        if one.candidate.end_word <= best.start_word or one.candidate.start_word >= best.end_word
    )
    return ranked[0].total - max(rivals, default=ranked[0].total - _NO_RIVAL)


def _status(candidate: Candidate, matcher: Matcher) -> str:
    """Tell an answer written otherwise from one worded otherwise."""
    equal = {
        match.answer_word: match.context_word
        for match in candidate.matches
        if match.similarity >= _EQUAL_WORD or _is_symbol(match, matcher)
    }
    said = all(
        index in equal or _is_form(index, matcher, equal) for index in range(len(matcher.answer))
    )
    places = list(equal.values())
    is_dense = candidate.end_word - candidate.start_word == len(places)
    return "surface" if said and is_dense and places == sorted(places) else "fuzzy"


def _is_symbol(match: Match, matcher: Matcher) -> bool:
    """Tell whether one of two counterparts is a sign for the other: ``%``, ``&``."""
    answer_word = matcher.answer[match.answer_word]
    context_word = matcher.context.words[match.context_word]
    return answer_word.key in SYMBOLS or context_word.key in SYMBOLS


def _is_form(index: int, matcher: Matcher, equal: Mapping[int, int]) -> bool:
    """Tell whether a word may be missing without rewording: the first, ``por`` before ``cento``."""
    if not matcher.answer[index].is_function:
        return False
    is_part_of_sign = index + 1 in equal and matcher.context.words[equal[index + 1]].key in SYMBOLS
    return index == 0 or is_part_of_sign


def _evidence(
    best: _Ranked, edges: Edges, margin: float, matcher: Matcher, question: QuestionEvidence
) -> Evidence:
    content = sum(weight >= 1.0 for weight in matcher.weights)
    matched = sum(matcher.weights[match.answer_word] >= 1.0 for match in best.candidate.matches)
    best_support, best_sentence = question.best_place
    sentence_of = matcher.context.sentence_of
    first = sentence_of[best.candidate.start_word]
    last = sentence_of[best.candidate.end_word - 1]
    lacking = best_support - best.support
    return Evidence(
        score=best.candidate.score,
        support=best.support,
        support_gap=max(lacking, 0.0) / max(best_support, _TIE),
        fits_sentence=first <= best_sentence <= last,
        margin=margin,
        content_words=content,
        is_incomplete=matched + edges.substituted < content,
        substituted=edges.substituted,
        same_case=best.same_case,
    )
