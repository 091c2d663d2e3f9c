"""Windowed attention computes what the formula and the reference compute."""

import copy

import pytest
import torch
from transformers import LongformerConfig, LongformerModel
from transformers.models.longformer import modeling_longformer
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

from qa_lightning.attention import blocks, kernels, use_windowed_attention
from qa_lightning.attention.dropping import Dropper, drop
from qa_lightning.attention.layout import AttentionLayout
from test_attention_oracle import (
    largest_difference,
    make_batch,
    make_model,
    oracle_of,
    outputs_and_gradients,
)

CLOSE = 2e-5
LENGTHS = [24, 31, 32, 61, 97, 128, 257, 384, 512, 513, 1021]


def windowed(model):
    return use_windowed_attention(copy.deepcopy(model))


def assert_close_to_oracle(model, batch, tolerance=CLOSE):
    expected = outputs_and_gradients(oracle_of(model), batch)
    got = outputs_and_gradients(windowed(model), batch)
    assert largest_difference(got, expected) < tolerance


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("own_way_above", [0, kernels.DENSE_LENGTH])
def test_equals_the_formula_at_any_length(monkeypatch, length, own_way_above):
    monkeypatch.setattr(kernels, "DENSE_LENGTH", own_way_above)
    assert_close_to_oracle(make_model(), make_batch(length))


@pytest.mark.parametrize("length", [1531, 2048, 4096])
def test_equals_the_reference_at_great_length(length):
    model = make_model(windows=[64])
    batch = make_batch(length, global_counts=(20,), paddings=(0, 301))
    expected = outputs_and_gradients(model, batch)
    assert largest_difference(outputs_and_gradients(windowed(model), batch), expected) < CLOSE


@pytest.mark.parametrize("length", [24, 100, 256, 600])
@pytest.mark.parametrize("layers", [1, 3])
def test_equals_the_reference(length, layers):
    model = make_model(layers)
    batch = make_batch(length)
    expected = outputs_and_gradients(model, batch)
    assert largest_difference(outputs_and_gradients(windowed(model), batch), expected) < CLOSE


@pytest.mark.parametrize("global_counts", [(0, 0), (0, 9), (3, 0, 40), (70, 70)])
@pytest.mark.parametrize("paddings", [(0, 50), (199, 13, 3), (400, 0)])
@pytest.mark.parametrize("side", ["left", "right"])
def test_equals_the_formula_for_any_rows(global_counts, paddings, side):
    batch = make_batch(640, global_counts=global_counts, paddings=paddings, side=side)
    assert_close_to_oracle(make_model(), batch)


def test_rows_that_are_all_padding_stay_finite():
    batch = make_batch(40, paddings=(0, 40), global_counts=(3, 3))
    assert_close_to_oracle(make_model(), batch)


def test_masks_may_be_left_out():
    model, batch = make_model(), make_batch(48, paddings=(0, 0))
    batch["global_attention_mask"] = None
    del batch["attention_mask"]
    model, ours = model.longformer, windowed(model).longformer
    expected = model(**batch).last_hidden_state
    torch.testing.assert_close(ours(**batch).last_hidden_state, expected, rtol=0, atol=1e-5)


def test_global_tokens_may_be_twos_in_the_attention_mask():
    model, batch = make_model(), make_batch(48)
    global_mask = batch.pop("global_attention_mask")
    batch["attention_mask"] += global_mask
    model, ours = model.longformer, windowed(model).longformer
    real = batch["attention_mask"][..., None] > 0
    # Marked twice is a 4 to the reference: local, but to older releases global.
    newer = hasattr(modeling_longformer, "create_bidirectional_mask")
    for again in (None, global_mask) if newer else (None,):
        expected = model(**batch, global_attention_mask=again).last_hidden_state * real
        got = ours(**batch, global_attention_mask=again).last_hidden_state * real
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_windows_differ_between_layers():
    model = make_model(3, [8, 64, 32])
    assert_close_to_oracle_with_windows(model, make_batch(600))


def assert_close_to_oracle_with_windows(model, batch):
    assert len({m.one_sided_attn_window_size for m in attention_layers(model)}) == 3
    assert_close_to_oracle(model, batch)


def attention_layers(model):
    return [m for m in model.modules() if isinstance(m, LongformerSelfAttention)]


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("length", [40, 600])
def test_gradient_checkpointing_changes_nothing(length, reentrant):
    model, batch = make_model(2, dropout=0.2), make_batch(length)
    plain, checkpointed = windowed(model), windowed(model)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": reentrant})
    torch.manual_seed(0)
    expected = outputs_and_gradients(plain, batch)
    torch.manual_seed(0)
    assert largest_difference(outputs_and_gradients(checkpointed, batch), expected) < CLOSE


@pytest.mark.parametrize("scores_in_cache", [2**19, 2**10])
@pytest.mark.parametrize("length", [100, 600])
def test_bfloat16_autocast_stays_within_its_own_error(monkeypatch, length, scores_in_cache):
    monkeypatch.setattr(blocks, "SCORES_IN_CACHE", scores_in_cache)
    model, batch = make_model(2), make_batch(length)
    exact = outputs_and_gradients(oracle_of(model), batch)
    reference_error = largest_difference(outputs_and_gradients(model, batch, autocast=True), exact)
    ours = outputs_and_gradients(windowed(model), batch, autocast=True)
    assert largest_difference(ours, exact) < max(1.5 * reference_error, 0.05)


@pytest.mark.parametrize("length", [40, 600])
def test_bfloat16_drops_what_float32_drops(length):
    model, batch = windowed(make_model(2, dropout=0.3)), make_batch(length)
    found = []
    for autocast in (False, True):
        torch.manual_seed(5)
        found.append(outputs_and_gradients(model, batch, autocast=autocast))
    undropped = outputs_and_gradients(windowed(make_model(2)), batch)
    assert largest_difference(found[1], found[0]) < 0.1 < largest_difference(undropped, found[0])


@pytest.mark.parametrize("length", [600, 4200])
def test_bfloat16_adds_up_the_shares_of_many_blocks(monkeypatch, length):
    monkeypatch.setattr(blocks, "SCORES_IN_CACHE", 2**10)  # blocks of 32 queries
    layout = AttentionLayout.from_signed_mask(torch.tensor([[1.0] * 4 + [0.0] * (length - 4)]))
    value = torch.ones(1, length, 16, dtype=torch.bfloat16, requires_grad=True)
    alike = torch.zeros(1, length, 16, dtype=torch.bfloat16)
    context = kernels.windowed_attention(alike, alike, value, layout, heads=2, one_sided=32)
    context.backward(torch.ones_like(context))
    # A query shares itself out among the 4 global keys and those within 32 tokens.
    place = torch.arange(length)
    keys = 4 + (place + 33).clamp(max=length) - (place - 32).clamp(min=4)
    expected = (1 / keys.double()).sum().expand(4)
    assert torch.allclose(value.grad[0, :4, 0].double(), expected, rtol=0.02)


@pytest.mark.parametrize("length", [40, 100, 601])
@pytest.mark.parametrize("counts", [(0, 0), (5, 0), (70, 3)])
def test_the_sdpa_way_of_other_devices_equals_the_formula(monkeypatch, length, counts):
    monkeypatch.setattr(kernels, "has_own_backward", lambda *_: False)
    monkeypatch.setattr(kernels, "DENSE_LENGTH", 64)
    batch = make_batch(length, global_counts=counts, paddings=(0, 19))
    assert_close_to_oracle(make_model(), batch)


def test_double_precision_is_exact():
    model, batch = make_model(2).double(), make_batch(600)
    expected = outputs_and_gradients(oracle_of(model), batch)
    assert largest_difference(outputs_and_gradients(windowed(model), batch), expected) < 1e-11


@pytest.mark.parametrize("absorbed", [True, False])
def test_rows_of_padding_are_zero_as_in_the_reference(absorbed):
    layer = attention_layers(windowed(make_model()))[0]
    if not absorbed:
        layer.key_global.register_forward_hook(lambda *_: None)
    mask = torch.zeros(1, 50)
    mask[:, :3], mask[:, 40:] = 1, -1
    states = layer(torch.randn(1, 50, 16), attention_mask=mask)[0]
    assert (states[:, 40:] == 0).all()
    assert (states[:, :40] != 0).any(dim=2).all()


@pytest.mark.parametrize("length", [64, 640])
def test_a_layer_alone_takes_the_masks_of_the_reference(length):
    layer = attention_layers(make_model())[0].eval()
    mask = torch.zeros(2, length)
    mask[0, :4], mask[1, -9:] = 1e4, -1e4
    states = torch.randn(2, length, 16)
    expected = layer(
        states,
        attention_mask=mask,
        is_index_masked=mask < 0,
        is_index_global_attn=mask > 0,
        is_global_attn=True,
    )[0]
    ours = use_windowed_attention(layer)(states, attention_mask=mask)[0]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [32, 160])
def test_dropout_has_the_mean_and_the_spread_of_the_reference(length):
    model = make_model(dropout=0.4)
    reference, ours = attention_layers(model)[0], attention_layers(windowed(model))[0]
    mask = torch.zeros(1, length)
    mask[:, :3] = 1
    masks = {
        "attention_mask": mask,
        "is_index_masked": mask < 0,
        "is_index_global_attn": mask > 0,
        "is_global_attn": True,
    }
    states = torch.randn(1, length, 16)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = torch.stack([reference(states, **masks)[0] for _ in range(200)])
        got = torch.stack([ours(states, **masks)[0] for _ in range(200)])
        still = ours.eval()(states, **masks)[0]
    noise = expected.std(0).max() / 200**0.5
    assert (got.mean(0) - still).abs().max() < 6 * noise
    torch.testing.assert_close(got.std(0).mean(), expected.std(0).mean(), rtol=0.02, atol=0)


@pytest.mark.parametrize("length", [20, 530])
def test_gradients_with_dropout_are_those_of_the_dropped_function(length):
    model = make_model(dropout=0.3, windows=[8]).double()
    layer = attention_layers(windowed(model))[0]
    mask = torch.zeros(2, length)
    mask[0, :2], mask[1, -3:] = 1, -1
    states = torch.randn(2, length, 16, dtype=torch.float64, requires_grad=True)
    direction = torch.randn_like(states)

    def value(at):
        torch.manual_seed(3)
        return layer(at, attention_mask=mask)[0].sin().sum()

    (gradient,) = torch.autograd.grad(value(states), states)
    step = 1e-6 * direction
    slope = (value(states + step) - value(states - step)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-6)


def test_backward_twice_gives_the_same_gradients():
    layer = attention_layers(windowed(make_model(dropout=0.3)))[0]
    states = torch.randn(1, 600, 16, requires_grad=True)
    total = layer(states)[0].square().sum()
    (first,) = torch.autograd.grad(total, states, retain_graph=True)
    (second,) = torch.autograd.grad(total, states)
    assert torch.equal(first, second)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_what_is_dropped(dropout):
    kept = drop(torch.ones(999, 1001), dropout)
    assert abs((kept == 0).double().mean() - dropout) < 0.003
    assert abs(kept.double().mean() - int(dropout < 1)) < 0.005


def test_dropped_values_follow_the_seed_and_are_independent():
    torch.manual_seed(5)
    one, two = Dropper(0.5), Dropper(0.5)
    masks = []
    for dropper in (one, one, two):
        dropper.restart()
        masks.append(dropper.keep(torch.empty(64, 4096)))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    correlation = torch.corrcoef(masks[0])
    assert (correlation - torch.eye(64)).abs().max() < 0.1


def test_a_model_without_question_answering_head():
    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        attention_window=8,
        max_position_embeddings=90,
        pad_token_id=1,
    )
    model = LongformerModel(config).eval()
    batch = make_batch(33, paddings=(0, 0))
    expected = model(**batch, output_hidden_states=True)
    got = windowed(model)(**batch, output_hidden_states=True)
    torch.testing.assert_close(got.pooler_output, expected.pooler_output, rtol=0, atol=1e-5)
    for ours, theirs in zip(got.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    as_tuple = windowed(model)(**batch, return_dict=False)
    assert [t.shape for t in as_tuple] == [t.shape for t in model(**batch, return_dict=False)]
