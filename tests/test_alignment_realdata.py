"""How good the repair is on real machine translation; see also benchmarks/alignment.py."""

import json
import time

import pytest

from qa_lightning.alignment import DEFAULT_THRESHOLD, align_examples, locate_answer

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def questions(realdata):
    data = json.loads((realdata / "squad_v1_pt_sample.json").read_text(encoding="utf-8"))["data"]
    return {
        question["id"]: (paragraph["context"], question["question"], question["answers"][0]["text"])
        for article in data
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }


@pytest.fixture(scope="module")
def judged(realdata):
    return json.loads((realdata / "squad_v1_pt_spans_dev.json").read_text(encoding="utf-8"))


def trusted_span(context, question, answer, language="pt"):
    found = locate_answer(context, question, answer, 0, language=language)
    return found[:2] if found.confidence >= DEFAULT_THRESHOLD else None


def test_precision_and_recall_against_a_careful_reader(questions, judged):
    spans = {gold["id"]: trusted_span(*questions[gold["id"]]) for gold in judged}
    given = [gold for gold in judged if spans[gold["id"]]]
    right = sum(spans[gold["id"]] == (gold["start"], gold["end"]) for gold in judged)
    assert right / len(given) >= 0.95
    assert right / sum(gold["start"] is not None for gold in judged) >= 0.75


def test_answers_cut_out_of_their_context_are_seldom_found(questions, judged):
    found = 0
    for gold in judged:
        if gold["start"] is not None:
            context, question, answer = questions[gold["id"]]
            without = context[: gold["start"]] + context[gold["end"] :]
            found += trusted_span(without, question, answer) is not None
    assert found <= 0.05 * len(judged)


def test_places_that_people_marked_stay(realdata):
    from qa_lightning.examples import load_examples

    examples = load_examples(str(realdata / "xquad_en.json"))
    aligned, audit = align_examples(examples, policy="repair", drop=False)
    assert audit.changed_occurrences <= 0.005 * len(examples)
    kept = sum(row["spans"]["start_char"] == row["answers"]["answer_start"] for row in aligned)
    assert kept >= 0.995 * len(examples)


def test_the_sample_in_a_few_seconds_and_as_counted(realdata):
    from qa_lightning.examples import load_examples

    examples = load_examples(str(realdata / "squad_v1_pt_sample.json"))
    began = time.process_time()
    _, audit = align_examples(examples, policy="repair")
    assert time.process_time() - began < 15
    misaligned = audit.answers - audit.by_status["exact"] - audit.changed_occurrences
    assert misaligned == 1176
    assert audit.places_are_searched
    assert 40 <= audit.changed_occurrences <= 90
    assert audit.trusted >= 0.85 * audit.answers
