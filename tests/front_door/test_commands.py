"""What every command answers before anything runs: help, versions, errors."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import qa_lightning
from qa_lightning.cli import main
from qa_lightning.errors import InputError
from running import fail, read_yaml, rows_of, run, write_rows, write_yaml

pytestmark = [pytest.mark.front_door]

Settings = dict[str, dict[str, Any]]
HEAVY = {"torch", "lightning", "transformers", "datasets", "numpy", "jsonargparse", "evaluate"}
# Runs a command and lists the modules that were imported for it.
PROBE = (
    "import sys; from qa_lightning.cli import main; code = 0\n"
    "try: main(sys.argv[1:])\n"
    "except SystemExit as stop: code = stop.code\n"
    "sys.stderr.write(' '.join(sorted({name.split('.')[0] for name in sys.modules})))\n"
    "sys.exit(code)"
)


def launch(*arguments: str, program: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), (), ("--version",), ("trian",)])
def test_nothing_heavy_is_imported_to_answer_at_once(arguments: tuple[str, ...]) -> None:
    result = launch(*arguments, program=(sys.executable, "-c", PROBE))
    imported = set(result.stderr.splitlines()[-1].split())
    assert result.returncode == (2 if arguments == ("trian",) else 0)
    assert not imported & HEAVY


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_leave_their_core_to_others(
    given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP reads the variable when torch is loaded, which no command has done before."""
    monkeypatch.setitem(os.environ, "OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delitem(os.environ, "OMP_WAIT_POLICY")
    main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == kept


def test_help_and_version_answer_within_a_second() -> None:
    scripts = Path(sys.executable).parent
    for program in ((str(scripts / "lightning"),), (str(scripts / "qa-lightning"),)):
        before = os.times()
        result = launch("--version", program=program)
        after = os.times()
        assert result.stdout.strip() == f"qa-lightning {qa_lightning.__version__}"
        # Of the processor, which other processes cannot take.
        assert after.children_user + after.children_system < (
            before.children_user + before.children_system + 1
        )
    text = launch("--help", program=(sys.executable, "-m", "qa_lightning")).stdout
    for command in ("fit", "validate", "test", "predict", "audit"):
        assert f"\n  {command} " in text


def test_the_help_of_a_command_names_its_keys() -> None:
    assert "--model.learning_rate" in run("fit", "--help")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], ["'trian'", "fit", "--help"]),
        (["fit", "--model.lerning_rate", "1"], ["lerning_rate"]),
        (["fit", "--model.learning_rate", "fast"], ["learning_rate", "fast"]),
        (["fit", "--config", "absent.yaml"], ["absent.yaml"]),
        (["fit", "--data.batch", "4"], ["batch"]),  # no guessing from a key's beginning
        (["fit"], ["model.model_name_or_path", "model.config", "neither"]),
        (["--frobnicate"], ["frobnicate", "fit", "--help"]),
        (["--config", "demo.yaml", "fit"], ["first", "--config"]),
        (["fit", "--model.lerning_rate=1"], ["Did you mean `--model.learning_rate`?"]),
        (["fit", "--zzz", "1"], ["lightning fit --help"]),
    ],
)
def test_a_mistake_is_one_message(
    arguments: list[str], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = fail(capsys, *arguments)
    for word in told:
        assert word in message


def test_a_broken_configuration_file_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (
        b"data: [unclosed\n",
        b"data:\n\tseed: 3\n",
        b"- a\n",
        b"# no key\n",
        b"\xff\xfe",
    ):
        broken = tmp_path / "broken.yaml"
        broken.write_bytes(content)
        assert "broken.yaml" in fail(capsys, "fit", "--config", broken)
        assert "broken.yaml" in fail(capsys, "fit", f"--config={broken}")


def test_all_problems_are_told_at_once(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {
        "data.alignment": "guess",
        "data.separators": 5,
        "data.pad_to": "shortest",
        "data.global_attention": "all",
        "data.negative_windows": 1.5,
        "data.batch_size": 0,
        "data.doc_stride": 64,
        "data.num_workers": -1,
        "model.weight_decay": -1,
        "model.adam_betas": "[1.5,2]",
        "trainer.gradient_clip_val": -1,
        "trainer.accumulate_grad_batches": 0,
        "model.attention": "flash",
        "model.objective": "guess",
        "model.initialization": "zeros",
        "model.lr_schedule": "zigzag",
        "model.learning_rate": 0,
        "model.head_learning_rate": 0,
        "model.layer_decay": 2,
        "model.lora.r": 0,
        "model.warmup_ratio": 2,
        "evaluation.n_best": 0,
        "evaluation.search": "greedy",
        "evaluation.window_scoring": "best",
    }
    arguments = [part for key, value in wrong.items() for part in (f"--{key}", value)]
    message = fail(capsys, "fit", "--config", small, *arguments)
    missing = [key for key in wrong if f"`{key}`" not in message]
    assert not missing


def test_both_a_name_and_a_config_is_an_error(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fail(capsys, "fit", "--config", small, "--model.model_name_or_path", "some/model")
    assert "got both" in message


@pytest.mark.parametrize("command", ["test", "predict"])
def test_a_command_without_its_split_says_so(
    command: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fail(capsys, command, "--config", small)
    assert f"data.{command}_split" in message


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("data.train_split", "dev", ["dev", "train"]),
        ("data.data_files", '{"train": "absent.json"}', ["absent.json"]),
        ("data.tokenizer", "absent/tokenizer", ["absent/tokenizer", "data.tokenizer"]),
        ("data.tokenizer", "null", ["data.tokenizer"]),
        ("data.language", "xx", ["xx", "pt"]),
        ("data.dataset", "absent/dataset", []),  # data_files take its place
        ("model.config.hiden_size", "8", ["hiden_size"]),
        ("model.config.hidden_size", "9", ["hidden"]),
        ("model.config.hidden_size", "big", ["model.config", "hidden_size", "big"]),
        ("model.config.num_attention_heads", "0", ["num_attention_heads", "at least 1; got 0"]),
        ("model.config.hidden_act", "gelux", ["model.config", "gelux"]),
        ("model.config.vocab_size", "100", ["400 tokens", "model.config.vocab_size"]),
        ("trainer.val_check_interval", "100000", ["val_check_interval", "100000"]),
        ("checkpoint.monitor", "val/f2", ["checkpoint.monitor", "'val/f2'", "val/f1"]),
        ("trainer.accelerator", "gpu", []),
        ("trainer.devices", "-3", []),
        ("evaluation.language", "klingon", ["klingon"]),
    ],
)
def test_what_only_shows_when_it_is_used_is_told_as_well(
    key: str, value: str, told: list[str], small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if key == "data.dataset":
        run("fit", "--config", small, f"--{key}", value)
        return
    message = fail(capsys, "fit", "--config", small, f"--{key}", value)
    for word in told:
        assert word in message


def test_a_model_that_cannot_be_loaded_is_told(
    small_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_settings["model"] = {"model_name_or_path": "absent/model"}
    config = write_yaml(tmp_path / "absent.yaml", small_settings)
    assert "absent/model" in fail(capsys, "fit", "--config", config)


def test_rows_that_cannot_be_read_are_told(
    small_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(3)
    rows[1]["context"] = None
    file = write_rows(tmp_path / "rows.json", rows)
    small_settings["data"]["data_files"]["train"] = str(file)
    config = write_yaml(tmp_path / "rows.yaml", small_settings)
    message = fail(capsys, "fit", "--config", config)
    assert "rows.json" in message
    assert "context" in message


def test_a_question_without_room_is_told_by_its_id(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--data.max_length", 40, "--data.doc_stride", 30)
    message = fail(capsys, "fit", "--config", small, *arguments)
    assert "max_length" in message
    assert "example 'q" in message


def test_debug_shows_the_traceback(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_LIGHTNING_DEBUG", "1")
    with pytest.raises(InputError, match="alignment"):
        run("fit", "--config", small, "--data.alignment", "guess")


def test_a_real_process_ends_with_status_2_and_no_traceback(small: Path) -> None:
    program = (sys.executable, "-m", "qa_lightning")
    result = launch("fit", "--config", str(small), "--data.batch_size", "0", program=program)
    assert result.returncode == 2
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert lines[-1] == "error: Expected `data.batch_size` to be at least 1; got 0."
    assert not [line for line in lines if "Traceback" in line]


def test_print_config_shows_every_key(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(small), "--print_config"])
    assert not stopped.value.code
    settings = yaml.safe_load(capsys.readouterr().out)
    assert {"data", "model", "evaluation", "checkpoint", "trainer", "seed_everything"} <= set(
        settings
    )
    assert settings["data"]["max_length"] == 64
    assert settings["evaluation"]["n_best"] == 20
    assert settings["checkpoint"]["monitor"] == "val/f1"


def test_later_configs_win_key_by_key(small: Path, tmp_path: Path) -> None:
    first = write_yaml(tmp_path / "first.yaml", {"data": {"batch_size": 4, "doc_stride": 12}})
    second = write_yaml(
        tmp_path / "second.yaml",
        {"data": {"batch_size": 5}, "model": {"config": {"hidden_size": 32}}},
    )
    overlays = ("--config", first, "--config", second, "--data.eval_batch_size", 7)
    # A dict is replaced as a whole by a file, and edited key by key on the command line.
    own = [f"--model.config.{key}={value}" for key, value in SHAPE.items()]
    run("fit", "--config", small, *overlays, *own)
    saved = read_yaml(tmp_path / "run" / "config.yaml")
    assert saved["data"]["batch_size"] == 5
    assert saved["data"]["doc_stride"] == 12
    assert saved["data"]["eval_batch_size"] == 7
    assert saved["data"]["max_length"] == 64
    assert saved["model"]["config"]["hidden_size"] == 32
    assert saved["model"]["learning_rate"] == 1e-3


SHAPE = {
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "attention_window": 8,
    "max_position_embeddings": 80,
    "type_vocab_size": 1,
}
