"""Signals: the step is finished and saved, one line says how to go on, the status says why."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from launching import environments
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.resuming import Interrupted, SignalWatch
from running import RECORDER, read_checkpoint, recorded, run, write_yaml

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]


def stop_at(hook: str, count: int, name: str) -> dict[str, Any]:
    arguments = {"hook": hook, "count": count, "name": name}
    return {"class_path": "interrupting.SignalAt", "init_args": arguments}


def interrupt(*arguments: object) -> SystemExit:
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    return stopped.value


# In one epoch of 6 batches in pairs, three steps; a validation of 2 batches after the last.
MOMENTS = [
    ("on_train_batch_start", 1, "SIGTERM", 1),  # the first of two batches that are accumulated
    ("on_train_batch_start", 4, "SIGINT", 2),
    ("on_before_optimizer_step", 2, "SIGUSR1", 2),
    ("on_validation_batch_start", 1, "SIGTERM", 3),
    ("on_validation_end", 1, "SIGINT", 3),
    ("on_train_batch_start", 4, "SIGHUP", 2),
    ("on_train_end", 1, "SIGTERM", 3),
]


@pytest.mark.parametrize(("hook", "count", "name", "step"), MOMENTS)
def test_fit_saves_and_says_how_to_go_on(
    hook: str,
    count: int,
    name: str,
    step: int,
    small_settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_settings["data"]["batch_size"] = 8
    small_settings["trainer"] |= {"accumulate_grad_batches": 2, "limit_train_batches": 6}
    config = write_yaml(tmp_path / "plain.yaml", small_settings)
    small_settings["trainer"]["callbacks"] = [stop_at(hook, count, name)]
    stopping = write_yaml(tmp_path / "stopping.yaml", small_settings)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    code = interrupt("fit", "--config", stopping, "--ckpt_path=last").code
    assert code == 128 + getattr(signal, name)
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert read_checkpoint(path)["global_step"] == step
    (line,) = [line for line in capsys.readouterr().err.splitlines() if name in line]
    assert f"step {step}" in line
    assert str(path) in line

    command = shlex.split(line.rpartition("Go on with: ")[2])
    assert command[:2] == ["lightning", "fit"]
    assert command.count("--ckpt_path") == 1
    run(*command[1:], "--config", config, "--trainer.callbacks", "running.Recorder")
    assert recorded().trainer.global_step >= step


def test_before_the_first_step_there_is_nothing_to_save(
    small_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_settings["trainer"]["callbacks"] = [stop_at("setup", 1, "SIGTERM")]
    config = write_yaml(tmp_path / "stopping.yaml", small_settings)
    assert interrupt("fit", "--config", config).code == 143
    assert f"again with: lightning fit --config {config}" in capsys.readouterr().err


def test_predict_stops(small_settings: Settings, tmp_path: Path) -> None:
    small_settings["data"]["predict_split"] = "test"
    config = write_yaml(tmp_path / "plain.yaml", small_settings)
    run("fit", "--config", config)
    small_settings["trainer"]["callbacks"] = [stop_at("on_predict_batch_start", 2, "SIGTERM")]
    stopping = write_yaml(tmp_path / "stopping.yaml", small_settings)
    assert interrupt("predict", "--config", stopping, "--ckpt_path", "last").code == 143


@pytest.mark.parametrize(("minutes", "steps"), [(1e-9, [1, 2, 3]), (60, [3]), ("null", [3])])
def test_last_is_kept_every_so_many_minutes(
    minutes: float | str, steps: list[int], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    original = LastCheckpoint._save_checkpoint

    def noted(self: Any, trainer: Any, path: str) -> None:
        saved.append(trainer.global_step)
        original(self, trainer, path)

    monkeypatch.setattr(LastCheckpoint, "_save_checkpoint", noted)
    short = ("--trainer.max_steps", 3, "--trainer.limit_val_batches", 0)
    run("fit", "--config", small, *short, "--checkpoint.every_n_minutes", minutes)
    assert list(dict.fromkeys(saved)) == steps  # the last again: the epoch is over


def test_a_job_that_slurm_ends_is_run_again_and_goes_on(
    small_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "scontrol"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "asked"}\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    small_settings["trainer"]["callbacks"] = [stop_at("on_train_batch_start", 2, "SIGTERM")]
    config = write_yaml(tmp_path / "stopping.yaml", small_settings)
    assert interrupt("fit", "--config", config).code == 143
    assert not (tmp_path / "asked").exists()  # SLURM ends the job: it knows best

    small_settings["trainer"]["callbacks"] = [stop_at("on_train_batch_start", 2, "SIGUSR1")]
    config = write_yaml(tmp_path / "stopping.yaml", small_settings)
    interrupt("fit", "--config", config)
    assert (tmp_path / "asked").read_text() == "requeue 77\n"

    # The same command, as SLURM gives it again.
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    config = write_yaml(tmp_path / "stopping.yaml", {**small_settings, "trainer": {
        **small_settings["trainer"], "callbacks": []}})  # fmt: skip
    run("fit", "--config", config, RECORDER)
    assert recorded().first_step == 2


def in_a_child(body: Any) -> int:
    """Return the wait status of a child process that runs a function."""
    child = os.fork()
    if not child:
        try:
            body()
            os._exit(0)
        except SystemExit as stop:
            os._exit(stop.code)
        finally:  # a child that failed would go on as a second process of the tests
            os._exit(70)
    return os.waitpid(child, 0)[1]


def test_a_second_interrupt_stops_at_once() -> None:
    def twice() -> None:
        with SignalWatch() as watch:
            watch.defer(True)
            os.kill(os.getpid(), signal.SIGINT)
            assert watch.received == signal.SIGINT
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(9)

    assert os.WTERMSIG(in_a_child(twice)) == signal.SIGINT


def waits_for_nobody(*, deferring: bool = False, patience: float | None = 0.2) -> None:
    """Wait in torch's own code for a process that does not come, as a rendezvous does."""
    from torch.distributed import TCPStore

    with SignalWatch(patience=patience) as watch:
        watch.defer(deferring)
        sys.stderr.write("waiting")
        sys.stderr.flush()
        TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=True)
        os._exit(9)


@pytest.mark.parametrize(
    ("numbers", "patience"),
    [([signal.SIGTERM], 0.2), ([signal.SIGUSR1], 0.2), ([signal.SIGINT] * 2, 60.0)],
)
@pytest.mark.parametrize("deferring", [False, True])
def test_a_signal_ends_a_process_that_waits_in_no_python(
    numbers: list[signal.Signals], patience: float, deferring: bool
) -> None:
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        sys.stderr = os.fdopen(told, "w")
        waits_for_nobody(deferring=deferring, patience=patience)
    os.close(told)
    with os.fdopen(heard) as stream:
        assert stream.read(7) == "waiting"
        for number in numbers:
            time.sleep(0.3)
            os.kill(child, number)
        status = os.waitpid(child, 0)[1]
        said = stream.read()
    assert os.waitstatus_to_exitcode(status) == 128 + numbers[0]
    assert said.startswith(f"stopped by {numbers[0].name}: it was waiting for other processes")
    assert said.count("\n") == 1


def test_what_the_main_thread_takes_in_time_does_not_end_the_process() -> None:
    def busy() -> None:
        with SignalWatch(patience=0.05) as watch:
            watch.defer(True)
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                pass
            assert watch.received == signal.SIGTERM
            os._exit(3)

    assert os.waitstatus_to_exitcode(in_a_child(busy)) == 3


def test_what_forked_processes_are_sent_is_not_heard_by_their_parent() -> None:
    def parent() -> None:
        with SignalWatch(patience=0.05) as watch:
            watch.defer(True)
            assert in_a_child(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 0
            time.sleep(0.3)
            os._exit(4 + watch.received)

    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    assert os.waitstatus_to_exitcode(in_a_child(parent)) == 4
    with SignalWatch():
        pass
    assert signal.set_wakeup_fd(before) == before


@pytest.mark.slow
def test_a_run_whose_other_machine_does_not_come_heeds_a_signal(small: Path) -> None:
    arguments = ["fit", "--config", str(small), "--trainer.strategy", "ddp"]
    arguments += ["--trainer.devices", "1", "--trainer.num_nodes", "2"]
    environment = {**environments(1)[0], "WORLD_SIZE": ""}
    del environment["WORLD_SIZE"], environment["LOCAL_RANK"]
    waiting = subprocess.Popen(
        [sys.executable, "-m", "qa_lightning", *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    said = []
    for line in waiting.stderr:
        said.append(line)
        if "MEMBER: 1/2" in line:
            break
    time.sleep(2)
    waiting.send_signal(signal.SIGTERM)
    rest = waiting.communicate(timeout=30)[1]
    assert waiting.returncode == 143, (said, rest)
    assert "stopped by SIGTERM: it was waiting for other processes" in rest


def test_a_signal_raises_unless_it_is_deferred_and_forked_processes_ignore_it() -> None:
    with SignalWatch() as watch:
        assert not in_a_child(lambda: os.kill(os.getpid(), signal.SIGINT))
        watch.defer(True)
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert watch.received == signal.SIGTERM
        watch.defer(False)
        with pytest.raises(Interrupted) as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.value.code == 143


@pytest.mark.parametrize("deferred", [True, False])
def test_a_dropped_connection_is_heeded_unless_it_is_ignored(deferred: bool) -> None:
    stop = Interrupted(signal.SIGHUP)
    assert (stop.code, stop.name) == (129, "SIGHUP")
    terminal, ours = os.openpty()
    kept = os.dup(2)
    os.dup2(ours, 2)
    os.close(ours)
    try:
        with SignalWatch() as watch:
            watch.defer(deferred)
            os.close(terminal)
            with nullcontext() if deferred else pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGHUP)
            assert watch.received == signal.SIGHUP
            os.write(2, b"what a bar draws on a terminal that is gone")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalWatch() as watch:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not watch.received
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with SignalWatch() as watch:
            os.kill(os.getpid(), signal.SIGINT)
        assert not watch.received
    finally:
        signal.signal(signal.SIGINT, before)
