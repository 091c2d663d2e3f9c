"""The run's folder: what `fit` leaves in it, and what nothing may overwrite."""

from pathlib import Path

import pytest
import torch

from running import RECORDER, fail, read_checkpoint, read_json, read_yaml, recorded, run

pytestmark = [pytest.mark.front_door]

CHECKPOINTS = {"checkpoints/best.ckpt", "checkpoints/last.ckpt"}
ANSWERS = {
    f"answers/val/{name}.json"
    for name in ("predictions", "nbest_predictions", "null_odds", "scores", "questions")
}


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, but for the trackers' reports."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "reports" not in path.parts
    }


def below(files: dict[str, bytes], *folders: str) -> dict[str, bytes]:
    """Return the files of some folders, named from there."""
    start = "/".join(folders) + "/"
    return {name.removeprefix(start): data for name, data in files.items() if start in name}


def test_fit_fills_the_run_folder_and_its_config_repeats_the_run(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run"
    assert set(contents(folder)) == {"config.yaml", *CHECKPOINTS, *ANSWERS}

    again = tmp_path / "again"
    run("fit", "--config", folder / "config.yaml", "--trainer.default_root_dir", again)
    assert contents(again / "answers") == contents(folder / "answers")
    weights = [read_checkpoint(f / "checkpoints" / "last.ckpt") for f in (folder, again)]
    for name, tensor in weights[0]["state_dict"].items():
        assert tensor.equal(weights[1]["state_dict"][name]), name


def test_validate_and_test_leave_config_and_checkpoints_alone(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    folder = tmp_path / "run"
    before = contents(folder)
    common = ("--config", small, "--ckpt_path", "best")
    run("validate", *common)
    run("validate", *common, "--data.batch_size", 3)
    run("test", *common, "--data.test_split", "test")
    after = contents(folder)

    for name in ("config.yaml", *CHECKPOINTS):
        assert after[name] == before[name]
    assert {name for name in after if name not in before} == {
        name.replace("/val/", "/test/") for name in ANSWERS
    }


def test_an_evaluation_needs_no_config_file_to_be_writable(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    config = tmp_path / "run" / "config.yaml"
    config.unlink()
    config.mkdir()  # nothing can be written there
    run("validate", "--config", small, "--ckpt_path", "best")


def test_a_new_fit_moves_an_earlier_run_out_of_the_way(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    seen = []
    for seed in (1, 2, 3):
        run("fit", "--config", small, "--seed_everything", seed)
        seen.append({k: v for k, v in contents(folder).items() if not k.startswith("earlier")})
    kept = contents(folder)

    assert below(kept, "earlier", "1") == seen[0]
    assert below(kept, "earlier", "2") == seen[1]
    assert "earlier/2" in caplog.text


def test_resuming_moves_nothing(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small)
    run("fit", "--config", small, "--ckpt_path", "last", "--trainer.max_epochs", 2)
    folder = tmp_path / "run"
    assert not (folder / "earlier").exists()
    assert read_yaml(folder / "config.yaml")["trainer"]["max_epochs"] == 2


def test_a_refused_resume_moves_nothing_and_what_was_moved_is_named(
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "run"
    run("fit", "--config", small)
    good = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    (tmp_path / "elsewhere").mkdir()
    whole = contents(folder)
    for key, value in (
        ("optimizer_states", [3]),
        ("lr_schedulers", [{}]),
        ("state_dict", {}),
        ("loops", {}),
    ):
        bad = tmp_path / "elsewhere" / "bad.ckpt"
        torch.save({**good, key: value}, bad)
        fail(capsys, "fit", "--config", small, "--ckpt_path", bad)
        assert contents(folder) == whole, key
    assert not (folder / "earlier").exists()

    (folder / "earlier").mkdir()
    (folder / "earlier" / "1").mkdir()
    (folder / "checkpoints").rename(folder / "earlier" / "1" / "checkpoints")
    run("fit", "--config", small, "--ckpt_path", "last")
    assert f"--ckpt_path {folder / 'earlier' / '1' / 'checkpoints' / 'last.ckpt'}" in caplog.text


def test_what_has_nothing_left_to_train_says_so_and_leaves_checkpoints_alone(
    small: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("fit", "--config", small, "--trainer.max_epochs", 2)
    folder = tmp_path / "run" / "checkpoints"
    before = contents(folder)
    for key, value in (("max_steps", 1), ("max_epochs", 2)):
        caplog.clear()
        resume = ("fit", "--config", small, "--ckpt_path", "last", "--trainer.max_epochs", 2)
        run(*resume, f"--trainer.{key}", value)
        assert "nothing is left to train" in caplog.text
        assert f"`trainer.{key}` is {value}" in caplog.text
        assert contents(folder) == before
    message = fail(capsys, *resume, "--trainer.max_epochs", 1)
    assert "`trainer.max_epochs` to be above 2" in message
    assert "Name another" not in message
    assert contents(folder) == before


def test_resuming_an_earlier_run_spares_the_newest_one(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run("fit", "--config", small, "--seed_everything", 1)
    run("fit", "--config", small, "--seed_everything", 2)
    newest = contents(folder / "checkpoints")
    start = folder / "earlier" / "1" / "checkpoints" / "last.ckpt"
    run("fit", "--config", small, "--ckpt_path", start, "--trainer.max_epochs", 2)

    assert contents(folder / "earlier" / "2" / "checkpoints") == newest
    assert read_checkpoint(folder / "checkpoints" / "last.ckpt")["epoch"] == 1


def test_a_folder_of_their_own_protects_checkpoints_no_less(small: Path, tmp_path: Path) -> None:
    own = tmp_path / "kept"
    arguments = ("fit", "--config", small, "--checkpoint.dirpath", own)
    run(*arguments, "--seed_everything", 1)
    first = contents(own)
    assert set(first) == {"best.ckpt", "last.ckpt"}
    assert not (tmp_path / "run" / "checkpoints").exists()
    run("validate", *arguments[1:], "--ckpt_path", "best")

    run(*arguments, "--seed_everything", 2)
    places = [p for p in tmp_path.rglob("*.ckpt") if p.read_bytes() == first["best.ckpt"]]
    assert places
    assert (own / "best.ckpt") not in places


def test_without_checkpointing_there_are_none_and_old_ones_stay(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small, "--trainer.enable_checkpointing", "false")
    folder = tmp_path / "run"
    assert set(contents(folder)) == {"config.yaml", *ANSWERS}


def test_answers_go_where_the_user_says(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--evaluation.output_dir", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "val" / "scores.json").is_file()
    assert not (tmp_path / "run" / "answers").exists()


def test_the_latest_evaluation_is_in_place_and_says_of_when_it_is(
    small: Path, tmp_path: Path
) -> None:
    run("fit", "--config", small, "--trainer.max_epochs", 2, RECORDER)
    scores = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")
    assert scores["epoch"] == 1
    assert scores["global_step"] == recorded().trainer.global_step
    assert scores["examples"] == 6
    assert scores["f1"] == pytest.approx(recorded().series("val/f1")[-1], abs=1e-4)

    best = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")
    run("validate", "--config", small, "--ckpt_path", "best")
    scores = read_json(tmp_path / "run" / "answers" / "val" / "scores.json")
    assert (scores["epoch"], scores["global_step"]) == (best["epoch"], best["global_step"])


def test_loggers_write_into_the_run_folder(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--trainer.logger", "true", "--trainer.log_every_n_steps", 1)
    folder = tmp_path / "run"
    assert list((folder / "lightning_logs").rglob("events.out.tfevents.*"))
    assert (folder / "config.yaml").is_file()
    run("validate", "--config", small, "--trainer.logger", "true", "--ckpt_path", "best")


def test_a_dry_run_leaves_nothing(small: Path, tmp_path: Path) -> None:
    run("fit", "--config", small, "--trainer.fast_dev_run", "true")
    assert not any((tmp_path / "run").rglob("*.*"))
