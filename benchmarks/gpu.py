"""Train and answer on a GPU: networks of published sizes from their configs, with random weights.

A row is a network, a way to attend, a precision and a length; what is worth most comes first. The
table is written after each row, so that a run that is cut counts; rows that the time does not allow
are left out. `make gpu` runs this file after the tests; so does `python benchmarks/gpu.py`.
`--device cpu --tiny` takes the same steps on small networks.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from _machine import machine
from _timing import table
from qa_lightning import QADataModule, QAModule, QuestionAnswerer
from qa_lightning.footprint import step_footprint

RESULTS = Path(__file__).resolve().parent / "RESULTS_GPU.md"
HEADER = (
    *("network", "attention", "precision", "windows", "step (ms)", "tokens a second"),
    *("peak (GiB)", "forecast ÷ it"),
)
ANSWERING = ("network", "precision", "documents", "windows a second")
GIB = 2**30
QUESTION = 20

ROBERTA = {"max_position_embeddings": 16386, "type_vocab_size": 1, "vocab_size": 50265}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
NETWORKS: dict[str, dict[str, Any]] = {
    "Longformer base": ROBERTA,
    "Longformer large": {**ROBERTA, **LARGE, "intermediate_size": 4096},
    "ModernBERT base": {"model_type": "modernbert", "max_position_embeddings": 16386},
}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {"intermediate_size": 32, "attention_window": 32, "local_attention": 32}


@dataclass(frozen=True)
class Row:
    """Hold what one row measures; ``compiled`` networks are timed after they were compiled."""

    network: str
    attention: str
    precision: str
    rows: int
    length: int
    checkpointing: bool = False
    compiled: bool = False


def grid() -> Iterator[Row]:
    """Yield rows, those that are worth most first."""
    base, large, modern = NETWORKS
    for precision in ("bf16-mixed", "32-true"):
        for attention in ("windowed", "flex", "reference"):
            yield Row(base, attention, precision, 8, 384)
            yield Row(base, attention, precision, 2, 4096)
    for attention in ("windowed", "sdpa", "flex"):
        yield Row(modern, attention, "bf16-mixed", 8, 384)
        yield Row(modern, attention, "bf16-mixed", 2, 4096)
    yield Row(base, "windowed", "bf16-mixed", 1, 16384)
    yield Row(large, "windowed", "bf16-mixed", 8, 384)
    yield Row(large, "windowed", "bf16-mixed", 2, 4096)
    yield Row(large, "windowed", "bf16-mixed", 2, 4096, checkpointing=True)
    yield Row(modern, "windowed", "bf16-mixed", 1, 16384)
    yield Row(base, "flex", "bf16-mixed", 1, 16384)
    yield Row(large, "windowed", "bf16-mixed", 1, 16384, checkpointing=True)
    yield Row(modern, "sdpa", "bf16-mixed", 1, 16384)
    yield Row(base, "windowed", "bf16-mixed", 2, 4096, compiled=True)
    yield Row(base, "windowed", "bf16-mixed", 8, 384, compiled=True)


class Bench:
    """Measure rows on one device.

    Args:
        device: a GPU, or the CPU to try the code.
        tiny: small networks and short windows.
    """

    def __init__(self, device: torch.device, *, tiny: bool) -> None:
        self.device, self.tiny = device, tiny
        self.cuda = device.type == "cuda"

    def settings(self, row: Row) -> dict[str, Any]:
        config = {**NETWORKS[row.network], **(TINY if self.tiny else {})}
        modern = "model_type" in config
        config.pop("attention_window" if modern else "local_attention", None)
        if row.attention == "flex":  # which has no dropout of weights
            config["attention_dropout" if modern else "attention_probs_dropout_prob"] = 0.0
        return {
            "config": config,
            "attention": row.attention,
            "gradient_checkpointing": row.checkpointing,
        }

    def batch(self, row: Row) -> dict[str, torch.Tensor]:
        length = min(row.length, 64) if self.tiny else row.length
        ids_bl = torch.randint(5, 30000, (row.rows, length))
        place_bl = torch.arange(length).expand_as(ids_bl)
        return {
            "input_ids": ids_bl,
            "attention_mask": torch.ones_like(ids_bl),
            "global_attention_mask": (place_bl < QUESTION).long(),
            "start_positions": torch.full((row.rows,), 30),
            "end_positions": torch.full((row.rows,), 31),
        }

    def precision(self, name: str) -> Precision:
        return MixedPrecision("bf16-mixed", self.device.type) if "bf16" in name else Precision()

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def train(self, row: Row, *, steps: int) -> tuple[object, ...]:
        """Return a row of the table: the median step, and the peak of memory."""
        batch, plugin = self.batch(row), self.precision(row.precision)
        settings = self.settings(row)
        forecast = self._forecast(settings, batch, plugin)
        base = torch.cuda.memory_allocated() if self.cuda else 0
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        module = QAModule(**settings)
        with torch.device(self.device):
            module.configure_model()
        module.to(self.device)
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)
        forward = torch.compile(module) if row.compiled else module
        moved = {key: tensor.to(self.device) for key, tensor in batch.items()}
        seconds = []
        for _ in range(steps + 2):
            self.wait()
            begin = time.perf_counter()
            with plugin.forward_context():
                loss = module.objective.training_loss(moved, *forward(moved))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.wait()
            seconds.append(time.perf_counter() - begin)
        step = sorted(seconds[2:])[steps // 2]
        peak = (torch.cuda.max_memory_allocated() - base) if self.cuda else 0
        return (
            *self._names(row, batch),
            f"{1e3 * step:,.1f}",
            f"{batch['input_ids'].numel() / step:,.0f}",
            peak / GIB if peak else "–",
            forecast / peak if peak and forecast else "–",
        )

    def _forecast(self, settings: dict[str, Any], batch: Any, plugin: Precision) -> int:
        try:
            module = QAModule(**settings)
            found = step_footprint(module.hparams, batch, device=self.device, precision=plugin)
        except Exception as error:  # the row counts without
            print(f"no forecast: {type(error).__name__}: {error}", flush=True)
            return 0
        return found.total

    def _names(self, row: Row, batch: dict[str, torch.Tensor]) -> tuple[str, ...]:
        words = [row.attention]
        words += ["checkpointing"] if row.checkpointing else []
        words += ["compiled"] if row.compiled else []
        rows, length = batch["input_ids"].shape
        return row.network, ", ".join(words), row.precision, f"{rows} x {length:,}"

    def failed(self, row: Row, error: Exception) -> tuple[object, ...]:
        """Return the row of what could not be measured, with its reason."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:60]}"
        return (*self._names(row, self.batch(row)), text, "–", "–", "–")

    def answer(self, precision: str) -> tuple[object, ...]:
        """Return how many windows of the demo's documents a `QuestionAnswerer` reads."""
        data = QADataModule(
            "demo", train_split="train[:8]", val_split="validation[:64]", max_length=384
        )
        data.prepare_data()
        data.setup("fit")
        values = self.settings(Row("Longformer base", "windowed", precision, 1, 384))["config"]
        module = QAModule(config={**values, "vocab_size": len(data.tokenizer)})
        module.configure_model()
        answerer = QuestionAnswerer.from_module(module, data, device=self.device)
        examples = data.val_examples
        rows = [
            {"question": question, "context": context}
            for question, context in zip(examples["question"], examples["context"], strict=True)
        ][: 4 if self.tiny else 64]
        mixed = torch.autocast(self.device.type, torch.bfloat16) if precision == "bf16" else None
        with mixed or nullcontext():
            answerer.answer_batch(rows[:4])
            self.wait()
            begin = time.perf_counter()
            answerer.answer_batch(rows)
            self.wait()
        speed = len(data.val_features) * len(rows) / len(examples) / (time.perf_counter() - begin)
        return "Longformer base", precision, str(len(rows)), f"{speed:,.0f}"


def document(trained: list[Any], answered: list[Any], left: int) -> str:
    """Return the results as Markdown."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    title = f"# On a GPU\n\nWritten by `make gpu` {machine()}, {device}."
    more = f"\n\n{left} rows were left out: the time was up." if left else ""
    parts = [title + more, table("A training step", HEADER, trained)]
    if answered:
        parts.append(table("`QuestionAnswerer`", ANSWERING, answered))
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure until the grid or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks, to try the code")
    parser.add_argument("--seconds", type=float, default=240, help="time for all rows")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("Expected a GPU; torch sees none. `--device cpu --tiny` tries the code.")
    begin = time.perf_counter()
    bench = Bench(device, tiny=options.tiny)
    steps, left = 1 if options.tiny else 5, list(grid())
    trained: list[Any] = []
    answered: list[Any] = []

    def write() -> None:
        text = document(trained, answered, len(left))
        options.output.write_text(text, encoding="utf-8")

    def measure(into: list[Any], call: Callable[[], Any], otherwise: Any) -> None:
        try:
            into.append(call())
        except Exception as error:  # a row that fails costs its own figures alone
            into.append(otherwise(error))
        if bench.cuda:
            torch.cuda.empty_cache()
        print(f"{time.perf_counter() - begin:4.0f} s  {into[-1]}", flush=True)
        write()

    while left and time.perf_counter() - begin < options.seconds:
        row = left.pop(0)
        measure(
            trained,
            lambda row=row: bench.train(row, steps=steps),  # type: ignore[misc]
            lambda error, row=row: bench.failed(row, error),
        )
        if not answered and (len(trained) == 6 or not left):  # before the rest: it is short
            for name in ("32", "bf16"):
                measure(
                    answered,
                    lambda name=name: bench.answer(name),  # type: ignore[misc]
                    lambda error, name=name: ("Longformer base", name, "–", str(error)[:80]),
                )


if __name__ == "__main__":
    main()
