"""What to try next: rules, each with the condition that it is stated under."""

from collections.abc import Callable
from typing import Final, NamedTuple

from qa_lightning.reports.run.findings import UNTRUSTED, Findings, Judged

_SHARE: Final = 0.1  # of the wrong answers: fewer are no reason to change something
_FEWEST: Final = 20  # questions of a part
_WEAKER: Final = 15.0  # F1 that a part has less than the whole


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


def _still_rising(found: Findings) -> str | None:
    scores = found.series("val/f1")
    if len(scores) < 3 or scores[-1][1] < max(value for _, value in scores):
        return None
    gain = scores[-1][1] - scores[-2][1]
    if gain < 1.0:
        return None
    return (
        f"F1 still rose by {gain:.1f} at the last validation, which is the best: train longer "
        "(`trainer.max_epochs`)."
    )


def _overfitted(found: Findings) -> str | None:
    losses, scores = found.series("val/loss"), found.series("val/f1")
    if len(losses) < 3 or len(scores) < 3:
        return None
    best = max(scores, key=lambda at: at[1])
    least = min(losses, key=lambda at: at[1])
    if losses[-1][1] < 1.1 * least[1] or best[0] == scores[-1][0]:
        return None
    return (
        f"val/loss rose from {least[1]:.2f} (step {least[0]:,}) to {losses[-1][1]:.2f}, and F1 was "
        f"best at step {best[0]:,}: fewer epochs, a lower `model.learning_rate`, or more data. "
        "best.ckpt is of that step."
    )


def _not_learning(found: Findings) -> str | None:
    losses = found.series("train/loss")
    if len(losses) < 4:
        return None
    quarter = max(1, len(losses) // 4)
    first, last = (
        sum(value for _, value in part) / quarter for part in (losses[:quarter], losses[-quarter:])
    )
    if last < 0.95 * first:
        return None
    return (
        f"train/loss hardly fell ({first:.2f} → {last:.2f}). Try a `model.learning_rate` three "
        "times as high and three times as low, with `model.warmup_ratio: 0.1`; look at the norm of "
        "the gradient."
    )


def _padding(found: Findings) -> str | None:
    shares = [value for _, value in found.series("train/padding_share")]
    if not shares or sum(shares) / len(shares) < 0.25:
        return None
    return (
        f"{100 * sum(shares) / len(shares):.0f} % of the computed tokens are padding: "
        "`data.group_by_length: true` and `data.pad_to: longest`."
    )


def _left_out(found: Findings) -> str | None:
    audit = found.provenance.get("label_audit")
    if not isinstance(audit, dict) or not audit.get("answers"):
        return None
    dropped = int(audit.get("dropped", 0))
    share = dropped / max(1, int(audit.get("examples", 0)))
    if share < _SHARE:
        return None
    return (
        f"{dropped:,} questions ({100 * share:.0f} %) were left out of training, since their "
        "answers are not found in the text. A lower `data.alignment_threshold` uses more; "
        "`qa-lightning audit --html` shows what it would trust."
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
        "long answers", "a tenth of the wrong answers' golds have more words than the limit", _long
    ),
    Rule("windows", "no window holds the gold of a tenth of the wrong answers", _unheld),
    Rule("choice", "the gold is among the n best of a tenth of the wrong answers", _outranked),
    Rule("ends", "a tenth of the wrong answers share words with the gold", _near),
    Rule("silence", "a tenth of the wrong answers are none where there is one", _silent),
    Rule("invention", "a tenth of the wrong answers are given where there is none", _invented),
    Rule("weak parts", "a part of 20 questions or more has an F1 lower by 15", _weak_part),
    Rule(
        "too short", "F1 rose by 1 or more at the last of three or more validations", _still_rising
    ),
    Rule("too long", "val/loss ended a tenth above its least, and F1 was best before", _overfitted),
    Rule(
        "no learning", "train/loss fell by less than 5 % from first to last quarter", _not_learning
    ),
    Rule("padding", "a quarter of the computed tokens are padding", _padding),
    Rule("left out", "a tenth of the training questions were left out", _left_out),
    Rule("confidence", "the calibration error is 0.1 or more", _overconfident),
    Rule("few questions", "fewer than 200 questions were scored", _few),
    Rule("ceiling", "F1 is within 5 % of the best in reach, which is below 97", _at_ceiling),
)
