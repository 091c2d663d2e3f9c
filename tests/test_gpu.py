"""What only a GPU can show; `make gpu` runs it, and elsewhere it is skipped.

``QA_LIGHTNING_GPU=cpu`` takes the same steps on the CPU, so that they are whole when they meet one.
"""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision

from backbones_support import plain_values
from qa_lightning import QAModule, QuestionAnswerer
from qa_lightning.attention import (
    use_flex_attention,
    use_reference_attention,
    use_windowed_attention,
)
from qa_lightning.backbones import span_logits
from qa_lightning.candidates import best_spans
from qa_lightning.footprint import step_footprint
from qa_lightning.model.finite import StepGuard
from running import NETWORK, RECORDER, recorded, rows_of, run, write_yaml
from test_attention_oracle import make_batch, make_model
from test_sliding import network_of

DEVICE = torch.device(os.environ.get("QA_LIGHTNING_GPU", "cuda"))
ON_CUDA = DEVICE.type == "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_CUDA and not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.fixture(autouse=True)
def whole_precision() -> Any:
    """Multiply in float32, not in the 19 bits of TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def on_device(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: tensor.to(DEVICE) for key, tensor in batch.items()}


def logits_and_gradients(network: Any, batch: Any) -> dict[str, torch.Tensor]:
    network.zero_grad()
    real_bl = batch["attention_mask"].bool()
    start_bl, end_bl = (logits_bl[real_bl].float() for logits_bl in span_logits(network, batch))
    (start_bl.square().sum() + end_bl.sum()).backward()
    gradients = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return {"start": start_bl.detach(), "end": end_bl.detach(), **gradients}


def assert_alike(found: Any, expected: Any, *, share: float) -> None:
    """Compare with how large the expected is, tensor by tensor; a key's bias has no gradient."""
    floor = 1e-4 * max(float(tensor.abs().max()) for tensor in expected.values())
    for name, tensor in expected.items():
        largest = float(tensor.abs().max())
        difference = float((found[name].float() - tensor.float()).abs().max())
        assert difference <= share * largest + floor, f"{name}: {difference} of {largest}"


@pytest.mark.parametrize("length", [61, 384, 513, 2048])
@pytest.mark.parametrize("way", [use_windowed_attention, use_flex_attention])
def test_a_longformer_attends_as_the_reference(way: Any, length: int) -> None:
    reference = make_model(layers=2).to(DEVICE)
    ours, batch = way(copy.deepcopy(reference)), on_device(make_batch(length))
    found, expected = (logits_and_gradients(each, batch) for each in (ours, reference))
    assert_alike(found, expected, share=1e-3)


@pytest.mark.parametrize("length", [61, 513, 1500])
def test_sliding_layers_attend_as_transformers(length: int) -> None:
    reference = network_of("modernbert").to(DEVICE).train()
    ours = use_windowed_attention(copy.deepcopy(reference))
    use_reference_attention(reference)
    batch = on_device(make_batch(length))
    found, expected = (logits_and_gradients(each, batch) for each in (ours, reference))
    assert_alike(found, expected, share=1e-3)


@pytest.mark.parametrize("attention", ["windowed", "sdpa", "flex"])
def test_attention_can_be_chosen(attention: str) -> None:
    config = network_of("modernbert").config.to_diff_dict()
    module = QAModule(config=config, attention=attention)
    module.configure_model()
    network = module.network.to(DEVICE).eval()
    other = copy.deepcopy(network)
    use_reference_attention(other)
    batch = on_device(make_batch(200))
    with torch.no_grad():
        found, expected = (dict(enumerate(span_logits(n, batch))) for n in (network, other))
    real_bl = batch["attention_mask"].bool()
    for name, logits_bl in expected.items():
        torch.testing.assert_close(found[name][real_bl], logits_bl[real_bl], rtol=0, atol=1e-3)


@pytest.mark.parametrize("length", [285, 1500])
@pytest.mark.parametrize("kind", ["longformer", "modernbert"])
def test_bf16_mixed_is_as_near_as_bf16_can(kind: str, length: int) -> None:
    network = make_model(layers=2) if kind == "longformer" else network_of(kind)
    network = use_windowed_attention(network.to(DEVICE).train())
    batch = on_device(make_batch(length))
    expected = logits_and_gradients(network, batch)
    with MixedPrecision("bf16-mixed", DEVICE.type).forward_context():
        network.zero_grad()
        start_bl, _ = span_logits(network, batch)
    real_bl = batch["attention_mask"].bool()
    assert_alike({"start": start_bl[real_bl]}, {"start": expected["start"]}, share=0.1)


def test_a_step_that_is_not_finite_is_held_back_without_waiting_for_the_device() -> None:
    layer = torch.nn.Linear(4, 2, device=DEVICE)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)
    guard, inputs = StepGuard("skip"), torch.ones(3, 4, device=DEVICE)
    spoilt = torch.full_like(inputs, float("nan"))

    def step(states: torch.Tensor, number: int) -> None:
        optimizer.zero_grad()
        guard.watch(layer(states).sum(), {}).backward()
        norm = torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        guard.judge(optimizer, norm, step=number, scaled=False)
        optimizer.step()

    step(inputs, 1)
    before = layer.weight.detach().clone()
    if ON_CUDA:
        torch.cuda.set_sync_debug_mode("error")
    try:
        step(spoilt, 2)
    finally:
        if ON_CUDA:
            torch.cuda.set_sync_debug_mode("default")
    assert layer.weight.equal(before)
    guard.settle(layer, lambda windows: [], all_of_them=True)
    assert guard.skipped == 1
    step(inputs, 3)
    assert not layer.weight.equal(before)


def test_candidates_are_the_same_on_every_device() -> None:
    torch.manual_seed(0)
    logits = [torch.randint(-9, 9, (5, 300)).float() for _ in range(2)]  # with ties
    mask_bl = torch.rand(5, 300) > 0.2
    here = best_spans(*logits, mask_bl, n_best=20, max_answer_length=30)
    moved = [tensor.to(DEVICE) for tensor in (*logits, mask_bl)]
    there = best_spans(*moved, n_best=20, max_answer_length=30)
    for mine, theirs in zip(here, there, strict=True):
        assert theirs.cpu().equal(mine)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_trains_validates_and_answers(
    precision: str, small_settings: dict[str, Any], tmp_path: Path
) -> None:
    small_settings["trainer"] |= {
        "accelerator": "gpu" if ON_CUDA else "cpu",
        "devices": 1,
        "precision": precision,
    }
    config = write_yaml(tmp_path / "gpu.yaml", small_settings)
    run("fit", "--config", config, RECORDER)
    assert recorded().trainer.strategy.root_device.type == DEVICE.type
    scores = recorded().logged[-1]
    run("validate", "--config", config, "--ckpt_path", "last", RECORDER)
    assert recorded().logged[-1]["val/f1"] == pytest.approx(scores["val/f1"], abs=1)
    row = rows_of(1, first=100)[0]
    answers = [
        QuestionAnswerer.from_checkpoint(tmp_path / "run", device=device).answer(
            row["question"], row["context"]
        )
        for device in ("cpu", str(DEVICE))
    ]
    assert answers[0].text == answers[1].text
    assert answers[0].score == pytest.approx(answers[1].score, abs=1e-3)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("kind", ["longformer", "bert"])
def test_the_forecast_is_within_a_fifth_of_what_a_step_takes(kind: str, mixed: bool) -> None:
    big = {"hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048}
    big |= {"num_hidden_layers": 4, "max_position_embeddings": 1100, "vocab_size": 5000}
    values = {**(NETWORK if kind == "longformer" else plain_values(kind)), **big}
    values |= {"attention_window": 256} if kind == "longformer" else {}
    module = QAModule(config=values)
    precision = MixedPrecision("bf16-mixed", DEVICE.type) if mixed else Precision()
    batch = make_batch(1024, global_counts=(9, 9), paddings=(0, 0))
    found = step_footprint(module.hparams, batch, device=DEVICE, precision=precision)
    assert found.total > found.weights > 0
    module.configure_model()
    before = torch.cuda.memory_allocated() if ON_CUDA else 0
    if ON_CUDA:
        torch.cuda.reset_peak_memory_stats()
    network, batch = module.network.to(DEVICE), on_device(batch)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    for _ in range(2 if ON_CUDA else 0):
        with precision.forward_context():
            loss = sum(logits_bl.float().sum() for logits_bl in span_logits(network, batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if ON_CUDA:
        taken = torch.cuda.max_memory_allocated() - before
        assert found.total == pytest.approx(taken, rel=0.2)


def test_memory_that_runs_out_is_known_as_such() -> None:
    from qa_lightning.shortage import is_shortage, shortage

    with pytest.raises((torch.OutOfMemoryError, RuntimeError)) as told:
        torch.empty(1 << 46, device=DEVICE)
    assert is_shortage(told.value)
    assert "`data.batch_size`" in shortage(told.value)
