"""The command `longify`: its folder trains, and what it cannot use it refuses in one message."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    PreTrainedTokenizerFast,
)

from longify_support import write_checkpoint
from qa_lightning.cli import longify as command
from qa_lightning.errors import InputError
from qa_lightning.longify import longify
from running import read_json, run, write_model, write_yaml


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("bert") / "model", "bert")


def call(*arguments: object) -> None:
    parser = command.build_parser()
    parser.exit_on_error = False
    command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_command_writes_a_folder_and_says_where(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "long"
    call(bert, "--output", output, "--max_length", 80, "--attention_window", 16)
    assert capsys.readouterr().out == f"{output}\n"
    config = read_json(output / "config.json")
    assert config["architectures"] == ["LongformerForQuestionAnswering"]
    assert config["attention_window"] == [16, 16, 16]
    assert config["max_position_embeddings"] == 81
    modes = {file.stat().st_mode & 0o777 for file in output.iterdir()}
    assert len(modes) == 1
    assert sorted(file.name for file in output.parent.iterdir()) == ["long"]


def test_defaults_are_those_of_the_paper(bert: Path, tmp_path: Path) -> None:
    config = read_json(longify(bert, tmp_path / "long") / "config.json")
    assert config["max_position_embeddings"] == 4097
    assert config["attention_window"] == [512] * 3


def test_fit_trains_a_longified_model_and_validates(
    tmp_path: Path, small_settings: dict[str, dict[str, Any]]
) -> None:
    original = write_checkpoint(tmp_path / "bert", "bert", auto=AutoModelForMaskedLM)
    output = longify(original, tmp_path / "long", max_length=80, attention_window=16)
    small_settings["model"] = {"model_name_or_path": str(output), "learning_rate": 1e-3}
    small_settings["data"]["tokenizer"] = None
    config = write_yaml(tmp_path / "small.yaml", small_settings)
    run("fit", "--config", config)
    scores = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")
    assert scores["examples"] == 6
    assert scores["loss"] > 0


def test_lengths_in_the_tokenizers_files_are_forgotten(bert: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    write_checkpoint(original, "bert")
    backend = Tokenizer.from_file(str(original / "tokenizer.json"))
    backend.enable_truncation(6)
    backend.enable_padding(length=6)
    special = AutoTokenizer.from_pretrained(original).special_tokens_map
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(original)
    output = longify(original, tmp_path / "long", max_length=60, attention_window=4)
    stored = json.loads((output / "tokenizer.json").read_text("utf-8"))
    assert stored["truncation"] is None
    assert stored["padding"] is None
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert len(tokenizer("Quem descobriu o caminho marítimo para a Índia?").input_ids) == 11
    assert tokenizer("Quem descobriu " * 60, truncation=True)["input_ids"][-1:] == [3]
    assert len(tokenizer("Quem descobriu " * 60, truncation=True)["input_ids"]) == 60


def test_an_empty_folder_may_be_there(bert: Path, tmp_path: Path) -> None:
    assert longify(bert, tmp_path, max_length=8, attention_window=4) == tmp_path
    assert (tmp_path / "model.safetensors").is_file()


def test_the_folder_one_stands_in_may_be_the_output(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call(bert.resolve(), "--output", ".", "--max_length", 8, "--attention_window", 4)
    names = {path.name for path in Path.cwd().iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any(name.startswith(".") for name in names)


def test_a_place_that_cannot_be_written_is_told(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep me")
    with pytest.raises(InputError, match="Expected `output` to be a folder that can be written"):
        longify(bert, tmp_path / "file" / "long", max_length=8, attention_window=4)


def test_a_failure_leaves_nothing_behind(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", fail)
    with pytest.raises(InputError, match="disk is full"):
        longify(bert, tmp_path / "long", max_length=8, attention_window=4)
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_cannot_work_are_told_at_once(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    (tmp_path / "long" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError) as caught:
        longify(bert, tmp_path / "long", max_length=0, attention_window=7)
    message = str(caught.value)
    assert len(message.splitlines()) == 3
    for part in ("even number", "got 7", "Take 8", "got 0", "new or an empty folder", "long"):
        assert part in message
    assert [file.name for file in (tmp_path / "long").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("window", [0, -2])
def test_a_window_holds_something(bert: Path, tmp_path: Path, window: int) -> None:
    with pytest.raises(InputError, match="Take 2"):
        longify(bert, tmp_path / "long", attention_window=window)


def test_a_file_in_the_place_of_the_folder_is_refused(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("keep me")
    with pytest.raises(InputError, match=r"new or an empty folder; .*long is a file"):
        longify(bert, tmp_path / "long")


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(read_json(path) | changes))


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


FAULTS = {
    "no-tokenizer": (without_tokenizer, "hold its tokenizer too"),
    "truncated": (truncate, "could not be loaded"),
    "wrong-type": (lambda f: edit_config(f, hidden_size="big"), "could not be loaded"),
    "no-json": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON"),
    "more-layers": (lambda f: edit_config(f, num_hidden_layers=5), "32 are missing"),
    "decoder": (lambda f: edit_config(f, is_decoder=True), "absolute positions"),
    "relative": (
        lambda f: edit_config(f, position_embedding_type="relative_key"),
        "'relative_key'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_checkpoint_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    spoil, message = FAULTS[name]
    original = write_checkpoint(tmp_path / "original", "bert")
    spoil(original)
    with pytest.raises(InputError, match=message):
        longify(original, tmp_path / "long", max_length=8, attention_window=4)
    assert not (tmp_path / "long").exists()


def test_an_unsupported_type_names_the_supported_ones(tmp_path: Path) -> None:
    config = DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, vocab_size=99)
    DistilBertForQuestionAnswering(config).save_pretrained(tmp_path / "other")
    with pytest.raises(InputError) as caught:
        longify(tmp_path / "other", tmp_path / "long")
    for part in ("bert, roberta, xlm-roberta, camembert", "'distilbert'"):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="It is one already"):
        longify(write_model(tmp_path / "longformer"), tmp_path / "long")


def test_a_name_that_is_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'nobody/nothing' could not be loaded"):
        longify("nobody/nothing", tmp_path / "long")
    with pytest.raises(InputError, match="nowhere' could not be loaded: there is no such"):
        longify(str(tmp_path / "nowhere"), tmp_path / "long")
