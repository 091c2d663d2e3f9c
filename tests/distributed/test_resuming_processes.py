"""Two processes on gloo: stopped together by a signal to one, and exact when they go on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interrupting import assert_same_end
from launching import environments
from running import read_checkpoint, read_json, write_yaml

pytestmark = [pytest.mark.two_process]

Settings = dict[str, dict[str, Any]]

# Each rank runs all commands, and writes how each of them ended.
SEVERAL = """
import json, shutil, sys
from pathlib import Path
from interrupting import Killed
from qa_lightning.cli import main
ends = []
from torch import distributed
for command, *arguments in json.loads(sys.argv[1]):
    if command == "copy and cut":
        source, copy, name = arguments
        first = distributed.get_rank() == 0
        if first:
            shutil.copytree(source, copy)
        distributed.barrier()
        if first:  # while the others may look
            (Path(copy) / name).write_bytes((Path(copy) / name).read_bytes()[:1000])
        continue
    arguments = [command, *arguments]
    try:
        main(arguments)
        ends.append("whole")
    except Killed:
        ends.append("killed")
    except SystemExit as stop:
        ends.append(f"status {stop.code}")
Path(sys.argv[2]).write_text(json.dumps(ends))
distributed.barrier()
distributed.destroy_process_group()
"""


def test_two_processes_stop_together_and_go_on_exactly(
    small_settings: Settings, tmp_path: Path
) -> None:
    small_settings["data"] |= {"batch_size": 3, "eval_batch_size": 3}
    small_settings["checkpoint"] = {"every_n_train_steps": 2}
    small_settings["trainer"] |= {"max_epochs": 2, "strategy": "ddp", "devices": 2}
    small_settings["trainer"]["accumulate_grad_batches"] = 2
    trace = {"class_path": "interrupting.Trace"}
    # The signal reaches one process; the kill (in the second epoch) both.
    stops = [
        [{"hook": "on_train_batch_start", "count": 3, "name": "SIGTERM", "rank": 1}],
        [{"hook": "on_validation_batch_start", "count": 2, "name": "SIGUSR1", "rank": 0}],
        [{"hook": "on_train_batch_start", "count": 7, "rank": rank} for rank in (0, 1)],
        [],
    ]
    commands = [["fit", "--config", str(write_yaml(tmp_path / "whole.yaml", {
        **small_settings, "trainer": {**small_settings["trainer"], "callbacks": [trace],
                                      "default_root_dir": str(tmp_path / "whole")},
    }))]]  # fmt: skip
    for number, each in enumerate(stops):
        callbacks = [
            trace,
            *({"class_path": "interrupting.SignalAt", "init_args": a} for a in each),
        ]
        small_settings["trainer"]["callbacks"] = callbacks
        config = write_yaml(tmp_path / f"{number}.yaml", small_settings)
        commands.append(["fit", "--config", str(config), "--ckpt_path", "last"])
    # The last is damaged: the first process chooses the one before it, for both.
    damaged = tmp_path / "damaged" / "run"
    commands += [
        ["copy and cut", str(tmp_path / "run"), str(damaged), "checkpoints/last.ckpt"],
        ["fit", "--config", str(tmp_path / "3.yaml"), "--ckpt_path", "last",
         "--trainer.default_root_dir", str(damaged)],
    ]  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SEVERAL, json.dumps(commands), str(tmp_path / f"{rank}.json")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, environment in enumerate(environments(2))
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]
    # Lightning kills the first process of a machine when another ends with a status of its own.
    assert read_json(tmp_path / "0.json") == [
        "whole", "status 143", "status 138", "killed", "whole", "whole",
    ]  # fmt: skip
    assert read_json(tmp_path / "1.json") == [
        "whole", "status 0", "status 0", "killed", "whole", "whole",
    ]  # fmt: skip
    states = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["qa_lightning_resume"]
    assert len(states["random"]) == 2
    assert_same_end(tmp_path / "run", tmp_path / "whole", ranks=2)
    assert_same_end(damaged, tmp_path / "whole", ranks=2)
    assert f"last.ckpt: that file is none, or is cut off or damaged; {damaged}" in outputs[0]
    assert "previous.ckpt, of step" in outputs[0]
    assert "is cut off" not in outputs[1]
