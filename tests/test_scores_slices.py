"""Scores of parts of the data."""

import datasets
import numpy as np
import pytest

from qa_lightning.errors import InputError
from qa_lightning.scores import ExampleScores, slices


def examples_of(count=40, *, with_spans=True):
    rows = []
    for row in range(count):
        words = 1 + row % 4
        text = " ".join(["rio"] * words)
        start = (row * 37) % 900
        context = "x" * start + text + "y" * (1000 - start - len(text))
        moved = row % 5 == 0
        rows.append(
            {
                "id": str(row),
                "context": context,
                "question": ["Quem foi?", "Quando foi?", "Foi?"][row % 3],
                "answers": {"text": [text], "answer_start": [0 if moved else start]},
                "spans": {
                    "start_char": [start],
                    "end_char": [start + len(text)],
                    "status": ["moved" if moved else "exact"],
                    "confidence": [1.0],
                },
            }
        )
    examples = datasets.Dataset.from_list(rows)
    return examples if with_spans else examples.remove_columns("spans")


def random_scores(examples, seed=0):
    generator = np.random.default_rng(seed)
    f1_e = generator.random(len(examples)) * 100
    return ExampleScores(tuple(examples["id"]), 100.0 * (f1_e > 50), f1_e)


def test_each_kind_parts_the_data_and_means_agree_with_a_plain_loop():
    examples = examples_of(600)
    scores = random_scores(examples)
    window_count_e = np.arange(600) % 7 + 1
    found = slices(scores, examples, window_count_e=window_count_e, language="pt")
    kinds = dict.fromkeys(part.name for part in found)
    assert list(kinds) == [
        "windows", "context_characters", "answer_words", "answer_position", "question_word",
        "alignment",
    ]  # fmt: skip
    for kind in kinds:
        parts = [part for part in found if part.name == kind]
        assert sum(part.count for part in parts) == 600
        total = sum(part.count * part.f1 for part in parts) / 600
        assert total == pytest.approx(scores.f1_e.mean())
    quarter = {name: [] for name in ("first", "second", "third", "last")}
    for row, f1 in zip(examples, scores.f1_e, strict=True):
        start = row["spans"]["start_char"][0]
        quarter[list(quarter)[start * 4 // len(row["context"])]].append(f1)
    for part in (part for part in found if part.name == "answer_position"):
        assert part.f1 == pytest.approx(np.mean(quarter[part.value.split()[0]]))
    values = {kind: [part.value for part in found if part.name == kind] for kind in kinds}
    assert values["windows"] == ["1", "2", "3-4", "5-8"]
    assert values["answer_words"] == ["1", "2", "3-5"]
    assert values["question_word"] == ["other", "when", "who"]
    assert values["alignment"] == ["exact", "moved"]


def test_without_alignment_the_file_is_believed():
    examples = examples_of(10, with_spans=False)
    found = slices(random_scores(examples), examples)
    assert {part.name for part in found} == {
        "context_characters",
        "answer_words",
        "answer_position",
    }
    first = next(part for part in found if part.value == "first quarter")
    starts = [row["answers"]["answer_start"][0] for row in examples]
    assert first.count == sum(start < 250 for start in starts)


def test_unanswerable_untrusted_and_empty():
    examples = datasets.Dataset.from_list(
        [
            {
                "id": "1",
                "context": "",
                "question": "",
                "answers": {"text": [], "answer_start": []},
                "spans": {"start_char": [], "end_char": [], "status": []},
            },
            {
                "id": "2",
                "context": "um rio",
                "question": "?",
                "answers": {"text": ["lago", "um rio"], "answer_start": [0, 0]},
                "spans": {
                    "start_char": [None, 0],
                    "end_char": [None, 6],
                    "status": ["unaligned", "exact"],
                },
            },
            {
                "id": "3",
                "context": "um rio",
                "question": "?",
                "answers": {"text": ["lago azul e fundo"], "answer_start": [5]},
                "spans": {"start_char": [None], "end_char": [None], "status": ["unaligned"]},
            },
        ]
    )
    found = slices(random_scores(examples), examples, language="pt")
    counts = {(part.name, part.value): part.count for part in found}
    assert counts["answer_words", "no answer"] == counts["alignment", "no answer"] == 1
    assert counts["answer_words", "2"] == counts["alignment", "exact"] == 1
    assert counts["answer_words", "3-5"] == counts["answer_position", "last quarter"] == 1
    assert counts["alignment", "unaligned"] == 1


def test_scores_of_other_examples_are_refused():
    examples = examples_of(3)
    with pytest.raises(InputError, match=r"as many examples as scores \(3\); got 2"):
        slices(random_scores(examples), examples.select([0, 1]))
