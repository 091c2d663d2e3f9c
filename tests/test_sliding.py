"""Sliding layers by blocks: what transformers computes, and no token beyond the window."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForQuestionAnswering

from matrix_support import FAMILIES, write_published
from qa_lightning import QAModule, QuestionAnswerer
from qa_lightning.attention import use_reference_attention, use_windowed_attention
from qa_lightning.attention.sliding import NAME
from qa_lightning.backbones import (
    build_network,
    network_class,
    network_config,
    pretrained_config,
)
from qa_lightning.errors import InputError

SLIDING = {
    "modernbert": {
        "num_hidden_layers": 3,
        "local_attention": 24,
        "attention_dropout": 0.0,
        "num_attention_heads": 2,
    },
    "ultrabert": {
        "num_hidden_layers": 3,
        "sliding_window": 12,
        "attention_dropout": 0.0,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
}


def network_of(kind: str, **settings: Any) -> Any:
    if kind not in CONFIG_MAPPING:
        pytest.skip(f"the installed transformers has no {kind} yet")
    torch.manual_seed(0)
    small = {"vocab_size": 90, "hidden_size": 32, "intermediate_size": 32, "pad_token_id": 0}
    values = {"model_type": kind, **small, **SLIDING[kind], **settings}
    return build_network(network_config(values))


def batch(length: int, padding: int) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 90, (2, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones_like(ids)
    if padding:
        mask[1, -padding:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize(("length", "padding"), [(9, 0), (40, 13), (513, 0), (700, 251)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", SLIDING)
def test_states_and_gradients_are_those_of_transformers(
    kind: str, dtype: torch.dtype, length: int, padding: int
) -> None:
    network, inputs = network_of(kind).base_model.to(dtype), batch(length, padding)
    tolerance = 1e-3 if dtype == torch.float32 else 1e-7  # of sums over all tokens
    real_bl = inputs["attention_mask"].bool()
    found: dict[str, torch.Tensor] = {}
    gradients: dict[str, dict[str, torch.Tensor]] = {}
    for way, use in (("theirs", use_reference_attention), ("ours", use_windowed_attention)):
        use(network)
        network.zero_grad()
        found[way] = network(**inputs).last_hidden_state[real_bl]
        found[way].square().sum().backward()
        gradients[way] = {n: p.grad.clone() for n, p in network.named_parameters()}
    torch.testing.assert_close(found["ours"], found["theirs"], rtol=0, atol=2e-5)
    for name, gradient in gradients["theirs"].items():
        torch.testing.assert_close(gradients["ours"][name], gradient, rtol=2e-5, atol=tolerance)


@pytest.mark.parametrize("length", [60, 600])
def test_nothing_beyond_the_window_is_seen(length: int) -> None:
    network = network_of("modernbert", num_hidden_layers=2).base_model.eval()
    network.config.layer_types = ["sliding_attention"] * 2
    for layer in network.layers:
        layer.attention_type, layer.attn.sliding_window = "sliding_attention", 13
    use_windowed_attention(network)
    inputs, place = batch(length, 0), length // 2
    with torch.no_grad():
        before = network(**inputs).last_hidden_state
        inputs["input_ids"][:, place] = 4
        changed = (network(**inputs).last_hidden_state - before).abs().amax((0, 2)) > 0
    reached = changed.nonzero().squeeze(1)
    assert reached.min() == place - 24  # two layers of twelve tokens on either side
    assert reached.max() == place + 24


def test_a_run_and_what_reads_its_checkpoint_attend_so(tmp_path: Path) -> None:
    folder = write_published(FAMILIES["modernbert"], tmp_path / "published")
    for attention, name in (("windowed", NAME), ("reference", "sdpa"), ("sdpa", "sdpa")):
        module = QAModule(str(folder), attention=attention)
        module.configure_model()
        assert module.network.config._attn_implementation == name
    network = QuestionAnswerer.from_checkpoint(folder, device="cpu").reader.network
    assert network.config._attn_implementation == NAME
    network.save_pretrained(tmp_path / "saved")
    again = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved")
    assert again.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("family", "attention", "told"),
    [
        ("longformer", "sdpa", "one that a longformer has"),
        ("deberta-v3", "sdpa", "one that a deberta-v2 has"),
        ("deberta-v3", "flex", "one that a deberta-v2 has"),
        ("t5gemma", "sdpa", "one that a t5gemma has"),
        ("bert", "flash", "a GPU of CUDA and the package flash-attn"),
    ],
)
def test_an_attention_that_is_not_there_is_refused_before_anything_is_loaded(
    family: str, attention: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = write_published(FAMILIES[family], tmp_path)
    if family == "t5gemma" and network_class(pretrained_config(str(folder)))._supports_sdpa:
        pytest.skip("this release of transformers lets it have SDPA")
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(InputError, match=told) as refused:
        QAModule(str(folder), attention=attention).configure_model()
    assert "\n" not in str(refused.value)


def test_a_network_without_a_window_is_told(tmp_path: Path) -> None:
    write_published(FAMILIES["bert"], tmp_path)
    with pytest.raises(InputError, match="Longformer of transformers"):
        use_windowed_attention(AutoModel.from_pretrained(tmp_path))
