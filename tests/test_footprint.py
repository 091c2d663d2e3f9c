"""What a step takes is told before training, and what to change where it does not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from backbones_support import plain_values
from matrix_support import FAMILIES, parameters
from matrix_support import plain_values as values_of_family
from qa_lightning import QAModule
from qa_lightning.backbones import span_logits
from qa_lightning.errors import InputError
from qa_lightning.footprint import TrainingStep, check_room, step_footprint
from qa_lightning.footprint import live as live_memory
from qa_lightning.footprint.live import LiveMemory
from running import NETWORK, fail, run
from tokenizers_support import tokenizer_of

CPU = torch.device("cpu")
MIXED = MixedPrecision("bf16-mixed", "cpu")
ROWS, LENGTH = 2, 600
"""More than 512 tokens: attention goes by blocks."""

BIG = {**NETWORK, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
BIG |= {"num_hidden_layers": 3, "max_position_embeddings": 640, "vocab_size": 500}
NETWORKS: dict[str, dict[str, Any]] = {
    "longformer": {**BIG, "attention_window": 64},
    "bert": {**plain_values("bert"), **BIG, "model_type": "bert"},
    "modernbert": {**BIG, "model_type": "modernbert", "local_attention": 64},
}
for _values in (NETWORKS["bert"], NETWORKS["modernbert"]):
    _values.pop("attention_window")
del NETWORKS["modernbert"]["type_vocab_size"]
NETWORKS["modernbert"] |= dict.fromkeys(
    ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 1
)


def settings_of(config: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return dict(QAModule(config=config, **arguments).hparams)


def batch_of(rows: int = ROWS, length: int = LENGTH) -> dict[str, torch.Tensor]:
    ids_bl = torch.randint(5, 300, (rows, length))
    place_bl = torch.arange(length).expand_as(ids_bl)
    return {
        "input_ids": ids_bl,
        "attention_mask": torch.ones_like(ids_bl),
        "global_attention_mask": (place_bl < 12).long(),
    }


def really_taken(settings: dict[str, Any], precision: Precision) -> int:
    """Return the bytes of all tensors at the highest moment of the second of two real steps."""
    live, batch = LiveMemory(CPU), batch_of()
    with live:
        module = QAModule(**settings)
        module.configure_model()
        trained = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, fused=True)
        for _ in range(2):
            live.restart()
            with precision.forward_context():
                start_bl, end_bl = span_logits(module.network, batch)
                loss = start_bl.float().sum() + end_bl.float().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return live.peak


@pytest.mark.parametrize(
    ("network", "arguments", "precision"),
    [
        *((name, {}, Precision()) for name in NETWORKS),
        *((name, {"gradient_checkpointing": True}, Precision()) for name in NETWORKS),
        ("longformer", {}, MIXED),
        ("longformer", {"lora": {"r": 4}}, Precision()),
        ("bert", {"freeze_embeddings": True}, MIXED),
        ("modernbert", {"attention": "sdpa"}, Precision()),
    ],
)
def test_the_estimate_is_what_a_step_takes(
    network: str, arguments: dict[str, Any], precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(NETWORKS[network], **arguments)
    found = step_footprint(settings, batch_of(), device=CPU, precision=precision)
    monkeypatch.setattr(live_memory, "unset_fake_temporarily", torch.enable_grad)
    # The masks of blocks, which all layers share, are counted for two; here they weigh most.
    assert found.total == pytest.approx(really_taken(settings, precision), rel=0.1)
    assert found.activations > 0


def test_an_estimate_draws_nothing() -> None:
    settings, batch = settings_of(NETWORKS["longformer"]), batch_of()
    before = torch.get_rng_state()
    step_footprint(settings, batch, device=CPU, precision=Precision())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", parameters(whole_way=True))
def test_families_are_estimated_or_nothing_is_said(name: str) -> None:
    config = values_of_family(FAMILIES[name], tokenizer_of(FAMILIES[name].tokenizer))
    step = TrainingStep(settings_of(config), batch_of(2, 64), CPU, Precision())
    found = step.footprint()
    assert (found is None) == (name in ("xmod", "ibert"))  # they decide by their own numbers
    if found is not None:
        assert min(found.weights, found.gradients, found.activations) > 0


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    step = TrainingStep(settings_of(NETWORKS["bert"]), batch_of(4, 200), CPU, Precision())
    found, ways = step.footprint(), list(step.ways())
    taken = {way.how: way.footprint().total for way in ways}
    assert "`data.batch_size` 1 with `trainer.accumulate_grad_batches` 4" in taken
    assert "`model.gradient_checkpointing` true and `trainer.precision` bf16-mixed" in taken
    assert all(size < found.total for size in taken.values())
    check_room(step, found, found.total)
    free = sorted(taken.values())[len(taken) // 2]
    with pytest.raises(InputError, match="Expected a training step to fit") as told:
        check_room(step, found, free)
    for how, size in taken.items():
        assert (f"{how} (" in str(told.value)) == (size <= free)
    with pytest.raises(InputError, match=r"Lower `data.max_length`"):
        check_room(step, found, 1000)


@pytest.mark.front_door
def test_fit_says_what_a_step_takes(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run("fit", "--config", small)
    (line,) = [each for each in caplog.messages if each.startswith("A training step of")]
    assert "8 x 64 tokens takes about 0.00 GiB (weights" in line


@pytest.mark.front_door
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate"
                     " memory: you tried to allocate 400 bytes. Error code 12"),
        MemoryError(),
    ],
)  # fmt: skip
def test_memory_that_runs_out_is_told_without_a_traceback(
    error: Exception, small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    def run_out(*_: Any) -> None:
        raise error

    monkeypatch.setattr(QAModule, "training_step", run_out)
    told = fail(capsys, "fit", "--config", small)
    assert "Expected memory enough" in told
    assert "`model.gradient_checkpointing`" in told
