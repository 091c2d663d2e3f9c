"""The generated documents and questions."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from qa_lightning.demo import corrupt_answers, demo_rows, demo_tokenizer, sentence_around
from qa_lightning.demo import facts as demo_facts
from qa_lightning.demo.documents import demo_documents
from qa_lightning.demo.grammar import SPLITS, Noun
from qa_lightning.demo.values import _pool
from qa_lightning.errors import InputError

COUNTS = {"train": (1_800, 7_200), "validation": (25, 200), "test": (50, 400)}


@pytest.fixture(scope="module")
def rows():
    return {split: demo_rows(split) for split in SPLITS}


@pytest.fixture(scope="module")
def documents():
    return {split: list(demo_documents(split)) for split in SPLITS}


def words_of(text):
    return re.findall(r"\w+", text.lower())


def test_shape(rows):
    for split, (documents, questions) in COUNTS.items():
        assert len(rows[split]) == questions
        assert len({row["context"] for row in rows[split]}) == documents
        assert len({row["id"] for row in rows[split]}) == questions
        assert len({(row["context"], row["question"]) for row in rows[split]}) == questions
    for row in rows["validation"]:
        assert list(row) == ["id", "title", "context", "question", "answers"]
        assert list(row["answers"]) == ["text", "answer_start"]


def test_every_answer_stands_at_its_place_as_whole_words(rows):
    for row in (row for split in SPLITS for row in rows[split]):
        (text,), (start_char,) = row["answers"]["text"], row["answers"]["answer_start"]
        end_char = start_char + len(text)
        assert row["context"][start_char:end_char] == text
        around = row["context"][start_char - 1 : start_char] + row["context"][end_char]
        assert not re.search(r"\w", around), row["id"]


def test_an_answer_stands_in_one_place(rows):
    """Where it stood twice, the label could be the other one."""
    for row in rows["train"][:2_000] + rows["validation"] + rows["test"]:
        answer = re.escape(row["answers"]["text"][0])
        places = re.findall(rf"(?<![\w.,]){answer}(?![\w,%]|\.\d)", row["context"])
        assert len(places) == 1, (row["id"], answer)


def test_only_the_name_decides(documents):
    """Each askable attribute is told of several entities, and their names differ early."""
    for document in documents["validation"] + documents["test"]:
        entities = {fact.entity for fact in document.facts}
        assert len(entities) == 7
        first_letters = [entity.text.split()[-1][:4] for entity in entities]
        assert len(set(first_letters)) == 7
        for fact in document.askable():
            rivals = [other for other in document.facts if other.attribute == fact.attribute]
            assert len({rival.entity for rival in rivals}) > 1
            assert len({rival.answer for rival in rivals}) == len(rivals)


def test_two_kinds_and_a_paragraph_each(documents):
    kinds = (demo_facts.PEOPLE, demo_facts.COMPANIES, demo_facts.RIVERS, demo_facts.WORKS)
    kind_of = {id(attribute): kind.plural for kind in kinds for attribute in kind.attributes}
    for document in documents["validation"]:
        assert document.context.count("\n") == 6
        told = Counter(fact.entity for fact in document.facts)
        assert set(told.values()) <= {3, 4, 5}
        plurals = {kind_of[id(fact.attribute)] for fact in document.facts}
        assert len(plurals) == 2
        assert document.title.split(",")[0].lower().split(" e ") in (
            sorted(plurals),
            sorted(plurals, reverse=True),
        )


def test_people_by_surname_alone(documents):
    """About 30 % of what is told of people names them by surname alone."""
    full = alone = 0
    for document in documents["train"][:200]:
        for fact in document.facts:
            if fact.entity.article:
                continue
            end_char = fact.start_char + len(fact.answer)
            sentence = sentence_around(document.context, fact.start_char, end_char)
            full += fact.entity.text in sentence
            alone += fact.entity.text not in sentence
            assert fact.entity.text.split()[-1] in sentence
    assert 0.2 < alone / (alone + full) < 0.4


def test_no_entity_in_two_splits(documents):
    names = {
        split: {
            word
            for document in documents[split]
            for fact in document.facts
            for word in words_of(fact.entity.text)[1:]  # all but first names, kinds of company, …
        }
        for split in SPLITS
    }
    assert min(len(found) for found in names.values()) > 50
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not names[one] & names[other]


def test_no_entity_in_two_splits_of_other_seeds(documents):
    trained = {fact.entity.text for document in documents["train"] for fact in document.facts}
    held_out = {
        fact.entity.text
        for document in demo_documents("validation", seed=7)
        for fact in document.facts
    }
    assert not trained & held_out


@pytest.mark.parametrize("split", ["validation", "test"])
def test_few_answers_were_seen_in_training(rows, split):
    answers = [row["answers"]["text"][0] for row in rows["train"]]
    seen_words = {word for answer in answers for word in words_of(answer)}
    held_out = [row["answers"]["text"][0] for row in rows[split]]
    whole = sum(answer in set(answers) for answer in held_out) / len(held_out)
    new_word = sum(not seen_words.issuperset(words_of(answer)) for answer in held_out)
    assert whole < 0.2, "years, professions and products are shared"
    assert new_word / len(held_out) > 0.6


def test_every_split_has_names_enough():
    """A document draws a dozen names that differ in four letters; with too few it never ends."""
    for split in SPLITS:
        for name in ("SURNAME", "PLACE", "RIVER", "BRAND"):
            assert len({entry[:4] for (entry,) in _pool(name, split)}) >= 40, (name, split)


def test_many_seeds_end():
    for seed in range(1, 12):
        assert len(demo_rows("validation", seed=seed)) == 200
        assert len(demo_rows("test", seed=seed)) == 400


def test_all_wordings_are_used(rows):
    kinds = (demo_facts.PEOPLE, demo_facts.COMPANIES, demo_facts.RIVERS, demo_facts.WORKS)
    attributes = [attribute for kind in kinds for attribute in kind.attributes]
    assert len(attributes) == 22
    for attribute in attributes:
        assert len(set(attribute.statements)) == len(set(attribute.questions)) == 3
    openings = {row["question"].split()[0] for row in rows["train"]}
    expected = {opening.split()[0] for a in attributes for opening in a.questions}
    assert openings == expected


def test_the_seed_decides(rows):
    assert demo_rows("validation") == rows["validation"]
    other = demo_rows("validation", seed=1)
    assert not {row["context"] for row in other} & {row["context"] for row in rows["validation"]}


def test_the_same_in_every_process(rows):
    program = (
        "import json; from qa_lightning.demo import corrupt_answers, demo_rows, demo_tokenizer;"
        "rows = demo_rows('validation');"
        "tokenizer = demo_tokenizer().backend_tokenizer.to_str();"
        "print(json.dumps([rows, corrupt_answers(rows), tokenizer]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "true"},
    ).stdout
    held_out = rows["validation"]
    tokenizer = demo_tokenizer().backend_tokenizer.to_str()
    assert json.loads(printed) == [held_out, corrupt_answers(held_out), tokenizer]


def test_grammar_of_mentions(rows):
    """No preposition is left uncontracted before an article, and endings agree."""
    text = "\n".join(row["context"] + "\n" + row["question"] for row in rows["train"][:4_000])
    assert not re.search(r"\b(?:de|em|por) [oa] [A-Z]", text)
    assert not re.search(r"\b(?:da|na|pela) (?:Grupo|Teatro|Museu|Farol|rio)\b", text)
    assert not re.search(r"\b(?:do|no|pelo) (?:Ponte|Torre|Companhia|Casa|serra|baía)\b", text)
    assert not re.search(r"\bA (?:Ponte|Torre|Casa) \w+ (?:foi|está) \w+[iea]do\b", text)
    assert not re.search(r"[{}\0]|  ", text)


@pytest.mark.parametrize(
    ("noun", "do", "no", "pelo"),
    [
        (Noun("Ponte Vidal", "f"), "da Ponte Vidal", "na Ponte Vidal", "pela Ponte Vidal"),
        (Noun("rio Ita"), "do rio Ita", "no rio Ita", "pelo rio Ita"),
        (Noun("Eva Sá", "f", article=False), "de Eva Sá", "em Eva Sá", "por Eva Sá"),
    ],
)
def test_contractions(noun, do, no, pelo):
    forms = noun.forms()
    assert (forms["do"], forms["no"], forms["pelo"]) == (do, no, pelo)


def test_unknown_split_and_config():
    with pytest.raises(InputError, match=r"train, validation, test.*got 'dev'"):
        demo_rows("dev")
    with pytest.raises(InputError, match=r"'noisy'.*got 'dirty'"):
        demo_rows("train", config="dirty")


class TestSentenceAround:
    context = 'Ela nasceu em 1.204. "Foi cedo!" Depois (não se sabe\nquando) saiu?  Fim'

    @pytest.mark.parametrize(
        ("span", "sentence"),
        [
            ("1.204", "Ela nasceu em 1.204."),
            ("Foi", '"Foi cedo!"'),
            ("Depois", "Depois (não se sabe"),
            ("saiu", "quando) saiu?"),
            ("Fim", "Fim"),
            ('cedo!" Depois', '"Foi cedo!" Depois (não se sabe'),
        ],
    )
    def test_span(self, span, sentence):
        start_char = self.context.index(span)
        assert sentence_around(self.context, start_char, start_char + len(span)) == sentence

    def test_holds_every_answer(self, rows):
        for row in rows["validation"]:
            start_char = row["answers"]["answer_start"][0]
            answer = row["answers"]["text"][0]
            sentence = sentence_around(row["context"], start_char, start_char + len(answer))
            assert answer in sentence
            assert "\n" not in sentence
            assert sentence.endswith(".")
