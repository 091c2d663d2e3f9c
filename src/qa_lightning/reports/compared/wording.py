"""How figures of a comparison are written, wherever they stand."""

from collections.abc import Sequence

from qa_lightning.comparison import LEVEL, Comparison, Difference, Figure

NAMES = {
    "exact_match": "EM",
    "f1": "F1",
    "brier_score": "Brier score",
    "calibration_error": "calibration error",
}
LOWER_IS_BETTER = ("brier_score", "calibration_error")


def number(name: str, value: float, *, signed: bool = False) -> str:
    """Return a figure with the digits that it deserves.

    >>> number("f1", 81.23), number("brier_score", -0.01234, signed=True)
    ('81.2', '-0.012')
    """
    digits = 3 if name in LOWER_IS_BETTER else 1
    return f"{value:{'+' if signed else ''}.{digits}f}"


def interval(entry: Difference) -> str:
    """Return a difference's interval; of a part on few contexts it would promise too much."""
    if entry.kind and entry.p is None:
        return ""
    return " to ".join(number(entry.name, end, signed=True) for end in (entry.low, entry.high))


def spread(name: str, figure: Figure) -> str:
    """Return a setting's figure, with the spread of its seeds or else its interval."""
    if figure.spread is not None:
        return f"{number(name, figure.value)} ± {number(name, figure.spread)}"
    return (
        f"{number(name, figure.value)} ({number(name, figure.low)} to {number(name, figure.high)})"
    )


def p_value(p: float | None) -> str:
    """Return a p-value.

    >>> p_value(0.04321), p_value(0.00002), p_value(None)
    ('0.043', '< 0.001', '')
    """
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_of(entry: Difference) -> str:
    """Return the p-value that a difference is judged by."""
    if entry.kind and entry.p is None:
        return "few"
    return p_value(entry.p if entry.p_corrected is None else entry.p_corrected)


def is_unlikely(entry: Difference) -> bool:
    """Say whether chance gives such a difference rarely, corrected for what was looked at."""
    p = entry.p if entry.p_corrected is None else entry.p_corrected
    return p is not None and p < LEVEL


def is_sure(entry: Difference) -> bool:
    """Say whether a difference is more than chance, that of the seeds included."""
    return is_unlikely(entry) and (entry.low > 0 or entry.high < 0)


def verdict(comparison: Comparison) -> str:
    """Return in a sentence what the F1 says."""
    f1 = next(entry for entry in comparison.overall if entry.name == "f1")
    is_one_of_several = f1.p_corrected is not None
    pair = f"{comparison.second.letter} less {comparison.first.letter}: " * is_one_of_several
    told = (
        f"{pair}F1 {number('f1', f1.first)} → {number('f1', f1.second)}: "
        f"{number('f1', f1.value, signed=True)} (95 %: {interval(f1)}, "
        f"p{' corrected' * is_one_of_several} {p_of(f1)})"
    )
    if f1.value == 0 and f1.low == f1.high:
        return f"{told}: no answer's score differs."
    if is_unlikely(f1) and not is_sure(f1):
        return (
            f"{told}: these runs differ by more than chance, but their seeds differ so much that "
            "others might not."
        )
    return f"{told}: {'more' if is_sure(f1) else 'no more'} than chance would give."


def cautions(comparison: Comparison) -> Sequence[str]:
    """Return what a reader has to know of the figures."""
    told = []
    if comparison.left_out:
        told.append(
            f"{comparison.left_out:,} questions that not all runs have alike are left out: these "
            "are no scores of the whole split."
        )
    if comparison.contexts < 20:
        told.append(f"{comparison.contexts} contexts: intervals from so few are too narrow.")
    runs = (len(comparison.first.seeds), len(comparison.second.seeds))
    if min(runs) == 1:
        told.append(
            "One seed of a setting: intervals and p say how sure these runs differ on such "
            "questions, not what another seed would give."
        )
    elif max(runs) < 6:
        told.append(
            f"{runs[0]} and {runs[1]} seeds: p is of these runs on such questions; 'p of seeds', "
            "of swapping whole runs, cannot be small with so few."
        )
    return told


def scale(entries: Sequence[Difference]) -> float:
    """Return the greatest distance from 0 of any interval's end, for drawing."""
    shown = (entry for entry in entries if interval(entry))
    ends = (abs(end) for entry in shown for end in (entry.low, entry.high))
    return max(ends, default=0.0) or 1.0
