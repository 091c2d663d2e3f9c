"""Draw the figures of the explanations: ``python docs/building/figures.py``.

Each figure is computed by the functions that it explains, on data small enough to be seen. They
have a background of their own, so that they can be read on light and dark pages.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "figures"
INK, QUIET, PAPER = "#263238", "#78909c", "#ffffff"
BLUE, ORANGE, GREEN, RED, PALE = "#1e88e5", "#fb8c00", "#43a047", "#e53935", "#eceff1"


class Drawing:
    """Collect the shapes of one figure.

    Args:
        title: what it shows, for those who cannot see it.
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, title: str, width: int, height: int) -> None:
        self._size = width, height
        self._shapes = [f"<title>{escape(title)}</title>"]
        self.box(0, 0, width, height, PAPER)

    def box(self, x: float, y: float, width: float, height: float, fill: str, **more: str) -> None:
        """Draw a filled rectangle."""
        self._add("rect", x=x, y=y, width=width, height=height, fill=fill, **more)

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str = INK) -> None:
        """Draw a line."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke)

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """Draw a disc."""
        self._add("circle", cx=x, cy=y, r=radius, fill=fill)

    def text(self, x: float, y: float, words: str, fill: str = INK, size: int = 13, **more: str):  # type: ignore[no-untyped-def]
        """Write words, their left end at ``x`` unless ``anchor`` says otherwise."""
        values = {"x": x, "y": y, "fill": fill, "font-size": size}
        values |= {name.replace("_", "-"): value for name, value in more.items()}
        if "anchor" in values:
            values["text-anchor"] = values.pop("anchor")
        self._shapes.append(f"<text{_attributes(values)}>{escape(words)}</text>")

    def _add(self, kind: str, **values: object) -> None:
        named = {name.replace("_", "-"): value for name, value in values.items()}
        self._shapes.append(f"<{kind}{_attributes(named)}/>")

    def svg(self) -> str:
        """Return the file's text."""
        width, height = self._size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif">'
        )
        return "\n".join([head, *self._shapes, "</svg>", ""])


def _attributes(values: dict[str, object]) -> str:
    shown = {
        name: round(value, 1) if isinstance(value, float) else value
        for name, value in values.items()
    }
    return "".join(f' {name}="{value}"' for name, value in shown.items())


def windows() -> Drawing:
    """Draw a document of 30 tokens in windows of 16 with a question of 4, overlapping by 4."""
    question, room, overlap, document = 4, 12, 4, 30
    figure = Drawing("A document cut into windows that overlap", 700, 310)
    unit, left = 20, 60
    figure.text(left, 22, "document")
    for token in range(document):
        answer = 18 <= token < 21
        figure.box(left + unit * token, 30, unit - 2, 22, ORANGE if answer else PALE)
    for number, first in enumerate(range(0, document - overlap, room - overlap)):
        top, last = 92 + 50 * number, min(first + room, document)
        figure.text(8, top + 16, f"window {number}", size=11, fill=QUIET)
        x = max(left, left + unit * (first - question))
        figure.text(x, top - 4, "question", size=10, fill=BLUE)
        for token in range(question):
            figure.box(x + unit * token, top, unit - 2, 22, BLUE)
        for token in range(first, last):
            inside = 18 <= token < 21 and last >= 21 and first <= 18
            place = x + unit * (question + token - first)
            shared = token < first + overlap and number > 0
            figure.box(
                place, top, unit - 2, 22, ORANGE if inside else "#cfd8dc" if shared else PALE
            )
        if last == document:
            break
    figure.text(
        left,
        298,
        "orange: the answer, whole in a window · grey: shared with the window before",
        QUIET,
        11,
    )
    return figure


def alignment() -> Drawing:
    """Draw answers of a translated data set and the spans that `locate_answer` gives them."""
    from qa_lightning.alignment.locate import locate_answer

    context = (
        "Em 1807 a pintora Alba Nóbrega mudou-se para Braga. Cerca de 89,4% dos seus quadros "
        "estão no Museu Real."
    )
    questions = [
        ("Quando se mudou?", "1807", 3),
        ("Para onde se mudou Alba?", "Braga", 0),
        ("Quantos quadros?", "89,4 por cento", 0),
        ("Quem se mudou?", "a pintora Alba Nobrega", 0),
        ("Onde estão os quadros?", "Museu da Realeza", 0),
        ("O que pintou?", "flores", 0),
    ]
    figure = Drawing("Answers, where the file says they are, and where they are found", 880, 290)
    unit, left = 8.2, 14.0
    figure.text(
        left, 26, context, size=14, font_family="monospace", textLength=f"{unit * len(context):.0f}"
    )
    for number, (question, answer, start) in enumerate(questions):
        top = 64 + 38 * number
        found = locate_answer(context, question, answer, start, language="pt")
        figure.text(left, top, f"“{answer}” at {start}", size=12)
        told = (
            found.status
            if found.start_char is None
            else f"{found.status}, [{found.start_char}, {found.end_char}), "
            f"confidence {found.confidence:.2f}"
        )
        figure.text(250, top, told, GREEN if found.start_char is not None else RED, 12)
        if found.start_char is None or found.end_char is None:
            continue
        x, width = left + unit * found.start_char, unit * (found.end_char - found.start_char)
        figure.box(x, 32 + 3 * number, width, 2.5, (BLUE, ORANGE, GREEN, RED)[number % 4])
        figure.box(left - 8, top - 9, 4, 10, (BLUE, ORANGE, GREEN, RED)[number % 4])
    return figure


def attention() -> Drawing:
    """Draw which of 40 tokens each of them attends to: a window of 8, 4 global columns."""
    tokens, one_sided, question, cell = 40, 4, 4, 9
    figure = Drawing("Which tokens a token attends to in a Longformer", 640, 420)
    left, top = 90, 40
    for row in range(tokens):
        fills = [_fill(row, column, question, one_sided) for column in range(tokens)]
        column = 0
        for fill, run in groupby(fills):  # a shape for each run keeps the file small
            count = len(list(run))
            figure.box(left + cell * column, top + cell * row, cell * count - 1, cell - 1, fill)
            column += count
    figure.text(left, 30, "keys", QUIET)
    figure.text(20, top + 14, "queries", QUIET)
    full = tokens * tokens
    used = sum(
        _fill(row, column, question, one_sided) != PALE
        for row in range(tokens)
        for column in range(tokens)
    )
    for number, (fill, words) in enumerate(
        ((BLUE, "the question: to all, from all"), (ORANGE, "the window"), (PALE, "never computed"))
    ):
        figure.box(470, 60 + 26 * number, 14, 14, fill)
        figure.text(490, 72 + 26 * number, words, size=11)
    figure.text(470, 160, f"{used} of {full} products", size=12)
    figure.text(470, 180, "4,096 tokens: a window of 512", QUIET, 11)
    figure.text(470, 196, "is an eighth of all", QUIET, 11)
    return figure


def _fill(row: int, column: int, question: int, one_sided: int) -> str:
    if row < question or column < question:
        return BLUE
    return ORANGE if abs(row - column) <= one_sided else PALE


def spans() -> Drawing:
    """Draw the scores of all spans of a window, and the three best that `best_spans` finds."""
    import torch

    from qa_lightning.candidates import best_spans

    words = [
        "[CLS]",
        "quem",
        "fundou",
        "?",
        "a",
        "empresa",
        "foi",
        "fundada",
        "por",
        "Ana",
        "Prado",
        "em",
        "1931",
    ]
    start = torch.tensor([[0.3, 2.1, -1, 0, -1, 0.2, -1, 0, 0.4, 3.1, 1.2, 0.1, 1.9]])
    end = torch.tensor([[0.2, 0.1, 1.8, 0, -1, 0.6, -1, 0.5, 0, 1.4, 3.3, 0, 1.6]])
    context = torch.tensor([[place >= 4 for place in range(len(words))]])
    longest = 4
    best = best_spans(start, end, context, n_best=3, max_answer_length=longest)
    found = list(zip(best.start_token_bn[0].tolist(), best.last_token_bn[0].tolist(), strict=True))
    figure = Drawing("The scores of all spans of a window", 700, 470)
    cell, left, top = 28, 110, 90
    for place, word in enumerate(words):
        grey = QUIET if place < 4 else INK
        figure.text(left - 8, top + cell * place + 18, word, grey, 12, anchor="end")
        x, y = left + cell * place + 14, top - 8
        figure.text(x, y, word, grey, 12, transform=f"rotate(-45 {x} {y})")
    for first in range(len(words)):
        for last in range(len(words)):
            x, y = left + cell * last, top + cell * first
            allowed = first >= 4 and first <= last < first + longest
            strength = max(0.08, min(1.0, float(start[0, first] + end[0, last]) / 6.5))
            figure.box(x, y, cell - 2, cell - 2, PALE)
            if allowed:
                figure.box(x, y, cell - 2, cell - 2, BLUE, fill_opacity=f"{strength:.2f}")
            if (first, last) in found:
                figure.text(
                    x + 9,
                    y + 18,
                    str(found.index((first, last)) + 1),
                    PAPER,
                    14,
                    font_weight="bold",
                )
    for number, (first, last) in enumerate(found):
        score = float(best.score_bn[0, number])
        told = f"{number + 1}. {' '.join(words[first : last + 1])} ({score:.1f})"
        figure.text(500, 130 + 22 * number, told, size=12)
    figure.text(500, 60, "rows: first token", QUIET, 11)
    figure.text(500, 76, "columns: last token", QUIET, 11)
    figure.text(500, 92, f"at most {longest} tokens, no question", QUIET, 11)
    return figure


def scores() -> Drawing:
    """Draw exact match and F1 of a few answers, by `squad_scores`."""
    from qa_lightning import squad_scores

    gold = ["no ano de 1931", "1931"]
    answers = ["1931", "em 1931", "ano de 1931", "o ano 1931", "1932"]
    figure = Drawing("Exact match and F1 of answers to one question", 640, 230)
    figure.text(20, 28, "gold: " + " / ".join(f"“{text}”" for text in gold), size=13)
    for number, answer in enumerate(answers):
        top = 62 + 32 * number
        official = squad_scores({"q": answer}, {"q": gold})
        own = squad_scores({"q": answer}, {"q": gold}, language="pt")
        figure.text(20, top, f"“{answer}”")
        figure.box(160, top - 12, 2 * official["f1"], 14, BLUE)
        figure.box(160, top + 3, 2 * own["f1_pt"], 5, ORANGE)
        told = f"EM {official['exact_match']:.0f}, F1 {official['f1']:.0f}"
        told += f"; Portuguese F1 {own['f1_pt']:.0f}"
        figure.text(375, top, told, size=12)
    figure.text(
        20,
        222,
        "blue: official · orange: by Portuguese rules, which drop articles such as “o”",
        QUIET,
        11,
    )
    return figure


def calibration() -> Drawing:
    """Draw reliability before and after a temperature, of 4,000 drawn answers."""
    import numpy as np

    from qa_lightning.calibration import expected_calibration_error, reliability

    rng = np.random.default_rng(0)
    true_odds = rng.normal(0.5, 1.5, 4000)
    correct = rng.random(4000) < 1 / (1 + np.exp(-true_odds))
    figure = Drawing("Confidence against the share of right answers", 620, 330)
    for number, (title, temperature, fill) in enumerate(
        (("before: too sure", 0.4, ORANGE), ("after: divided by the temperature", 1.0, GREEN))
    ):
        left, top, size = 60 + 290 * number, 50, 220
        sure = 1 / (1 + np.exp(-true_odds / temperature))
        error = expected_calibration_error(sure, correct)
        figure.text(left, 24, title)
        figure.text(left, 40, f"expected calibration error {error:.3f}", QUIET, 11)
        figure.box(left, top, size, size, PALE)
        figure.line(left, top + size, left + size, top, QUIET)
        for part in reliability(sure, correct):
            figure.dot(
                left + size * part.confidence,
                top + size * (1 - part.accuracy),
                2 + 0.12 * part.count**0.5,
                fill,
            )
        figure.text(left + size / 2, top + size + 22, "confidence", QUIET, 12, anchor="middle")
    figure.text(20, 160, "right", QUIET, 12, anchor="middle", transform="rotate(-90 40 160)")
    return figure


FIGURES: Final[Sequence[Callable[[], Drawing]]] = (
    windows,
    alignment,
    attention,
    spans,
    scores,
    calibration,
)


def drawn() -> Iterable[tuple[Path, str]]:
    """Yield every figure's file and text."""
    for draw in FIGURES:
        yield FOLDER / f"{draw.__name__}.svg", draw().svg()


if __name__ == "__main__":
    for path, text in drawn():
        path.write_text(text, "utf-8")
