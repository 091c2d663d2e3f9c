"""Switching a model's attention changes its classes and nothing else."""

import copy
import io
import logging
import pickle

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, LongformerForQuestionAnswering
from transformers.models.longformer import modeling_longformer as reference
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention
from transformers.utils.logging import warning_once

from qa_lightning.attention import (
    use_flex_attention,
    use_reference_attention,
    use_windowed_attention,
)
from qa_lightning.attention.layers import WindowedModel, WindowedSelfAttention
from qa_lightning.errors import InputError
from test_attention_oracle import largest_difference, make_batch, make_model, outputs_and_gradients


@pytest.fixture
def warned():
    """Collect the warnings of the library and of transformers, whose logger keeps its own."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("transformers", "qa_lightning")]
    for logger in loggers:
        logger.addHandler(handler)
    warning_once.cache_clear()
    yield messages
    for logger in loggers:
        logger.removeHandler(handler)


def logits(model, batch):
    return model(**batch).start_logits.detach()


def test_the_model_is_changed_in_place_and_its_weights_are_not():
    model = make_model(2)
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    assert use_windowed_attention(model) is model
    assert before == {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    assert sum(isinstance(m, WindowedSelfAttention) for m in model.modules()) == 2
    assert isinstance(model.longformer, WindowedModel)
    assert type(model.longformer).__name__ == "LongformerModel"


def test_twice_is_once_and_there_is_a_way_back():
    model = make_model()
    classes = [type(m) for m in model.modules()]
    use_windowed_attention(model)
    switched = [type(m) for m in model.modules()]
    assert [type(m) for m in use_windowed_attention(model).modules()] == switched
    use_flex_attention(model)
    assert [type(m) for m in use_windowed_attention(model).modules()] == switched
    assert [type(m) for m in use_reference_attention(model).modules()] == classes
    assert [type(m) for m in use_reference_attention(model).modules()] == classes


def test_no_padding_to_a_multiple_of_the_window(monkeypatch):
    model, lengths = use_windowed_attention(make_model()), []
    hook = lambda _module, _inputs, output: lengths.append(output.shape[1])  # noqa: E731
    model.longformer.embeddings.register_forward_hook(hook)
    model(**make_batch(33))
    use_reference_attention(model)(**make_batch(33))
    assert lengths == [33, 64]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("switch", [use_windowed_attention, use_flex_attention])
def test_copies_and_pickles_keep_the_attention(duplicate, switch):
    model, batch = switch(make_model().eval()), make_batch(40)
    twin = duplicate(model)
    assert [type(m) for m in twin.modules()] == [type(m) for m in model.modules()]
    assert torch.equal(logits(twin, batch), logits(model, batch))
    with torch.no_grad():
        next(twin.parameters()).add_(1.0)
    assert not torch.equal(next(twin.parameters()), next(model.parameters()))


def test_a_whole_saved_model_loads():
    model, batch, buffer = use_windowed_attention(make_model().eval()), make_batch(40), io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    assert torch.equal(logits(torch.load(buffer, weights_only=False), batch), logits(model, batch))


def test_saved_weights_and_configuration_are_the_reference_s(tmp_path):
    model = make_model().eval()
    model.save_pretrained(tmp_path / "reference")
    use_windowed_attention(model).save_pretrained(tmp_path / "windowed")
    for name in ("config.json", "model.safetensors"):
        saved = [(tmp_path / kind / name).read_bytes() for kind in ("reference", "windowed")]
        assert saved[0] == saved[1]
    loaded = LongformerForQuestionAnswering.from_pretrained(tmp_path / "windowed")
    assert type(loaded.longformer) is reference.LongformerModel


def test_attention_weights_come_from_the_reference_with_one_warning(warned):
    model, batch = make_model(2).eval(), make_batch(40)
    expected = model(**batch, output_attentions=True)
    use_windowed_attention(model)
    model(**batch, output_attentions=True)
    got = model(**batch, output_attentions=True)
    for ours, theirs in zip(got.attentions, expected.attentions, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(got.start_logits, expected.start_logits)
    assert sum("output_attentions" in message for message in warned) == 1
    assert model(**batch).attentions is None


def test_a_compiled_model_gives_the_same():
    model, batch = use_windowed_attention(make_model()), make_batch(40)
    expected = outputs_and_gradients(model, batch)
    compiled = outputs_and_gradients(torch.compile(model, backend="eager"), batch)
    plain = {name.removeprefix("_orig_mod."): grad for name, grad in compiled[1].items()}
    assert largest_difference((compiled[0], plain), expected) < 2e-5


@pytest.mark.parametrize("length", [40, 600])
def test_an_exported_model_gives_the_same_for_other_masks(length):
    model, batch = use_windowed_attention(make_model().eval()), make_batch(length)
    exported = torch.export.export(model, (), kwargs=dict(batch), strict=False).module()
    other = make_batch(length, global_counts=(9, 0), paddings=(12, 0), side="left", seed=4)
    expected = logits(model, other) * other["attention_mask"]
    got = exported(**other)["start_logits"] * other["attention_mask"]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5)


def test_an_exported_model_takes_any_number_of_rows_and_tokens():
    model, batch = use_windowed_attention(make_model().eval()), make_batch(40)
    sizes = {name: dict.fromkeys((0, 1), torch.export.Dim.AUTO) for name in batch}
    exported = torch.export.export(model, (), dict(batch), dynamic_shapes=sizes).module()
    other = make_batch(57, global_counts=(9, 0, 2), paddings=(12, 0, 1), seed=4)
    expected = logits(model, other) * other["attention_mask"]
    got = exported(**other)["start_logits"] * other["attention_mask"]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit")
@pytest.mark.parametrize("length", [40, 600])
def test_a_traced_model_gives_the_same_for_other_masks(length):
    model, batch = use_windowed_attention(make_model().eval()), make_batch(length)
    model.config.return_dict = False
    traced = torch.jit.trace(model, example_kwarg_inputs=batch, check_trace=False)
    other = make_batch(length, global_counts=(9, 0), paddings=(12, 0), side="left", seed=4)
    real = other["attention_mask"]
    torch.testing.assert_close(
        traced(**other)[0] * real, model(**other)[0] * real, rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("length", [40, 150])
def test_flex_gives_the_same_forward(length):
    model, batch = make_model(2).eval(), make_batch(length)
    expected = logits(model, batch) * batch["attention_mask"]
    with torch.no_grad():
        got = logits(use_flex_attention(model), batch) * batch["attention_mask"]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("counts", [(0, 0), (9, 0), (3, 7)])
def test_flex_gives_what_windowed_attention_gives(counts, side):
    model = use_windowed_attention(make_model(2).eval())
    batch = make_batch(150, global_counts=counts, paddings=(31, 0), side=side)
    expected = logits(model, batch) * batch["attention_mask"]
    with torch.no_grad():
        got = logits(use_flex_attention(model), batch) * batch["attention_mask"]
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5)


def test_flex_falls_back_where_it_has_no_gradients(warned):
    model, batch = make_model(2), make_batch(40)
    expected = outputs_and_gradients(model, batch)
    got = outputs_and_gradients(use_flex_attention(model), batch)
    assert largest_difference(got, expected) < 2e-5
    assert sum("attention: flex" in message for message in warned) == 1


def test_other_models_are_refused():
    tiny = BertConfig(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4
    )
    for switch in (use_windowed_attention, use_reference_attention, use_flex_attention):
        with pytest.raises(InputError, match=r"Got BertModel, which has none.*reference"):
            switch(BertModel(tiny))


def test_attention_of_somebody_else_s_is_refused_before_anything_changes():
    class Dilated(LongformerSelfAttention):
        def forward(self, *args, **kwargs):
            raise NotImplementedError

    model = make_model(2)
    model.longformer.encoder.layer[1].attention.self.__class__ = Dilated
    with pytest.raises(InputError, match="Dilated"):
        use_windowed_attention(model)
    assert type(model.longformer) is reference.LongformerModel


def test_a_subclass_of_a_longformer_keeps_its_own_parts():
    class Named(reference.LongformerModel):
        def motto(self):
            return "mine"

    model = make_model()
    model.longformer.__class__ = Named
    batch = make_batch(40)
    expected = outputs_and_gradients(model, batch)
    use_windowed_attention(model)
    assert model.longformer.motto() == "mine"
    assert isinstance(model.longformer, (WindowedModel, Named))
    assert largest_difference(outputs_and_gradients(model, batch), expected) < 2e-5


def test_adapters_in_place_of_projections_are_called():
    class Adapted(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.low = base, nn.Linear(16, 16)

        def forward(self, states):
            return self.base(states) + self.low(states)

    model, batch = make_model(), make_batch(40)
    for layer in [m for m in model.modules() if isinstance(m, LongformerSelfAttention)]:
        for name in ("query", "value", "key_global", "value_global"):
            setattr(layer, name, Adapted(getattr(layer, name)))
    expected = outputs_and_gradients(model, batch)
    got = outputs_and_gradients(use_windowed_attention(model), batch)
    assert largest_difference(got, expected) < 2e-5


def test_every_parameter_of_a_layer_has_a_gradient_when_there_are_global_tokens():
    """DistributedDataParallel stops on parameters without one."""
    model = use_windowed_attention(make_model(2))
    _, gradients = outputs_and_gradients(model, make_batch(40))
    assert gradients.keys() == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("switch", [use_windowed_attention, use_flex_attention])
def test_without_global_tokens_their_projections_have_gradients_of_zero(switch):
    """DistributedDataParallel stops on parameters without one."""
    batch = make_batch(40, global_counts=(0, 0))
    expected = outputs_and_gradients(make_model(2), batch)[0]
    model = switch(make_model(2))
    got, _ = outputs_and_gradients(model, batch)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    unused = {name: p.grad for name, p in model.named_parameters() if "_global." in name}
    assert len(unused) == 12
    assert all(gradient is not None and not gradient.any() for gradient in unused.values())
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
