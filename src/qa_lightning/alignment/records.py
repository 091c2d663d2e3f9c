"""The records of alignment: one answer's span, and the account of a whole data set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, Final, NamedTuple, Self

STATUSES: Final = ("exact", "moved", "surface", "fuzzy", "ambiguous", "unaligned")


class AlignedSpan(NamedTuple):
    """Hold what alignment found for one answer.

    Attributes:
        start_char: first character in the raw context; None where nothing was found.
        end_char: one past the last character; None where nothing was found.
        status: one of `STATUSES`.
        confidence: estimated probability, 0 to 1, that the span is the answer's right place.
        occurrence_changed: the text stood at ``answer_start``, but another occurrence fits the
            question clearly better.
        inside_word: the span begins or ends inside a larger word or number.
        inside_letter: it begins or ends inside a letter, between it and its accent or vowel sign.
        drifted: the offset was off, and tells the place all the same.
    """

    start_char: int | None
    end_char: int | None
    status: str
    confidence: float
    occurrence_changed: bool = False
    inside_word: bool = False
    inside_letter: bool = False
    drifted: bool = False


UNALIGNED: Final = AlignedSpan(None, None, "unaligned", 0.0)


class ShownAnswer(NamedTuple):
    """Hold one answer of an audit, to look at.

    Attributes:
        id: its question's.
        question: what was asked.
        answer: the gold text of the data.
        status: one of `STATUSES`.
        confidence: of the place that was found.
        trusted: it keeps a span under policy and threshold.
        before: some of the context in front of the place.
        found: the place's own text; empty where none was found.
        after: some of the context after it.
    """

    id: str
    question: str
    answer: str
    status: str
    confidence: float
    trusted: bool
    before: str
    found: str
    after: str


@dataclass(frozen=True)
class AlignmentAudit:
    """Hold the account of one run of alignment, in plain types.

    Attributes:
        policy: the policy asked for.
        threshold: confidence from which a span was trusted.
        examples: number of examples that came in.
        unanswerable: examples without any gold answer.
        answers: number of gold answers.
        by_status: answers by status, every status of `STATUSES` named.
        trusted: answers that keep a span under policy and threshold.
        repaired: trusted answers whose text does not stand at ``answer_start``, or stands there
            and was moved to a better occurrence.
        changed_occurrences: answers moved from ``answer_start`` to another occurrence.
        inside_words: answers that were left inside larger words.
        without_span: examples with answers but without a trusted span.
        dropped: examples left out because of that.
        unheld: examples with trusted spans none of which lies wholly in one window; None where
            there was no tokenizer to make windows.
        unheld_ids: the first of their ids.
        ceilings: the best official scores (0 to 100) that any extractive model can reach, by
            name: ``exact_match`` and ``f1``, and with a suffix under stated limits.
        language: code of the texts' language; None where it is not known.
        drifted: answers found by offsets that were off.
        offset_unit: what the offsets of the data count in place of characters, where the answers
            prove it.
        offsets_are_noise: offsets at which the text does not stand say nothing about its place.
        only_zeros_are_noise: of those only 0 and less, which stand for missing ones.
        places_are_searched: exact answers stand where a search found them first: so many questions
            fit another place of their answer that nobody can have chosen.
        inside_letters: answers that were left although they cut a letter from its accent or vowel
            sign.
        shown: some answers to look at, of every status. They are texts of the data, which
            ``to_dict`` and so reports, checkpoints and trackers do not get.
    """

    policy: str
    threshold: float
    examples: int
    unanswerable: int
    answers: int
    by_status: Mapping[str, int]
    trusted: int
    repaired: int
    changed_occurrences: int
    inside_words: int
    without_span: int
    dropped: int
    unheld: int | None = None
    unheld_ids: Sequence[str] = ()
    ceilings: Mapping[str, float] = field(default_factory=dict)
    language: str | None = None
    drifted: int = 0
    offset_unit: str | None = None
    offsets_are_noise: bool = False
    only_zeros_are_noise: bool = False
    places_are_searched: bool = False
    inside_letters: int = 0
    shown: Sequence[ShownAnswer] = field(default=(), repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain, JSON-ready types, without texts of the data."""
        return {name: value for name, value in asdict(self).items() if name != "shown"}

    def _repr_html_(self) -> str:
        """Show how many answers have which status, and some of them in their places."""
        from qa_lightning.alignment.shown import shown_html

        answers = max(self.answers, 1)
        rows = "".join(
            f"<tr><td>{status}</td><td>{count:,}</td><td>{count / answers:.1%}</td></tr>"
            for status, count in self.by_status.items()
        )
        return (
            f"<table><caption>{self.answers:,} answers of {self.examples:,} questions under "
            f"<code>{escape(self.policy)}</code>: {self.trusted:,} trusted, {self.repaired:,} of "
            f"them repaired; {self.dropped:,} questions left out</caption><thead><tr><th>status"
            f"</th><th>answers</th><th>share</th></tr></thead><tbody>{rows}</tbody></table>"
            f"{shown_html(self.shown)}"
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild an audit from what `to_dict` returned, with answers to look at or without."""
        shown = tuple(ShownAnswer(*each) for each in values.get("shown", ()))
        ids = tuple(values.get("unheld_ids", ()))
        return cls(**{**values, "unheld_ids": ids, "shown": shown})
