"""What is read first of a run: what it is, its main figures, whether they are those of its best."""

from pathlib import PurePath
from typing import Any, Final

from qa_lightning.reports.run.confidence import coverage_at
from qa_lightning.reports.run.findings import Findings, Series

_CARDS: Final = (("f1", "F1"), ("exact_match", "exact match"), ("HasAns_f1", "F1, answerable"),
                 ("NoAns_f1", "F1, no answer"), ("f1_repaired", "F1, repaired labels"))  # fmt: skip
_PRECISION: Final = 0.9


def summary(found: Findings) -> str:
    """Return in a sentence what was trained on what, and what is scored, as far as it is known.

    Paths are told by their last parts: folders above are the reader's least concern.
    """
    splits = found.provenance.get("splits") or {}
    parts = [_network(found), _trained_on(found, splits.get("train"))]
    scores = found.run.scores if found.run else {}
    if "global_step" in scores:
        took = duration(found.series("speed/fit_seconds"))
        parts.append(f"to step {scores['global_step']:,}" + (f" in {took}" if took else ""))
    told = " ".join(part for part in parts if part)
    if found.run is None:
        return f"{told}."
    split = "validation" if found.run.stage == "val" else "test"
    return f"{told}. Below: {len(found.judged):,} questions of its {split} split."


def _network(found: Findings) -> str:
    name = found.setting("model.model_name_or_path")
    if name:
        told = PurePath(str(name)).name if str(name).startswith(("/", "~", ".")) else str(name)
    else:
        kind = found.setting("model.config.model_type", "longformer")
        told = f"{str(kind).capitalize()} from scratch"
    return told + (", with LoRA," if found.setting("model.lora") else "")


def _trained_on(found: Findings, split: Any) -> str:
    files = found.setting("data.data_files")
    train = files.get("train") if isinstance(files, dict) else None
    listed = train if isinstance(train, list) else [train]
    names = [PurePath(str(file)).name for file in listed if file]
    source = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    source = source or str(found.setting("data.dataset") or "")
    count = f"{split['questions']:,} questions" if isinstance(split, dict) else ""
    if not source and not count:
        return ""
    return f"trained on {' of '.join(part for part in (count, source) if part)}"


def cards(found: Findings) -> list[tuple[str, str, str]]:
    """Return the main figures: name, value, what it is to be read against."""
    if found.run is None:
        return []
    scores = found.run.scores
    told = []
    for key, name in _CARDS:
        if not isinstance(scores.get(key), int | float):
            continue
        if key == "f1_repaired" and scores[key] == scores.get("f1"):
            continue
        ends = [scores.get(f"{key}_{end}") for end in ("low", "high")]
        beside = f"95 %: {ends[0]:.1f} to {ends[1]:.1f}" if None not in ends else ""
        if isinstance(found.ceiling.get(key), int | float):
            beside += f"; best in reach {found.ceiling[key]:.1f}"
        told.append((name, f"{scores[key]:.1f}", beside.removeprefix("; ")))
    if scores.get("risk_coverage"):
        most = coverage_at(found, _PRECISION)
        share = f"{100 * float(most['coverage']):.0f} %" if most else "none"
        told.append((f"at {100 * _PRECISION:.0f} % precision", share, "of the questions answered"))
    if isinstance(scores.get("calibration_error"), int | float):
        error = 100 * scores["calibration_error"]
        told.append(("calibration error", f"{error:.1f} %", "of the confidences, on average"))
    return told


def better_before(found: Findings) -> str | None:
    """Return that another validation was better than the one that is shown, if one was."""
    if found.run is None or found.run.stage != "val":
        return None
    shown = found.run.scores.get("f1")
    best = max(found.series("val/f1"), key=lambda point: point[1], default=None)
    if best is None or not isinstance(shown, int | float) or best[1] <= shown + 1e-6:
        return None
    return (
        f"These are the answers of the last validation. That after step {best[0] + 1:,} was better "
        f"(F1 {best[1]:.1f}), and best.ckpt is of it: `lightning validate --config "
        f"{found.folder}/config.yaml --ckpt_path best`, then `qa-lightning report {found.folder}`."
    )


def duration(series: Series) -> str | None:
    """Return the last of some seconds in words."""
    if not series:
        return None
    minutes, seconds = divmod(int(series[-1][1]), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
