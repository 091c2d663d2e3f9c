"""Networks other than Longformers: built, loaded, fed with what they take, and rebuilt."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, CLIPConfig, LongformerConfig, XLNetConfig

from backbones_support import BACKBONES, plain_values, write_backbone
from qa_lightning.backbones import (
    model_inputs,
    network_config,
    plain_config,
    positions_of,
    pretrained_config,
)
from qa_lightning.errors import InputError
from qa_lightning.model import QAModule

INPUTS = {
    "bert": ["input_ids", "attention_mask", "token_type_ids"],
    "roberta": ["input_ids", "attention_mask"],
    "distilbert": ["input_ids", "attention_mask"],
}


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(4, 100, (2, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, -6:] = 0
    types = torch.zeros_like(ids)
    types[:, 8:] = 1
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
        "global_attention_mask": 1 - types,
        "start_positions": torch.tensor([7, 0]),
        "end_positions": torch.tensor([9, 0]),
    }


@pytest.mark.parametrize("attention", ["windowed", "flex", "reference"])
@pytest.mark.parametrize("name", BACKBONES)
def test_logits_are_those_of_the_network_with_the_inputs_it_takes(
    name: str, attention: str, tmp_path: Path
) -> None:
    module = QAModule(str(write_backbone(tmp_path, name)), attention=attention)
    module.configure_model()
    assert module.network.training
    assert model_inputs(module.network) == INPUTS[name]
    theirs = AutoModelForQuestionAnswering.from_pretrained(tmp_path)
    expected = theirs(**{key: batch()[key] for key in INPUTS[name]})
    start_logits_bl, end_logits_bl = module.eval()(batch())
    assert torch.equal(start_logits_bl, expected.start_logits)
    assert torch.equal(end_logits_bl, expected.end_logits)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_checkpoints_hyper_parameters_rebuild_it(name: str, tmp_path: Path) -> None:
    module = QAModule(str(write_backbone(tmp_path, name)))
    module.configure_model()
    checkpoint = {"hyper_parameters": dict(module.hparams)}
    module.on_save_checkpoint(checkpoint)
    kept = checkpoint["hyper_parameters"]
    assert kept["config"]["model_type"] == name
    twin = QAModule(**kept)
    twin.configure_model()
    twin.load_state_dict(module.state_dict())
    assert torch.equal(twin.eval()(batch())[0], module.eval()(batch())[0])


@pytest.mark.parametrize("name", BACKBONES)
def test_every_trained_parameter_has_a_gradient(name: str) -> None:
    """DistributedDataParallel stops on parameters without one."""
    module = QAModule(config=plain_values(name), freeze_embeddings=True)
    module.configure_model()
    module.log = lambda *_, **__: None
    module.training_step(batch(), 0).backward()
    frozen = [name for name, p in module.named_parameters() if p.grad is None]
    assert frozen
    assert all(".embeddings." in name for name in frozen)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_config_survives_the_way_through_plain_values(name: str) -> None:
    config = network_config(plain_values(name))
    assert config.model_type == name
    assert network_config(plain_config(config)).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model_type": "clip"}, "model_type.*got 'clip'"),
        ({"model_type": "bart"}, "model_type.*got 'bart'"),
        ({"model_type": "bert", "attention_window": 8}, "BertConfig; attention_window is none"),
    ],
)
def test_configs_that_cannot_be_are_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        network_config(values)


def test_a_network_that_cannot_answer_is_told(tmp_path: Path) -> None:
    CLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="'clip' model"):
        pretrained_config(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "room"), [("bert", 66), ("distilbert", 66), ("roberta", 64)], ids=str
)
def test_the_room_for_positions(name: str, room: int) -> None:
    assert positions_of(network_config(plain_values(name))) == room


def test_the_room_of_longformers_and_of_relative_positions() -> None:
    torch.manual_seed(0)
    assert positions_of(LongformerConfig(max_position_embeddings=4098)) == 4096
    assert positions_of(XLNetConfig(d_model=16, n_layer=1, n_head=2, d_inner=16)) is None
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert drawn == torch.rand(1)  # the look leaves the run's own random numbers alone
