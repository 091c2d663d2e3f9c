"""LoRA: what is trained, and that merged weights compute the same."""

from typing import Any

import pytest
import torch
from torch import nn

from backbones_support import plain_values
from qa_lightning import backbones
from qa_lightning.backbones import adapter_problems, build_network, merged_weights, network_config
from qa_lightning.errors import InputError
from qa_lightning.model import QAModule, module_problems
from test_backbones import batch
from test_model import CONFIG

LONGFORMER = {**CONFIG, "num_hidden_layers": 2}
NETWORKS = {"longformer": LONGFORMER, **{n: plain_values(n) for n in ("bert", "distilbert")}}


def adapted(config: dict[str, Any], lora: dict[str, Any], **settings: Any) -> QAModule:
    """Return a module with adapters that do something: peft's start is to do nothing."""
    torch.manual_seed(0)
    module = QAModule(config=config, lora=lora, **settings)
    module.configure_model()
    for name, parameter in module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.5)
    return module


def trained(module: QAModule) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", NETWORKS)
def test_adapters_and_the_head_are_trained_and_nothing_else(name: str) -> None:
    module = adapted(NETWORKS[name], {})
    module.log = lambda *_, **__: None
    assert module.network.training
    names = trained(module)
    heads = {name for name in names if "lora" not in name}
    assert heads == {"network.qa_outputs.weight", "network.qa_outputs.bias"}
    projections = {"longformer": 6, "bert": 3, "distilbert": 3}[name]
    assert len(names - heads) == 2 * projections * 2
    module.training_step(batch(), 0).backward()
    assert names == {name for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_merged_weights_compute_the_same(name: str, use_rslora: bool) -> None:
    lora = {"r": 3, "lora_alpha": 7, "use_rslora": use_rslora}
    module = adapted(NETWORKS[name], lora).eval()
    plain = build_network(network_config(NETWORKS[name])).eval()
    merged = merged_weights(module.network.state_dict(), lora)
    assert merged.keys() == plain.state_dict().keys()
    base = {name.replace(".base_layer", ""): t for name, t in module.network.state_dict().items()}
    changed = {name for name, tensor in merged.items() if not tensor.equal(base[name])}
    assert len(changed) == {"longformer": 12, "bert": 6, "distilbert": 6}[name]
    plain.load_state_dict(merged)
    mask = batch()["attention_mask"].bool()
    inputs = {key: batch()[key] for key in backbones.model_inputs(plain)}
    with torch.no_grad():
        expected, got = plain(**inputs).start_logits, module(batch())[0]
    torch.testing.assert_close(got[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_attention_with_adapters_is_the_reference_s() -> None:
    ours = adapted(LONGFORMER, {"r": 2}).eval()
    theirs = adapted(LONGFORMER, {"r": 2}, attention="reference").eval()
    theirs.load_state_dict(ours.state_dict())
    mask = batch()["attention_mask"].bool()
    for mine, other in zip(ours(batch()), theirs(batch()), strict=True):
        torch.testing.assert_close(mine[mask], other[mask], rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_and_frozen_embeddings_go_with_adapters() -> None:
    config = {**LONGFORMER, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    gradients = []
    for checkpointing in (False, True):
        module = adapted(config, {}, gradient_checkpointing=checkpointing, freeze_embeddings=True)
        module.log = lambda *_, **__: None
        module.training_step(batch(), 0).backward()
        gradients.append({n: p.grad for n, p in module.named_parameters() if p.requires_grad})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_hyper_parameters_hold_all_that_was_chosen() -> None:
    module = adapted(LONGFORMER, {"r": 2, "target_modules": ["query", "dense"]})
    checkpoint = {"hyper_parameters": dict(module.hparams)}
    module.on_save_checkpoint(checkpoint)
    kept = checkpoint["hyper_parameters"]
    assert kept["lora"] == {
        "r": 2,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "target_modules": ["dense", "query"],
    }
    twin = QAModule(**kept)
    twin.configure_model()
    assert trained(twin) == trained(module)
    twin.load_state_dict(module.state_dict())


@pytest.mark.parametrize("targets", [["qery"], ["query", "LayerNorm"], ["word_embeddings"]])
def test_layers_that_are_not_there_or_not_linear_are_told(targets: list[str]) -> None:
    module = QAModule(config=LONGFORMER, lora={"target_modules": targets})
    with pytest.raises(InputError, match=f"none for {targets[-1]}. Choose among .*query"):
        module.configure_model()


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"r": 0, "lora_alpha": -1, "lora_dropout": 1.0, "use_rslora": "yes", "rank": 8}
    settings = {**QAModule(config=LONGFORMER).hparams, "lora": {**wrong, "target_modules": []}}
    problems = list(module_problems(settings))
    for key in ("'rank'", *(f"lora.{key}`" for key in wrong if key != "rank"), "target_modules`"):
        assert sum(key in problem for problem in problems) == 1, key
    assert len(problems) == 6
    monkeypatch.setattr(backbones.adapters, "find_spec", lambda name: None)
    (missing,) = adapter_problems({})
    assert "pip install peft" in missing
    assert not list(adapter_problems(None))
