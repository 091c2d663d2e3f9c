"""Which way of counting the answers of a data set prove, exactly or but for a few characters."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from qa_lightning.alignment.occurrences import Wanted
from qa_lightning.alignment.units import UNITS, drifted_places

PROOF: Final = 3  # answers that a way of counting explains, and nothing else does
_PROOF_BESIDE: Final = 10  # where many answers stand where characters say
_CONTRADICTED: Final = 0.05
_EXPLAINED: Final = 0.5
_SLACK: Final = 3  # characters: some tools count bytes, and their annotators miss by a letter too


@dataclass
class _Witnesses:
    """Count the answers that speak for and against each way of counting.

    Attributes:
        slack: characters by which the text may stand elsewhere than the way of counting says.
        explained: answers that stand where it says, and not where characters do.
        contradicted: answers that stand where characters say, and not where it does.
        unexplained: answers that stand at neither place, but somewhere.
        astray: answers that stand somewhere, and not where characters say.
    """

    slack: int
    explained: Counter[str] = field(default_factory=Counter)
    contradicted: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)
    astray: int = 0

    def add(self, wanted: Wanted, start: int, stands: bool) -> None:
        is_near = stands or (self.slack > 0 and self._is_hit(wanted, start, stands))
        self.astray += not is_near
        for unit, place in drifted_places(wanted.context.text, start, rounded=self.slack > 0):
            hit = self._is_hit(wanted, place, stands)
            if hit != is_near:
                (self.explained if hit else self.contradicted)[unit] += 1
            elif not hit:
                self.unexplained[unit] += 1

    def _is_hit(self, wanted: Wanted, place: int, stands: bool) -> bool:
        text, answer = wanted.context.text, wanted.answer
        if self.slack:
            return (
                text.find(answer, max(place - self.slack, 0), place + self.slack + len(answer)) >= 0
            )
        return text.startswith(answer, place) or (not stands and wanted.at(place) is not None)

    def plausible(self) -> list[str]:
        explained, against = self.explained, self.contradicted
        fitting = [
            unit
            for unit in UNITS
            if explained[unit] > against[unit]
            and explained[unit] >= _EXPLAINED * (explained[unit] + self.unexplained[unit])
        ]
        return sorted(fitting, key=lambda unit: against[unit] - explained[unit])

    def proven(self) -> str | None:
        least = max(PROOF, _EXPLAINED * self.astray)
        for unit in self.plausible():
            explained = self.explained[unit]
            if explained >= least and self.contradicted[unit] <= _CONTRADICTED * explained:
                return unit
        return None

    def proven_beside(self) -> str | None:
        """Return the way of counting of most answers that are astray, whatever the others show."""
        explained = self.explained
        unit = max(UNITS, key=lambda unit: explained[unit])
        is_proven = explained[unit] >= max(_PROOF_BESIDE, _EXPLAINED * self.astray)
        return unit if is_proven else None


class CountingTally:
    """Count what the answers of a data set show of what their offsets count."""

    def __init__(self) -> None:
        self._exact, self._near = _Witnesses(0), _Witnesses(_SLACK)

    def add(self, wanted: Wanted, start: int, *, stands: bool) -> None:
        """Add an answer, with whether it stands at its offset."""
        if stands or wanted.in_blanks():
            self._exact.add(wanted, start, stands)
            self._near.add(wanted, start, stands)

    def plausible(self) -> tuple[str, ...]:
        """Return the ways of counting that explain more than they leave, best first."""
        return tuple(self._exact.plausible())

    def proven(self) -> str | None:
        """Return the way of counting that explains most answers that are astray."""
        return self._exact.proven() or self._near.proven()

    def proven_beside(self) -> str | None:
        """Return the one that explains most answers that are astray, beside many that are not.

        Two files in one: where characters are counted, labels stand, and stay.
        """
        return self._exact.proven_beside()
