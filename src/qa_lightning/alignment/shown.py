"""Some answers of an audit, to look at: chosen at random, what is wrong before what is right."""

import random
from collections.abc import Sequence
from html import escape
from itertools import chain, zip_longest
from typing import Final

from qa_lightning.alignment.records import STATUSES, AlignedSpan, ShownAnswer
from qa_lightning.alignment.rows import Row
from qa_lightning.marking import marked_html

_MOST: Final = 10
_AROUND: Final = 150  # characters of the context on each side of a span
_HEAD: Final = ("status", "question", "answer in the data", "found")


def shown_answers(
    rows: Sequence[Row],
    located: Sequence[Sequence[AlignedSpan]],
    trusted: Sequence[Sequence[int | None]],
    *,
    seed: int = 0,
) -> tuple[ShownAnswer, ...]:
    """Choose answers, of every status as many, those that stand nowhere first.

    Args:
        rows: all examples.
        located: what was found for each answer of each.
        trusted: where the span begins that each answer keeps, or None.
        seed: of the choice.
    """
    places: dict[str, list[tuple[int, int]]] = {status: [] for status in reversed(STATUSES)}
    for number, found in enumerate(located):
        for index, span in enumerate(found):
            places[span.status].append((number, index))
    draw = random.Random(seed)
    drawn = [draw.sample(each, min(_MOST, len(each))) for each in places.values()]
    in_turn = chain.from_iterable(zip_longest(*drawn))
    chosen = [place for place in in_turn if place is not None][:_MOST]
    order = list(places)
    chosen.sort(key=lambda place: (order.index(located[place[0]][place[1]].status), place))
    return tuple(
        _shown(rows[number], index, located[number][index], trusted[number][index] is not None)
        for number, index in chosen
    )


def _shown(row: Row, index: int, span: AlignedSpan, is_trusted: bool) -> ShownAnswer:
    start, end = (span.start_char or 0, span.end_char or 0)
    before, after = row.context[max(start - _AROUND, 0) : start], row.context[end : end + _AROUND]
    return ShownAnswer(
        id=row.example_id,
        question=row.question,
        answer=row.texts[index],
        status=span.status,
        confidence=span.confidence,
        trusted=is_trusted,
        before=f"… {before}" if start > _AROUND else before,
        found=row.context[start:end],
        after=f"{after} …" if end + _AROUND < len(row.context) else after,
    )


def shown_html(answers: Sequence[ShownAnswer]) -> str:
    """Return answers as a table, each marked where it was found; nothing of none."""
    if not answers:
        return ""
    rows = "".join(f"<tr>{''.join(map(_cell, _cells(answer)))}</tr>" for answer in answers)
    head = "".join(_cell(name, "th") for name in _HEAD)
    return (
        f"<table><caption>{len(answers)} of the answers, drawn at random from every status"
        f"</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _cell(content: str, kind: str = "td") -> str:
    return f'<{kind} style="text-align:left">{content}</{kind}>'


def _cells(answer: ShownAnswer) -> tuple[str, ...]:
    sure = f"{answer.confidence:.2f}" if answer.found else ""
    left_out = "" if answer.trusted else "left out"
    told = ", ".join(filter(None, (sure, left_out)))
    return (
        f"{escape(answer.status)}<div>{told}</div>",
        escape(answer.question),
        escape(answer.answer),
        marked_html(answer.before, answer.found, answer.after),
    )
