"""A name that means a folder which is not there is told at once: the Hub is not asked for it."""

import socket
from pathlib import Path

import huggingface_hub.constants
import pytest

from qa_lightning.folders import absent_folder
from running import fail

SHAPES = ["runs/nope", "./nope", "../nope", "/nowhere/nope", "~/nope-of-no-home", "runs/a/b/nope"]
# Each takes the name of a folder where {} stands.
WAYS = [
    "answer --checkpoint {} --question Q --context Text.",
    "longify {} --output long",
    "audit {}",
    "fit --config small.yaml --model.config null --model.model_name_or_path {}",
    "fit --config small.yaml --data.tokenizer {}",
    "fit --config small.yaml --data.data_files null --data.dataset {}",
    "validate --config small.yaml --ckpt_path {}",
    "predict --config small.yaml --ckpt_path {}",
    "export --checkpoint {} --output exported",
]


@pytest.fixture
def here(small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with one of runs, where asking the Hub is an error."""
    (small.parent / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(small.parent)
    return small.parent


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the Hub was asked")


@pytest.mark.front_door
@pytest.mark.parametrize("way", WAYS)
def test_a_missing_folder_is_told_and_the_hub_is_not_asked(
    way: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.get_hf_file_metadata", refuse)
    monkeypatch.setattr("huggingface_hub.hf_api.HfApi.dataset_info", refuse)
    for name in SHAPES[:2]:
        message = fail(capsys, *way.format(name).split(" "))
        assert name.removeprefix("./") in message
        assert "Hub was asked" not in message


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody know any address."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.front_door
@pytest.mark.parametrize("way", WAYS)
def test_without_a_network_no_name_is_asked_for(
    way: str, here: Path, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fail(capsys, *way.format("run/nope").split(" "))
    assert "run/nope" in message


@pytest.mark.parametrize("name", ["run/nope", "nope", "allenai/longformer-base-4096"])
def test_a_name_on_a_hub_that_cannot_be_reached_is_absent(
    name: str, here: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "huggingface.co cannot be reached (Name or service not" in (absent_folder(name) or "")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:8080")
    assert absent_folder(name) is None


@pytest.mark.parametrize("name", SHAPES)
def test_what_can_only_be_a_folder_is_absent(name: str, here: Path) -> None:
    assert "there is no such folder" in (absent_folder(name) or "")


@pytest.mark.parametrize(
    "name", ["bert-base-cased", "allenai/longformer-base-4096", "runs/mine", "."]
)
def test_a_folder_that_is_there_and_a_name_on_the_hub_are_not(name: str, here: Path) -> None:
    assert absent_folder(name) is None


@pytest.mark.parametrize("name", ["runs/" + "n" * 300, "runs/\0"])
def test_what_no_file_can_be_called_is_absent(name: str, here: Path) -> None:
    assert absent_folder(name)


def test_an_address_is_for_others_to_refuse(here: Path) -> None:
    assert absent_folder("https://example.org/runs/best.ckpt") is None


def test_what_was_fetched_from_the_hub_is_not(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qa_lightning.folders.HF_HUB_CACHE", str(here / "cache"))
    assert absent_folder("runs/fetched")
    (here / "cache" / "models--runs--fetched").mkdir(parents=True)
    assert absent_folder("runs/fetched") is None
    assert absent_folder("runs/fetched", repo_type="dataset")
