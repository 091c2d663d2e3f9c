"""A reader's network → a graph of any number of windows and tokens, equal on real windows.

Axes: b windows, l tokens.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qa_lightning.answerer.answering import QuestionAnswerer
from qa_lightning.answerer.cutting import WindowCutter
from qa_lightning.answerer.loading import Reader
from qa_lightning.attention import for_a_graph
from qa_lightning.backbones import model_inputs, span_logits
from qa_lightning.backbones.families import SEE_PADDING
from qa_lightning.batches import WindowCollator, WindowDataset
from qa_lightning.demo import demo_rows
from qa_lightning.errors import InputError
from qa_lightning.exporting.runner import Answerer

LOGITS = ["start_logits", "end_logits"]
TOLERANCE = 1e-4  # of the largest logit, or of 1: what float32 leaves of two orders of sums
_WINDOWS = 2.5  # of the document that is asked
_QUESTIONS = 2
_CAN = "bert, roberta, xlm-roberta, distilbert, deberta-v2, modernbert, longformer, eurobert"

Batch = dict[str, Tensor]


class _Spans(nn.Module):
    """Give a network its inputs by place, and take its logits: what exporters write best."""

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(**dict(zip(self.names, tensors, strict=True)))
        return outputs.start_logits, outputs.end_logits


def write_graph(reader: Reader, file: Path) -> None:
    """Write a reader's network by torch's exporter; its weights lie beside it, whatever their size.

    Raises:
        InputError: the exporter cannot follow the network.
    """
    names = input_names(reader)
    batch = next(trial_batches(reader))
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with for_a_graph(length=reader.windows.max_length, global_tokens=most_globals(reader)):
            program: Any = torch.onnx.export(
                _Spans(reader.network, names),
                tuple(batch[name] for name in names),
                input_names=names,
                output_names=LOGITS,
                dynamic_shapes=(tuple(axes for _ in names),),
                dynamo=True,
                verbose=False,
            )
            program.save(str(file), external_data=True)
    except Exception as error:  # each of its stages raises its own
        raise _refusal(reader, f"torch's exporter fails: {_first_line(error)}") from error


def _refusal(reader: Reader, found: str) -> InputError:
    return InputError(
        f"Expected a network that ONNX can hold for windows of any number and length ({_CAN}, …); "
        f"for {reader.network.config.model_type!r} {found}. Nothing was written. Export it "
        "without `--format onnx`."
    )


def _first_line(error: BaseException) -> str:
    """Return the first sentence of what was raised at the bottom; exporters wrap it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:200]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Hide what exporters say to those who write networks."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def most_globals(reader: Reader) -> int:
    """Return how many tokens of a window attend globally at the most."""
    if not reader.is_longformer:
        return 0
    chosen = reader.global_attention
    if isinstance(chosen, str) or chosen is None:
        question = 0 if chosen == "cls" else reader.windows.max_question_length
        return question + (chosen != "question_only")
    return len(chosen)


def input_names(reader: Reader) -> list[str]:
    """Return which tensors of a batch a reader's network was trained with."""
    names = model_inputs(reader.network)
    return [name for name in names if reader.token_types or name != "token_type_ids"]


def trial_text(reader: Reader) -> tuple[list[str], str]:
    """Return questions, and a document of several windows: generated, of Portuguese words."""
    rows = demo_rows("validation")
    text, cutter = "", _cutter(reader)
    for paragraph in dict.fromkeys(row["context"] for row in rows):
        text += paragraph + "\n\n"
        if len(cutter.documents([text])[0].ids_n) > _WINDOWS * reader.windows.max_length:
            break
    return [row["question"] for row in rows[:: len(rows) // _QUESTIONS]][:_QUESTIONS], text


def _cutter(reader: Reader) -> WindowCutter:
    return WindowCutter(reader.tokenizer, reader.windows, lock=reader.lock)


def trial_batches(reader: Reader) -> Iterator[Batch]:
    """Yield windows of several lengths: two whole ones, then each length alone, then side by side.

    The last is for networks whose windows do not see padding.
    """
    cutter = _cutter(reader)
    (question, *_), text = trial_text(reader)
    texts = [text, text[: len(text) // 5], text[:90], text[:1], ""]
    cut = cutter.cut([question] * len(texts), cutter.documents(texts))
    windows = [
        row for rows in cut.rows for row in WindowDataset(rows).__getitems__(list(range(len(rows))))
    ]
    inputs = input_names(reader)
    collate = replace(
        WindowCollator.for_tokenizer(
            reader.tokenizer,
            token_types="token_type_ids" in inputs,
            global_attention=reader.global_attention if reader.is_longformer else None,
        ),
        padding_side="right",
    )
    windows.sort(key=lambda row: -len(row["input_ids"]))
    yield collate(windows[:2])
    lengths = {len(row["input_ids"]): row for row in windows}
    for row in lengths.values():
        yield collate([row])
    if reader.network.config.model_type not in SEE_PADDING:
        yield collate(list(lengths.values())[-4:])


def check_logits(reader: Reader, file: Path) -> float:
    """Return the largest difference of logits, as a share of the largest logit or of 1.

    Raises:
        InputError: it is above ``TOLERANCE``, or onnxruntime cannot run the graph.
    """
    import onnxruntime

    names, worst = input_names(reader), 0.0
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is told below
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        for batch in trial_batches(reader):
            with torch.inference_mode():
                expected = span_logits(reader.network, batch)
            feed = {tensor.name: batch[tensor.name].numpy() for tensor in session.get_inputs()}
            found = session.run(LOGITS, feed)
            worst = max(worst, _difference(expected, found, batch["attention_mask"]))
    except InputError:
        raise
    except Exception as error:  # onnxruntime's have no common class
        raise _refusal(reader, f"onnxruntime cannot run it: {_first_line(error)}") from error
    if not worst <= TOLERANCE:
        raise _refusal(
            reader,
            f"the logits differ from the checkpoint's by {worst:.1e} of the largest, more than "
            f"{TOLERANCE:.0e} (inputs: {', '.join(names)})",
        )
    return worst


def _difference(expected: tuple[Tensor, Tensor], found: Any, mask_bl: Tensor) -> float:
    attended_bl = mask_bl.numpy() > 0
    worst = 0.0
    for ours, theirs in zip(expected, found, strict=True):
        values = ours.float().numpy()[attended_bl]
        least = max(1.0, float(np.abs(values).max()))
        worst = max(worst, float(np.abs(theirs[attended_bl] - values).max()) / least)
    return worst


def check_answers(reader: Reader, folder: Path) -> None:
    """Compare the answers of a written folder's runner with the checkpoint's.

    Raises:
        InputError: an answer stands elsewhere, or has another score.
    """
    answerer, runner = QuestionAnswerer(reader, device="cpu"), Answerer(folder)
    questions, text = trial_text(reader)
    for question in questions:
        for document in (text, text[:200], ""):
            expected = answerer.answer(question, document, 2, screen="all")
            found = runner.answer(question, document)
            if not _alike([answer.to_dict() for answer in expected.n_best], found["n_best"]):
                raise _refusal(
                    reader,
                    f"the answers to {question!r} differ from the checkpoint's: "
                    f"{found['n_best'][:1]}, not {expected.n_best[:1]}",
                )


def _alike(expected: list[Mapping[str, Any]], found: list[Mapping[str, Any]]) -> bool:
    """Tell whether the best answers are the same; of equal scores either may be the first."""
    if not expected or not found:
        return not expected and not found
    scores = [answers[0]["score"] for answers in (expected, found)]
    near = 4 * TOLERANCE * max(1.0, abs(scores[0]))  # two logits each, of the span and of CLS
    ties = [answer for answer in expected if scores[0] - answer["score"] <= 2 * near]
    places = [(answer["start_char"], answer["end_char"]) for answer in ties]
    place = found[0]["start_char"], found[0]["end_char"]
    return abs(scores[0] - scores[1]) <= near and place in places
