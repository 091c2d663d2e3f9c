"""What a run's curves and labels say of its training: functions of rules."""

from typing import Final

from qa_lightning.reports.run.findings import Findings

_SHARE: Final = 0.1  # of the training questions


def still_rising(found: Findings) -> str | None:
    """Say that F1 still rose at the end."""
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


def overfitted(found: Findings) -> str | None:
    """Say that the loss of validation rose again."""
    losses, scores = found.series("val/loss"), found.series("val/f1")
    if len(losses) < 3 or len(scores) < 3:
        return None
    best = max(scores, key=lambda at: at[1])
    least = min(losses, key=lambda at: at[1])
    if losses[-1][1] < 1.1 * least[1] or best[0] == scores[-1][0]:
        return None
    return (
        f"val/loss rose from {least[1]:.2f} (step {least[0] + 1:,}) to {losses[-1][1]:.2f}, and F1 "
        f"was best at step {best[0] + 1:,}: fewer epochs, a lower `model.learning_rate`, or more "
        "data. "
        "best.ckpt is of that step."
    )


def not_learning(found: Findings) -> str | None:
    """Say that the loss of training hardly fell."""
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


def padding(found: Findings) -> str | None:
    """Say that much of what is computed is padding."""
    shares = [value for _, value in found.series("train/padding_share")]
    if not shares or sum(shares) / len(shares) < 0.25:
        return None
    return (
        f"{100 * sum(shares) / len(shares):.0f} % of the computed tokens are padding: "
        "`data.group_by_length: true` and `data.pad_to: longest`."
    )


def left_out(found: Findings) -> str | None:
    """Say that alignment left many questions out."""
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
