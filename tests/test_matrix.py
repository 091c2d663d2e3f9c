"""Every family of encoders that is accepted goes the whole way, and the rest is refused."""

from pathlib import Path
from typing import Any

import pytest

from matrix_support import FAMILIES, go_the_whole_way, write_published
from qa_lightning.backbones import network_config, plain_config
from qa_lightning.errors import InputError
from running import RECORDER, read_json, recorded, run, write_yaml


@pytest.mark.parametrize("name", FAMILIES)
def test_the_whole_way(name: str, tmp_path: Path) -> None:
    go_the_whole_way(FAMILIES[name], tmp_path, padding_side="right")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_keeps_every_plain_value(name: str) -> None:
    family = FAMILIES[name]
    config = network_config({"model_type": family.model_type, **family.values})
    config.of_another_tool = {"a": [1, 2.5, None, "b"]}
    again = network_config(plain_config(config))
    assert again.to_dict() == config.to_dict()
    assert plain_config(again) == plain_config(config)


def test_what_a_user_mistypes_is_told_though_the_network_reads_more_than_is_declared() -> None:
    with pytest.raises(InputError, match="position_bucket is none"):
        network_config({"model_type": "deberta-v2", "position_bucket": 256})
    config = network_config({"model_type": "deberta-v2", "position_buckets": 256})
    assert config.position_buckets == 256


@pytest.mark.front_door
def test_a_deberta_v3_is_read_back_by_the_command_line(
    small_settings: dict[str, Any], tmp_path: Path
) -> None:
    published = write_published(FAMILIES["deberta-v3"], tmp_path / "published")
    small_settings["model"] = {"model_name_or_path": str(published)}
    small_settings["trainer"]["limit_train_batches"] = 1
    run("fit", "--config", write_yaml(tmp_path / "fit.yaml", small_settings))
    published.rename(tmp_path / "elsewhere")
    del small_settings["model"], small_settings["data"]["tokenizer"]
    config = write_yaml(tmp_path / "later.yaml", small_settings)
    answers = tmp_path / "run" / "answers" / "val" / "predictions.json"
    before = read_json(answers)
    run("validate", "--config", config, "--ckpt_path", "last")
    assert read_json(answers) == before
    run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 2, RECORDER)
    assert recorded().first_step == 1
