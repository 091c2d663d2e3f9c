"""What comparing gives: figures, differences, and the answers that changed."""

from dataclasses import dataclass

from qa_lightning.comparison.settings import Pair


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold a figure of one setting, the mean over its seeds.

    Attributes:
        value: in its own unit: scores 0 to 100, Brier score and calibration error 0 to 1.
        low: lower end of its 95 % interval, over contexts and seeds.
        high: upper end.
        spread: standard deviation over seeds; None of one seed.
        by_seed: the value of each seed.
    """

    value: float
    low: float
    high: float
    spread: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold what the second setting has more of a figure than the first.

    Attributes:
        name: ``exact_match``, ``f1``, ``brier_score`` or ``calibration_error``.
        kind: what the data is parted by; ``""`` for all of it.
        part: the part's name.
        count: questions in it.
        contexts: that they are on.
        first: the first setting's mean over seeds.
        second: the second's.
        value: the second less the first.
        low: lower end of the 95 % paired bootstrap interval.
        high: upper end.
        p: of the randomisation test that swaps contexts; None where there is none: of a part on
            fewer than six contexts, whatever they answer, it could not be below 0.05.
        p_corrected: for the number of settings, and of parts, that were looked at (Holm); None of
            all questions where one setting is compared.
        p_seeds: of swapping whole runs; None where there are too few seeds.
    """

    name: str
    kind: str
    part: str
    count: int
    contexts: int
    first: float
    second: float
    value: float
    low: float
    high: float
    p: float | None
    p_corrected: float | None
    p_seeds: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """Hold a question that one setting answers better than the other.

    Attributes:
        id: the question's.
        question: its text.
        golds: its gold texts.
        first: what the first setting's runs answered.
        second: what the second's did.
        exact_match: the second's mean less the first's.
        f1: the second's mean less the first's.
        excerpts: ``[start_char, text]`` of the context, where it is kept.
    """

    id: str
    question: str
    golds: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    exact_match: float
    f1: float
    excerpts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Hold a setting as it is told of.

    Attributes:
        letter: by which it is called, ``A`` of the first.
        name: folders of its runs.
        seeds: of each run.
        figures: by name.
    """

    letter: str
    name: str
    seeds: tuple[int | None, ...]
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold what the second setting has more than the first.

    Attributes:
        stage: ``val`` or ``test``.
        questions: that both answered.
        left_out: questions that only some runs have, or have otherwise.
        contexts: that the questions are on.
        paired_seeds: the seeds of both are the same.
        first: setting that is compared with.
        second: setting that is compared.
        overall: differences of all scores on all questions.
        parts: differences of exact match and F1 on each part of the data.
        won: answers that the second has better, the most first.
        lost: answers that it has worse.
        made: what differs in configuration, data and versions: what, of the first, of the second.
    """

    stage: str
    questions: int
    left_out: int
    contexts: int
    paired_seeds: bool
    first: Compared
    second: Compared
    overall: tuple[Difference, ...]
    parts: tuple[Difference, ...]
    won: tuple[Change, ...]
    lost: tuple[Change, ...]
    made: tuple[Pair, ...]
