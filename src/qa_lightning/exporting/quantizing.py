"""A graph in int8: a quarter of the bytes, and answers that have to stay."""

from pathlib import Path

from qa_lightning.answerer.answering import QuestionAnswerer
from qa_lightning.answerer.loading import Reader
from qa_lightning.demo import demo_rows
from qa_lightning.errors import InputError
from qa_lightning.exporting.runner import Answerer

AGREEING = 0.95  # of the answers
_QUESTIONS = 60


def quantize(graph: Path, file: Path) -> None:
    """Write a graph with its weights in int8, each output's with a scale of its own.

    Of seven bits: processors without VNNI add pairs of products in 16 bits, which eight overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        file,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        use_external_data_format=True,
    )


def check_agreement(reader: Reader, folder: Path) -> float:
    """Return the share of generated questions that have the checkpoint's answer.

    Raises:
        InputError: it is below ``AGREEING``.
    """
    answerer, runner = QuestionAnswerer(reader, device="cpu"), Answerer(folder)
    rows = demo_rows("validation")[:_QUESTIONS]
    same = 0
    for row in rows:
        found = runner.answer(row["question"], row["context"])["answer"]
        expected = answerer.answer(row["question"], row["context"], screen="all")
        place = None if found is None else (found["start_char"], found["end_char"])
        same += place == ((expected.start_char, expected.end_char) if expected.text else None)
    if same < AGREEING * len(rows):
        raise InputError(
            f"Expected int8 to give the checkpoint's answers to {AGREEING:.0%} of {len(rows)} "
            f"generated questions; it does to {same}. Nothing was written. Export it without "
            "`--quantize`."
        )
    return same / len(rows)
