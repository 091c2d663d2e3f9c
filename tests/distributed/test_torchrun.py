"""Two agents of torchrun, as on two machines: they train as one, and end as one."""

import re
from pathlib import Path
from typing import Any

import pytest

from launching import launch_agents
from running import read_checkpoint, read_json, write_yaml

pytestmark = [pytest.mark.two_process, pytest.mark.slow]

Settings = dict[str, dict[str, Any]]


def test_two_agents_train_together(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["trainer"]["callbacks"] = [{"class_path": "ranks.RankLog"}]
    results = launch_agents("fit", "--config", write_yaml(tmp_path / "c.yaml", small_settings))
    assert [result.returncode for result in results] == [0, 0], results[0].stdout[-6000:]
    logs = [read_json(tmp_path / "run" / f"rank{rank}.json") for rank in (0, 1)]
    assert logs[0]["weights"] == logs[1]["weights"]
    last = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert last["global_step"] == logs[0]["steps"] == logs[0]["batches"]
    assert logs[0]["batches"] * 2 * 8 >= logs[0]["windows"]


@pytest.mark.parametrize("way", ["raise", "kill"])
@pytest.mark.parametrize("rank", [0, 1])
def test_one_agents_failure_ends_the_other(
    way: str, rank: int, small_settings: Settings, tmp_path: Path
) -> None:
    fail = {"class_path": "ranks.Fail", "init_args": {"way": way, "rank": rank}}
    small_settings["trainer"]["callbacks"] = [fail]
    results = launch_agents("fit", "--config", write_yaml(tmp_path / "c.yaml", small_settings))
    assert all(result.returncode != 0 for result in results)
    output = "".join(result.stdout for result in results)
    (message,) = re.findall("^error: .*$", output, flags=re.MULTILINE)
    cause = "ValueError: the disk is on fire" if way == "raise" else "ended without a word"
    assert f"rank {rank} of 2: " in message
    assert cause in message
    assert "gloo/transport" not in output, output
