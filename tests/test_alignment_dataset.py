"""Whole data sets: policies, the column `spans`, the audit."""

import json
import pickle
from collections import Counter

import datasets
import pytest

from qa_lightning.alignment import (
    DEFAULT_THRESHOLD,
    POLICIES,
    STATUSES,
    AlignmentAudit,
    align_examples,
)
from qa_lightning.errors import InputError

ROWS = [
    ("exact", "Ele nasceu em Paris.", "Onde?", ["Paris"], [14]),
    (
        "reworded",
        "Cerca de 89,4% são brancos aqui.",
        "Quantos são brancos?",
        ["89,4 por cento"],
        [0],
    ),
    ("nowhere", "Nada disso foi dito.", "O quê?", ["telescópio"], [0]),
    ("unanswerable", "Nada disso foi dito.", "O quê?", [], []),
    ("two", "Ele nasceu em Paris.", "Onde?", ["Paris", "telescópio"], [14, 0]),
]


@pytest.fixture
def examples() -> datasets.Dataset:
    return datasets.Dataset.from_list(
        [
            {
                "id": name,
                "title": "",
                "context": context,
                "question": question,
                "answers": {"text": texts, "answer_start": starts},
            }
            for name, context, question, texts, starts in ROWS
        ],
        features=datasets.Features(
            {
                **{
                    name: datasets.Value("string")
                    for name in ("id", "title", "context", "question")
                },
                "answers": {
                    "text": datasets.List(datasets.Value("string")),
                    "answer_start": datasets.List(datasets.Value("int32")),
                },
            }
        ),
    )


def test_spans_run_parallel_to_untouched_answers(examples):
    aligned, _ = align_examples(examples, policy="repair", drop=False)
    assert aligned.remove_columns("spans")[:] == examples[:]
    for row in aligned:
        lengths = {len(values) for values in row["spans"].values()}
        assert lengths == {len(row["answers"]["text"])}
    assert aligned[1]["spans"]["start_char"] == [9]
    assert aligned[1]["spans"]["end_char"] == [14]
    assert aligned[4]["spans"]["start_char"] == [14, None]
    assert aligned[2]["spans"] == {
        "start_char": [None], "end_char": [None], "status": ["unaligned"], "confidence": [0.0],
    }  # fmt: skip


def test_the_column_has_fixed_types_even_without_a_single_span(examples):
    aligned, _ = align_examples(examples.select([3]), policy="repair")
    types = aligned.features["spans"]
    assert types["start_char"] == types["end_char"] == datasets.List(datasets.Value("int32"))
    assert types["confidence"] == datasets.List(datasets.Value("float32"))


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ("repair", ["exact", "reworded", "unanswerable", "two"]),
        ("drop", ["exact", "unanswerable", "two"]),
        ("no_answer", [row[0] for row in ROWS]),
        ("keep", [row[0] for row in ROWS]),
    ],
)
def test_policies_for_training(examples, policy, kept):
    aligned, audit = align_examples(examples, policy=policy)
    assert aligned["id"][:] == kept
    assert audit.dropped == len(ROWS) - len(kept)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "strict"])
def test_nothing_is_dropped_from_evaluation(examples, policy):
    aligned, audit = align_examples(examples, policy=policy, drop=False)
    assert len(aligned) == len(examples)
    assert audit.dropped == 0


def test_keep_trusts_answer_start_blindly(examples):
    aligned, audit = align_examples(examples, policy="keep")
    assert aligned[2]["spans"]["start_char"] == [0]
    assert aligned[2]["spans"]["end_char"] == [len("telescópio")]
    assert aligned[2]["spans"]["status"] == ["unaligned"]
    assert audit.trusted == audit.answers
    assert audit.repaired == 0


def test_strict_names_the_misaligned(examples):
    with pytest.raises(InputError, match=r"3 of 5 .*'reworded', 'nowhere', 'two'"):
        align_examples(examples, policy="strict")
    aligned, _ = align_examples(examples.select([0, 3]), policy="strict")
    assert aligned[0]["spans"]["start_char"] == [14]


def test_the_threshold_decides_what_is_trusted(examples):
    none, _ = align_examples(examples, policy="repair", threshold=1.0, drop=False)
    assert all(start is None for row in none for start in row["spans"]["start_char"])
    some, _ = align_examples(examples, policy="repair", threshold=0.0, drop=False)
    assert some[1]["spans"]["start_char"] == [9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "mend"}, "'mend'"),
        ({"policy": "repair", "threshold": 1.5}, "1.5"),
        ({"policy": "repair", "language": "xx"}, "'xx'"),
    ],
)
def test_mistakes_are_told(examples, arguments, message):
    with pytest.raises(InputError, match=message):
        align_examples(examples, **arguments)


def test_the_audit_counts(examples):
    _, audit = align_examples(examples, policy="repair")
    assert audit.by_status == {
        "exact": 2, "moved": 0, "surface": 1, "fuzzy": 0, "ambiguous": 0, "unaligned": 2,
    }  # fmt: skip
    assert (audit.examples, audit.answers, audit.unanswerable) == (5, 5, 1)
    assert (audit.trusted, audit.repaired, audit.without_span, audit.dropped) == (3, 1, 1, 1)
    assert audit.threshold == DEFAULT_THRESHOLD
    assert tuple(audit.by_status) == STATUSES


def test_the_audit_travels(examples):
    _, audit = align_examples(examples, policy="repair")
    assert AlignmentAudit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    assert pickle.loads(pickle.dumps(audit)) == audit


def test_an_empty_data_set_stays_empty(examples):
    aligned, audit = align_examples(examples.select([]), policy="repair")
    assert len(aligned) == audit.examples == audit.answers == 0


def test_processes_give_the_same(examples):
    told, told_together = Counter(), Counter()
    alone = align_examples(
        examples, policy="repair", progress=lambda phase, done: told.update({phase: done})
    )
    together = align_examples(
        examples,
        policy="repair",
        num_proc=2,
        progress=lambda phase, done: told_together.update({phase: done}),
    )
    assert alone[0][:] == together[0][:]
    assert alone[1] == together[1]
    assert told == told_together == {"offsets": len(examples), "questions": len(examples)}
