"""Generated Portuguese documents, their questions and a tokenizer: a seed is all they need.

Each document tells of seven entities of two kinds (people, companies, rivers, buildings) in a
paragraph each, and a question's name alone decides which of several like facts is meant. The
entities of train, validation and test have no name in common, whatever their seeds, so that a
model must find and cannot recall.
"""

from qa_lightning.demo.documents import Answers, Row, demo_questions
from qa_lightning.demo.grammar import SPLITS
from qa_lightning.demo.noise import corrupt_answers
from qa_lightning.demo.sentences import sentence_around
from qa_lightning.demo.tokenizer import demo_tokenizer
from qa_lightning.errors import InputError

__all__ = [
    "DEMO_VERSION",
    "Answers",
    "Row",
    "corrupt_answers",
    "demo_rows",
    "demo_tokenizer",
    "sentence_around",
]

DEMO_VERSION = 1
"""Part of every cache key: raised when the same seed gives other rows or another tokenizer."""


def demo_rows(split: str, *, seed: int = 0, config: str | None = None) -> list[Row]:
    """Generate the canonical rows of a split: 7,200 for train, 200 validation, 400 test.

    Args:
        split: ``train``, ``validation`` or ``test``.
        seed: another seed gives other documents of the same words.
        config: ``noisy`` makes 36 % of the training answers wrong in the ways of machine
            translation (see `corrupt_answers`); validation and test stay clean.

    Raises:
        InputError: there is no such split or config.
    """
    if split not in SPLITS:
        raise InputError(
            f"Expected a split of the demo data ({', '.join(SPLITS)}); got {split!r}. "
            "Choose one of these for `data.train_split`, `data.val_split` or `data.test_split`."
        )
    if config not in (None, "noisy"):
        raise InputError(
            f"Expected no `dataset_config` or 'noisy' for the demo data; got {config!r}. "
            "Leave `data.dataset_config` out for clean answers."
        )
    rows = list(demo_questions(split, seed=seed))
    if config == "noisy" and split == "train":
        return corrupt_answers(rows, seed=seed)
    return rows
