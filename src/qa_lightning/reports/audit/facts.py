"""What is worth knowing of a data set before training on it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from datasets import Dataset

from qa_lightning.bars import Progress, untold

_ENTITY: Final = re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]+);")


@dataclass(frozen=True)
class Spread:
    """Hold how some numbers are spread.

    Attributes:
        median: the middle one.
        high: 95 of 100 are not larger.
        largest: the largest.
    """

    median: int
    high: int
    largest: int

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "Spread":
        """Return the spread of some numbers, zeros where there are none."""
        ordered = sorted(numbers) or [0]
        last = len(ordered) - 1
        return cls(ordered[last // 2], ordered[last * 95 // 100], ordered[last])


@dataclass(frozen=True)
class DatasetFacts:
    """Hold the counts of one data set.

    Attributes:
        examples: number of examples.
        contexts: number of distinct contexts.
        duplicate_ids: examples whose id another one before them has.
        duplicate_questions: examples whose context and question one before them has.
        empty_contexts: examples with a blank context.
        empty_questions: examples with a blank question.
        entity_contexts: distinct contexts with HTML entities.
        max_answer_length: the length, in whitespace words, that answers are held against.
        long_answers: answers longer than that.
        context_words: whitespace words of the distinct contexts.
        questions_per_context: examples of each distinct context.
    """

    examples: int
    contexts: int
    duplicate_ids: int
    duplicate_questions: int
    empty_contexts: int
    empty_questions: int
    entity_contexts: int
    max_answer_length: int
    long_answers: int
    context_words: Spread
    questions_per_context: Spread


def dataset_facts(
    examples: Dataset, *, max_answer_length: int = 30, progress: Progress = untold
) -> DatasetFacts:
    """Count what an audit tells of canonical examples.

    Args:
        examples: the examples.
        max_answer_length: in whitespace words.
        progress: called with ``facts`` and the number of examples done since the last call.
    """
    known: dict[str, str] = {}  # a long context on which many questions are is held once
    contexts = []
    for row in examples.select_columns("context"):
        contexts.append(known.setdefault(row["context"], row["context"]))
        progress("facts", 1, len(examples))
    questions = examples["question"][:]
    per_context = Counter(contexts)
    texts = [text for answers in examples["answers"][:] for text in answers["text"]]
    return DatasetFacts(
        examples=len(contexts),
        contexts=len(per_context),
        duplicate_ids=len(contexts) - len(set(examples["id"][:])),
        duplicate_questions=len(contexts) - len(set(zip(contexts, questions, strict=True))),
        empty_contexts=sum(not context.strip() for context in contexts),
        empty_questions=sum(not question.strip() for question in questions),
        entity_contexts=sum(_ENTITY.search(context) is not None for context in per_context),
        max_answer_length=max_answer_length,
        long_answers=sum(len(text.split()) > max_answer_length for text in texts),
        context_words=Spread.of([len(context.split()) for context in per_context]),
        questions_per_context=Spread.of(list(per_context.values())),
    )
