"""Kill runs with SIGKILL at moments drawn from a seed, and let them go on.

``python tests/killing.py [--kills 30] [--seed 0]`` kills many, over several kinds of runs, and
prints a table.
"""

import argparse
import copy
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import qa_lightning.features.storage
import qa_lightning.saved.writing
from interrupting import assert_same_end
from running import NETWORK, rows_of, run, small_tokenizer, write_rows, write_yaml

Settings = dict[str, dict[str, Any]]

HOOKS = {
    "before a batch": ("on_train_batch_start", 8),
    "in an optimizer's step": ("on_before_optimizer_step", 5),
    "in a validation": ("on_validation_batch_start", 6),
    "when a validation is over": ("on_validation_end", 2),
    "at the end of an epoch": ("on_train_epoch_end", 1),
}
"""Moments that are hooks of the trainer, and how many of them there may be before it."""
CALLS: dict[str, tuple[Any, str, int]] = {
    "while a checkpoint is written": (qa_lightning.saved.writing._CheckedFile, "write", 400),
    "before a checkpoint is in its place": (qa_lightning.saved.writing, "_keep", 4),
    "when a checkpoint is in its place": (qa_lightning.saved.writing, "_synchronize", 4),
    "while the cache is written": (Path, "rename", 3),
}
"""Moments that are calls: of what, and how many of them there may be before it."""


@dataclass(frozen=True)
class Kill:
    """Say where a process was killed.

    Attributes:
        moment: of ``HOOKS`` or ``CALLS``.
        count: the how-manieth of its kind in the process.
        happened: it was; the run ended before it otherwise.
    """

    moment: str
    count: int
    happened: bool


def settings_of(folder: Path, **changes: dict[str, Any]) -> Settings:
    """Return the settings of a run of nine steps, of eighteen batches in two epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    small_tokenizer().save_pretrained(folder / "tokenizer")
    files = {
        "train": str(write_rows(folder / "train.json", rows_of(12))),
        "validation": str(write_rows(folder / "validation.json", rows_of(4, first=100))),
    }
    settings: Settings = {
        "data": {
            "data_files": files,
            "tokenizer": str(folder / "tokenizer"),
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 4,
            "eval_batch_size": 5,
        },
        "model": {"config": dict(NETWORK), "learning_rate": 1e-3},
        "checkpoint": {"every_n_train_steps": 2},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "accumulate_grad_batches": 2,
            "val_check_interval": 4,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": [{"class_path": "interrupting.Trace"}],
        },
    }
    for group, values in changes.items():
        settings[group] |= values
    return settings


def unbroken(settings: Settings, folder: Path) -> Path:
    """Run without an interruption; return the folder."""
    run("fit", "--config", write_yaml(folder / "whole.yaml", settings_in(settings, folder)))
    return folder


def kill_and_go_on(
    settings: Settings, folder: Path, expected: Path, *, kills: int, draw: random.Random
) -> Iterator[Kill]:
    """Kill runs so many times, until each has come to its end, and hold it to the unbroken one.

    Args:
        settings: of the run.
        folder: for the runs.
        expected: folder of the unbroken run.
        kills: how many.
        draw: of the moments.

    Yields:
        What happened to each process.
    """
    done = number = 0
    while done < kills:
        place, first = folder / str(number), True
        while done < kills:
            names = ["while the cache is written"] if first else [*HOOKS, *list(CALLS)[:3]]
            moment = draw.choice(names)
            most = HOOKS[moment][1] if moment in HOOKS else CALLS[moment][2]
            kill = run_until(settings, place, moment, draw.randint(1, most))
            yield kill
            done, first = done + kill.happened, False
            if not kill.happened:
                break
        run("fit", "--config", write_yaml(place / "last.yaml", settings_in(settings, place)),
            "--ckpt_path", "last")  # fmt: skip
        assert_same_end(place, expected)
        number += 1


def settings_in(settings: Settings, folder: Path, *callbacks: dict[str, Any]) -> Settings:
    """Return the settings of a run in a folder, with a cache of its own."""
    settings = copy.deepcopy(settings)
    settings["trainer"]["default_root_dir"] = str(folder)
    settings["data"]["cache_dir"] = str(folder / "cache")
    settings["trainer"]["callbacks"] += callbacks
    return settings


def run_until(settings: Settings, folder: Path, moment: str, count: int) -> Kill:
    """Run in a process of its own, which is killed at a moment or comes to its end."""
    callbacks = []
    if moment in HOOKS:
        arguments = {"hook": HOOKS[moment][0], "count": count, "name": "SIGKILL"}
        callbacks = [{"class_path": "interrupting.SignalAt", "init_args": arguments}]
    config = write_yaml(folder / "killed.yaml", settings_in(settings, folder, *callbacks))
    child = os.fork()
    if not child:
        status = 1
        try:
            _silence()
            if moment in CALLS:
                owner, name, _ = CALLS[moment]
                setattr(owner, name, _deadly(getattr(owner, name), count))
            run("fit", "--config", config, "--ckpt_path", "last")
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), f"{moment} {count}: status {status}"
    return Kill(moment, count, happened=status == signal.SIGKILL)


def _deadly(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return a function whose ``count``-th call kills the process, half done if it writes."""
    calls = 0

    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < count:
            return function(*arguments, **named)
        if function.__name__ == "write":
            self, data = arguments
            function(self, bytes(data)[: len(data) // 2])
            self.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not killed")

    return called


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "accumulated, validated within epochs": {},
    "any order, two workers": {
        "data": {"group_by_length": False, "num_workers": 2},
        "trainer": {"accumulate_grad_batches": 1, "val_check_interval": 1.0},
    },
    "whole documents": {
        "data": {"group_by_document": True, "all_gold_spans": True, "batch_size": 2},
        "model": {"objective": "document"},
        "trainer": {"accumulate_grad_batches": 1, "val_check_interval": 2},
    },
}


def main() -> None:
    """Kill, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    draw = random.Random(given.seed)
    lines = [
        f"`python tests/killing.py --kills {given.kills} --seed {given.seed}`: SIGKILL at drawn "
        "moments; each run goes on with `--ckpt_path last` until it ends, and is then held to the "
        "unbroken run: weights, optimizer's state, losses and scores to the bit, windows one by "
        "one.",
        "",
        "| run | killed | times | ended as the unbroken run |",
        "|---|---|---|---|",
    ]
    began = time.monotonic()
    for kind, changes in KINDS.items():
        with tempfile.TemporaryDirectory() as scratch, mock.patch.dict(os.environ, CI="1"):
            folder = Path(scratch)
            settings = settings_of(folder / "files", **changes)
            expected = unbroken(settings, folder / "whole")
            share = given.kills // len(KINDS)
            kills = list(kill_and_go_on(settings, folder, expected, kills=share, draw=draw))
        counts: dict[str, int] = {}
        for kill in kills:
            if kill.happened:
                counts[kill.moment] = counts.get(kill.moment, 0) + 1
        lines += [f"| {kind} | {name} | {n} | yes |" for name, n in sorted(counts.items())]
    lines += ["", f"{time.monotonic() - began:.0f} seconds."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
