"""Every family of encoders that is accepted goes the whole way, and the rest is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING

from matrix_support import (
    FAMILIES,
    HALF,
    Way,
    go_the_whole_way,
    parameters,
    plain_values,
    windows_of,
    write_published,
)
from matrix_table import DOCUMENT, written
from qa_lightning import QAModule, QuestionAnswerer
from qa_lightning.backbones import build_network, network_config, plain_config, span_logits
from qa_lightning.backbones.families import NEEDS_ITS_CODE, SINCE
from qa_lightning.errors import InputError
from qa_lightning.model.sharding import shard
from running import RECORDER, fail, read_checkpoint, read_json, recorded, run, write_yaml
from tokenizers_support import tokenizer_of

every_family = pytest.mark.parametrize("name", parameters(whole_way=True))


@every_family
def test_the_whole_way(name: str, tmp_path: Path) -> None:
    go_the_whole_way(FAMILIES[name], tmp_path, padding_side="right")


@every_family
def test_the_whole_way_with_padding_on_the_left(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    if family.left:
        go_the_whole_way(family, tmp_path, padding_side="left")
        return
    write_published(family, tmp_path / "published", padding_side="left")
    with pytest.raises(InputError, match="padded on the right"):
        Way(tmp_path).fit()


@every_family
def test_the_whole_way_with_activations_computed_again(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    if family.checkpointing:
        go_the_whole_way(family, tmp_path, padding_side="right", gradient_checkpointing=True)
        return
    published = write_published(family, tmp_path / "published")
    for weights in published.glob("*.safetensors"):
        weights.unlink()  # refused before anything is loaded
    module = QAModule(str(published), gradient_checkpointing=True)
    with pytest.raises(InputError, match=r"gradient_checkpointing.*Turn it off"):
        module.configure_model()


@every_family
def test_the_whole_way_with_adapters(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    if family.lora:
        go_the_whole_way(family, tmp_path, padding_side="right", lora={"r": 2})
        return
    module = QAModule(str(write_published(family, tmp_path / "published")), lora={"r": 2})
    with pytest.raises(InputError, match=r"none for its attention's projections\. (Choose|Train)"):
        module.configure_model()


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("name", parameters())
def test_a_window_is_read_alike_whatever_shares_its_batch(
    name: str, left: bool, tmp_path: Path
) -> None:
    family = FAMILIES[name]
    module = QAModule(str(write_published(family, tmp_path)))
    module.configure_model()
    network = module.network.eval()
    *alone, together = windows_of(network, (17, 64, 39, 50), left=left)
    with torch.no_grad():
        mixed = span_logits(network, together)
        first = span_logits(network, together)  # nothing has changed for good
        for row, window in enumerate(alone):
            real_l = together["attention_mask"][row].bool()
            for logits_1l, mixed_bl in zip(span_logits(network, window), mixed, strict=True):
                torch.testing.assert_close(mixed_bl[row][real_l], logits_1l[0], rtol=0, atol=2e-5)
        again = span_logits(network, together)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("lora", [None, {"r": 2}])
@pytest.mark.parametrize("name", parameters())
def test_all_that_is_trained_has_a_gradient(name: str, lora: dict[str, int] | None) -> None:
    """Several processes would wait for what has none."""
    family = FAMILIES[name]
    if lora and not family.lora:
        return
    module = QAModule(config=plain_values(family, tokenizer_of(family.tokenizer)), lora=lora)
    module.configure_model()
    assert module.network.training
    batch, _ = windows_of(module.network, (64,), left=False)
    start_bl, end_bl = module(batch)
    (start_bl + end_bl).square().sum().backward()
    trained = [(n, p) for n, p in module.network.named_parameters() if p.requires_grad]
    assert [n for n, p in trained if p.grad is None] == []
    # What queries and keys learn from is the least of it: they attend to something.
    attending = [p for n, p in trained if n.endswith(("query.weight", "q_proj.weight"))]
    assert all(p.grad.abs().max() > 0 for p in attending)


def test_the_documented_table_is_that_of_the_matrix() -> None:
    assert DOCUMENT.read_text("utf-8") == written(), "run `make matrix`, or tests/matrix_table.py"


def test_no_accepted_family_is_missing() -> None:
    accepted = {name for name in CONFIG_MAPPING if is_accepted(name)}
    known = {family.model_type for family in FAMILIES.values()}
    assert accepted == known & {*CONFIG_MAPPING}
    assert known - {*CONFIG_MAPPING} <= SINCE.keys()


def is_accepted(model_type: str) -> bool:
    values = {"encoder": HALF, "decoder": HALF} if model_type == "t5gemma" else {}
    try:
        network_config({"model_type": model_type, **values})
    except InputError as error:
        return "default_language" in str(error)  # which any X-MOD's config has to say
    return True


@pytest.mark.parametrize("name", SINCE)
def test_a_family_that_transformers_lacks_yet_is_refused_with_the_release_that_has_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(CONFIG_MAPPING._mapping, name, raising=False)
    told = f"transformers>={SINCE[name]}'"
    code = {"auto_map": {"AutoConfig": "configuration.Config"}} if name in NEEDS_ITS_CODE else {}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": name, **code}))
    with pytest.raises(InputError, match=told):
        QAModule(str(tmp_path)).configure_model()
    with pytest.raises(InputError, match=told):
        QuestionAnswerer.from_checkpoint(tmp_path)
    with pytest.raises(InputError, match=told):
        QAModule(config={"model_type": name}).configure_model()


@pytest.mark.parametrize("name", ["nystromformer", "reformer", "mra", "bart", "llama", "clip"])
def test_other_families_are_refused_before_anything_is_loaded(name: str, tmp_path: Path) -> None:
    CONFIG_MAPPING[name]().save_pretrained(tmp_path)
    for given in ({"model_name_or_path": str(tmp_path)}, {"config": {"model_type": name}}):
        with pytest.raises(InputError, match=rf"{name!r}.*(Take|Name)") as told:
            QAModule(**given).configure_model()
        assert str(told.value).count("Expected") == 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model_type": "new"}, "Take alibaba-nlp-community/gte-multilingual-base"),
        ({"model_type": "of_nobody"}, "that transformers reads by itself"),
        ({"model_type": "bert"}, "that transformers reads by itself"),
    ],
)
def test_code_of_a_repository_is_never_run(
    values: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = {"auto_map": {"AutoConfig": "configuration.Config", "AutoModel": "modeling.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(values | code))
    for file in ("configuration", "modeling"):
        (tmp_path / f"{file}.py").write_text("raise SystemExit('was run')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to trust"))
    with pytest.raises(InputError, match=told):
        QAModule(str(tmp_path)).configure_model()
    with pytest.raises(InputError, match=told):
        QuestionAnswerer.from_checkpoint(tmp_path)


def test_a_template_with_nothing_between_gets_a_separator_in_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    way = Way(tmp_path)
    write_published(FAMILIES["eurobert"], way.published)
    foreign = QuestionAnswerer.from_checkpoint(way.published, device="cpu").reader
    assert foreign.windows.separators == "auto"
    assert "nothing between question and context" in caplog.text
    caplog.clear()
    way.fit()
    assert read_checkpoint(way.last)["QADataModule"]["separators"] == 2
    rows = way.data()
    rows.setup("fit")
    end = rows.tokenizer.eos_token_id
    assert all(list(row["input_ids"]).count(end) == 2 for row in rows.train_features)
    for source in (way.last, way.export()):
        reader = QuestionAnswerer.from_checkpoint(source, device="cpu").reader
        assert reader.windows.separators == 2
    assert "nothing between" not in caplog.text


@pytest.mark.parametrize(
    ("name", "length"), [("modernbert", 80), ("eurobert", 80), ("t5gemma", 80), ("funnel", 384)]
)
def test_a_model_of_the_hub_reads_windows_as_long_as_it_was_made_for(
    name: str, length: int, tmp_path: Path
) -> None:
    folder = write_published(FAMILIES[name], tmp_path)
    settings = read_json(folder / "tokenizer_config.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 999}))
    reader = QuestionAnswerer.from_checkpoint(folder, device="cpu").reader
    assert reader.windows.max_length == length


@pytest.mark.front_door
def test_longer_windows_than_a_rotary_network_was_made_for_are_told(
    small_settings: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    published = write_published(FAMILIES["modernbert"], tmp_path / "published")
    small_settings["model"] = {"model_name_or_path": str(published)}
    small_settings["data"] |= {"max_length": 90, "doc_stride": 16}
    del small_settings["data"]["tokenizer"]
    small_settings["trainer"] |= {"limit_train_batches": 1, "limit_val_batches": 0}
    config = write_yaml(tmp_path / "fit.yaml", small_settings)
    run("fit", "--config", config)
    assert "`data.max_length` is 90, and the network was made for 80 tokens" in caplog.text
    albert = write_published(FAMILIES["albert"], tmp_path / "albert")
    small_settings["model"] = {"model_name_or_path": str(albert), "gradient_checkpointing": True}
    config = write_yaml(tmp_path / "albert.yaml", small_settings)
    assert "positions of the model; got 90" in fail(capsys, "fit", "--config", config)
    told = fail(capsys, "fit", "--config", config, "--data.max_length", 64)
    assert "Turn it off" in told


def test_an_encoder_that_once_needed_code_is_read_by_transformers(tmp_path: Path) -> None:
    published = write_published(FAMILIES["eurobert"], tmp_path)
    values = read_json(published / "config.json")
    values["auto_map"] = {"AutoConfig": "configuration.Config", "AutoModel": "modeling.Model"}
    (published / "config.json").write_text(json.dumps(values))
    module = QAModule(str(published))
    module.configure_model()
    assert "auto_map" not in plain_config(module.network.config)


@pytest.mark.parametrize("name", parameters())
def test_a_config_keeps_every_plain_value(name: str) -> None:
    family = FAMILIES[name]
    config = network_config({"model_type": family.model_type, **family.values})
    config.of_another_tool = {"a": [1, 2.5, None, "b"]}
    again = network_config(plain_config(config))
    assert again.to_dict() == config.to_dict()
    assert plain_config(again) == plain_config(config)


def test_networks_that_run_by_length_are_refused_shards() -> None:
    network = build_network(network_config({"model_type": "fnet", **FAMILIES["fnet"].values}))
    with pytest.raises(InputError, match=r"fnet sees padding.*ddp"):
        shard(network, "cpu")


def test_a_yoso_that_hashes_by_code_of_the_hub_is_refused(tmp_path: Path) -> None:
    values = {"model_type": "yoso", **FAMILIES["yoso"].values, "use_expectation": False}
    CONFIG_MAPPING["yoso"](**values).save_pretrained(tmp_path)
    for given in ({"model_name_or_path": str(tmp_path)}, {"config": values}):
        with pytest.raises(InputError, match=r"YOSO.*Set it true"):
            QAModule(**given).configure_model()


def test_an_xlnet_tells_question_and_context_apart() -> None:
    family = FAMILIES["xlnet"]
    module = QAModule(config=plain_values(family, tokenizer_of(family.tokenizer)))
    module.configure_model()
    window, _ = windows_of(module.network.eval(), (30,), left=False)
    with torch.no_grad():
        for name, weights in module.network.named_parameters():
            if "seg_embed" in name or "r_s_bias" in name:  # as small as they begin, little is told
                weights.normal_(generator=torch.Generator().manual_seed(0))
        told, all_one = (
            span_logits(module.network, each)[0]
            for each in (window, {**window, "token_type_ids": window["input_ids"] * 0})
        )
    assert not torch.allclose(told, all_one)


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
    del small_settings["data"]["tokenizer"]
    run("fit", "--config", write_yaml(tmp_path / "fit.yaml", small_settings))
    published.rename(tmp_path / "elsewhere")
    del small_settings["model"]
    config = write_yaml(tmp_path / "later.yaml", small_settings)
    answers = tmp_path / "run" / "answers" / "val" / "predictions.json"
    before = read_json(answers)
    run("validate", "--config", config, "--ckpt_path", "last")
    assert read_json(answers) == before
    run("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", 2, RECORDER)
    assert recorded().first_step == 1
