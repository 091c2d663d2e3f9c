"""The module around the network: building, weights, dropout, optimizer, checkpoint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, LongformerForQuestionAnswering

from qa_lightning.errors import InputError
from qa_lightning.model import (
    LR_SCHEDULES,
    QAModule,
    decay_groups,
    longformer_config,
    module_problems,
    plain_config,
)
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
        ({"config": CONFIG, "warmup_ratio": -0.1}, "warmup_ratio"),
        ({"config": CONFIG, "weight_decay": -0.1}, "weight_decay"),
        ({"config": CONFIG, "adam_betas": (0.9, 1.0)}, "adam_betas"),
        ({"config": CONFIG, "objective": "guess"}, "objective"),
        ({"config": CONFIG, "label_smoothing": 1.0}, "label_smoothing"),
        ({"config": CONFIG, "label_smoothing": 0.1, "objective": "document"}, "label_smoothing"),
        ({"config": CONFIG, "lr_schedule": "zigzag"}, "lr_schedule"),
        ({"config": CONFIG, "initialization": "zeros"}, "initialization"),
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


@pytest.mark.parametrize("types", [1, 2])
def test_both_attentions_give_the_same_logits(types: int) -> None:
    reference = built(attention="reference").eval()
    if types == 2:
        torch.manual_seed(0)
        reference = QAModule(config={**CONFIG, "type_vocab_size": 2}, attention="reference")
        reference.configure_model()
        reference.eval()
    windowed = QAModule(config=dict(reference.hparams["config"]))
    windowed.configure_model()
    windowed.load_state_dict(reference.state_dict())
    windowed.eval()
    mask = batch()["attention_mask"].bool()
    with torch.no_grad():
        for ours, theirs in zip(windowed(batch()), reference(batch()), strict=True):
            torch.testing.assert_close(ours[mask], theirs[mask], rtol=1e-4, atol=1e-5)


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


def test_decay_is_for_matrices_alone() -> None:
    module = built()
    matrices, others = decay_groups(module, 0.01)
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    decayed = {id(parameter) for parameter in matrices["params"]}
    for name, parameter in module.named_parameters():
        assert (id(parameter) in decayed) == (
            not name.endswith("bias") and "LayerNorm" not in name
        ), name
    next(module.parameters()).requires_grad_(False)
    trained = [p for group in decay_groups(module, 0.01) for p in group["params"]]
    assert len(trained) == len(list(module.parameters())) - 1


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_every_schedule_can_be_built_and_begins_with_the_warm_up(name: str) -> None:
    module = built(lr_schedule=name, warmup_ratio=0.2, learning_rate=1e-3)
    module._trainer = SimpleNamespace(estimated_stepping_batches=10, precision="32-true")
    setup = module.configure_optimizers()
    optimizer, schedule = setup["optimizer"], setup["lr_scheduler"]["scheduler"]
    assert setup["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(1e-3)
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
    config = longformer_config({**CONFIG, "attention_window": [8], "hidden_act": "relu"})
    again = longformer_config(plain_config(config))
    assert again.to_dict() == config.to_dict()


def test_unknown_keys_of_a_config_are_told() -> None:
    with pytest.raises(InputError, match="hiden_size"):
        longformer_config({"hiden_size": 8})


def test_a_config_that_is_no_longformer_is_told() -> None:
    module = QAModule(config={**CONFIG, "hidden_size": 9})
    with pytest.raises(InputError, match=r"model\.config"):
        module.configure_model()


def test_another_kind_of_model_is_told(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    BertForQuestionAnswering(config).save_pretrained(tmp_path)
    module = QAModule(str(tmp_path))
    with pytest.raises(InputError, match="Longformer"):
        module.configure_model()


def test_an_absent_model_is_told() -> None:
    module = QAModule("absent/model")
    with pytest.raises(InputError, match="absent/model"):
        module.configure_model()


def test_the_matching_start_is_chosen_by_name() -> None:
    module = built(initialization="matching")
    attention = module.network.longformer.encoder.layer[0].attention.self
    assert attention.query.weight.equal(attention.key.weight)
