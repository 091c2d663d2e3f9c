"""The module around the network: building, weights, dropout, optimizer, checkpoint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LongformerForQuestionAnswering

from qa_lightning.attention.flex import FlexSelfAttention
from qa_lightning.backbones import network_config, plain_config, recompute_activations
from qa_lightning.errors import InputError
from qa_lightning.model import (
    LR_SCHEDULES,
    QAModule,
    module_problems,
)
from qa_lightning.model.optimizer import base_rate, parameter_groups
from running import NETWORK, write_model

IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "sep_token_id": 2}
CONFIG = {**NETWORK, **IDS, "vocab_size": 100}


def batch(length: int = 24) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, 100, (2, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, -6:] = 0
    ids[1, -6:] = 1
    globals_ = torch.zeros_like(ids)
    globals_[:, :5] = 1
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "global_attention_mask": globals_,
        "token_type_ids": torch.zeros_like(ids),
        "start_positions": torch.tensor([7, 0]),
        "end_positions": torch.tensor([9, 0]),
        "feature_index": torch.arange(2),
    }


def built(**settings: Any) -> QAModule:
    torch.manual_seed(0)
    module = QAModule(config=dict(CONFIG), **settings)
    module.configure_model()
    return module


def test_building_is_idempotent_and_late() -> None:
    module = QAModule(config=CONFIG)
    assert module.network is None
    with pytest.raises(RuntimeError, match="configure_model"):
        module(batch())
    module.configure_model()
    network = module.network
    module.configure_model()
    assert module.network is network


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "neither"),
        ({"config": CONFIG, "model_name_or_path": "some/model"}, "both"),
        ({"config": CONFIG, "attention": "flash"}, "attention"),
        ({"config": CONFIG, "learning_rate": 0.0}, "learning_rate"),
        ({"config": CONFIG, "head_learning_rate": 0.0}, "head_learning_rate"),
        ({"config": CONFIG, "layer_decay": 0.0}, "layer_decay"),
        ({"config": CONFIG, "layer_decay": 1.1}, "layer_decay"),
        ({"config": CONFIG, "warmup_ratio": -0.1}, "warmup_ratio"),
        ({"config": CONFIG, "weight_decay": -0.1}, "weight_decay"),
        ({"config": CONFIG, "adam_betas": (0.9, 1.0)}, "adam_betas"),
        ({"config": CONFIG, "objective": "guess"}, "objective"),
        ({"config": CONFIG, "label_smoothing": 1.0}, "label_smoothing"),
        ({"config": CONFIG, "label_smoothing": 0.1, "objective": "document"}, "label_smoothing"),
        ({"config": CONFIG, "lr_schedule": "zigzag"}, "lr_schedule"),
        ({"config": CONFIG, "initialization": "zeros"}, "initialization"),
        ({"model_name_or_path": "some/model", "initialization": "matching"}, "initialization"),
    ],
)
def test_arguments_that_cannot_work(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        QAModule(**settings)


def test_all_problems_in_one_error() -> None:
    with pytest.raises(InputError) as caught:
        QAModule(attention="flash", learning_rate=-1.0)
    assert len(str(caught.value).splitlines()) == 3
    assert not list(module_problems(QAModule(config=CONFIG).hparams))


def test_a_checkpoints_own_weights_in_float32_and_training_mode(tmp_path: Path) -> None:
    folder = write_model(tmp_path, dtype=torch.float16)
    module = QAModule(str(folder))
    module.configure_model()
    assert module.network.training
    saved = LongformerForQuestionAnswering.from_pretrained(folder, dtype=torch.float16)
    for name, tensor in saved.state_dict().items():
        ours = module.network.state_dict()[name]
        assert ours.dtype == torch.float32
        assert ours.equal(tensor.float()), name


def test_dropout_is_active_in_the_training_step() -> None:
    module = built()
    module.log = lambda *_, **__: None
    losses = {module.training_step(batch(), 0).item() for _ in range(3)}
    assert len(losses) == 3
    module.eval()
    losses = {float(module.validation_step(batch(), 0)["loss_b"].sum()) for _ in range(3)}
    assert len(losses) == 1


@pytest.mark.parametrize("attention", ["windowed", "flex"])
@pytest.mark.parametrize("types", [1, 2])
def test_all_attentions_give_the_same_logits(types: int, attention: str) -> None:
    config = {**CONFIG, "type_vocab_size": types}
    torch.manual_seed(0)
    reference = QAModule(config=config, attention="reference")
    reference.configure_model()
    torch.nn.init.normal_(reference.network.qa_outputs.weight)
    ours = QAModule(config=config, attention=attention)
    ours.configure_model()
    ours.load_state_dict(reference.state_dict())
    layers = [module.eval().network.base_model.encoder.layer for module in (ours, reference)]
    kinds = [type(layer[0].attention.self).__mro__ for layer in layers]
    assert [FlexSelfAttention in kind for kind in kinds] == [attention == "flex", False]
    mask = batch()["attention_mask"].bool()
    with torch.no_grad():
        for mine, theirs in zip(ours(batch()), reference(batch()), strict=True):
            torch.testing.assert_close(mine[mask], theirs[mask], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "fused"), [("16-mixed", False), ("16-true", True), ("bf16-mixed", True)]
)
def test_the_optimizer_is_fused_except_under_16_bit_mixed_precision(
    precision: str, fused: bool
) -> None:
    module = built()
    module._trainer = SimpleNamespace(estimated_stepping_batches=10, precision=precision)
    assert module.configure_optimizers()["optimizer"].defaults["fused"] is fused


def test_prediction_has_no_loss() -> None:
    module = built().eval()
    bare = {k: v for k, v in batch().items() if k not in ("start_positions", "end_positions")}
    outputs = module.predict_step(bare, 0)
    assert outputs["loss_b"] is None
    assert outputs["start_logits_bl"].shape == (2, 24)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"objective": "any_answer"}, "all_gold_spans=True"),
        ({"objective": "document"}, "group_by_document=True"),
        ({"confidence_weighting": True}, "label_weights"),
    ],
)
def test_the_first_step_tells_what_its_batch_lacks(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=key):
        built(**settings).training_step(batch(), 0)


def groups_of(module: QAModule, **settings: Any) -> list[dict[str, Any]]:
    given = {"learning_rate": 1e-3, "weight_decay": 0.01, **settings}
    return parameter_groups(module, backbone=module.network.base_model, **given)


def test_decay_is_for_matrices_alone() -> None:
    module = built()
    matrices, others = groups_of(module)
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert matrices["lr"] == others["lr"] == 1e-3
    decayed = {id(parameter) for parameter in matrices["params"]}
    for name, parameter in module.named_parameters():
        assert (id(parameter) in decayed) == (
            not name.endswith("bias") and "LayerNorm" not in name
        ), name
    next(module.parameters()).requires_grad_(False)
    trained = [p for group in groups_of(module) for p in group["params"]]
    assert len(trained) == len(list(module.parameters())) - 1


def test_every_layer_and_the_head_have_rates_of_their_own() -> None:
    module = QAModule(config={**CONFIG, "num_hidden_layers": 3, "attention_window": 8})
    module.configure_model()
    groups = groups_of(module, head_learning_rate=5e-3, layer_decay=0.5)
    rates = {p: group["lr"] for group in groups for p in group["params"]}
    decays = {p: group["weight_decay"] for group in groups for p in group["params"]}
    expected = {"layer.2.": 1e-3, "layer.1.": 5e-4, "layer.0.": 2.5e-4, "embeddings.": 1.25e-4}
    for name, parameter in module.named_parameters():
        (rate,) = [r for part, r in expected.items() if part in name] or [5e-3]
        assert rates[parameter] == pytest.approx(rate), name
        assert (rate == 5e-3) == ("qa_outputs" in name)
        assert (decays[parameter] > 0) == (parameter.ndim == 2), name
    assert len(groups) == 10
    for group in groups:
        assert base_rate(group) == pytest.approx(1e-3)


@pytest.mark.filterwarnings("error:.*checkpointing_enable:FutureWarning")
def test_activations_are_recomputed_without_reentrant_passes() -> None:
    module = built(gradient_checkpointing=True)
    layers = module.network.longformer.encoder.layer
    assert all(layer.gradient_checkpointing for layer in layers)
    assert all(
        layer._gradient_checkpointing_func.keywords["use_reentrant"] is False for layer in layers
    )


def test_older_releases_of_transformers_recompute_under_their_own_name() -> None:
    asked: list[dict[str, Any]] = []
    network = SimpleNamespace(gradient_checkpointing_enable=lambda **options: asked.append(options))
    recompute_activations(network)
    assert asked == [{"gradient_checkpointing_kwargs": {"use_reentrant": False}}]


def test_frozen_embeddings_learn_nothing_and_all_else_does() -> None:
    module = built(freeze_embeddings=True, gradient_checkpointing=True)
    module.log = lambda *_, **__: None
    module.training_step(batch(), 0).backward()
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == (".embeddings." not in name), name
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_every_schedule_can_be_built_and_begins_with_the_warm_up(name: str) -> None:
    module = built(lr_schedule=name, warmup_ratio=0.2, learning_rate=1e-3)
    module._trainer = SimpleNamespace(estimated_stepping_batches=10, precision="32-true")
    setup = module.configure_optimizers()
    optimizer, schedule = setup["optimizer"], setup["lr_scheduler"]["scheduler"]
    assert setup["lr_scheduler"]["interval"] == "step"
    rates, logged = [], []
    for _ in range(11):
        logged.append(base_rate(optimizer.param_groups[-1]))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(1e-3)
    assert rates == pytest.approx(logged)
    assert rates[0] == (1e-3 if name == "constant" else 0.0)
    if name == "linear":
        assert rates == pytest.approx(
            [1e-3 * r for r in (0, 0.5, *(s / 8 for s in range(8, -1, -1)))]
        )


def test_hyper_parameters_of_a_checkpoint_need_no_hub(tmp_path: Path) -> None:
    module = QAModule(str(write_model(tmp_path)), revision="main", learning_rate=3e-5)
    module.configure_model()
    checkpoint = {"hyper_parameters": dict(module.hparams)}
    module.on_save_checkpoint(checkpoint)
    kept = checkpoint["hyper_parameters"]
    assert kept["model_name_or_path"] is kept["revision"] is None
    assert kept["learning_rate"] == 3e-5
    twin = QAModule(**kept)
    twin.configure_model()
    twin.load_state_dict(module.state_dict())
    module.eval()
    twin.eval()
    for ours, theirs in zip(module(batch()), twin(batch()), strict=True):
        assert ours.equal(theirs)
    assert module.hparams["model_name_or_path"] == str(tmp_path)  # the module itself is as it was


def test_a_config_survives_the_way_through_plain_values() -> None:
    config = network_config({**CONFIG, "attention_window": [8], "hidden_act": "relu"})
    again = network_config(plain_config(config))
    assert again.to_dict() == config.to_dict()


def test_unknown_keys_of_a_config_are_told() -> None:
    with pytest.raises(InputError, match="hiden_size"):
        network_config({"hiden_size": 8})


def test_a_config_that_is_no_longformer_is_told() -> None:
    module = QAModule(config={**CONFIG, "hidden_size": 9})
    with pytest.raises(InputError, match=r"model\.config"):
        module.configure_model()


def test_an_absent_model_is_told() -> None:
    module = QAModule("absent/model")
    with pytest.raises(InputError, match="absent/model"):
        module.configure_model()


def test_the_matching_start_is_chosen_by_name() -> None:
    module = built(initialization="matching")
    attention = module.network.longformer.encoder.layer[0].attention.self
    assert attention.query.weight.equal(attention.key.weight)
