"""Processes on gloo, started as torchrun does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PATH = os.pathsep.join(map(str, (TESTS.parent / "src", TESTS, TESTS / "distributed")))
"""What the processes import from: the package beside these tests, and what runs in them."""

# Several evaluations in one set of processes: importing takes longer than they do.
SEVERAL = """
import json, sys
from qa_lightning.cli import main
for arguments in json.loads(sys.argv[1]):
    main(arguments)
from ranks import gather_uneven
gather_uneven()
# Gloo's threads may still run at exit, and abort a process that has done all it should.
from torch import distributed
distributed.barrier()
distributed.destroy_process_group()
"""


def environments(world_size: int) -> list[dict[str, str]]:
    """Return the variables of each rank's process, as torchrun sets them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        {
            **os.environ,
            "PYTHONPATH": PATH,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(world_size),
            "NODE_RANK": "0",
            "LOCAL_RANK": str(rank),
        }
        for rank in range(world_size)
    ]


DDP = ("--trainer.strategy", "ddp")


def launch_several(
    commands: list[list[str]], *, world_size: int, strategy: tuple[str, ...] = DDP
) -> None:
    """Run commands one after the other in processes started as torchrun does."""
    extra = [*strategy, "--trainer.devices", str(world_size)]
    argument = json.dumps([[*command, *extra] for command in commands])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SEVERAL, argument],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments(world_size)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-4000:]


def launch_alone(
    *arguments: object, processes: int = 2, strategy: tuple[str, ...] = DDP
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does on a machine with several devices."""
    extra = [*strategy, "--trainer.devices", str(processes)]
    return subprocess.run(
        [sys.executable, "-m", "qa_lightning", *map(str, arguments), *extra],
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def launch_agents(*arguments: object, agents: int = 2) -> list[subprocess.CompletedProcess[str]]:
    """Run a command by torchrun, as if this machine were several, with one process on each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    meeting = ["--nnodes", str(agents), "--nproc-per-node", "1", "--local-addr", "127.0.0.1"]
    meeting += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "t"]
    extra = ["--trainer.devices", "1", "--trainer.num_nodes", str(agents)]
    command = [*torchrun, *meeting, "-m", "qa_lightning", *map(str, arguments), *DDP, *extra]
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": PATH},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(agents)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(command, process.returncode, output)
        for process, output in zip(started, outputs, strict=True)
    ]
