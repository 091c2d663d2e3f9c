"""The same seed and configuration give the same bits, in another process too."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from running import read_checkpoint, read_json, read_yaml, run, write_yaml

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]


def same_bits(first: Path, second: Path) -> bool:
    """Say whether two runs ended with the same weights, moments and answers."""
    here, there = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (first, second))
    weights = all(
        torch.equal(weight, there["state_dict"][name])
        for name, weight in here["state_dict"].items()
    )
    states = [each["optimizer_states"][0]["state"] for each in (here, there)]
    moments = all(
        torch.equal(states[0][key][name], states[1][key][name])
        for key in states[0]
        for name in ("exp_avg", "exp_avg_sq")
    )
    answers = [read_json(run / "answers" / "val" / "predictions.json") for run in (first, second)]
    return weights and moments and answers[0] == answers[1]


@pytest.fixture
def settings(small_settings: Settings) -> Settings:
    """Return settings of a run that draws: dropout, windows left out, an order."""
    small_settings["data"]["negative_windows"] = 0.5
    small_settings["trainer"]["max_epochs"] = 2
    small_settings["trainer"]["deterministic"] = True
    return small_settings


def test_another_process_gives_the_same_bits(settings: Settings, tmp_path: Path) -> None:
    config = write_yaml(tmp_path / "run.yaml", settings)
    folders = [tmp_path / name for name in ("here", "there", "other")]
    for folder, seed in ((folders[0], 7), (folders[2], 8)):
        cache = ("--data.cache_dir", folder / "cache")  # the data is prepared anew, too
        place = ("--trainer.default_root_dir", folder, *cache)
        run("fit", "--config", config, "--seed_everything", seed, *place)
    place = ("--trainer.default_root_dir", folders[1], "--data.cache_dir", folders[1] / "cache")
    words = ("fit", "--config", config, "--seed_everything", 7, *place)
    command = [sys.executable, "-m", "qa_lightning", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    assert same_bits(folders[0], folders[1])
    assert not same_bits(folders[0], folders[2])


@pytest.mark.parametrize("seed", ["3", "true"])
def test_a_runs_own_configuration_repeats_it(seed: str, settings: Settings, tmp_path: Path) -> None:
    first, second = tmp_path / "run", tmp_path / "again"
    run("fit", "--config", write_yaml(tmp_path / "run.yaml", settings), "--seed_everything", seed)
    saved = first / "config.yaml"
    run("fit", "--config", saved, "--trainer.default_root_dir", second)
    assert same_bits(first, second)
    again = read_yaml(second / "config.yaml")
    again["trainer"]["default_root_dir"] = str(first)
    assert again == read_yaml(saved)
    run("fit", "--config", saved)  # in its own folder: the first one's results are kept
    assert same_bits(first, first / "earlier" / "1")
