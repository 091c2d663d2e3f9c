"""Files of a stranger: nothing in them is run, and no name in them is a path."""

import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

import running
from answerer_support import write_checkpoint
from qa_lightning import QADataModule, QAModule, QuestionAnswerer
from qa_lightning.datamodule import load_tokenizer, tokenizer_files, tokenizer_from_files
from qa_lightning.errors import InputError
from qa_lightning.exporting import export_checkpoint
from qa_lightning.saved import TOKENIZER_FILES, damage, read_saved, write_tokenizer_files
from running import fail, read_checkpoint, run

ADVICE = ("weights_only", "trust_remote_code", "safe_globals")


class Payload:
    """Make a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that only a payload makes; it must not be there at the end."""
    place = tmp_path / "payload-ran"
    yield place
    assert not place.exists(), "a payload was run"


def poisoned(path: Path, mark: Path, place: str) -> Path:
    """Write a checkpoint of ours with a payload somewhere in it."""
    contents = read_checkpoint(write_checkpoint(path))
    parts: dict[str, Any] = {
        "top": contents,
        "hyper_parameters": contents["hyper_parameters"],
        "callbacks": contents["callbacks"],
        "state_dict": contents["state_dict"],
        "tokenizer_files": contents["QADataModule"]["tokenizer_files"],
    }
    parts[place]["extra"] = Payload(mark)
    torch.save(contents, path)
    return path


PLACES = ("top", "hyper_parameters", "callbacks", "state_dict", "tokenizer_files")


def without_advice(message: str) -> None:
    """Hold a refusal to what it may say."""
    assert not any(word in message for word in ADVICE), message


@pytest.mark.parametrize("place", PLACES)
def test_no_way_in_runs_a_payload(place: str, mark: Path, tmp_path: Path) -> None:
    path = poisoned(tmp_path / "run" / "checkpoints" / "best.ckpt", mark, place)
    ways: list[Callable[[], object]] = [
        lambda: QuestionAnswerer.from_checkpoint(path),
        lambda: QuestionAnswerer.from_checkpoint(tmp_path / "run"),
        lambda: export_checkpoint(path, tmp_path / "out"),
        lambda: QAModule.load_from_checkpoint(path),
        lambda: QAModule.load_from_checkpoint(f"file://{path}"),
        lambda: read_saved(path),
    ]
    for way in ways:
        with pytest.raises(InputError, match=r"posix\.mkdir") as refused:
            way()
        assert refused.value.__suppress_context__  # torch's own text, under a traceback
        without_advice(str(refused.value))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "bare pickle", "old torch"])
def test_no_command_runs_a_payload(
    kind: str, mark: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = poisoned(tmp_path / "x.ckpt", mark, "top")
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(Payload(mark)))
    elif kind == "old torch":
        torch.save(Payload(mark), path, _use_new_zipfile_serialization=False)
    splits = ("--data.test_split", "test", "--data.predict_split", "test")
    for command in ("fit", "validate", "test", "predict"):
        for name in (path, f"file://{path}"):
            arguments = (*splits, "--ckpt_path", name)
            without_advice(fail(capsys, command, "--config", small, *arguments))
    asked = ("--question", "Who?", "--context", "Nobody was there.")
    without_advice(fail(capsys, "answer", "--checkpoint", path, *asked))
    without_advice(fail(capsys, "export", "--checkpoint", path, "--output", tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serve the scratch folder over HTTP; return its address."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_addresses_are_refused(
    served: str, mark: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poisoned(tmp_path / "x.ckpt", mark, "top")
    schemes = (
        served,
        served.upper(),
        "s3://bucket",
        "ftp://host",
        "hf://a/b",
        "memory://",
        "a+b://",
    )
    for scheme in schemes:
        message = fail(capsys, "validate", "--config", small, "--ckpt_path", f"{scheme}/x.ckpt")
        assert "Download it first" in message
    with pytest.raises(InputError, match="Download it first"):
        QuestionAnswerer.from_checkpoint(f"{served}/x.ckpt")
    with pytest.raises(InputError, match="Download it first"):
        QAModule.load_from_checkpoint(f"{served}/x.ckpt")


@pytest.mark.parametrize("forced", [False, True], ids=["as it is", "torch told to trust"])
def test_a_trainer_of_ones_own_runs_no_payload(
    forced: bool,
    small_settings: dict[str, dict[str, Any]],
    served: str,
    mark: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where the file is swapped after the command line has read it."""
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = poisoned(tmp_path / "x.ckpt", mark, "top")
    settings = {**small_settings["trainer"], "max_epochs": 1, "enable_checkpointing": False}
    for name in (str(path), f"file://{path}", f"{served}/x.ckpt"):
        trainer = Trainer(**settings)
        module, data = QAModule(**small_settings["model"]), QADataModule(**small_settings["data"])
        module.hparams["config"]["vocab_size"] = 400
        for function in (trainer.fit, trainer.validate):
            with pytest.raises(InputError):
                function(module, datamodule=data, ckpt_path=name, weights_only=False)


def hostile_names(tmp_path: Path) -> list[str]:
    """Return names that a careless writer would follow."""
    plain = ["x", ".bashrc", "tokenizer.json.exe", "TOKENIZER.JSON", "", ".", "..", "config.json"]
    fixed = [str(tmp_path / "planted"), "~/planted", "a/tokenizer.json", "tokenizer.json/..", "\0"]
    up = ["../" * depth + name for depth in (1, 2, 9) for name in ("x", "tokenizer.json")]
    odd = [
        "tokenizer.json\0",
        "tokenizer.json\n",
        "..\\x",
        "C:\\x",
        "/dev/null",
        "．．/x",
        "a" * 5000,
    ]
    wrapped = [
        f"{before}{name}" for before in ("./", "a/../", "//") for name in ("tokenizer.json", "x")
    ]
    return [*plain, *fixed, *up, *odd, *wrapped]


def test_only_known_names_of_a_tokenizers_files_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    for name in hostile_names(tmp_path):
        with pytest.raises(InputError, match="tokenizer's files"):
            write_tokenizer_files({"tokenizer.json": "{}", name: "planted"}, folder)
        with pytest.raises(InputError, match="tokenizer's files"):
            tokenizer_from_files({name: "planted"})
        assert set(tmp_path.rglob("*")) == before, name
    (folder / "vocab.txt").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        write_tokenizer_files({"vocab.txt": "planted"}, folder)
    assert not (tmp_path / "target").exists()


def test_no_command_writes_what_a_checkpoint_names(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_checkpoint(tmp_path / "x.ckpt")
    contents = read_checkpoint(path)
    before = set(tmp_path.rglob("*"))
    for name in (str(tmp_path / "planted"), "../planted", "a/b", "tokenizer.json\0"):
        files = contents["QADataModule"]["tokenizer_files"] | {name: "planted"}
        torch.save(contents | {"QADataModule": {"tokenizer_files": files}}, path)
        fail(capsys, "validate", "--config", small, "--ckpt_path", path)
        fail(capsys, "export", "--checkpoint", path, "--output", tmp_path / "out")
        fail(capsys, "answer", "--checkpoint", path, "--question", "Who?", "--context", "Nobody.")
        with pytest.raises(InputError, match="tokenizer's files"):
            QuestionAnswerer.from_checkpoint(path)
    assert set(tmp_path.rglob("*")) == before


def test_what_a_tokenizer_saves_is_among_the_known_names() -> None:
    assert tokenizer_files(running.small_tokenizer()).keys() <= TOKENIZER_FILES


def test_a_checkpoint_chooses_no_folder(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    contents = read_checkpoint(path)
    planted = {"cache_dir": str(tmp_path / "cache"), "output_dir": str(tmp_path / "planted")}
    (data,) = [v for v in contents.values() if isinstance(v, dict) and "tokenizer_files" in v]
    data.update(planted, data_files={"validation": "/etc/passwd"}, num_proc=9)
    (state,) = [s for s in contents["callbacks"].values() if "window_scoring" in s]
    state.update(planted)
    torch.save(contents, path)
    run("validate", "--config", small, "--ckpt_path", path)
    assert (tmp_path / "run" / "answers" / "val" / "scores.json").is_file()
    assert not (tmp_path / "planted").exists()
    assert not (tmp_path / "cache").exists()


REMOTE_CODE = """
from pathlib import Path
Path({mark!r}).mkdir()
"""


@pytest.mark.parametrize("what", ["config", "weights"])
def test_a_models_folder_runs_nothing(
    what: str,
    mark: Path,
    small_settings: dict[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Transformers asks on the terminal whether to trust; whatever is typed there, nothing is."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = running.write_model(tmp_path / "model")
    if what == "weights":
        (folder / "model.safetensors").unlink()
        torch.save({"longformer.x": Payload(mark)}, folder / "pytorch_model.bin")
    else:
        name_code(folder / "config.json", mark)
    small_settings["model"] = {"model_name_or_path": str(folder)}
    del small_settings["data"]["tokenizer"]
    config = running.write_yaml(tmp_path / "named.yaml", small_settings)
    without_advice(fail(capsys, "fit", "--config", config))
    asked = ("--question", "Who?", "--context", "Nobody.")
    without_advice(fail(capsys, "answer", "--checkpoint", folder, *asked))
    without_advice(fail(capsys, "longify", folder, "--output", tmp_path / "out"))


def name_code(file: Path, mark: Path) -> None:
    """Let a model's or a tokenizer's settings name code of their own."""
    (file.parent / "code.py").write_text(REMOTE_CODE.format(mark=str(mark)))
    parts = ("AutoConfig", "AutoModelForQuestionAnswering")
    auto_map = dict.fromkeys(parts, "code.Strange") | {"AutoTokenizer": ["code.Strange"] * 2}
    strange = {"model_type": "strange", "tokenizer_class": "Strange", "auto_map": auto_map}
    file.write_text(running.json.dumps(running.read_json(file) | strange))


def test_a_tokenizers_folder_runs_nothing(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    running.small_tokenizer().save_pretrained(tmp_path / "tokenizer")
    name_code(tmp_path / "tokenizer" / "tokenizer_config.json", mark)
    with pytest.raises(InputError) as refused:
        load_tokenizer(str(tmp_path / "tokenizer"))
    without_advice(str(refused.value))


def test_a_packed_archive_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "x.ckpt")
    with (
        zipfile.ZipFile(path) as whole,
        zipfile.ZipFile(tmp_path / "packed.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in whole.namelist():
            packed.writestr(entry, whole.read(entry))
        packed.writestr("x/data/99", bytes(10_000_000))
    assert damage(path) is None
    with pytest.raises(InputError, match="packed"):
        read_saved(tmp_path / "packed.ckpt")
