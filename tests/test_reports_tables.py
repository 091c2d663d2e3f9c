"""Which answers are shown, what is shown of them, and the charts beside them."""

import csv
import io
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_lightning.answers import Answer, QuestionAnswers
from qa_lightning.reports.curves import (
    no_answer_chart,
    precision_recall,
    reliability_chart,
    risk_coverage_chart,
    slice_chart,
)
from qa_lightning.reports.drawing import HEIGHT, WIDTH, Bars, Box, Curves, Label, Line, draw, to_svg
from qa_lightning.reports.tables import (
    Table,
    answer_rows,
    answer_table,
    slice_table,
    to_csv,
    to_markdown,
)

CONTEXT = "Ana nasceu em Lisboa. " * 20 + "Rui nasceu em Faro. " + "Eva nasceu em Braga. " * 20
FARO = CONTEXT.index("Faro")


def question(number: int, *, right: bool, confidence: float, answerable: bool = True) -> dict:
    """Return an example and the answer given: `Faro`, which is right or not."""
    start = FARO if right else CONTEXT.index("Lisboa")
    text = "Faro" if right else "Lisboa"
    answer = Answer(text, start, start + len(text), 1.0, confidence)
    return {
        "example": {
            "id": f"q{number}",
            "context": CONTEXT,
            "question": f"Onde nasceu Rui ({number})?",
            "answers": {"text": ["Faro"], "answer_start": [FARO]},
            "spans": {"start_char": [FARO], "end_char": [FARO + 4], "status": ["exact"]},
        },
        "answer": QuestionAnswers(
            f"q{number}", number, (answer,), 0.0, -1.0, 1 - confidence, answerable
        ),
    }


def parts(questions: list[dict]) -> tuple[list[QuestionAnswers], datasets.Dataset]:
    examples = datasets.Dataset.from_list([each["example"] for each in questions])
    return [each["answer"] for each in questions], examples


def rows_of(questions: list[dict], **settings):
    answers, examples = parts(questions)
    return answer_rows(answers, examples, window_count_e=[3] * len(examples), **settings)


def test_worst_come_first_then_changed_then_random() -> None:
    questions = [
        question(number, right=number >= 10, confidence=number / 1000) for number in range(300)
    ]
    previous = {f"q{number}": "Lisboa" for number in range(290, 300)}
    rows = rows_of(questions, previous=previous)

    assert len(rows) == 200
    assert [row.why for row in rows] == ["worst"] * 10 + ["changed"] * 10 + ["random"] * 180
    assert [row.id for row in rows[:10]] == [f"q{number}" for number in range(9, -1, -1)]
    assert {row.id for row in rows[10:20]} == set(previous)
    assert all(row.previous == "Lisboa" for row in rows[10:20])
    assert all(row.previous is None for row in rows[20:])
    assert len({row.id for row in rows}) == 200


def test_a_bad_model_leaves_room_for_other_answers() -> None:
    questions = [question(number, right=False, confidence=0.5) for number in range(400)]
    previous = {f"q{number}": "Faro" for number in range(400)}
    rows = rows_of(questions, previous=previous)
    counts = {why: sum(row.why == why for row in rows) for why in ("worst", "changed", "random")}
    assert counts == {"worst": 100, "changed": 50, "random": 50}


def test_random_rows_come_back_and_depend_on_the_seed() -> None:
    questions = [question(number, right=True, confidence=0.5) for number in range(100)]
    first, again, other = (rows_of(questions, limit=20, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert {row.id for row in first} != {row.id for row in other}
    without = [row.id for row in rows_of(questions[:60], limit=20)]
    assert set(without) >= {row.id for row in first if int(row.id[1:]) < 60}


def test_a_row_shows_the_prediction_in_its_context() -> None:
    (row,) = rows_of([question(0, right=True, confidence=0.25)])
    assert "Rui nasceu em ⟦Faro⟧. Eva" in row.context
    assert row.context.startswith("…")
    assert row.context.endswith("…")
    assert len(row.context) == 2 * 160 + len("⟦Faro⟧") + 2
    assert (row.gold, row.prediction, row.exact_match, row.f1) == ("Faro", "Faro", 100.0, 100.0)
    assert (row.confidence, row.windows, row.alignment) == (0.25, 3, "exact")
    assert row.n_best == "0.250 Faro"


def test_no_answer_is_shown_as_what_it_is() -> None:
    given_none = question(0, right=True, confidence=0.25, answerable=False)
    (row,) = rows_of([given_none])
    assert (row.prediction, row.f1, row.confidence) == ("", 0.0, 0.75)
    assert "⟦" not in row.context
    assert "Rui nasceu em Faro" in row.context

    given_none["example"]["answers"] = {"text": [], "answer_start": []}
    given_none["example"]["spans"] = {"start_char": [], "end_char": [], "status": []}
    (row,) = rows_of([given_none])
    assert (row.gold, row.f1, row.alignment) == ("", 100.0, "no answer")


def test_nothing_answered_gives_an_empty_table() -> None:
    table = answer_table(answer_rows([], datasets.Dataset.from_list([]), window_count_e=[]))
    assert table.rows == ()
    assert table.columns[:3] == ("why", "id", "question")


@given(
    st.lists(
        st.lists(
            st.one_of(st.none(), st.integers(), st.text(alphabet='ab"|,;\n ã⟦')),
            min_size=2,
            max_size=2,
        )
    )
)
def test_csv_comes_back_as_it_was(rows: list[list]) -> None:
    table = Table(("one", "two"), tuple(tuple(row) for row in rows))
    read = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert read[0] == ["one", "two"]
    assert read[1:] == [["" if cell is None else str(cell) for cell in row] for row in rows]


def test_markdown_has_one_line_a_row() -> None:
    table = Table(("a", "b"), (("x\ny | z", None), (1.23456, 7)))
    lines = to_markdown(table).splitlines()
    assert lines[2:] == ["| x y \\| z |  |", "| 1.235 | 7 |"]


# The official script's walk along the null odds, one question after the other.


def official(odds: list[float], values: list[float], positives: int) -> list[tuple[float, float]]:
    order = sorted(range(len(odds)), key=lambda place: odds[place])
    points, right = [], 0.0
    for rank, place in enumerate(order):
        right += values[place]
        if rank == len(order) - 1 or odds[place] != odds[order[rank + 1]]:
            points.append((right / positives, right / (rank + 1)))
    return points


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
)
def test_precision_and_recall_are_those_of_the_official_script(
    questions: list[tuple[int, float, bool]],
) -> None:
    odds = [float(entry[0]) for entry in questions]
    has_answer = [entry[2] for entry in questions]
    values = [entry[1] * entry[2] for entry in questions]
    found = precision_recall(odds, values, has_answer)
    expected = official(odds, values, sum(has_answer)) if any(has_answer) else []
    assert np.allclose(np.array(found).reshape(-1, 2), np.array(expected).reshape(-1, 2))


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    odds = np.arange(5000.0)
    points = precision_recall(odds, np.ones(5000), np.ones(5000))
    assert len(points) <= 200
    assert points[-1] == (1.0, 1.0)
    assert all(left[0] < right[0] for left, right in pairwise(points))


def test_the_oracle_line_shows_the_no_answer_score_alone() -> None:
    chart = no_answer_chart([-2.0, -1.0, 1.0], [True, True, False], [0.0, 100.0, 0.0])
    oracle, exact = chart.lines
    assert (oracle.name, exact.name) == ("oracle", "exact")
    assert oracle.points == ((0.5, 1.0), (1.0, 1.0), (1.0, pytest.approx(2 / 3)))
    assert exact.points == ((0.0, 0.0), (0.5, 0.5), (0.5, pytest.approx(1 / 3)))


SLICES = [{"name": "windows", "value": "1-2", "count": 7, "exact_match": 40.0, "f1": 50.0}]
CHARTS = [
    reliability_chart([(0.1, 0.0), (0.9, 1.0)]),
    risk_coverage_chart([(0.5, 0.0), (1.0, 0.3)]),
    no_answer_chart([0.0, 1.0], [True, False], [100.0, 0.0]),
    slice_chart(SLICES),
    Curves("none", "x", "y", (Line("empty", ()),)),
    Bars("a < b & c", "F1", ()),
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
def test_charts_are_well_formed_and_within_their_area(chart: Curves | Bars) -> None:
    drawing = draw(chart)
    root = ElementTree.fromstring(to_svg(drawing))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root if element.tag.endswith("text")]
    assert any(chart.title in text for text in texts)
    for shape in drawing.shapes:
        if isinstance(shape, Label):
            corners = [(shape.x, shape.y)]
        elif isinstance(shape, Box):
            corners = [(shape.left, shape.top), (shape.left + shape.width, shape.top)]
        else:
            corners = list(shape.points)
        assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in corners)


def test_a_curve_is_drawn_where_its_points_are() -> None:
    drawing = draw(
        Curves("t", "x", "y", (Line("a", ((0.0, 0.0), (1.0, 1.0), (float("nan"), 1.0))),))
    )
    assert (drawing.width, drawing.height) == (WIDTH, HEIGHT)
    stroke = next(shape for shape in drawing.shapes if getattr(shape, "width", 0) == 2.0)
    (left, below), (right, above) = stroke.points
    assert left < right
    assert above < below


def test_the_longest_name_of_a_part_is_drawn_whole() -> None:
    name = "answer_position second quarter (10570)"
    drawing = draw(Bars("Parts of the data", "F1", ((name, 100.0),)))
    (label,) = [each for each in drawing.shapes if isinstance(each, Label) and each.text == name]
    (value,) = [each for each in drawing.shapes if getattr(each, "text", "") == "100.0"]
    width = 12 * 0.56  # of a character of a sans-serif font, on average
    assert label.anchor == "end"
    assert label.x - width * len(name) >= 0
    assert value.x + width * len(value.text) <= WIDTH


def test_slices_become_a_table_and_bars() -> None:
    assert slice_table(SLICES).rows == (("windows", "1-2", 7, 40.0, 50.0),)
    assert slice_chart(SLICES).bars == (("windows 1-2 (7)", 50.0),)
