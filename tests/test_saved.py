"""Checkpoints' files: whole or not at all, found again when damaged, refused when unfit."""

import errno
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from answerer_support import write_checkpoint
from qa_lightning import QADataModule, QAModule, QuestionAnswerer
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.errors import InputError
from qa_lightning.exporting import export_checkpoint
from qa_lightning.folders import LOCK, locked_folder
from qa_lightning.model.storing import WholeCheckpointIO
from qa_lightning.saved import damage, newest_whole, read_saved, write_saved
from running import RECORDER, fail, read_checkpoint, recorded, run

VALUES = {"global_step": 7, "state_dict": {"a": torch.arange(5000.0), "b": torch.ones(3, 3)}}


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Tell whether two checkpoints hold the same."""
    tensors = expected["state_dict"]
    return found["global_step"] == expected["global_step"] and all(
        found["state_dict"][name].equal(tensor) for name, tensor in tensors.items()
    )


def names(folder: Path) -> list[str]:
    """Return the names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


# Damage


def test_every_cut_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    write_saved(VALUES, path)
    whole = path.read_bytes()
    draw = random.Random(0)
    for length in [0, 1, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(60))]:
        path.write_bytes(whole[:length])
        assert damage(path) is not None, length
        with pytest.raises(InputError, match="x\\.ckpt"):
            read_saved(path)


def test_flipped_bytes_are_seen_or_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    write_saved(VALUES, path)
    whole = path.read_bytes()
    draw = random.Random(1)
    seen = 0
    for _ in range(300):
        torn = bytearray(whole)
        for _ in range(draw.choice((1, 1, 4))):
            torn[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(torn)
        try:
            assert same(read_saved(path), VALUES)
        except InputError:
            seen += 1
    assert seen > 200  # most of a small file is tensors; padding between them means nothing


def test_torch_alone_does_not_see_them(tmp_path: Path) -> None:
    """Why checksums are compared: the day this fails, `torch.load` does so itself."""
    path = tmp_path / "x.ckpt"
    write_saved(VALUES, path)
    torn = bytearray(path.read_bytes())
    torn[torn.index(torch.tensor([4000.0]).numpy().tobytes())] ^= 1
    path.write_bytes(torn)
    assert not same(torch.load(path, weights_only=True), VALUES)
    with pytest.raises(InputError, match="damaged"):
        read_saved(path)


def test_the_newest_whole_checkpoint_stands_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = VALUES | {"optimizer_states": []}
    assert newest_whole(tmp_path, resumable=True) is None
    write_saved(trained | {"global_step": 3}, tmp_path / "best.ckpt")
    write_saved(trained | {"global_step": 5}, tmp_path / "previous.ckpt")
    write_saved(VALUES | {"global_step": 6}, tmp_path / "weights.ckpt")
    write_saved(trained | {"global_step": 9}, tmp_path / "last.ckpt")
    assert newest_whole(tmp_path, resumable=True) == tmp_path / "last.ckpt"
    assert not caplog.records
    for resumable, expected in ((True, "previous.ckpt"), (False, "weights.ckpt")):
        for harm in (b"", b"PK", (tmp_path / "last.ckpt").read_bytes()[:-40]):
            caplog.clear()
            (tmp_path / "last.ckpt").write_bytes(harm)
            assert newest_whole(tmp_path, resumable=resumable) == tmp_path / expected
            assert len(caplog.records) == 1
            assert newest_whole(tmp_path, resumable=resumable, quiet=True) == tmp_path / expected
            assert len(caplog.records) == 1
    (tmp_path / "last.ckpt").unlink()
    assert newest_whole(tmp_path, resumable=True) == tmp_path / "previous.ckpt"
    for name in ("best", "previous", "weights", "last"):
        (tmp_path / f"{name}.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"no other in .* is whole"):
        newest_whole(tmp_path, resumable=True)


def test_fit_goes_on_from_the_one_before_a_damaged_last(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    every = ("--checkpoint.every_n_train_steps", 1)
    run("fit", "--config", small, *every, RECORDER)
    folder = tmp_path / "run" / "checkpoints"
    steps = recorded().trainer.global_step
    assert names(folder) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    before = read_checkpoint(folder / "previous.ckpt")["global_step"]
    assert steps - 1 <= before <= steps  # of the last step, when a validation came after it
    whole = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "best.ckpt").unlink()
    message = fail(capsys, "fit", "--config", small, "--ckpt_path", folder / "last.ckpt")
    assert "cut off" in message
    caplog.clear()
    longer = ("--trainer.max_epochs", 2, "--ckpt_path", "last")
    run("fit", "--config", small, *every, *longer, RECORDER)
    assert recorded().first_step == before
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len([text for text in warnings if "previous.ckpt" in text]) == 1
    assert read_checkpoint(folder / "last.ckpt")["global_step"] == 2 * steps
    assert read_checkpoint(folder / "previous.ckpt")["global_step"] >= 2 * steps - 1


def test_a_damaged_last_never_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2):
        WholeCheckpointIO().save_checkpoint(VALUES | {"global_step": step}, tmp_path / "last.ckpt")
    assert read_saved(tmp_path / "previous.ckpt")["global_step"] == 1
    (tmp_path / "last.ckpt").write_bytes(b"torn")
    WholeCheckpointIO().save_checkpoint(VALUES | {"global_step": 3}, tmp_path / "last.ckpt")
    assert read_saved(tmp_path / "previous.ckpt")["global_step"] == 1
    assert read_saved(tmp_path / "last.ckpt")["global_step"] == 3


# Writing


@contextmanager
def small_files_only(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 1000, 5000, 15_000, 20_000])
def test_a_full_disk_loses_nothing(room: int, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    store = WholeCheckpointIO()
    for step in (1, 2):
        store.save_checkpoint(VALUES | {"global_step": step}, path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with (
        small_files_only(room),
        pytest.raises(InputError, match="What was saved before is whole") as told,
    ):
        store.save_checkpoint(VALUES | {"global_step": 3}, path)
    assert "File too large" in str(told.value)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    store.save_checkpoint(VALUES | {"global_step": 3}, path)
    assert read_saved(path)["global_step"] == 3


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
def test_whatever_call_fails_the_last_is_whole(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    store = WholeCheckpointIO()
    for step in (1, 2):
        store.save_checkpoint(VALUES | {"global_step": step}, path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    if call == "link":  # a file system without links: the file is moved
        store.save_checkpoint(VALUES | {"global_step": 3}, path)
        assert read_saved(tmp_path / "previous.ckpt")["global_step"] == 2
        assert read_saved(path)["global_step"] == 3
    else:
        with pytest.raises(InputError, match="No space left on device"):
            store.save_checkpoint(VALUES | {"global_step": 3}, path)
        assert read_saved(path)["global_step"] == 2
    assert names(tmp_path) == ["last.ckpt", "previous.ckpt"]


def test_fit_on_a_full_disk_ends_with_one_message(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run" / "checkpoints"
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    longer = ("--trainer.max_epochs", 2, "--ckpt_path", "last")
    with small_files_only(len(before["last.ckpt"]) // 2):
        message = fail(capsys, "fit", "--config", small, *longer)
    assert "What was saved before is whole" in message
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


def test_room_is_looked_for_before_training(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run" / "checkpoints"
    size = (folder / "last.ckpt").stat().st_size
    before = sorted(tmp_path.rglob("*.ckpt"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=size // 2))
    elsewhere = ("--trainer.default_root_dir", tmp_path / "other")
    message = fail(capsys, "fit", "--config", small, *elsewhere)
    assert "checkpoint.dirpath" in message
    assert sorted(tmp_path.rglob("*.ckpt")) == before
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5 * size))
    run("fit", "--config", small, *elsewhere)


def test_room_for_all_on_one_disk_is_looked_for_before_data_is_prepared(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    cache = tmp_path / "new_cache"
    for option in ((), ("--trainer.enable_checkpointing", "false")):
        message = fail(capsys, "fit", "--config", small, "--data.cache_dir", cache, *option)
        assert "data.cache_dir" in message
        assert ("checkpoint.dirpath" in message) == (not option)
        assert not cache.exists()
        assert not (tmp_path / "run").exists()


KILLED = """
import os, sys, torch
from pathlib import Path
from qa_lightning.saved import write_saved
path, kill = Path(sys.argv[1]), sys.argv[2]
values = {"global_step": 1, "state_dict": {"a": torch.zeros(3_000_000)}}
write_saved(values, path, keep_previous=True)
values["global_step"] = 2
write_saved(values, path, keep_previous=True)
values["global_step"] = 3
original = getattr(os, kill)
os.write(1, b"ready\\n")
def dead(*a, **k): os.kill(os.getpid(), 9)
setattr(os, kill, dead)
write_saved(values, path, keep_previous=True)
"""


@pytest.mark.parametrize("moment", ["fsync", "link", "replace"])
def test_a_kill_while_writing_leaves_two_whole_checkpoints(moment: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    command = [sys.executable, "-c", KILLED, path, moment]
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    assert ended.returncode == -9
    assert ended.stdout == b"ready\n"
    assert [read_saved(tmp_path / f"{n}.ckpt")["global_step"] for n in ("previous", "last")] in (
        [1, 2],
        [2, 2],
    )
    write_saved(VALUES, path, keep_previous=True)  # what the kill left is in nobody's way
    assert names(tmp_path) == ["last.ckpt", "previous.ckpt"]


def test_nothing_goes_by_way_of_the_temporary_folder(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    original = os.replace

    def watched(source: Any, target: Any, **options: Any) -> None:
        seen.append(Path(source))
        original(source, target, **options)

    monkeypatch.setattr(os, "replace", watched)
    run("fit", "--config", small)
    parts = [path for path in seen if path.name.endswith(".part")]
    assert {path.parent for path in parts} == {tmp_path / "run" / "checkpoints"}


# Trainers that are not the command line's


def test_a_trainer_of_ones_own_writes_whole_and_reads_safely(
    small_settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    settings = {**small_settings["trainer"], "max_epochs": 2}
    small_settings["model"]["config"]["vocab_size"] = 400
    for plugins in ([], [AsyncCheckpointIO()]):
        folder = tmp_path / f"run{len(plugins)}"
        last = LastCheckpoint(dirpath=str(folder))
        trainer = Trainer(**settings, callbacks=[last], plugins=plugins)
        module = QAModule(**small_settings["model"])
        trainer.fit(module, datamodule=QADataModule(**small_settings["data"]))
        assert names(folder) == ["last.ckpt", "previous.ckpt"]
        assert all(damage(file) is None for file in folder.iterdir())
        trainer.validate(module, QADataModule(**small_settings["data"]), folder / "last.ckpt")


# One run at a time


def test_a_second_run_in_a_folder_moves_nothing(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run"
    before = sorted(folder.rglob("*"))
    with locked_folder(folder, "x"):
        message = fail(capsys, "fit", "--config", small)
    assert f"process {os.getpid()}" in message
    assert "trainer.default_root_dir" in message
    assert sorted(folder.rglob("*")) == before
    elsewhere = ("--trainer.default_root_dir", tmp_path / "b")
    shared = ("--checkpoint.dirpath", folder / "checkpoints")
    with locked_folder(folder / "checkpoints", "x"):
        message = fail(capsys, "fit", "--config", small, *elsewhere, *shared)
    assert "checkpoint.dirpath" in message
    run("fit", "--config", small)
    assert (folder / "earlier" / "1" / "checkpoints" / "last.ckpt").is_file()


def test_whoever_shares_either_folder_of_a_run_is_refused(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run"
    other = ("--trainer.default_root_dir", tmp_path / "other")
    seen = []

    class Second(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            before = sorted(folder.rglob("*"))
            for place in (folder / "checkpoints", tmp_path / "link", folder / "." / "checkpoints"):
                with pytest.raises(InputError, match="no other run"), locked_folder(place, "x"):
                    pass
            for arguments in (("--checkpoint.dirpath", folder / "checkpoints", *other), ()):
                seen.append(fail(capsys, "fit", "--config", small, *arguments))
            assert sorted(folder.rglob("*")) == before

    (tmp_path / "link").symlink_to(folder / "checkpoints")
    setting = "test_saved_second"
    sys.modules[setting] = module = ModuleType(setting)
    module.Second = Second  # type: ignore[attr-defined]
    Second.__module__, Second.__qualname__ = setting, "Second"
    run("fit", "--config", small, "--trainer.callbacks", f"{setting}.Second")
    assert len(seen) == 2
    assert all("Expected no other run in" in message for message in seen)
    assert (folder / "earlier" / "1" / "checkpoints" / "last.ckpt").is_file()
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert not list(folder.rglob(LOCK))
    assert not (folder / "earlier" / "2").exists()


def test_a_save_of_the_same_step_leaves_the_one_before(tmp_path: Path) -> None:
    storing, last = WholeCheckpointIO(), tmp_path / "last.ckpt"
    for number, step in enumerate((3, 3, 6, 6, 6)):
        storing.save_checkpoint({"global_step": step, "save": number}, last)
    storing = WholeCheckpointIO()  # of a process that goes on
    storing.load_checkpoint(last)
    storing.save_checkpoint({"global_step": 6, "save": 5}, last)
    kept = [read_checkpoint(path) for path in (last, tmp_path / "previous.ckpt")]
    assert [(each["global_step"], each["save"]) for each in kept] == [(6, 5), (3, 1)]


def test_a_second_trainer_in_a_folder_is_refused(
    small_settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    settings = {**small_settings["trainer"], "default_root_dir": str(tmp_path)}

    def fit(folder: Path | None) -> None:
        data, model = small_settings["data"], dict(small_settings["model"])
        model["config"] = {**model["config"], "vocab_size": 400}
        last = LastCheckpoint(dirpath=None if folder is None else str(folder))
        Trainer(**settings, callbacks=[last]).fit(QAModule(**model), QADataModule(**data))

    for folder, held in ((None, tmp_path), (tmp_path / "mine", tmp_path / "mine")):
        with locked_folder(held, "x"), pytest.raises(InputError, match="no other run in"):
            fit(folder)
        fit(folder)
        assert not (held / LOCK).exists()


HOLDER = """
import os, sys, time
from pathlib import Path
from qa_lightning.folders import LOCK, locked_folder
with locked_folder(Path(sys.argv[1]), "x"):
    if os.fork() == 0:  # it has let go when it begins
        os.write(1, b"held\\n")
        os.close(1)
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""


def test_a_kill_lets_go_of_the_folder_though_a_child_lives_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, start_new_session=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(InputError, match=f"process {holder.pid} "),
            locked_folder(tmp_path, "x"),
        ):
            pass
        holder.kill()
        holder.wait()
        with locked_folder(tmp_path, "x"):
            pass
        os.killpg(holder.pid, 9)


# Checkpoints that are whole, and hold what does not fit

Change = Callable[[dict[str, Any]], object]


def hyper(**values: Any) -> Change:
    """Change the module's arguments."""
    return lambda contents: contents["hyper_parameters"].update(values)


def config(**values: Any) -> Change:
    """Change the network's config."""
    return lambda contents: contents["hyper_parameters"]["config"].update(values)


def windows(**values: Any) -> Change:
    """Change the datamodule's state."""
    return lambda contents: contents["QADataModule"].update(values)


def decision(**values: Any) -> Change:
    """Change the evaluation's state."""
    return lambda contents: contents["callbacks"]["AnswerEvaluation"].update(values)


def top(**values: Any) -> Change:
    """Change what the checkpoint holds itself."""
    return lambda contents: contents.update(values)


def without(*path: str) -> Change:
    """Leave something out."""

    def change(contents: dict[str, Any]) -> None:
        for key in path[:-1]:
            contents = contents[key]
        del contents[path[-1]]

    return change


def weight(name: str, value: Callable[[torch.Tensor], Any]) -> Change:
    """Change a tensor."""

    def change(contents: dict[str, Any]) -> None:
        weights = contents["state_dict"]
        weights[f"network.{name}"] = value(weights.get(f"network.{name}", torch.zeros(2)))

    return change


def bomb() -> list[Any]:
    """Return a list that stands for 10**20 values."""
    value: list[Any] = ["ha"]
    for _ in range(20):
        value = [value] * 10
    return value


HEAD = "qa_outputs.weight"
UNFIT: dict[str, Change] = {
    "a weight is missing": without("state_dict", f"network.{HEAD}"),
    "a weight too many": weight("extra.weight", lambda _: torch.zeros(2)),
    "a weight of another shape": weight(HEAD, lambda tensor: tensor[:, :-1].clone()),
    "a weight of no shape": weight(HEAD, lambda _: torch.tensor(1.0)),
    "a weight that is no tensor": weight(HEAD, lambda _: [1.0, 2.0]),
    "a weight that is NaN": weight(HEAD, lambda tensor: tensor * float("nan")),
    "a weight that is infinite": weight(HEAD, lambda tensor: tensor + float("inf")),
    "all weights NaN": lambda contents: [
        tensor.fill_(float("nan"))
        for tensor in contents["state_dict"].values()
        if tensor.is_floating_point()
    ],
    "no weights": top(state_dict={}),
    "weights in a list": top(state_dict=[1]),
    "no hyper-parameters": without("hyper_parameters"),
    "hyper-parameters in a list": top(hyper_parameters=[1]),
    "no config": without("hyper_parameters", "config"),
    "a config in words": hyper(config="longformer"),
    "a config in a list": hyper(config=[1]),
    "an unknown kind of network": config(model_type="t-rex"),
    "a kind of network that is none": config(model_type=3),
    "a size in words": config(hidden_size="large"),
    "a size of none": config(hidden_size=0),
    "a negative size": config(num_hidden_layers=-1),
    "another size": config(hidden_size=32),
    "no heads": config(num_attention_heads=0),
    "a window in words": config(attention_window="wide"),
    "a vocabulary of none": config(vocab_size=0),
    "a config that never ends": config(architectures=bomb()),
    "a network elsewhere": hyper(model_name_or_path="/somewhere/else"),
    "adapters in words": hyper(lora="all"),
    "adapters that are not there": hyper(lora={"r": 0}),
    "no tokenizer": without("QADataModule", "tokenizer_files"),
    "a tokenizer in a list": windows(tokenizer_files=["tokenizer.json"]),
    "a tokenizer of numbers": windows(tokenizer_files={"tokenizer.json": 3}),
    "a tokenizer of nothing": windows(tokenizer_files={}),
    "a tokenizer that is no JSON": windows(tokenizer_files={"tokenizer.json": "{"}),
    "a tokenizer too deep": windows(tokenizer_files={"tokenizer.json": "[" * 100_000}),
    "a tokenizer of another thing": windows(tokenizer_files={"tokenizer.json": json.dumps([1])}),
    "a length in words": windows(max_length="long"),
    "a length of none": windows(max_length=0),
    "a length of more than all positions": windows(max_length=100_000),
    "an overlap of all": windows(doc_stride=64),
    "a negative overlap": windows(doc_stride=-1),
    "separators in a list": windows(separators=[2]),
    "token types in words": windows(token_types="yes"),
    "global attention in numbers": windows(global_attention=3.5),
    "a language in numbers": windows(language=5),
    "answers of no length": decision(max_answer_length=0),
    "answers in words": decision(max_answer_length="short"),
    "a billion answers": decision(n_best=10**9),
    "no answers": decision(n_best=0),
    "an unknown scoring": decision(window_scoring="best"),
    "an unknown search": decision(search="binary"),
    "a threshold in words": decision(threshold="high"),
    "a threshold that is NaN": decision(threshold=float("nan")),
    "a temperature of none": decision(temperature=-1.0),
    "a temperature in words": decision(temperature="hot"),
    "callbacks in a list": top(callbacks=[1]),
    "an epoch in words": top(epoch="first"),
    "steps in a list": top(global_step=[1]),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_checkpoint_that_does_not_fit_is_told_by_answer_and_export(
    name: str, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "x.ckpt")
    contents = read_checkpoint(path)
    UNFIT[name](contents)
    torch.save(contents, path)
    with pytest.raises(InputError) as told:
        QuestionAnswerer.from_checkpoint(path)
    assert len(str(told.value)) < 2000
    with pytest.raises(InputError):
        export_checkpoint(path, tmp_path / "out")
    assert names(tmp_path) == ["x.ckpt"]


# What Lightning restores beside: each stands for its kind.
RESTORED = (
    "a weight is missing",
    "a weight too many",
    "a weight of another shape",
    "all weights NaN",
    "a size in words",
    "a length in words",
    "a language in numbers",
    "answers in words",
    "a tokenizer too deep",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_files: dict[str, Path]) -> Path:
    """Return the folder of one run, with its configuration."""
    from running import NETWORK, write_yaml

    folder = tmp_path_factory.mktemp("trained")
    settings = {
        "data": {
            "data_files": {n: str(small_files[n]) for n in ("train", "validation")},
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 8,
        },
        "model": {"config": dict(NETWORK)},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(folder / "run"),
        },
    }
    run("fit", "--config", write_yaml(folder / "c.yaml", settings))
    return folder


def changed(trained: Path, path: Path, change: Change) -> Path:
    """Write the run's last checkpoint, changed."""
    contents = read_checkpoint(trained / "run" / "checkpoints" / "last.ckpt")
    contents["callbacks"]["AnswerEvaluation"] = contents["callbacks"].pop("AnswerEvaluation")
    change(contents)
    torch.save(contents, path)
    return path


@pytest.mark.parametrize("name", RESTORED)
def test_a_checkpoint_that_does_not_fit_is_told_by_validate_and_fit(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(trained, tmp_path / "x.ckpt", UNFIT[name])
    place = ("--trainer.default_root_dir", tmp_path / "run")
    for command in ("validate", "fit"):
        fail(capsys, command, "--config", trained / "c.yaml", *place, "--ckpt_path", path)
    with pytest.raises(InputError):
        QuestionAnswerer.from_checkpoint(path)


PROGRESS: dict[str, Change] = {
    "no loops": without("loops"),
    "loops of another kind": top(loops={"fit_loop": 3}),
    "no optimizer": without("optimizer_states"),
    "an optimizer of nothing": top(optimizer_states=[{}]),
    "an optimizer in words": top(optimizer_states=["adam"]),
    "a schedule in words": top(lr_schedulers=["linear"]),
    "no version": without("pytorch-lightning_version"),
    "a version in words": top(**{"pytorch-lightning_version": "new"}),
    "no step": without("global_step"),
    "no epoch": without("epoch"),
}


@pytest.mark.parametrize("name", PROGRESS)
def test_a_checkpoint_that_cannot_be_resumed_is_told(
    name: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(trained, tmp_path / "x.ckpt", PROGRESS[name])
    place = ("--trainer.default_root_dir", tmp_path / "run", "--trainer.max_epochs", 2)
    message = fail(capsys, "fit", "--config", trained / "c.yaml", *place, "--ckpt_path", path)
    assert "x.ckpt" in message


# Exported folders

SETTINGS: dict[str, object] = {
    "no JSON": "{",
    "not UTF-8": b"\xff\xfe{}",
    "a list": "[1]",
    "a number": "3",
    "too deep": "[" * 100_000,
    "windows in a list": {"windows": [1]},
    "windows in words": {"windows": "wide"},
    "a length in words": {"windows": {"max_length": "long"}},
    "a length of none": {"windows": {"max_length": 0}},
    "an overlap of all": {"windows": {"max_length": 60, "doc_stride": 60}},
    "a decision in a list": {"decision": [1]},
    "a billion answers": {"decision": {"n_best": 10**9}},
    "an unknown scoring": {"decision": {"window_scoring": "best"}},
    "a temperature of none": {"decision": {"temperature": 0}},
    "a temperature without end": {"decision": {"temperature": float("inf")}},
    "a threshold in words": {"decision": {"null_score_threshold": "high"}},
    "a flag in words": {"decision": {"no_answer": "never"}},
    "a language in numbers": {"language": 5},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exported folder."""
    folder = tmp_path_factory.mktemp("exported")
    return export_checkpoint(write_checkpoint(folder / "x.ckpt"), folder / "out")


@pytest.mark.parametrize("name", SETTINGS)
def test_damaged_settings_of_an_exported_folder_are_told(
    name: str, exported: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "out")
    text = SETTINGS[name]
    text = json.dumps(text) if isinstance(text, dict) else text
    data = text if isinstance(text, bytes) else str(text).encode()
    (folder / "qa_lightning.json").write_bytes(data)
    with pytest.raises(InputError):
        QuestionAnswerer.from_checkpoint(folder)


def test_settings_of_another_release_are_left_alone(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "out")
    settings = json.loads((folder / "qa_lightning.json").read_text())
    settings["decision"]["mood"] = settings["windows"]["shape"] = settings["weather"] = "fair"
    (folder / "qa_lightning.json").write_text(json.dumps(settings))
    assert QuestionAnswerer.from_checkpoint(folder).answer("Who?", "Ana was there.")


FOLDER_FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", FOLDER_FILES)
@pytest.mark.parametrize("harm", ["empty", "cut", "noise", "another thing", "deep"])
def test_a_damaged_exported_folder_is_told(
    name: str, harm: str, exported: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "out")
    file = folder / name
    whole = file.read_bytes()
    file.unlink()
    texts = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "noise": random.Random(0).randbytes(len(whole)),
        "another thing": b"[1, 2]",
        "deep": b"[" * 100_000,
    }
    file.write_bytes(texts[harm])
    with pytest.raises(InputError) as told:
        QuestionAnswerer.from_checkpoint(folder)
    assert str(folder) in str(told.value)


def test_weights_of_an_exported_folder_that_are_not_finite_are_told(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(exported, tmp_path / "out")
    weights = load_file(folder / "model.safetensors")
    weights[HEAD][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    asked = ("--question", "Who?", "--context", "Ana.")
    assert HEAD in fail(capsys, "answer", "--checkpoint", folder, *asked)


# From Python


@pytest.mark.parametrize(
    "source", [None, 3, 1.5, [], {}, b"x.ckpt", object(), "", " ", "\0", "a" * 9999]
)
def test_what_is_no_source_is_told(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a run lies below the folder that one is in."""
    (tmp_path / "runs/demo/checkpoints").mkdir(parents=True)
    write_checkpoint(tmp_path / "runs/demo/checkpoints/best.ckpt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        QuestionAnswerer.from_checkpoint(source)


@pytest.mark.parametrize("n_best", [0, -1, 10**12, 1.5, "3", None, True])
def test_a_number_of_answers_has_bounds(n_best: Any, tmp_path: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(write_checkpoint(tmp_path / "x.ckpt"))
    calls: list[Callable[[], object]] = [
        lambda: answerer.answer("Who?", "Ana.", n_best=n_best),
        lambda: answerer.answer_batch([("Who?", "Ana.")], n_best=n_best),
        lambda: answerer.answer_documents("Who?", ["Ana."], n_best=n_best),
        lambda: answerer.answer_documents("Who?", [], n_best=n_best),
    ]
    for call in calls:
        with pytest.raises(InputError, match="n_best"):
            call()
    for given in (None, 3):
        with pytest.raises(InputError):
            answerer.answer_batch(given)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            answerer.answer_documents("Who?", given)  # type: ignore[arg-type]
        with pytest.raises(InputError):
            answerer.answer_questions(given, "Ana.")  # type: ignore[arg-type]
    assert len(answerer.answer("Who?", "Ana was there.", n_best=10_000).n_best) > 1
