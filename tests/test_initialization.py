"""The starting weights of a Longformer that is trained from scratch."""

import math

import pytest
import torch
from transformers import (
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    LongformerConfig,
    LongformerForQuestionAnswering,
)

from qa_lightning.errors import InputError
from qa_lightning.initialization import EMBEDDING_STD, POSITION_SCALE, initialize


def build(**changes):
    settings = {
        "vocab_size": 1_500,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "attention_window": 32,
        "type_vocab_size": 2,
        "max_position_embeddings": 300,
        "pad_token_id": 1,
    }
    return LongformerForQuestionAnswering(LongformerConfig(**(settings | changes)))


def matching(seed=0, **changes):
    torch.manual_seed(seed)
    model = build(**changes)
    initialize(model, "matching")
    return model


def test_default_leaves_the_model():
    model = build()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.get_rng_state()
    initialize(model, "default")
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_keys_start_as_queries_but_are_trained_apart():
    model = matching()
    for layer in model.longformer.encoder.layer:
        attention = layer.attention.self
        assert torch.equal(attention.key.weight, attention.query.weight)
        assert torch.equal(attention.key_global.weight, attention.query_global.weight)
        assert attention.key.weight.data_ptr() != attention.query.weight.data_ptr()
        assert not torch.equal(attention.query.weight, attention.query_global.weight)
        assert not torch.equal(attention.query.weight, attention.value.weight)


def test_keys_of_other_encoders_start_as_queries_too():
    config = DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, vocab_size=99)
    model = DistilBertForQuestionAnswering(config)
    initialize(model, "matching")
    attention = model.distilbert.transformer.layer[0].attention
    assert torch.equal(attention.k_lin.weight, attention.q_lin.weight)
    assert not torch.equal(attention.v_lin.weight, attention.q_lin.weight)


def test_a_network_whose_queries_have_no_layer_is_refused():
    with pytest.raises(InputError, match="Linear has none of their own"):
        initialize(torch.nn.Linear(2, 2), "matching")


def test_sizes_of_the_embeddings():
    embeddings = matching().longformer.embeddings
    words = embeddings.word_embeddings.weight.detach()
    assert words.std().item() == pytest.approx(EMBEDDING_STD, rel=0.02)
    assert words[1].abs().max() == 0, "padding"
    assert embeddings.token_type_embeddings.weight.std().item() == pytest.approx(0.06, rel=0.3)


def test_positions_are_sinusoids():
    positions = matching().longformer.embeddings.position_embeddings.weight.detach()
    used = positions[2:]  # the row of padding (1) is zero and the one before it is never used
    assert positions[1].abs().max() == 0
    amplitude = EMBEDDING_STD * POSITION_SCALE * math.sqrt(2)
    expected = amplitude * math.sin(100 * 1_000 ** (-10 / 64))
    assert positions[100, 10].item() == pytest.approx(expected, abs=1e-6)
    norm = used.norm(dim=1)
    assert torch.allclose(norm, norm[0]), "every sine has its cosine"
    similarity = used @ used[150] / norm[0] ** 2
    assert similarity.argmax() == 150
    assert similarity[145:150].diff().min() > 0, "near positions are like each other"
    assert similarity[151:156].diff().max() < 0


def test_linear_layers_are_xavier_but_the_head():
    torch.manual_seed(0)
    reference = build()
    model = matching()
    assert torch.equal(model.qa_outputs.weight, reference.qa_outputs.weight)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "qa_outputs":
            bound = math.sqrt(6 / (module.in_features + module.out_features))
            assert module.weight.abs().max() <= bound, name
            assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name
            assert module.bias.abs().max() == 0, name


def test_the_seed_decides():
    first, again, other = (matching(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    words = "longformer.embeddings.word_embeddings.weight"
    assert not torch.equal(first[words], other[words])


def test_a_token_attends_to_its_like_most():
    """From step 0 a token's largest score is with its own kind, also far away and never trained."""
    model = matching().eval()
    ids = torch.randperm(1_000)[:40] + 10
    ids = torch.cat((ids, ids.flip(0)))[None]
    embedded = model.longformer.embeddings(ids)[0]
    attention = model.longformer.encoder.layer[0].attention.self
    scores = attention.query(embedded) @ attention.key(embedded).T
    like = ids[0][:, None] == ids[0]
    best_other = scores.masked_fill(like, -math.inf).max(dim=1).values
    worst_like = scores.masked_fill(~like, math.inf).min(dim=1).values
    assert (worst_like > best_other).float().mean() > 0.95


def test_unknown_name():
    with pytest.raises(InputError, match=r"default, matching.*got 'xavier'"):
        initialize(build(), "xavier")
