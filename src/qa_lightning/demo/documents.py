"""Generate documents of several entities, with facts, distractors and questions, from a seed."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

from qa_lightning.demo import facts, words
from qa_lightning.demo.facts import Attribute, Kind
from qa_lightning.demo.grammar import Noun
from qa_lightning.demo.values import Draw, company, person, river, value_of, work

DOCUMENTS = {"train": 1_800, "validation": 25, "test": 50}
# Many documents with few questions each: names seen again and again are learned by heart.
QUESTIONS_PER_DOCUMENT = {"train": 4, "validation": 8, "test": 8}
ENTITIES_PER_DOCUMENT = 7
FACTS_PER_ENTITY = (3, 3, 4, 5)
SURNAME_SHARE = 0.4  # of a person's facts after the first
DISTRACTOR_SHARE = 0.12  # of the facts have a distractor behind them

_ENTITIES: tuple[tuple[Kind, Callable[[Draw], Noun]], ...] = (
    (facts.PEOPLE, person),
    (facts.COMPANIES, company),
    (facts.RIVERS, river),
    (facts.WORKS, work),
)
_ANSWER = "\0"


class Answers(TypedDict):
    """The gold answers of a canonical row."""

    text: list[str]
    answer_start: list[int]


class Row(TypedDict):
    """One canonical row: a question on a document."""

    id: str
    title: str
    context: str
    question: str
    answers: Answers


@dataclass(frozen=True)
class Fact:
    """Hold an attribute of an entity as told in a document.

    Attributes:
        start_char: where the answer starts in the document.
    """

    entity: Noun
    attribute: Attribute
    answer: str
    start_char: int


@dataclass(frozen=True)
class Document:
    """Hold a generated document and all that it tells."""

    title: str
    context: str
    facts: tuple[Fact, ...]

    def askable(self) -> list[Fact]:
        """Return the facts whose attribute is told of several entities.

        Only the name in a question about one of them decides which is meant.
        """
        told = [fact.attribute for fact in self.facts]
        return [fact for fact in self.facts if told.count(fact.attribute) > 1]


def demo_documents(split: str, *, seed: int = 0) -> Iterator[Document]:
    """Generate the documents of a split, one after the other."""
    # A string seeds the generator through SHA-512: the same in every process.
    rng = random.Random(f"qa_lightning demo {seed} {split}")
    for number in range(DOCUMENTS[split]):
        yield _document(number, Draw(rng, split))


def demo_questions(split: str, *, seed: int = 0) -> Iterator[Row]:
    """Generate the canonical rows of a split."""
    for number, document in enumerate(demo_documents(split, seed=seed)):
        # A generator of its own: the questions of a document depend on no other document.
        rng = random.Random(f"qa_lightning demo {seed} {split} {number}")
        for position, fact in enumerate(
            rng.sample(document.askable(), QUESTIONS_PER_DOCUMENT[split])
        ):
            question = rng.choice(fact.attribute.questions).format_map(fact.entity.forms())
            yield Row(
                id=f"demo-{split}-{number:04d}-{position}",
                title=document.title,
                context=document.context,
                question=question,
                answers={"text": [fact.answer], "answer_start": [fact.start_char]},
            )


def _document(number: int, draw: Draw) -> Document:
    """Write one document: paragraphs of two kinds of entity in mixed order."""
    pair = draw.rng.sample(_ENTITIES, 2)
    entities = [pair[position % 2] for position in range(ENTITIES_PER_DOCUMENT)]
    draw.rng.shuffle(entities)
    sentences = [
        (gap, sentence, fact)
        for kind, new_entity in entities
        for gap, sentence, fact in _paragraph(kind, new_entity(draw), draw)
    ]
    context, told = "", []
    for gap, sentence, fact in sentences:
        context += gap if context else ""
        if fact is not None:
            told.append(replace(fact, start_char=len(context) + fact.start_char))
        context += sentence
    plurals = " e ".join(kind.plural for kind, _ in pair)
    return Document(f"{plurals.capitalize()}, caderno {number + 1}", context, tuple(told))


def _paragraph(kind: Kind, entity: Noun, draw: Draw) -> Iterator[tuple[str, str, Fact | None]]:
    """Yield the gap before each sentence, the sentence, and the fact with its place in it."""
    gap = "\n"
    for attribute in draw.rng.sample(kind.attributes, draw.rng.choice(FACTS_PER_ENTITY)):
        alone = gap == " " and not entity.article and draw.rng.random() < SURNAME_SHARE
        mention = replace(entity, text=entity.text.split()[-1]) if alone else entity
        yield gap, *_told(attribute, entity, mention=mention, draw=draw, opening=gap == "\n")
        gap = " "
        if draw.rng.random() < DISTRACTOR_SHARE:
            yield gap, _distractor(draw), None


def _told(
    attribute: Attribute, entity: Noun, *, mention: Noun, draw: Draw, opening: bool
) -> tuple[str, Fact]:
    """Return a sentence that tells an attribute, and the fact with its place in the sentence.

    No paragraph opens with an answer: its first token would be unlike those behind a blank.
    """
    answer = value_of(attribute.value, draw, entity.gender)
    wordings = [text for text in attribute.statements if not (opening and text.startswith("{x}"))]
    wording = draw.rng.choice(wordings)
    sentence = wording.format_map(mention.forms() | _answer_slots(answer))
    fact = Fact(entity, attribute, answer.text, sentence.index(_ANSWER))
    return sentence.replace(_ANSWER, answer.text), fact


def _answer_slots(answer: Noun) -> dict[str, str]:
    """Return what stands for the answer in a wording: a mark, after a preposition or alone."""
    forms = Noun(_ANSWER, answer.gender, answer.article).forms()
    return {"x": _ANSWER, "no_x": forms["no"], "do_x": forms["do"]}


def _distractor(draw: Draw) -> str:
    wording = draw.rng.choice(words.DISTRACTORS)
    slots = {
        kind: value_of(kind, draw, "m").text
        for kind in ("year", "place", "person", "count")
        if f"{{{kind}}}" in wording
    }
    return wording.format_map(slots)
