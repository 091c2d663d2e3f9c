"""Claim: what `lightning fit` says of memory before training is within 20 % of what it takes.

Each row trains for two steps in a process of its own, on the CPU, and sees how far its resident
memory rose above what it had before the network was built; beside it stands the estimate, and how
long that took (processor seconds). The C library gives freed memory back at once there
(MALLOC_MMAP_THRESHOLD_); by default it keeps some, `--default-allocator` measures with that.
`python benchmarks/memory.py [--quick]` prints the table; `--output FILE` writes it after each row.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from _machine import machine
from _timing import table

HEADER = ("network", "how", "windows", "measured (MiB)", "estimate (MiB)", "estimate ÷ it", "s")
DEBERTA_V3 = {
    **{"relative_attention": True, "position_buckets": 256, "share_att_key": True},
    **{"pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "position_biased_input": False},
}
TYPES: dict[str, dict[str, Any]] = {
    "longformer": {"max_position_embeddings": 4098, "type_vocab_size": 1},
    "bert": {"model_type": "bert", "max_position_embeddings": 4096},
    "modernbert": {"model_type": "modernbert", "pad_token_id": 0},
    "deberta": {"model_type": "deberta-v2", **DEBERTA_V3},
}
SMALL = {"vocab_size": 5000, "num_hidden_layers": 3, "hidden_size": 768}
STEPS = 2
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}
QUESTION = 16


@dataclass(frozen=True)
class Case:
    """Hold one row's network and how it is trained."""

    network: str
    rows: int
    length: int
    precision: str = "32-true"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def how(self) -> str:
        words = [self.precision, *(f"{key} {value}" for key, value in self.settings.items())]
        return ", ".join(words)

    def arguments(self) -> dict[str, Any]:
        values = {**SMALL, **TYPES[self.network]}
        return {"config": values, "learning_rate": 1e-5, **self.settings}


CHECKPOINTING = {"gradient_checkpointing": True}
LORA: dict[str, Any] = {"lora": {"r": 8}}
CASES = [
    Case("longformer", 6, 285),
    Case("bert", 4, 384),
    Case("modernbert", 4, 384),
    Case("longformer", 6, 285, settings=CHECKPOINTING),
    Case("longformer", 6, 285, "bf16-mixed"),
    Case("longformer", 6, 285, settings=LORA),
    Case("longformer", 2, 1024),
    Case("longformer", 2, 1024, "bf16-mixed", CHECKPOINTING),
    Case("longformer", 1, 2048),
    Case("longformer", 2, 1024, settings={"attention": "reference"}),
    Case("bert", 4, 384, settings=CHECKPOINTING),
    Case("bert", 4, 384, "bf16-mixed"),
    Case("bert", 4, 384, settings=LORA),
    Case("bert", 2, 768),
    Case("modernbert", 4, 384, settings=CHECKPOINTING),
    Case("modernbert", 4, 384, "bf16-mixed"),
    Case("modernbert", 1, 2048),
    Case("longformer", 2, 1024, "bf16-mixed", LORA),
    Case("longformer", 1, 2048, settings=LORA),
    Case("modernbert", 4, 384, settings=LORA),
    Case("deberta", 4, 384),
    Case("deberta", 4, 384, settings=LORA),
]


def batch_of(case: Case) -> Any:
    import torch

    ids_bl = torch.randint(5, 4000, (case.rows, case.length))
    place_bl = torch.arange(case.length).expand_as(ids_bl)
    return {
        "input_ids": ids_bl,
        "attention_mask": torch.ones_like(ids_bl),
        "global_attention_mask": (place_bl < QUESTION).long(),
        "start_positions": torch.full((case.rows,), 20),
        "end_positions": torch.full((case.rows,), 22),
    }


def resident(key: str) -> int:
    """Return a figure of this process in bytes: ``VmRSS``, now, or ``VmHWM``, at its highest."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"Expected {key} in /proc/self/status. Run this on Linux.")


def measure(case: Case) -> dict[str, float]:
    """Estimate a case, then train it for some steps."""
    import torch
    from lightning.pytorch import Trainer

    from qa_lightning import QAModule
    from qa_lightning.footprint import step_footprint

    torch.set_num_threads(1)
    trainer = Trainer(accelerator="cpu", precision=case.precision, logger=False)  # type: ignore[arg-type]
    batch, device = batch_of(case), torch.device("cpu")
    tiny = Case(case.network, 1, 32, case.precision)
    train(tiny, batch_of(tiny), trainer.precision_plugin)  # libraries load what they need
    begin = time.process_time()
    footprint = step_footprint(
        QAModule(**case.arguments()).hparams,
        batch,
        device=device,
        precision=trainer.precision_plugin,
    )
    seconds = time.process_time() - begin
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # a new highest, from here on
    before = resident("VmRSS")
    train(case, batch, trainer.precision_plugin)
    return {
        "measured": resident("VmHWM") - before,
        "estimate": footprint.total,
        "seconds": seconds,
    }


def train(case: Case, batch: Any, precision: Any) -> None:
    """Train as Lightning does: the last step's gradients are there in the forward pass."""
    import torch

    from qa_lightning import QAModule

    module = QAModule(**case.arguments())
    module.configure_model()
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], fused=True)
    for _ in range(STEPS):
        with precision.forward_context():
            loss = module.objective.training_loss(batch, *module(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def measured_row(case: Case, *, default_allocator: bool) -> tuple[object, ...]:
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    environment = {**os.environ, **({} if default_allocator else GIVEN_BACK)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    ratio = found["estimate"] / found["measured"]
    windows = f"{case.rows} x {case.length}"
    mib = [found[key] / 2**20 for key in ("measured", "estimate")]
    return (
        case.network,
        case.how,
        windows,
        *(f"{each:,.0f}" for each in mib),
        ratio,
        found["seconds"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every sixth row")
    parser.add_argument("--default-allocator", action="store_true", help="memory may be kept")
    parser.add_argument("--output", type=Path, help="write the table there")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.case:
        print(json.dumps(measure(Case(**json.loads(options.case)))))
        return
    rows = []
    for case in CASES[::6] if options.quick else CASES:
        rows.append(measured_row(case, default_allocator=options.default_allocator))
        text = table(f"Peak memory of a training step, {machine()}", HEADER, rows)
        if options.output:
            options.output.write_text(f"# Memory\n\n{text}\n", encoding="utf-8")
    print("\n" + text)


if __name__ == "__main__":
    main()
