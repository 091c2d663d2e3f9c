"""Examples as alignment reads them: in plain rows, those of one context together."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from datasets import Dataset

from qa_lightning.alignment.lexicon import detect_language
from qa_lightning.alignment.offsets import Stated

# Called with the phase, ``offsets`` or ``questions``, and the number of examples done in it.
Progress = Callable[[str, int], None]

# Of so many contexts so much is read to tell the language.
_CONTEXTS_READ: Final = 200
_CHARACTERS_READ: Final = 2_000


class Row(NamedTuple):
    """Hold what alignment reads of one example."""

    example_id: str
    context: str
    question: str
    texts: Sequence[str]
    starts: Sequence[int]

    def stands(self, index: int) -> bool:
        """Tell whether an answer's text is where the data set says."""
        text, start = self.texts[index], self.starts[index]
        return start >= 0 and bool(text) and self.context.startswith(text, start)


def read_rows(examples: Dataset) -> list[Row]:
    """Read examples; those with equal contexts share one, which may be a book."""
    contexts: dict[str, str] = {}
    return [
        Row(
            row["id"],
            contexts.setdefault(row["context"], row["context"]),
            row["question"],
            row["answers"]["text"],
            row["answers"]["answer_start"],
        )
        for row in examples.select_columns(["id", "context", "question", "answers"])
    ]


def by_context(rows: Sequence[Row]) -> list[int]:
    """Return the order in which the questions of one context follow each other."""
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        first.setdefault(row.context, index)
    return sorted(range(len(rows)), key=lambda index: first[rows[index].context])


def language_of_rows(rows: Sequence[Row]) -> str | None:
    """Return the language of contexts taken evenly from all, cut to their first words."""
    contexts = list(dict.fromkeys(row.context for row in rows))
    step = max(len(contexts) // _CONTEXTS_READ, 1)
    return detect_language(context[:_CHARACTERS_READ] for context in contexts[::step])


def stated_answers(rows: Sequence[Row], progress: Progress) -> Iterator[Stated]:
    """Yield the answers of all rows, those of one context after each other."""
    for index in by_context(rows):
        row = rows[index]
        for text, start in zip(row.texts, row.starts, strict=True):
            yield Stated(row.context, row.question, text, start)
        progress("offsets", 1)
