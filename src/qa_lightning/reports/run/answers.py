"""The answers of a page's browser, as plain values that its script shows."""

import json
import zlib
from typing import Any, Final

from qa_lightning.reports.run.findings import Findings, Judged

MOST_ANSWERS: Final = 1_500
MOST_CHARACTERS: Final = 3_000_000
_SPANS: Final = 5


def shown_answers(found: Findings) -> list[dict[str, Any]]:
    """Return the answers to look through: half of them the worst, the rest by their ids alone.

    The worst are wrong and sure of it. Both are as many as fit into a page.
    """
    kept = [each for each in found.judged if each.record.get("excerpts")]
    worst = sorted(
        (each for each in kept if not each.is_right),
        key=lambda each: (each.f1, -float(each.record["confidence"])),
    )[: MOST_ANSWERS // 2]
    taken = {each.id for each in worst}
    drawn = sorted(
        (each for each in kept if each.id not in taken),
        key=lambda each: zlib.crc32(each.id.encode(errors="replace")),
    )[: MOST_ANSWERS - len(worst)]
    entries: list[dict[str, Any]] = []
    room = MOST_CHARACTERS
    for pair in _in_turns(worst, drawn):
        entry = _entry(pair)
        room -= len(json.dumps(entry))
        if room < 0:
            break
        entries.append(entry)
    return entries


def _in_turns(worst: list[Judged], drawn: list[Judged]) -> list[Judged]:
    """Return both lists as one, so that of what has no room both lose."""
    longest = max(len(worst), len(drawn))
    return [each for n in range(longest) for part in (worst, drawn) for each in part[n : n + 1]]


def _entry(each: Judged) -> dict[str, Any]:
    record = each.record
    return {
        "id": each.id,
        "question": record["question"],
        "golds": list(dict.fromkeys(record["golds"])),
        "given": each.given,
        "outcome": each.outcome,
        "f1": round(each.f1, 1),
        "confidence": round(float(record["confidence"]), 4),
        "status": each.status,
        "parts": {kind: str(value) for kind, (_, value) in record["parts"].items()},
        "spans": each.spans,
        "span": record["given"],
        "windows": record["windows"],
        "excerpts": record["excerpts"],
        "nBest": [
            [str(entry.get("text", "")), round(float(entry.get("probability") or 0.0), 4)]
            for entry in each.n_best[:_SPANS]
        ],
    }
