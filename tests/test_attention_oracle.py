"""Longformer's attention as a formula over all pairs of tokens, and models and batches for it."""

import copy
import math
import re

import torch
from torch import Tensor, nn
from transformers import LongformerConfig, LongformerForQuestionAnswering
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

# Parameters whose true gradient is zero: what is left is rounding, with nothing to compare to.
# (`qa_outputs.bias` and the last LayerNorm's bias have one here: the loss is no softmax.)
NO_GRADIENT = re.compile(r"\.key(_global)?\.(.*\.)?bias$")


class OracleAttention(LongformerSelfAttention):
    """Masked softmax of full squares: once for local rows, once for the rows of global tokens."""

    def forward(self, hidden_states, attention_mask=None, **_):
        padding_bl, global_bl = attention_mask < 0, attention_mask > 0
        length = hidden_states.shape[1]
        place_l = torch.arange(length)
        band_ll = (place_l[:, None] - place_l[None]).abs() <= self.one_sided_attn_window_size
        local_bll = (band_ll | global_bl[:, None]) & ~padding_bl[:, None]
        every_bll = (~padding_bl[:, None]).expand(-1, length, -1)
        local = self._rows(hidden_states, local_bll, (self.query, self.key, self.value))
        if not global_bl.any():
            return (local.masked_fill(padding_bl[..., None], 0.0),)
        projections = (self.query_global, self.key_global, self.value_global)
        everywhere = self._rows(hidden_states, every_bll, projections)
        mixed = torch.where(global_bl[..., None], everywhere, local)
        return (mixed.masked_fill(padding_bl[..., None], 0.0),)

    def _rows(self, hidden: Tensor, allowed_bll: Tensor, projections) -> Tensor:
        q, k, v = (
            p(hidden).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
            for p in projections
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_dim)
        scores = scores.masked_fill(~allowed_bll[:, None], torch.finfo(scores.dtype).min)
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def make_model(layers=1, windows=None, *, dropout=0.0, heads=2, seed=0, **config):
    """Return a small Longformer in training mode, its weights far from the near-zero default."""
    torch.manual_seed(seed)
    model = LongformerForQuestionAnswering(
        LongformerConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=16,
            attention_window=windows or [32] * layers,
            max_position_embeddings=4200,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=dropout,
            pad_token_id=1,
            type_vocab_size=1,
            **config,
        )
    )
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float(name.endswith("LayerNorm.weight")), std=0.2)
    return model.train()


def oracle_of(model):
    """Return a copy in float64 that attends by the formula."""
    oracle = copy.deepcopy(model).double()
    oracle.config.attention_window = [2] * oracle.config.num_hidden_layers  # pad to even only
    for module in oracle.modules():
        if isinstance(module, LongformerSelfAttention):
            module.__class__ = OracleAttention
    return oracle


def make_batch(length, *, global_counts=(5, 3), paddings=(0, 7), side="right", seed=0):
    """Return ids and masks of ragged rows with their global tokens at random places."""
    generator = torch.Generator().manual_seed(seed)
    rows = max(len(global_counts), len(paddings))
    input_ids = torch.randint(5, 50, (rows, length), generator=generator)
    attention = torch.ones(rows, length, dtype=torch.long)
    globals_ = torch.zeros(rows, length, dtype=torch.long)
    for row in range(rows):
        padding = paddings[row % len(paddings)]
        first = padding if side == "left" else 0
        real = torch.arange(first, first + length - padding)
        chosen = torch.randperm(len(real), generator=generator)
        globals_[row, real[chosen[: global_counts[row % len(global_counts)]]]] = 1
        attention[row] = 0
        attention[row, real] = 1
    input_ids = input_ids.where(attention.bool(), 1)
    return {
        "input_ids": input_ids,
        "attention_mask": attention,
        "global_attention_mask": globals_,
    }


def outputs_and_gradients(model, batch, *, autocast=False):
    """Return the logits of the tokens that are not padding, and every parameter's gradient."""
    model.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = model(**batch)
    logits = torch.stack((outputs.start_logits, outputs.end_logits)).double()
    logits = logits * batch["attention_mask"].bool()
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    (logits * weights).sum().backward()
    gradients = {
        name: parameter.grad.double()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return logits.detach(), gradients


def largest_difference(got, expected):
    """Return the largest difference relative to the largest value, over logits and gradients."""
    (logits, gradients), (expected_logits, expected_gradients) = got, expected
    # Without global tokens ours has zeros where the reference has none.
    zeros = gradients.keys() - expected_gradients.keys()
    assert expected_gradients.keys() <= gradients.keys()
    assert all("_global." in name and not gradients[name].any() for name in zeros)
    worst = {"logits": relative(logits, expected_logits)}
    for name, expected_gradient in expected_gradients.items():
        if not NO_GRADIENT.search(name):
            worst[name] = relative(gradients[name], expected_gradient)
    return max(worst.values())


def relative(got: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest value."""
    assert got.isfinite().all()
    return float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def test_the_oracle_equals_the_reference_where_that_works_in_float64():
    """With padding and unequal numbers of globals it has NaN gradients; its softmax is float32."""
    model = make_model(2, [4, 4]).double()
    batch = make_batch(24, global_counts=(4, 4), paddings=(0, 0))
    expected = outputs_and_gradients(model, batch)
    assert largest_difference(outputs_and_gradients(oracle_of(model), batch), expected) < 1e-6
