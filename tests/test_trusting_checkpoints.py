"""Checkpoints of a stranger, or of a failing disk: what would be put back is of its kind."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from answerer_support import write_checkpoint
from qa_lightning import QAModule, QuestionAnswerer
from qa_lightning.errors import InputError
from qa_lightning.exporting import export_checkpoint
from qa_lightning.resuming import check_place, check_training
from qa_lightning.saved import damage, newest_whole, read_saved, saved_run, write_saved
from running import RECORDER, fail, read_checkpoint, recorded, run

Json = dict[str, Any]
PLACE = "qa_lightning_resume"


def first_state(values: Json) -> Json:
    """Return the state of the optimizer's first parameter."""
    return values["optimizer_states"][0]["state"][0]


def put(*path: Any, value: Any) -> Callable[[Json], None]:
    """Return what puts a value at a place of a checkpoint."""

    def change(values: Json) -> None:
        place: Any = values
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def stretch(values: Json) -> None:
    state = first_state(values)
    state["exp_avg"] = torch.zeros(()).expand(state["exp_avg"].shape)


def turn(values: Json) -> None:
    for state in values["optimizer_states"][0]["state"].values():
        if state["exp_avg"].dim() == 2:
            state["exp_avg"] = state["exp_avg"].t().contiguous().t()


def of_state(key: str, convert: Callable[[torch.Tensor], Any]) -> Callable[[Json], None]:
    def change(values: Json) -> None:
        first_state(values)[key] = convert(first_state(values)[key])

    return change


SPOILT: list[tuple[Callable[[Json], None], str]] = [
    *(
        (of_state(key, convert), "optimizer_states")
        for key in ("exp_avg", "exp_avg_sq")
        for convert in (
            lambda _: torch.zeros(3),
            lambda _: torch.zeros(()),
            lambda t: t.long(),
            lambda t: t.to_sparse(),
            lambda t: t.to("meta"),
            lambda t: t + float("nan"),
            lambda t: t.tolist(),
            lambda _: "zeros",
            lambda _: None,
        )
    ),
    *(
        (of_state("step", lambda _, value=value: value), "optimizer_states")
        for value in ("3", -1, float("nan"), torch.zeros(3), torch.tensor(-2.0), None)
    ),
    (stretch, "optimizer_states"),
    (turn, "optimizer_states"),
    (lambda values: first_state(values).pop("exp_avg"), "optimizer_states"),
    *(
        (put("optimizer_states", value=value), "optimizer_states")
        for value in ([], [3], [{}], [{"state": 3, "param_groups": []}], ["a"], [None])
    ),
    (put("optimizer_states", 0, "state", 0, value=3), "optimizer_states"),
    (put("optimizer_states", 0, "state", 10**6, value={}), "optimizer_states"),
    (put("optimizer_states", 0, "param_groups", 0, "params", value=[[1]]), "optimizer_states"),
    (put("optimizer_states", 0, "param_groups", 0, "lr", value="1"), "optimizer_states"),
    (put("lr_schedulers", value=[]), "lr_schedulers"),
    (put("lr_schedulers", value=[3]), "lr_schedulers"),
    (put("lr_schedulers", 0, "last_epoch", value="3"), "lr_schedulers"),
    (put("lr_schedulers", 0, "base_lrs", value="ab"), "lr_schedulers"),
    (put("loops", value={}), "loops"),
    (put("loops", "fit_loop", value=[1]), "loops"),
    (put("loops", "fit_loop", "epoch_progress", "current", "ready", value="1"), "loops"),
    (put("loops", "fit_loop", "epoch_progress", "current", "ready", value=-4), "loops"),
    (put("loops", "fit_loop", "state_dict", value={"combined_loader": 3}), "loops"),
    (put("global_step", value=-1), "global_step"),
    (put("global_step", value=10**30), "global_step"),
    (put("global_step", value=True), "global_step"),
    (put("epoch", value=-1), "epoch"),
    *((put(PLACE, value=value), PLACE) for value in ("text", [1], 3)),
    *(
        (put(PLACE, key, value=value), PLACE)
        for key in ("place", "random", "figures", "data", "due_row", "rhythm")
        for value in ("text", 5, ["a"])
    ),
    (put(PLACE, "place", "batch", value="3"), PLACE),
    (put(PLACE, "data", "processes", value="1"), PLACE),
    (put(PLACE, "figures", "x", value="1"), PLACE),
    (put(PLACE, "random", 0, "torch", value=torch.zeros(3)), PLACE),
    (put(PLACE, "random", 0, "python", value=(1, 2)), PLACE),
]


def test_no_state_of_another_kind_is_put_back(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of these made torch write past the end of a tensor's memory."""
    run("fit", "--config", small, "--trainer.limit_train_batches", 2, RECORDER)
    trainer = recorded().trainer
    good = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    path = tmp_path / "x.ckpt"
    more = ("--trainer.max_epochs", 2, "--trainer.limit_train_batches", 2, "--ckpt_path", path)
    for number, (change, named) in enumerate(SPOILT):
        values = copy.deepcopy(good)
        change(values)
        trainer._checkpoint_connector._loaded_checkpoint = values
        with pytest.raises(InputError, match=named):  # noqa: PT012  # one of them
            saved_run(values, path)
            check_place(values, path)
            check_training(trainer)
            pytest.fail(f"number {number} was taken")
        if number % 20 == 0:
            torch.save(values, path)
            message = fail(capsys, "fit", "--config", small, *more)
            assert named in message
            assert "x.ckpt" in message
    torch.save(good, path)
    run("fit", "--config", small, *more)


WEIGHTS: list[Callable[[torch.Tensor], Any]] = [
    lambda t: t.to_sparse(),
    lambda t: t.to("meta"),
    lambda t: t.long(),
    lambda t: t.to(torch.complex64),
    lambda t: t.bool(),
    lambda t: torch.zeros(()).expand(t.shape),
    lambda t: t.to(torch.float8_e5m2),
    lambda t: t.tolist(),
]


@pytest.mark.parametrize("convert", WEIGHTS)
def test_weights_of_another_kind_are_refused(
    convert: Callable[[torch.Tensor], Any], tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "x.ckpt")
    values = read_checkpoint(path)
    name = next(name for name, each in values["state_dict"].items() if each.dim() == 2)
    values["state_dict"][name] = convert(values["state_dict"][name])
    torch.save(values, path)
    for way in (
        lambda: QuestionAnswerer.from_checkpoint(path),
        lambda: export_checkpoint(path, tmp_path / "out"),
        lambda: QAModule.load_from_checkpoint(path),  # as `fit` and `validate` do
    ):
        with pytest.raises(InputError, match=name.removeprefix("network.")):
            way()
    assert not (tmp_path / "out").exists()


def test_no_flipped_bit_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The zip's directory has no checksum of its own."""
    values = {"optimizer_states": [], "state_dict": {"a": torch.arange(40.0), "b": torch.ones(2)}}
    last, before = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    write_saved(values | {"global_step": 6}, last)
    write_saved(values | {"global_step": 7}, last, keep_previous=True)
    assert damage(last) is None
    whole, draw = last.read_bytes(), random.Random(14)
    directory = whole.index(b"PK\1\2")
    places = [draw.randrange(len(whole)) for _ in range(150)]
    places += [draw.randrange(directory, len(whole)) for _ in range(150)]
    for place in places:
        torn = bytearray(whole)
        torn[place] ^= 1 << draw.randrange(8)
        last.write_bytes(torn)
        caplog.clear()
        assert newest_whole(tmp_path, resumable=True) == before, place
        assert len(caplog.records) == 1
        with pytest.raises(InputError, match=r"last\.ckpt"):
            read_saved(last)
    last.write_bytes(whole)
    assert newest_whole(tmp_path, resumable=True) == last


def test_what_reads_as_no_checkpoint_falls_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_saved({"optimizer_states": [], "global_step": 6}, tmp_path / "previous.ckpt")
    for values in ({"global_step": "seven"}, {"x": Path("/")}):
        caplog.clear()
        torch.save(values, tmp_path / "last.ckpt")
        assert newest_whole(tmp_path, resumable=True) == tmp_path / "previous.ckpt"
        assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", ["loop", "memory", "nowhere"])
def test_data_that_cannot_be_read_is_told(
    kind: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "loop.json"
    path.symlink_to("/proc/self/mem" if kind == "memory" else path if kind == "loop" else "gone")
    message = fail(capsys, "fit", "--config", small, "--data.data_files", f'{{"train": "{path}"}}')
    assert "loop.json" in message
