"""Every configuration in `configs/` is found, looked at, and run.

Those that name Hub ids run against small stand-ins, laid out as the Hub's and `datasets`' caches.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml

from conftest import ROOT
from qa_lightning.cli import main
from qa_lightning.examples import CANONICAL_FEATURES
from running import RECORDER, read_json, read_yaml, recorded, rows_of, run, write_model

CONFIGS = ROOT / "configs"
SWEEPS = sorted((CONFIGS / "sweeps").rglob("*.yaml"))  # tests/test_tuning.py runs them
ALL = [path for path in sorted(CONFIGS.rglob("*.yaml")) if path not in SWEEPS]
OVERLAYS = [path for path in ALL if path.parent.name == "overlays"]
WHOLE = [path for path in ALL if path not in OVERLAYS]
DEMO = CONFIGS / "demo.yaml"
DEBUG = CONFIGS / "overlays" / "debug.yaml"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

WHOLE_KEYS = ("model.config", "trainer.logger", "trainer.strategy")

pytestmark = [pytest.mark.front_door]


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def test_all_configs_are_there() -> None:
    named = {name_of(path) for path in ALL}
    whole = {"demo", "squad_v1_pt", "squad_v1_pt_notebook", "squad_v1", "squad_v2"}
    overlays = {
        "longformer_base",
        "longformer_large",
        "single_gpu",
        "ddp",
        "fsdp",
        "wandb",
        "debug",
    }
    assert named >= {f"{name}.yaml" for name in whole}
    assert named >= {f"overlays/{name}.yaml" for name in overlays | {"ddp", "fsdp"}}


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_the_first_line_is_the_command(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    command = re.fullmatch(r"# lightning fit((?: --config \S+)+)", first)
    assert command, first
    named = re.findall(r"--config (\S+)", command[1])
    assert all((ROOT / name).is_file() for name in named)
    assert ROOT / named[-1] == path


def leaves(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value by its dotted key; those of `WHOLE_KEYS` stay whole."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in WHOLE_KEYS:
            found |= leaves(value, f"{name}.")
        else:
            found[name] = value
    return found


@pytest.fixture
def defaults(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit):
        main(["fit", "--print_config"])
    return leaves(yaml.safe_load(capsys.readouterr().out))


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_a_config_says_only_what_differs(path: Path, defaults: dict[str, Any]) -> None:
    given = leaves(read_yaml(path))
    assert not [key for key in given if key not in defaults]
    same = [key for key, value in given.items() if value == defaults[key]]
    if path in OVERLAYS:  # may set back what a configuration below it has changed
        below = [leaves(read_yaml(other)) for other in WHOLE]
        same = [
            key for key in same if all(other.get(key, given[key]) == given[key] for other in below)
        ]
    assert not same


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an HF_HOME with a small stand-in for every Hub id that a configuration names."""
    home = tmp_path_factory.mktemp("hub")
    for model in sorted({s["model"]["model_name_or_path"] for s in named_settings("model")}):
        folder = home / "hub" / f"models--{model.replace('/', '--')}"
        write_model(
            folder / "snapshots" / COMMIT,
            max_position_embeddings=514,
            attention_window=32,
            hidden_size=8,
            intermediate_size=8,
        )
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(COMMIT)
    for dataset in sorted({s["data"]["dataset"] for s in named_settings("data")}):
        write_dataset(home, dataset)
    return home


def named_settings(key: str) -> list[dict[str, Any]]:
    """Return the configurations that name something of the Hub under ``model`` or ``data``."""
    name = {"model": "model_name_or_path", "data": "dataset"}[key]
    found = [read_yaml(path) for path in ALL]
    return [s for s in found if "/" in str(s.get(key, {}).get(name))]


def write_dataset(home: Path, dataset: str) -> None:
    """Lay a data set out as `datasets` keeps what it has built."""
    sliced = dataset == "nunorc/squad_v1_pt"  # of which 5 % and 4 % are taken
    sizes = {"train": 100, "validation": 100} if sliced else {"train": 9, "validation": 6}
    organization, name = dataset.split("/")
    folder = home / "datasets" / f"{organization}___{name}" / "default" / "0.0.0" / COMMIT
    folder.mkdir(parents=True)
    for place, (split, count) in enumerate(sizes.items()):
        rows = rows_of(count, first=300 * place, unanswerable=name.endswith("v2"))
        table = datasets.Dataset.from_list(rows, features=CANONICAL_FEATURES)
        with datasets.arrow_writer.ArrowWriter(
            path=str(folder / f"{name}-{split}.arrow"), features=CANONICAL_FEATURES
        ) as writer:
            writer.write_table(table.data.table)
            writer.finalize()
    info = datasets.DatasetInfo(
        features=CANONICAL_FEATURES,
        dataset_name=name,
        builder_name="parquet",
        config_name="default",
        version="0.0.0",
        splits={
            split: {"name": split, "num_examples": count, "num_bytes": 1, "dataset_name": name}
            for split, count in sizes.items()
        },
    )
    info.write_to_directory(str(folder))


@pytest.fixture
def offline_hub(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the stand-ins take the Hub's place, in an empty working folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(stand_ins / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", stand_ins / "datasets")
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(stand_ins))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# One thing is not the configuration's: this machine's tests run on the CPU.
HERE = ("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", RECORDER)


@pytest.mark.parametrize("path", [path for path in WHOLE if path != DEMO], ids=name_of)
def test_a_config_that_names_hub_ids_runs(path: Path, offline_hub: Path) -> None:
    settings = read_yaml(path)
    run("fit", "--config", path, *HERE)
    folder = offline_hub / settings["trainer"]["default_root_dir"]
    scores = read_json(folder / "answers" / "val" / "scores.json")
    assert scores["examples"] == (4 if "[" in settings["data"].get("val_split", "") else 6)
    assert scores["epoch"] == 1
    assert (folder / "checkpoints" / "best.ckpt").is_file()
    assert ("HasAns_f1" in scores) == ("v2" in path.name)
    assert recorded().trainer.gradient_clip_val == 1.0


def test_the_notebooks_config_is_the_notebook(offline_hub: Path) -> None:
    path = CONFIGS / "squad_v1_pt_notebook.yaml"
    run("fit", "--config", path, *HERE, "--trainer.limit_train_batches", 1)
    data = recorded().trainer.datamodule
    batch = next(iter(data.train_dataloader()))
    assert batch["input_ids"].shape == (2, 384)
    assert data.hparams["alignment"] == "keep"
    assert recorded().model.hparams["attention"] == "reference"
    assert len(data.train_examples) == 5
    (optimizer,) = recorded().trainer.optimizers
    assert optimizer.defaults["lr"] == 1e-6
    assert recorded().trainer.max_epochs == 2


def overlays_in_process() -> list[Path]:
    """Return those of one process; ``distributed/test_sharded.py`` runs the one of shards."""
    others = ("ddp.yaml", "fsdp.yaml", "debug.yaml")
    return [path for path in OVERLAYS if path.name not in others]


@pytest.mark.parametrize("path", overlays_in_process(), ids=name_of)
def test_an_overlay_runs_on_top_of_the_demo(path: Path, offline_hub: Path) -> None:
    small = ("--config", DEMO, "--config", path, "--config", DEBUG)
    # The demo's vocabulary is the demo tokenizer's; a named model brings its own.
    run("fit", *small, "--trainer.default_root_dir", "run", *HERE)
    assert recorded().trainer.global_step > 0
    assert (offline_hub / "run" / "checkpoints" / "best.ckpt").is_file()
    for key, value in leaves(read_yaml(path)).items():
        saved = leaves(read_yaml(offline_hub / "run" / "config.yaml"))
        if key not in ("trainer.logger", "trainer.accelerator"):
            assert saved[key] == value, key
    if path.name == "wandb.yaml":
        assert list(offline_hub.rglob("*.wandb"))


def test_the_debug_overlay_runs_on_top_of_the_demo(offline_hub: Path) -> None:
    run(
        "fit", "--config", DEMO, "--config", DEBUG, *HERE,
        "--trainer.default_root_dir", "run",
    )  # fmt: skip
    assert recorded().trainer.global_step == read_yaml(DEBUG)["trainer"]["limit_train_batches"]
    assert (offline_hub / "run" / "answers" / "val" / "scores.json").is_file()


def test_the_demo_tells_the_time_and_ends_with_answers_and_the_next_command(
    offline_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    said = run(
        "fit", "--config", DEMO, "--config", DEBUG, *HERE,
        "--trainer.limit_train_batches", 22, "--data.train_split", "train[:300]",
    )  # fmt: skip
    data = recorded().trainer.datamodule
    answers = read_json(offline_hub / "runs" / "demo" / "answers" / "val" / "predictions.json")
    assert said.index("2 steps to go at") < said.index("Questions on documents")
    shown = [line for line in said.splitlines() if "?" in line]
    assert len(shown) == 5
    examples = {row["question"]: row for row in data.val_examples}
    for line in shown:
        question, answer, gold = (cell.strip() for cell in line.strip("│").split("│"))
        row = examples[question]
        assert f"[{answers[row['id']]}]" in answer
        assert answer.replace("[", "").replace("]", "") in row["context"]
        assert gold == row["answers"]["text"][0]
    *_, last = said.strip().splitlines()
    assert last.startswith("Next: ")
    # The run's own file: it holds what the command line changed.
    *_, config = last.removesuffix(" --ckpt_path best").split("lightning test --config ")
    folder = offline_hub / "runs" / "demo"
    assert Path(config).resolve() == (folder / "config.yaml").resolve()
    assert read_yaml(folder / "config.yaml")["data"]["train_split"] == "train[:300]"


@pytest.mark.two_process
def test_the_ddp_overlay_runs_on_top_of_the_demo(tmp_path: Path) -> None:
    overlay = CONFIGS / "overlays" / "ddp.yaml"
    command = ["fit", "--config", DEMO, "--config", overlay, "--config", DEBUG, *HERE[:-1]]
    command += ["--trainer.devices", 2, "--trainer.default_root_dir", tmp_path / "run"]
    result = subprocess.run(
        [sys.executable, "-m", "qa_lightning", *map(str, command)],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert "2 processes" in result.stderr + result.stdout
    scores = json.loads((tmp_path / "run" / "answers" / "val" / "scores.json").read_text())
    assert scores["examples"] == 8
