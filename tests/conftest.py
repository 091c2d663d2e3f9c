"""Shared fixtures: one thread a process, no network, no tracker accounts, a cache of its own."""

import atexit
import importlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# A shell that starts the tests in the background lets them, and what they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # and one that `nohup` started, its end
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# One folder for the whole session, xdist's processes included: they inherit the variable. It has
# to stand before `datasets` and `huggingface_hub` are imported, which read HF_HOME only then.
SHARED = "QA_LIGHTNING_TEST_FOLDER"
if SHARED not in os.environ:
    os.environ[SHARED] = tempfile.mkdtemp(prefix="qa-lightning-tests-")
    atexit.register(shutil.rmtree, os.environ[SHARED], ignore_errors=True)
os.environ["HF_HOME"] = str(Path(os.environ[SHARED]) / "hf")

# The same examples at every run, on machines of any speed.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives a browser."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


# A file's own: while Playwright runs, this thread has a running event loop, which others refuse.
@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Return Chromium, or skip the test where there is none and none is required."""
    from browsing import launched

    with launched() as started:
        yield started


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """Return a page of a desktop's size, which fails where it asks another machine."""
    from browsing import opened

    with opened(browser) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Return the folder with the real data sets, or skip the test where there is none."""
    folder = Path(os.environ.get("QA_LIGHTNING_REALDATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not in {folder} (set QA_LIGHTNING_REALDATA)")
    return folder


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Return the folder that all processes of this session share."""
    return Path(os.environ[SHARED])


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return SQuAD files of generated documents, a tokenizer's folder and a checkpoint's."""
    from running import rows_of, small_tokenizer, write_model, write_rows

    folder = tmp_path_factory.mktemp("small")
    small_tokenizer().save_pretrained(folder / "tokenizer")
    return {
        "train": write_rows(folder / "train.json", rows_of(16)),
        "validation": write_rows(folder / "validation.json", rows_of(6, first=100)),
        "test": write_rows(folder / "test.json", rows_of(5, first=200)),
        "tokenizer": folder / "tokenizer",
        "model": write_model(folder / "model"),
    }


@pytest.fixture
def small_settings(small_files: dict[str, Path], tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of a run of a second or two, in ``tmp_path / "run"``."""
    from running import NETWORK

    names = ("train", "validation", "test")
    return {
        "data": {
            "data_files": {name: str(small_files[name]) for name in names},
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
            "batch_size": 8,
        },
        "model": {"config": dict(NETWORK), "learning_rate": 1e-3},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(tmp_path / "run"),
        },
    }


@pytest.fixture
def small(small_settings: dict[str, dict[str, Any]], tmp_path: Path) -> Path:
    """Return the configuration of that run."""
    from running import write_yaml

    return write_yaml(tmp_path / "small.yaml", small_settings)


@pytest.fixture(scope="session")
def demo_run(shared_folder: Path) -> Path:
    """Return the folder of a run on the demo's documents, trained once in a session."""
    from running import DEMO, run, write_yaml

    folder = shared_folder / "demo_run"
    with FileLock(f"{folder}.lock"):
        if not (folder / "checkpoints" / "last.ckpt").exists():
            config = write_yaml(shared_folder / "demo_run.yaml", DEMO)
            run("fit", "--config", config, "--trainer.default_root_dir", folder)
    return folder


@pytest.fixture
def disturbed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the benchmarks' ways to disturb labels whose places are known."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("_disturbed")
