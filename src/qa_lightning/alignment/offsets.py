"""What the offsets of a data set are worth: what they count, how far they drift, or nothing.

One offset cannot tell whether it is a person's or a missing value, or whether the tool counted
bytes; a file of them can. It is measured once, before any answer is looked for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import pow  # of floats alone
from typing import Final, NamedTuple

from qa_lightning.alignment.contexts import Context, read_context
from qa_lightning.alignment.counting import PROOF, CountingTally
from qa_lightning.alignment.lexicon import lexicon_of
from qa_lightning.alignment.neighbours import OTHER_TEXT, Anchor, Neighbours, NeighboursTally, Scale
from qa_lightning.alignment.occurrences import NEAR, Occurrence, Wanted, is_whole
from qa_lightning.alignment.rivals import best_rival, is_clearly_better
from qa_lightning.alignment.units import UNITS, drifted_places, place_in

_MISSED: Final = 3
_CONSTANT: Final = 0.9
# What is believed of drifts and of whole words before a file shows its own, in answers.
_PRIOR_DRIFTS: Final = 4.0
_PRIOR_WORDS: Final = 10.0
_PRIOR_WHOLE: Final = 0.95
_UNPROVEN: Final = 7  # drift that is as likely as a way of counting which one answer alone shows
_STEEPNESS: Final = 2.5
_PRIOR_SUM: Final = sum(pow(1 + abs(drift), -_STEEPNESS) for drift in range(-NEAR, NEAR + 1))
# Of answers that stand at the first of their places, the question clearly fits another one better:
# of 3.6 % where people chose (XQuAD), of 18 % where a search did (squad_v1_pt; 14 % of XQuAD, each
# answer put at its first hit). So many, and such a share, prove the search.
_REFUTED: Final = 10
_REFUTED_SHARE: Final = 0.1
_FIRST: Final = 0.98
# Of XQuAD's answers 10 % stand in their context twice; so it is believed of a file of few.
_PRIOR_TWICE: Final = 2
_PRIOR_EXACT: Final = 20
_BY_CHANCE: Final = 3  # times as many as chance explains: too many of them are not meant


class Stated(NamedTuple):
    """Hold what a data set says of one answer.

    Attributes:
        context: raw context.
        question: raw question.
        text: gold text.
        start: where it is said to stand.
    """

    context: str
    question: str
    text: str
    start: int


@dataclass(frozen=True)
class Offsets:
    """Hold what is known of the offsets of a data set; nothing by default.

    Attributes:
        unit: what they count in place of characters, of `units.UNITS`, where that is proven.
        is_mixed: only those at which the text does not stand count that; the others characters.
        scale: how they go with the characters of the contexts, where no unit explains them, and
            the answers of each context prove that they point into another text.
        neighbours: what the answers of the context at hand show of such offsets.
        plausible: what single ones may count.
        drifts: characters from the offset to the text, of answers near it, to their number.
        whole: answers that stand as whole words.
        partial: answers that stand inside words.
        far_by_chance: what stands, letter for letter, far from its offset alone does so by chance:
            documents were cut after they were labelled, and most such answers are gone.
        zero_counts: an offset of 0 says as much as others; it is what missing ones look like.
        zeros_are_noise: an offset of 0 stands for a missing one.
        are_noise: offsets at which the text does not stand say nothing.
        are_searched: exact ones are the first hit of a search: questions prove that nobody chose.
    """

    unit: str | None = None
    is_mixed: bool = False
    scale: Scale | None = None
    neighbours: Neighbours | None = None
    plausible: tuple[str, ...] = tuple(UNITS)
    drifts: Mapping[int, int] = field(default_factory=dict)
    whole: int = 0
    partial: int = 0
    far_by_chance: bool = False
    zero_counts: bool = False
    zeros_are_noise: bool = False
    are_noise: bool = False
    are_searched: bool = False

    @property
    def told_unit(self) -> str | None:
        """Return what they count, in the words of the audit; None for characters."""
        return OTHER_TEXT if self.scale is not None else self.unit

    def say_something(self, start: int) -> bool:
        """Tell whether an offset at which its text does not stand tells the place at all."""
        return not self.are_noise and (start > 0 or (start == 0 and self.zero_counts))

    def place(self, context: str, start: int, *, but: Anchor | None = None) -> int | None:
        """Return the character that an offset means by the proven way of counting; None of none.

        Args:
            context: raw context.
            start: the offset.
            but: what the answer in question shows of offsets, which proves nothing of itself.
        """
        if start < 0:  # a missing one
            return None
        if self.neighbours is not None:
            return self.neighbours.place(start, but=but)
        return place_in(context, self.unit, start) if self.unit else start

    def stands_by_chance(self, start: int) -> bool:
        """Tell whether a text at its offset may be meant where that points by another count."""
        around = self.neighbours
        return not (self.is_mixed or (around is not None and around.stand_near(start)))

    def weight(self, one: Occurrence, drift: int) -> float:
        """Return how likely an occurrence is meant by an offset off by so many characters."""
        prior = _PRIOR_DRIFTS * pow(1 + abs(drift), -_STEEPNESS) / _PRIOR_SUM
        seen = self.whole + self.partial
        whole = (self.whole + _PRIOR_WORDS * _PRIOR_WHOLE) / (seen + _PRIOR_WORDS)
        return (self._seen(drift) + prior) * (whole if one.is_whole else 1.0 - whole)

    def _seen(self, drift: int) -> float:
        """Return what the drifts of the data set say for one, in answers.

        One that nearly all share is that of the others too. Otherwise an answer that is off by
        some characters shows that others are off by as many or fewer, to either side.
        """
        whole = sum(self.drifts.values())
        if max(self.drifts.values(), default=0) >= max(PROOF, _CONSTANT * whole):
            return self.drifts.get(drift, 0)
        return sum(
            number / (2 * abs(other) or 1)
            for other, number in self.drifts.items()
            if abs(other) >= abs(drift)
        )


UNKNOWN: Final = Offsets()


def nearest(
    found: Sequence[Occurrence], place: int, offsets: Offsets, explained: Occurrence | None = None
) -> tuple[Occurrence, float] | None:
    """Return the occurrence that an offset means, and how likely it is that one; None of none.

    Args:
        found: occurrences near the offset.
        place: the character at which the offset points.
        offsets: what the data set shows.
        explained: where the text stands by a way of counting that the data set does not prove.
    """
    weights = {one: offsets.weight(one, one.start_char - place) for one in found}
    if explained is not None:
        unproven = offsets.weight(explained, _UNPROVEN)
        weights[explained] = max(weights.get(explained, 0.0), unproven)
    if not weights:
        return None
    best = max(weights, key=lambda one: (weights[one], -one.start_char))
    return best, weights[best] / sum(weights.values())


def explained_place(wanted: Wanted, start: int, offsets: Offsets) -> Occurrence | None:
    """Return where an answer stands by what its offset may count in place of characters."""
    places = dict(drifted_places(wanted.context.text, start))
    for unit in offsets.plausible:
        found = wanted.at(places[unit]) if unit in places else None
        if found is not None and found.is_whole:
            return found
    return None


@dataclass
class _Tally:
    """Count what the answers of a data set show of its offsets."""

    counting: CountingTally = field(default_factory=CountingTally)
    neighbours: NeighboursTally = field(default_factory=NeighboursTally)
    drifts: Counter[int] = field(default_factory=Counter)
    whole: Counter[bool] = field(default_factory=Counter)
    repeated: list[Stated] = field(default_factory=list)
    first: int = 0
    exact: int = 0
    far: int = 0
    gone: int = 0
    zero_near: int = 0
    zero_missed: int = 0

    def add_exact(self, one: Stated) -> None:
        self.whole[is_whole(one.context, one.start, one.start + len(one.text))] += 1
        self.exact += 1
        first = one.context.find(one.text)
        if one.context.find(one.text, first + 1) >= 0:
            self.repeated.append(one)
            self.first += first == one.start

    def add_missed(self, wanted: Wanted, start: int, place: int | None) -> None:
        place = start if place is None else place
        first, end = max(place - NEAR, 0), max(place + NEAR + 1, 0)
        near = wanted.in_blanks(first, end) or wanted.in_folded(first, end)
        if start <= 0:
            self.zero_near += bool(near)
            self.zero_missed += not near
        else:
            self.far += not near and bool(wanted.in_blanks())
            self.gone += not (near or wanted.in_blanks() or wanted.in_folded())
        if len(near) == 1:
            self.drifts[near[0].start_char - place] += 1
            self.whole[near[0].is_whole] += 1

    def offsets(self, language: str | None) -> Offsets:
        near = self.drifts.total()
        # As often as other answers stand twice, one whose place is gone still stands somewhere.
        twice = (len(self.repeated) + _PRIOR_TWICE) / (self.exact + _PRIOR_EXACT)
        by_chance = self.gone * twice / (1.0 - twice)
        zeros_are_noise = self.zero_missed >= _MISSED and self.zero_missed > self.zero_near
        are_noise = self.far >= _MISSED and self.far > _MISSED * near
        is_search = zeros_are_noise or are_noise
        is_search = is_search and self.first >= _FIRST * len(self.repeated)
        return Offsets(
            plausible=self.counting.plausible(),
            drifts=dict(self.drifts),
            whole=self.whole[True],
            partial=self.whole[False],
            far_by_chance=self.gone >= _MISSED and self.far <= _BY_CHANCE * by_chance,
            zeros_are_noise=zeros_are_noise,
            zero_counts=self.zero_near >= _MISSED and not zeros_are_noise,
            are_noise=are_noise,
            are_searched=is_search and _are_refuted(self.repeated, language),
        )


def _read(context: str) -> Context:
    return read_context(context, None)


def _are_refuted(repeated: Iterable[Stated], language: str | None) -> bool:
    """Tell whether questions fit other places of their answers better than chance allows.

    People too choose the first place, and of most answers it is the right one: that all stand
    there, and that others do not stand where they should, proves no search.
    """
    if not lexicon_of(language).has_words:
        return False
    refuted: dict[tuple[str, str], bool] = {}  # questions on one answer are one witness
    for one in repeated:
        wanted = Wanted(one.text, read_context(one.context, language))
        end = one.start + len(one.text)
        given = Occurrence(one.start, end, is_whole(one.context, one.start, end))
        here, rival = best_rival(wanted, one.question, given)
        if rival is not None:
            key = one.context, one.text
            refuted[key] = refuted.get(key, False) or is_clearly_better(rival, here)
    return sum(refuted.values()) >= max(_REFUTED, _REFUTED_SHARE * len(refuted))


def measure_offsets(answers: Iterable[Stated], language: str | None) -> Offsets:
    """Return what the answers of a data set show of its offsets.

    Args:
        answers: all of them, those of one context in a row.
        language: ISO 639-1 code of the data; None for one that is not known.
    """
    tally = _Tally()
    missed: list[tuple[Stated, Anchor | None]] = []
    for one in answers:
        stands = one.start >= 0 and one.context.startswith(one.text, one.start)
        if one.text.strip():
            wanted = Wanted(one.text, _read(one.context))
            tally.counting.add(wanted, one.start, stands=stands)
            anchor = tally.neighbours.add(wanted, one.start, stands=stands)
            if stands:
                tally.add_exact(one)
            else:
                missed.append((one, anchor))
    unit = tally.counting.proven()
    beside = tally.counting.proven_beside() if unit is None else None
    unit = unit or beside
    scale = tally.neighbours.proven() if unit is None else None
    for context, group in groupby(missed, key=lambda pair: pair[0].context):
        known = Offsets(unit=unit)
        if scale is not None:
            known = Offsets(neighbours=tally.neighbours.of(context, scale))
        for one, anchor in group:
            place = known.place(context, one.start, but=anchor)
            tally.add_missed(Wanted(one.text, _read(context)), one.start, place)
    measured = tally.offsets(language)
    return replace(measured, unit=unit, is_mixed=beside is not None, scale=scale)
