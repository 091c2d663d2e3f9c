"""Runs that are killed at any moment end, when they go on, as the run that never was."""

import os
import random
import secrets
import sys
from pathlib import Path

import pytest

from killing import KINDS, kill_and_go_on, run_until, settings_in, settings_of, unbroken
from running import run, write_yaml
from wandb_reading import read_run, run_files

SEED = "QA_LIGHTNING_KILL_SEED"


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED) or secrets.randbelow(10**6))
    sys.stdout.write(f"{SEED}={seed} draws the same moments\n")
    settings = settings_of(tmp_path / "files")
    expected = unbroken(settings, tmp_path / "whole")
    happened = 0
    draw = random.Random(seed)
    for kill in kill_and_go_on(settings, tmp_path / "killed", expected, kills=10, draw=draw):
        sys.stdout.write(f"{kill}\n")
        happened += kill.happened
    assert happened == 10


def figures(files: list[Path]) -> dict[tuple[int, str], float]:
    """Return what W&B's files say by step and name; what they say twice must be the same."""
    found: dict[tuple[int, str], float] = {}
    for file in files:
        for row in read_run(file).history:
            for name, value in row.items():
                timed = name.startswith(("_", "speed/")) or "windows_per_second" in name
                if isinstance(value, int | float) and not timed:
                    key = (row["trainer/global_step"], name)
                    assert found.setdefault(key, value) == value, (key, value, found[key])
    return found


def test_wandb_holds_one_run_with_one_curve(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "files")
    logger = {"class_path": "lightning.pytorch.loggers.WandbLogger"}
    settings["trainer"]["logger"] = {**logger, "init_args": {"project": "kills", "offline": True}}
    expected = figures(run_files(unbroken(settings, tmp_path / "whole")))
    assert len({step for step, _ in expected}) >= 9

    folder = tmp_path / "stopped"
    arguments = {"hook": "on_train_batch_start", "count": 8, "name": "SIGTERM"}
    stop = {"class_path": "interrupting.SignalAt", "init_args": arguments}
    with pytest.raises(SystemExit):
        run("fit", "--config", write_yaml(folder / "a.yaml", settings_in(settings, folder, stop)))
    config = write_yaml(folder / "last.yaml", settings_in(settings, folder))
    run("fit", "--config", config, "--ckpt_path", "last")
    files = run_files(folder)
    assert len(files) == 2
    assert len({read_run(file).id for file in files}) == 1
    labels = {key for key in figures(files) if key[1].startswith("label/")}
    assert {key: value for key, value in figures(files).items() if key not in labels} == {
        key: value for key, value in expected.items() if not key[1].startswith("label/")
    }

    # W&B's own process dies with a killed one: what was logged before the checkpoint is written.
    folder = tmp_path / "killed"
    assert run_until(settings, folder, "before a batch", 8).happened
    config = write_yaml(folder / "last.yaml", settings_in(settings, folder))
    run("fit", "--config", config, "--ckpt_path", "last")
    files = run_files(folder)
    assert len(files) == 2
    together = figures(files)
    curve = {k: v for k, v in expected.items() if not k[1].startswith("label/")}
    assert {k: v for k, v in together.items() if not k[1].startswith("label/")} == curve


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thirty_kills_change_nothing(kind: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "files", **KINDS[kind])
    expected = unbroken(settings, tmp_path / "whole")
    draw = random.Random(kind)
    kills = list(kill_and_go_on(settings, tmp_path, expected, kills=10, draw=draw))
    assert sum(kill.happened for kill in kills) == 10
