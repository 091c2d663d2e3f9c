"""Exact answers of files that look as if a search had placed them: people's stay, a search's go."""

import random

import pytest

from qa_lightning.examples import load_examples

NAMES = [f"{first} {last}" for first in ("Ana", "Rui", "Eva", "Ivo") for last in "ABCDEFGHIJKLMN"]
WORKS = ["a ponte nova", "o museu real", "a torre alta", "o canal velho", "a praça grande"]
STORY = "{name} chegou cedo à cidade. Muitos anos depois, {name} desenhou {work} de pedra."


def first_hits(disturbed, *, misplaced, number=120):
    """Return labels at the first of two places; of a share of them the question means the other."""
    labels = []
    for index in range(number):
        name, work = NAMES[index % len(NAMES)], WORKS[index % len(WORKS)]
        context = STORY.format(name=name, work=work) + f" Foi o caso {index}."
        is_misplaced = index < misplaced * number
        question = f"Quem desenhou {work} de pedra?" if is_misplaced else "Quem chegou à cidade?"
        true = context.rindex(name) if is_misplaced else 0
        labels.append(disturbed.Label(context, question, name, 0, true, true + len(name)))
    return labels


def with_junk(labels, share):
    """Return labels with so many more that stand nowhere, as a translation's, in any order."""
    junk = [
        one._replace(text=f"nenhures {index}", start=0)
        for index, one in enumerate(labels[: int(share * len(labels))])
    ]
    mixed = [*labels, *junk]
    random.Random(len(mixed)).shuffle(mixed)
    return mixed, len(junk)


@pytest.mark.parametrize("junk", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("doubtful", [0.0, 0.05])
def test_first_places_that_people_chose_stay(disturbed, junk, doubtful):
    """Also where some questions seem to fit the other place: they are too few to prove a search."""
    labels = [
        one._replace(true_start=0, true_end=len(one.text))
        for one in first_hits(disturbed, misplaced=doubtful)
    ]
    mixed, unfindable = with_junk(labels, junk)
    figures, audit = disturbed.judged(mixed, "pt")
    assert figures == (len(mixed), 0, unfindable)
    assert audit.offsets_are_noise
    assert not audit.places_are_searched
    assert audit.changed_occurrences == 0


def test_places_that_so_many_questions_refute_are_a_searchs(disturbed):
    labels = first_hits(disturbed, misplaced=0.3)
    mixed, unfindable = with_junk(labels, 0.2)
    figures, audit = disturbed.judged(mixed, "pt")
    assert figures == (len(mixed), 0, unfindable)
    assert audit.places_are_searched
    assert audit.changed_occurrences == 36
    # The same places in a file without any answer that stands nowhere: people chose them.
    assert disturbed.judged(labels, "pt")[1].changed_occurrences == 0


def test_many_questions_on_one_answer_are_one_witness(disturbed):
    (asked,) = first_hits(disturbed, misplaced=1.0, number=1)
    labels = [asked._replace(question=f"{asked.question} {index}") for index in range(40)]
    mixed, _ = with_junk([*labels, *first_hits(disturbed, misplaced=0.0, number=40)], 0.3)
    assert not disturbed.judged(mixed, "pt")[1].places_are_searched


def test_an_exact_answer_is_never_left_out(disturbed):
    """Not even a figure inside another where a search put it: there is no better place."""
    context = "Isso foi em 1996 na cidade."
    inside = disturbed.Label(context, "Quantos?", "1", 12, 12, 13)
    mixed, unfindable = with_junk([*first_hits(disturbed, misplaced=0.3), inside], 0.2)
    figures, audit = disturbed.judged(mixed, "pt")
    assert audit.places_are_searched
    assert figures.lost == unfindable
    assert figures.wrong == 0


@pytest.mark.realdata
@pytest.mark.parametrize(("language", "junk"), [("en", 0.04), ("en", 1.0), ("tr", 0.2)])
def test_marked_first_places_stay_beside_answers_that_stand_nowhere(
    disturbed, realdata, language, junk
):
    labels = disturbed.exact_labels(load_examples(str(realdata / f"xquad_{language}.json")))
    labels = [one for one in labels if one.context.find(one.text) == one.start]
    mixed, unfindable = with_junk(labels, junk)
    figures, audit = disturbed.judged(mixed)
    assert not audit.places_are_searched
    assert figures.wrong <= 0.003 * len(labels)
    assert figures.lost <= unfindable + 0.003 * len(labels) - figures.wrong
