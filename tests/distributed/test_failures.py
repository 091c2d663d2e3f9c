"""What happens to one process ends the run on all of them, with one message."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from launching import DDP, launch_alone
from running import read_checkpoint, rows_of, write_rows, write_yaml

pytestmark = [pytest.mark.two_process]

Settings = dict[str, dict[str, Any]]


MOST_SECONDS = 60
SHARDED = Path(__file__).resolve().parents[2] / "configs" / "overlays" / "fsdp.yaml"


def failing(settings: Settings, folder: Path, callback: str, **arguments: Any) -> Path:
    settings["data"]["batch_size"] = 2
    settings["trainer"]["callbacks"] = [{"class_path": callback, "init_args": arguments}]
    return write_yaml(folder / "failing.yaml", settings)


def the_message(result: Any, folder: Path | None = None) -> str:
    """Return the only message of a run that ended as it should, and in time."""
    output = result.stdout + result.stderr
    messages = re.findall(r"^error: .*$", output, flags=re.MULTILINE)
    assert len(messages) == 1, output[-6000:]
    if folder is not None:
        assert time.time() - float((folder / "run" / "failed_at").read_text()) < MOST_SECONDS
    assert "Connection closed" not in output, output[-6000:]
    assert "was destroyed" not in output, output[-6000:]
    assert "gloo/transport" not in output, output[-6000:]
    return messages[0]


def test_a_rank_that_is_killed_ends_the_others(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["checkpoint"] = {"every_n_train_steps": 1}
    config = failing(small_settings, tmp_path, "ranks.Fail", way="kill")
    result = launch_alone("fit", "--config", config)
    assert result.returncode != 0
    message = the_message(result, tmp_path)
    assert "rank 1 of 2: its process was killed by SIGKILL" in message
    assert "--ckpt_path last" in message
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_rank_that_raises_ends_the_others(small_settings: Settings, tmp_path: Path) -> None:
    config = failing(small_settings, tmp_path, "ranks.Fail", way="raise")
    result = launch_alone("fit", "--config", config)
    assert result.returncode == 1
    message = the_message(result, tmp_path)
    assert "rank 1 of 2: ValueError: the disk is on fire" in message
    assert "--ckpt_path" not in message  # there is no checkpoint yet
    # The bug's own traceback, and no other.
    assert result.stderr.count("Traceback") == 1
    assert "ranks.py" in result.stderr


def test_a_mistake_that_all_ranks_meet_is_told_once(
    small_settings: Settings, tmp_path: Path
) -> None:
    config = failing(small_settings, tmp_path, "spoiling.Spoil", batches=[2], rank=1)
    result = launch_alone("fit", "--config", config)
    assert result.returncode == 2, result.stderr
    message = the_message(result)
    assert re.search(r"rank \d of 2: .*step 3 was not applied.* nan on rank 1 for exampl", message)
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_mistake_that_the_first_rank_meets_alone_is_told_once(
    small_settings: Settings, tmp_path: Path
) -> None:
    """Data is prepared by one process, while the others wait."""
    rows = rows_of(4)
    rows[2]["answers"] = {"text": ["Nenhures"], "answer_start": [0]}
    small_settings["data"]["data_files"]["train"] = str(write_rows(tmp_path / "t.json", rows))
    small_settings["data"]["alignment"] = "strict"
    config = write_yaml(tmp_path / "strict.yaml", small_settings)
    result = launch_alone("fit", "--config", config)
    assert result.returncode == 2, result.stderr
    message = the_message(result)
    assert "rank 0 of 2: " in message
    assert "q2" in message


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [DDP, ("--config", str(SHARDED))], ids=["ddp", "fsdp"])
def test_weights_that_a_rate_has_ruined_are_saved_by_none(
    strategy: tuple[str, ...], small_settings: Settings, tmp_path: Path
) -> None:
    """They are finite, and what is computed from them is not: all processes find that together."""
    small_settings["data"]["batch_size"] = 2
    small_settings["model"]["learning_rate"] = 1e30
    small_settings["checkpoint"] = {"every_n_train_steps": 1}
    config = write_yaml(tmp_path / "small.yaml", small_settings)
    result = launch_alone("fit", "--config", config, strategy=strategy)
    assert result.returncode == 2, result.stderr[-3000:]
    assert "still read what step 1 learnt from" in the_message(result)
    assert not list((tmp_path / "run").rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_ends_the_run_with_its_status(
    rank: int, small_settings: Settings, tmp_path: Path
) -> None:
    small_settings["trainer"]["accumulate_grad_batches"] = 2
    at = {"hook": "on_train_batch_start", "count": 3, "name": "SIGTERM", "rank": rank}
    config = failing(small_settings, tmp_path, "interrupting.SignalAt", **at)
    result = launch_alone("fit", "--config", config)
    assert result.returncode == 143, result.stderr[-3000:]
    assert result.stderr.count("stopped by SIGTERM after step 2; saved as ") == 1
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["global_step"] == 2


@pytest.mark.slow
def test_the_first_rank_is_killed(small_settings: Settings, tmp_path: Path) -> None:
    config = failing(small_settings, tmp_path, "ranks.Fail", way="kill", rank=0)
    result = launch_alone("fit", "--config", config, processes=3)
    assert result.returncode == -9
    assert "rank 0 of 3: it ended without a word" in the_message(result, tmp_path)


@pytest.mark.slow
def test_the_workers_of_a_rank_that_is_killed_do_not_hide_it(
    small_settings: Settings, tmp_path: Path
) -> None:
    """They are forked, and have copies of its connections."""
    small_settings["data"]["num_workers"] = 2
    config = failing(small_settings, tmp_path, "ranks.Fail", way="kill_alone")
    result = launch_alone("fit", "--config", config)
    assert result.returncode != 0
    assert "rank 1 of 2: its process was killed by SIGKILL" in the_message(result, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_would_not_notice_is_ended_too(
    rank: int, small_settings: Settings, tmp_path: Path
) -> None:
    """As with NCCL, whose collectives wait for a process that is gone."""
    config = failing(small_settings, tmp_path, "ranks.Fail", way="raise_alone", rank=rank)
    result = launch_alone("fit", "--config", config)
    assert result.returncode != 0
    assert f"rank {rank} of 2: ValueError: the disk is on fire" in the_message(result, tmp_path)
