"""Settings searched: trials that are runs, a study that goes on, and the best configuration."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from conftest import ROOT
from qa_lightning.errors import InputError
from qa_lightning.resuming import Interrupted
from qa_lightning.tuning import Search, importances, read_space, search, study
from qa_lightning.tuning.space import read_base, suggested
from qa_lightning.tuning.trials import Pruning, best_answers
from running import NETWORK, fail, read_json, read_yaml, run, write_yaml

SWEEPS = ROOT / "configs" / "sweeps"
SPACE = {
    "model.learning_rate": {"low": 1.0e-4, "high": 1.0e-2, "log": True},
    "model": {"warmup_ratio": [0.0, 0.1]},
}


@pytest.mark.front_door
def test_trials_are_runs_and_the_search_goes_on(
    small: Path, small_settings: dict[str, Any], tmp_path: Path
) -> None:
    space = write_yaml(tmp_path / "space.yaml", SPACE)
    output = tmp_path / "tuned"
    command = ("tune", "--config", small, "--search", space, "--output", output)
    assert "trial 0:" in run(*command, "--trials", 1)
    told = run(*command, "--trials", 2)
    assert "trial 1:" in told
    assert "trial 0:" not in told
    assert str(output / "best.yaml") in told
    best = read_yaml(output / "best.yaml")
    rate = best["model"].pop("learning_rate")
    assert 1e-4 <= rate <= 1e-2
    assert best["model"].pop("warmup_ratio") in (0.0, 0.1)
    given = small_settings["model"].pop("learning_rate")
    assert given != rate
    assert best == small_settings
    for number in range(2):
        folder = output / f"trial-{number:04d}"
        assert read_yaml(folder / "config.yaml")["trainer"]["default_root_dir"] == str(folder)
        for name in ("checkpoints/best.ckpt", "answers/val/questions.json", "reports/report.html"):
            assert (folder / name).is_file()
    seeds = {
        read_yaml(output / f"trial-{n:04d}" / "config.yaml")["seed_everything"] for n in (0, 1)
    }
    assert len(seeds) == 1
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "model.learning_rate" in page
    assert "log10 of model.learning_rate" in page
    assert "trial-0001" in page
    for trial in trials_of(output):
        kept = read_json(best_answers(output / f"trial-{trial.number:04d}") / "scores.json")
        assert kept["f1"] == pytest.approx(trial.value)
    # Equal scores are the usual outcome of so small a training: the best is no more than chance.
    assert "within the noise" in told
    assert "within the noise" in page
    run("compare", output / "trial-0000", output / "trial-0001", "--by_run", "--show", 0)


def trials_of(output: Path) -> list[FrozenTrial]:
    """Return the trials of a study's folder as they are now."""
    found = optuna.load_study(study_name=study.STUDY, storage=f"sqlite:///{output / 'study.db'}")
    return found.get_trials()


def start(*command: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    words = [sys.executable, "-m", "qa_lightning", *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.front_door
def test_after_a_kill_nothing_is_lost_and_nothing_is_done_twice(
    small: Path, tmp_path: Path
) -> None:
    space = write_yaml(tmp_path / "space.yaml", SPACE)
    output = tmp_path / "tuned"
    command = ("tune", "--config", small, "--search", space, "--output", output, "--trials", 4)
    process = start(*command)
    until = time.monotonic() + 240
    while not (output / "trial-0002").exists():  # the third trial runs
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = trials_of(output)
    states = [trial.state for trial in before]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    with sqlite3.connect(output / "study.db") as database:  # as if three minutes were over
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    run(*command)
    after = trials_of(output)
    complete = [trial for trial in after if trial.state == TrialState.COMPLETE]
    assert len(complete) == 4
    assert [trial.number for trial in after if trial not in complete] == [2]
    assert after[2].state == TrialState.FAIL
    for trial in before[:2]:
        assert (trial.value, trial.params) == (after[trial.number].value, trial.params)
    assert [trial.params for trial in complete].count(before[2].params) == 1
    assert len({tuple(trial.params.items()) for trial in complete}) == 4
    for trial in complete:
        assert (output / f"trial-{trial.number:04d}" / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.front_door
def test_two_processes_share_a_study_from_its_first_moment(small: Path, tmp_path: Path) -> None:
    space = write_yaml(tmp_path / "space.yaml", SPACE)
    output = tmp_path / "tuned"
    command = ("tune", "--config", small, "--search", space, "--output", output, "--trials", 6)
    processes = [start(*command) for _ in range(2)]
    told = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    trials = trials_of(output)
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len(trials) in (6, 7)  # what the other one is at when the sixth ends is not lost
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials)
    done = [set(re.findall(r"^trial (\d+): F1", text, re.MULTILINE)) for text in told]
    assert done[0].isdisjoint(done[1])
    assert done[0] | done[1] == {str(trial.number) for trial in trials}
    assert all(done)
    assert "lightning fit --config" in (output / "best.yaml").read_text(encoding="utf-8")


def asked(tmp_path: Path, trials: int, **changed: Any) -> Search:
    config = tmp_path / "config.yaml"
    if not config.exists():
        write_yaml(config, {"data": {"language": "pt"}})
    values: dict[str, Any] = {
        "configs": [config],
        "space": {"x": {"low": -1.0, "high": 1.0}, "y": {"low": 0, "high": 4}, "z": ["a", "b"]},
        "output": tmp_path / "out",
        "storage": f"sqlite:///{tmp_path / 'study.db'}",
        "trials": trials,
        "seed": 0,
        **changed,
    }
    return Search(**values)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put a function in the place of training: best at x = 0.5; y and z do not matter."""
    seen: list[dict[str, Any]] = []

    def value(trial: optuna.Trial, values: dict[str, Any], **_: Any) -> float:
        seen.append(values)
        return 100.0 - 50.0 * (values["x"] - 0.5) ** 2

    monkeypatch.setattr(study, "run_trial", value)
    return seen


def test_what_is_good_is_found_and_what_mattered_is_told(
    trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = search(asked(tmp_path, 25), done=lambda *_: None)
    assert len(trained) == 25
    assert abs(found.best_params["x"] - 0.5) < 0.2
    weights = importances(found)
    assert max(weights, key=weights.__getitem__) == "x"
    assert {type(values["y"]) for values in trained} == {int}
    again = search(asked(tmp_path, 25), done=lambda *_: None)
    assert len(trained) == 25
    assert again.best_value == found.best_value


def test_processes_that_begin_at_the_same_moment_draw_other_values(tmp_path: Path) -> None:
    drawn: dict[str, list[dict[str, Any]]] = {}
    for name, processes in (("alone", 1), ("together", 2)):
        given = asked(tmp_path, 8, storage=f"sqlite:///{tmp_path / name}.db")
        studies = [study.open_study(given) for _ in range(processes)]  # before any trial
        for number in range(8):
            trial = studies[number % processes].ask()
            drawn.setdefault(name, []).append(suggested(trial, given.space))
    assert len({tuple(values.items()) for values in drawn["together"]}) == 8
    assert drawn["together"] == drawn["alone"]


def test_a_stopped_trial_is_done_anew_at_once_and_a_killed_one_when_its_heart_is_still(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*_: Any, **__: Any) -> float:
        raise Interrupted(2)

    monkeypatch.setattr(study, "run_trial", stopped)
    with pytest.raises(Interrupted):
        search(asked(tmp_path, 2), done=lambda *_: None)
    seen: list[dict[str, Any]] = []

    def value(_: Any, values: dict[str, Any], **__: Any) -> float:
        seen.append(values)
        return 1.0

    monkeypatch.setattr(study, "run_trial", value)
    found = search(asked(tmp_path, 1), done=lambda *_: None)
    first = found.get_trials()[0]
    assert first.state == TrialState.FAIL
    assert seen == [first.params]
    # Killed: it runs in the database, and its last heartbeat is long ago.
    killed = found.ask()
    killed.suggest_float("x", -1.0, 1.0)
    found._storage.record_heartbeat(killed._trial_id)  # type: ignore[attr-defined]
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    found = search(asked(tmp_path, 3), done=lambda *_: None)
    states = [trial.state for trial in found.get_trials()]
    assert states.count(TrialState.COMPLETE) == 3
    assert found.get_trials()[killed.number].state == TrialState.FAIL
    assert killed.params["x"] in [values["x"] for values in seen]


@pytest.mark.front_door
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any, **__: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_trial", stopped)
    space = write_yaml(tmp_path / "space.yaml", SPACE)
    with pytest.raises(SystemExit) as end:
        run("tune", "--config", small, "--search", space, "--output", tmp_path / "out")
    assert end.value.code == 130
    told = capsys.readouterr().err
    assert f"kept in {tmp_path / 'out'}" in told
    assert "qa-lightning tune" in told


def test_a_new_study_is_made_once_however_many_begin_it_together(tmp_path: Path) -> None:
    begin = Barrier(4)

    def opened(_: int) -> optuna.Study:
        begin.wait()
        return study.open_study(asked(tmp_path, 1))

    asked(tmp_path, 1)  # writes the configuration
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(opened, range(4)))
    assert len({each._study_id for each in found}) == 1


@pytest.mark.parametrize(("works_first", "raised"), [(False, True), (True, False)])
def test_a_mistake_ends_the_search_and_bad_values_do_not(
    works_first: bool, raised: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []

    def value(*_: Any, **__: Any) -> float:
        calls.append(1)
        if works_first and len(calls) in (1, 3):
            return 1.0
        raise InputError("Expected something else.")

    monkeypatch.setattr(study, "run_trial", value)
    if raised:
        with pytest.raises(InputError, match="something else"):
            search(asked(tmp_path, 2), done=lambda *_: None)
        assert len(calls) == 1
        return
    found = search(asked(tmp_path, 2), done=lambda *_: None)
    assert [trial.state.name for trial in found.get_trials()] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_another_search_in_the_same_place_is_refused(
    trained: list[dict[str, Any]], tmp_path: Path
) -> None:
    search(asked(tmp_path, 1), done=lambda *_: None)
    with pytest.raises(InputError, match="same space"):
        search(asked(tmp_path, 2, space={"x": {"low": 0.0, "high": 1.0}}), done=lambda *_: None)
    (tmp_path / "config.yaml").write_text("data: {language: en}")
    with pytest.raises(InputError, match="same configs"):
        search(asked(tmp_path, 2), done=lambda *_: None)
    with pytest.raises(InputError, match="--storage"):
        search(asked(tmp_path, 2, storage="nowhere://x"), done=lambda *_: None)


def test_a_training_that_is_behind_ends_and_its_best_answers_are_kept(tmp_path: Path) -> None:
    reported: list[tuple[float, int]] = []
    trial = SimpleNamespace(
        report=lambda value, step: reported.append((value, step)),
        should_prune=lambda: reported[-1][0] < 20,
    )
    trainer: Any = SimpleNamespace(
        sanity_checking=True,
        callback_metrics={"val/f1": 5.0},
        global_step=0,
        should_stop=False,
        default_root_dir=str(tmp_path),
    )
    answers = tmp_path / "answers" / "val" / "predictions.json"
    answers.parent.mkdir(parents=True)
    pruning = Pruning(trial)  # type: ignore[arg-type]
    pruning.on_validation_end(trainer, None)  # type: ignore[arg-type]
    trainer.sanity_checking = False
    for step, value in ((4, 30.0), (8, 19.0)):
        assert not trainer.should_stop
        answers.write_text(str(value))
        trainer.callback_metrics, trainer.global_step = {"val/f1": value}, step
        pruning.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert reported == [(30.0, 4), (19.0, 8)]
    assert trainer.should_stop
    assert pruning.is_pruned
    assert pruning.best == 30.0
    assert (best_answers(tmp_path) / "predictions.json").read_text() == "30.0"


WRONG: dict[str, str] = {
    "{}": "has none",
    "[1]": "list",
    "a: [": "YAML",
    "model.learning_rate: 3": "got 3",
    "model.learning_rate: []": "choices",
    "model.learning_rate: [[1]]": "choices",
    "model.learning_rate: {low: 1}": "low",
    "model.learning_rate: {low: 1e-5, high: 1}": "1.0e-5",
    "model.learning_rate: {low: 2, high: 1}": "above",
    "model.learning_rate: {low: 0.0, high: 1.0, log: true}": "above 0",
    "model.learning_rate: {low: 0.0, high: .inf}": "finite",
    "model.learning_rate: {low: 0.0, high: 1.0, step: 0}": "step",
    "model.learning_rate: {low: 0.0, high: 1.0, steps: 2}": "steps",
    "model.lerning_rate: [1]": "model.learning_rate",
    "data.batch_size: {low: 8, high: 32, step: 0.5}": "whole",
    "trainer.default_root_dir: [a, b]": "folder of its own",
    "trainer: {devices: [1, 2]}": "sets itself",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_space_is_told_before_anything_is_trained(
    text: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(text, encoding="utf-8")
    command = ("tune", "--config", small, "--search", space, "--output", tmp_path / "out")
    assert WRONG[text] in fail(capsys, *command)
    assert not (tmp_path / "out").exists()


@pytest.mark.front_door
def test_what_is_searched_within_a_mapping_edits_it_and_the_best_is_what_was_trained(
    small: Path, tmp_path: Path
) -> None:
    """`fit` replaces `model.config` by a later file's; a search of one of its keys must not."""
    space = write_yaml(tmp_path / "space.yaml", {"model.config.hidden_size": [8]})
    over = write_yaml(tmp_path / "over.yaml", {"trainer.max_epochs": 1})
    output = tmp_path / "tuned"
    files = ("--config", small, "--config", over)
    run("tune", *files, "--search", space, "--output", output, "--trials", 1)
    trained = read_yaml(output / "trial-0000" / "config.yaml")
    wanted = {**NETWORK, "hidden_size": 8}
    assert wanted.items() <= trained["model"]["config"].items()  # the tokenizer fills in the rest
    best = read_yaml(output / "best.yaml")
    assert best["model"]["config"] == wanted
    assert best["trainer"]["max_epochs"] == trained["trainer"]["max_epochs"] == 1


def test_files_replace_what_is_a_mapping_by_its_type_as_fit_does(tmp_path: Path) -> None:
    logger = {"class_path": "CSVLogger", "init_args": {"name": "a"}}
    config = {"hidden_size": 8, "model_type": "bert"}
    one = {"model": {"config": config, "learning_rate": 1.0}, "trainer": {"logger": logger}}
    other = {
        "model.config": {"hidden_size": 16},
        "data.data_files": {"train": "x"},
        "trainer": {"logger": {"init_args": {"version": 3}}},
    }
    paths = [write_yaml(tmp_path / f"{n}.yaml", each) for n, each in enumerate((one, other))]
    assert read_base(paths) == {
        "model": {"config": {"hidden_size": 16}, "learning_rate": 1.0},
        "trainer": {
            "logger": {"class_path": "CSVLogger", "init_args": {"name": "a", "version": 3}}
        },
        "data": {"data_files": {"train": "x"}},
    }


def test_the_space_that_ships_is_one() -> None:
    assert len(read_space(SWEEPS / "space.yaml")) == 5


@pytest.mark.front_door
def test_wandbs_agent_would_run_what_the_sweep_says(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand in for the server: draw a value of each parameter, and let W&B write the command."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((SWEEPS / "wandb.yaml").read_text(encoding="utf-8"))
    assert sweep["metric"] == {"name": "val/f1", "goal": "maximize"}
    drawn = {key: {"value": _drawn(each)} for key, each in sweep["parameters"].items()}
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    command = create_sweep_command(list(sweep["command"]))
    place = command.index("${args}")
    command[place : place + 1] = create_sweep_command_args({"args": drawn})["args"]
    assert command[:2] == ["lightning", "fit"]
    assert "runs/sweep/abc" in command
    files = [ROOT / word for word in command if word.endswith(".yaml")]
    assert all(file.is_file() for file in files)
    options = [word for word in command if "=" in word]
    run("fit", "--config", small, *options, "--trainer.default_root_dir", tmp_path / "abc")
    written = read_yaml(tmp_path / "abc" / "config.yaml")
    for key, value in drawn.items():
        group, name = key.split(".")
        assert written[group][name] == value["value"], key


def _drawn(parameter: dict[str, Any]) -> Any:
    if "values" in parameter:
        return parameter["values"][-1]
    draw: dict[str, Callable[[float, float], float]] = {
        "log_uniform_values": lambda low, high: (low * high) ** 0.5,
        "uniform": lambda low, high: (low + high) / 2,
        "q_uniform": lambda low, high: low + parameter["q"],
    }
    return draw[parameter["distribution"]](parameter["min"], parameter["max"])
