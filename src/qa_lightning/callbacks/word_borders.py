"""Whether answers begin and end where words do: asked for, known of the language, or seen."""

from typing import Any, Final, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info

from qa_lightning.borders import word_borders
from qa_lightning.languages import answers_end_at_borders

_LOOKED_AT: Final = 2_000  # examples
_WITHIN_ALLOWED: Final = 0.01  # of a language that is not named; XQuAD's reach 0.2, or 1.8, %
_NAMED: Final = 3


class GoldBorders(NamedTuple):
    """Count the trusted gold spans of some examples.

    Attributes:
        spans: all of them.
        within: those that begin or end within a word, which no whole words are.
        first_ids: the first examples that have such spans.
    """

    spans: int
    within: int
    first_ids: tuple[str, ...]


def count_borders(examples: Any) -> GoldBorders:
    """Count the gold spans within words among at most 2,000 examples, evenly chosen.

    Args:
        examples: rows with ``id``, ``context`` and, if they are aligned, ``spans``.
    """
    if "spans" not in examples.column_names:
        return GoldBorders(0, 0, ())
    step = max(1, len(examples) // _LOOKED_AT)
    total, within = 0, []
    columns = examples.select_columns(["id", "context", "spans"])
    for row in columns.select(range(0, len(examples), step)):
        bounds = zip(row["spans"]["start_char"], row["spans"]["end_char"], strict=True)
        spans = [span for span in bounds if span[0] is not None]
        total += len(spans)
        if spans:
            is_border = word_borders(row["context"])
            within += [row["id"] for ends in spans if not is_border[list(ends)].all()]
    return GoldBorders(total, len(within), tuple(dict.fromkeys(within))[:_NAMED])


def decide_borders(given: bool | None, language: str | None, trainer: Trainer) -> bool:
    """Decide, and say in ``fit`` which gold spans are then out of reach.

    What is given decides; else the language; else, where it is not named, the gold spans of the
    data: people who mark answers show whether these are whole words. Without any: False.
    """
    counted = GoldBorders(0, 0, ())
    stage = trainer.state.fn
    name = {"fit": "train", "validate": "val", "test": "test"}.get(stage.value if stage else "")
    if name is not None and (name == "train" or (given is None and language is None)):
        counted = count_borders(trainer.datamodule.split(name).examples)  # type: ignore[attr-defined]
    if given is None and language is not None:
        given = answers_end_at_borders(language)
    if given is None:
        given = counted.spans > 0 and counted.within <= _WITHIN_ALLOWED * counted.spans
    if given and counted.within:
        rank_zero_info(
            f"{counted.within} of {counted.spans} gold spans looked at begin or end within a word "
            f"(examples {', '.join(counted.first_ids)}): `evaluation.word_borders` never answers "
            "so. Set it to false where that is meant."
        )
    return given
