"""What to try next: rules, each with the condition that it is stated under."""

from collections.abc import Callable
from typing import Final, NamedTuple

from qa_lightning.reports.run.findings import (
    UNTRUSTED,
    Findings,
    Judged,
    outcomes_by_part,
)
from qa_lightning.reports.run.training_rules import (
    left_out,
    not_learning,
    overfitted,
    padding,
    still_rising,
)

_SHARE: Final = 0.1  # of the wrong answers: fewer are no reason to change something
_FEWEST: Final = 20  # questions of a part
_WEAKER: Final = 15.0  # F1 that a part has less than the whole
_FAR: Final = 0.5  # of the best F1 in reach


class Rule(NamedTuple):
    """Hold a rule.

    Attributes:
        name: of what it looks at.
        stated: when it speaks.
        look: returns what it says, or None.
    """

    name: str
    stated: str
    look: Callable[[Findings], str | None]


class Advice(NamedTuple):
    """Hold what a rule says of a run."""

    name: str
    text: str
    stated: str


def advice(found: Findings) -> list[Advice]:
    """Return what the rules say of a run, in their order."""
    told = ((rule, rule.look(found)) for rule in RULES)
    return [Advice(rule.name, text, rule.stated) for rule, text in told if text is not None]


def _share_of_wrong(found: Findings, holds: Callable[[Judged], bool]) -> tuple[int, str] | None:
    """Return how many of the wrong answers are so, and how that is said, if they are many."""
    count = sum(holds(each) for each in found.wrong)
    if not count or count < _SHARE * len(found.wrong):
        return None
    share = 100 * count / len(found.wrong)
    return count, f"{count:,} of {len(found.wrong):,} wrong answers ({share:.0f} %)"


def _labels(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: each.status in UNTRUSTED)
    if told is None:
        return None
    return (
        f"{told[1]} are to questions whose gold answer is not found in the text: no extractive "
        "model can be right there. `qa-lightning audit` shows them."
    )


def _long(found: Findings) -> str | None:
    longest = found.setting("evaluation.max_answer_length", 30)
    told = _share_of_wrong(found, lambda each: each.gold_words > longest)
    if told is None:
        return None
    return (
        f"The gold answers of {told[1]} have more than {longest} words, and "
        "`evaluation.max_answer_length` counts tokens, of which there are more still. Raise it."
    )


def _unheld(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: bool(each.spans) and not each.is_in_a_window)
    if told is None:
        return None
    return (
        f"No window holds the whole gold answer of {told[1]}. Raise `data.doc_stride` to the "
        "longest answer's tokens, or `data.max_length`."
    )


def _outranked(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: bool(each.rank_of_gold) and bool(each.given))
    if told is None:
        return None
    elsewhere = sum(
        bool(each.rank_of_gold) and bool(each.given) and not _shares_a_window(each)
        for each in found.wrong
    )
    return (
        f"The right answer is among the n best of {told[1]}, and another won; {elsewhere:,} times "
        "one of another window. Windows that compete in training do so better at prediction: try "
        "`model.objective: document`, more `data.negative_windows`, or another "
        "`evaluation.window_scoring`."
    )


def _shares_a_window(each: Judged) -> bool:
    start, end = each.record["given"] or (0, 0)
    return any(
        low <= min(start, gold[0]) and max(end, gold[1]) <= high
        for gold in each.spans
        for low, high in each.record["windows"]
    )


def _unlearned(found: Findings) -> str | None:
    reach = found.ceiling.get("f1", 100.0)
    score = found.run.scores.get("f1") if found.run else None
    if not isinstance(score, int | float) or score > _FAR * reach or not found.wrong:
        return None
    missed = sum(each.is_in_a_window and each.rank_of_gold is None for each in found.wrong)
    if missed < len(found.wrong) / 2:
        return None
    return (
        f"F1 {score:.1f} is far from the {reach:.1f} in reach, and of {missed:,} of "
        f"{len(found.wrong):,} wrong answers ({100 * missed / len(found.wrong):.0f} %) the gold is "
        "in a window and not even among the n best: the network has not learned to find answers. "
        "More steps (`trainer.max_epochs`), more data, or a checkpoint that was trained on "
        "questions (`model.model_name_or_path`); see below whether train/loss falls."
    )


def _labels_of_part(found: Findings) -> str | None:
    untrusted = [each.status in UNTRUSTED for each in found.judged]
    whole = sum(untrusted) / max(1, len(untrusted))
    shares = {
        (kind, value): sum(each.status in UNTRUSTED for each in members) / len(members)
        for kind, value, members in outcomes_by_part(found)
        if len(members) >= _FEWEST and kind != "alignment"
    }
    worst = max(shares, key=shares.__getitem__, default=None)
    if worst is None or shares[worst] < max(0.3, 2 * whole):
        return None
    return (
        f"Of the questions with {worst[0].replace('_', ' ')} {worst[1]}, "
        f"{100 * shares[worst]:.0f} % have a gold answer that is not found in the text "
        f"({100 * whole:.0f} % of all): their scores say little of the model. "
        "`qa-lightning audit` shows these labels."
    )


def _near(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: each.outcome == "near")
    if told is None:
        return None
    return (
        f"{told[1]} have some of the right words: ends are off, or the gold is worded otherwise. "
        "Look at them below; `evaluation.word_borders` and `data.alignment: repair` help where "
        "ends are cut."
    )


def _silent(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: not each.given and each.has_answer)
    if told is None:
        return None
    return (
        f"{told[1]} say that there is no answer where there is one. The threshold is fitted on "
        "validation for the best F1; `evaluation.null_score_threshold` raises it."
    )


def _invented(found: Findings) -> str | None:
    told = _share_of_wrong(found, lambda each: bool(each.given) and not each.has_answer)
    if told is None:
        return None
    return (
        f"{told[1]} answer a question that has no answer. Train on more such questions, or lower "
        "`evaluation.null_score_threshold`."
    )


def _weak_part(found: Findings) -> str | None:
    if found.run is None:
        return None
    whole = float(found.run.scores.get("f1") or 0.0)
    parts = [
        part for part in found.run.scores.get("slices", ())
        if part["count"] >= _FEWEST and part["f1"] < whole - _WEAKER
    ]  # fmt: skip
    if not parts:
        return None
    named = ", ".join(
        f"{part['name']} {part['value']} ({part['f1']:.0f} of {part['count']:,})"
        for part in sorted(parts, key=lambda part: float(part["f1"]))[:3]
    )
    return (
        f"Weak parts of the data, beside an F1 of {whole:.0f}: {named}. More training data there."
    )


def _overconfident(found: Findings) -> str | None:
    error = found.run.scores.get("calibration_error") if found.run else None
    if not isinstance(error, int | float) or error < 0.1 or len(found.judged) < _FEWEST:
        return None
    mean = sum(float(each.record["confidence"]) for each in found.judged) / len(found.judged)
    right = 1 - len(found.wrong) / len(found.judged)
    return (
        f"Confidences are off by {100 * error:.0f} % on average (they say {100 * mean:.0f} %, "
        f"{100 * right:.0f} % are right). Validate on data like that you will ask about: the "
        "temperature is fitted there."
    )


def _few(found: Findings) -> str | None:
    if found.run is None or len(found.judged) >= 200:
        return None
    low, high = (found.run.scores.get(f"f1_{end}") for end in ("low", "high"))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return (
        f"{len(found.judged):,} questions: F1 is known to be {low:.0f} to {high:.0f}, no closer. "
        "Validate on more before choosing by it."
    )


def _at_ceiling(found: Findings) -> str | None:
    ceiling = found.ceiling.get("f1")
    score = found.run.scores.get("f1") if found.run else None
    if not isinstance(ceiling, int | float) or not isinstance(score, int | float):
        return None
    if ceiling > 97 or score < 0.95 * ceiling:
        return None
    return (
        f"F1 {score:.1f} is near the best that any span can reach on these labels ({ceiling:.1f}): "
        "better gold answers, not a better model, would raise it."
    )


RULES: Final = (
    Rule("labels", "a tenth of the wrong answers have a gold answer that is not found", _labels),
    Rule(
        "labels of a part",
        "a part of 20 questions or more has 30 % whose gold is not found, twice as many as all",
        _labels_of_part,
    ),
    Rule(
        "long answers", "a tenth of the wrong answers' golds have more words than the limit", _long
    ),
    Rule("windows", "no window holds the gold of a tenth of the wrong answers", _unheld),
    Rule("choice", "the gold is among the n best of a tenth of the wrong answers", _outranked),
    Rule(
        "not learned",
        "F1 is below half of the best in reach, and the gold is in a window and not among the n "
        "best of half of the wrong answers",
        _unlearned,
    ),
    Rule("ends", "a tenth of the wrong answers share words with the gold", _near),
    Rule("silence", "a tenth of the wrong answers are none where there is one", _silent),
    Rule("invention", "a tenth of the wrong answers are given where there is none", _invented),
    Rule("weak parts", "a part of 20 questions or more has an F1 lower by 15", _weak_part),
    Rule(
        "too short", "F1 rose by 1 or more at the last of three or more validations", still_rising
    ),
    Rule("too long", "val/loss ended a tenth above its least, and F1 was best before", overfitted),
    Rule(
        "no learning", "train/loss fell by less than 5 % from first to last quarter", not_learning
    ),
    Rule("padding", "a quarter of the computed tokens are padding", padding),
    Rule("left out", "a tenth of the training questions were left out", left_out),
    Rule("confidence", "the calibration error is 0.1 or more", _overconfident),
    Rule("few questions", "fewer than 200 questions were scored", _few),
    Rule("ceiling", "F1 is within 5 % of the best in reach, which is below 97", _at_ceiling),
)
