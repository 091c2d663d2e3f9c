"""Which checkpoint a command means, and what of it goes into the command's configuration."""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from qa_lightning.cache import Cache, Lease, cache_folder
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.callbacks.checkpoints import FOLDER
from qa_lightning.callbacks.run_folder import EARLIER
from qa_lightning.callbacks.tracked_run import is_dry
from qa_lightning.cli.changed import check_changes
from qa_lightning.cli.filling import fill_plain
from qa_lightning.cli.room import checkpoint_folder
from qa_lightning.errors import InputError
from qa_lightning.folders import locked_folder
from qa_lightning.resuming import ORDER, check_place, resume_problems
from qa_lightning.saved import LAST, SavedRun, local_file, newest_whole, write_tokenizer_files

log = logging.getLogger(__name__)

NETWORK_KEYS = ("model_name_or_path", "config", "revision", "initialization", "lora")
"""What decides the network's shape: always the checkpoint's, since its weights must fit."""

WINDOW_KEYS = (
    "max_length",
    "doc_stride",
    "max_question_length",
    "separators",
    "token_types",
    "global_attention",
    "language",
)
TRAINING_STATES = ("optimizer_states", "lr_schedulers", "loops", "epoch", "global_step")
DATA_KEYS = ("in_memory", "data_files", "dataset")
"""What names data; the first of them that is given decides."""

SEARCH_KEYS = ("n_best", "max_answer_length", "window_scoring", "search")
"""What of a checkpoint's other states configures a command: never a folder to write into."""


def checkpoint_path(config: Namespace, command: str) -> str | None:
    """Return the file that ``--ckpt_path`` means; ``best`` and ``last`` are of the run's folder.

    Raises:
        InputError: the file does not exist; in ``fit`` a missing ``last`` means a fresh start, and
            for a damaged one the newest whole checkpoint beside it stands in.
    """
    given: str | None = config.get("ckpt_path")
    if given is None and command == "fit" and int(os.environ.get("SLURM_RESTART_COUNT", "0")):
        given = "last"  # a job that SLURM runs again goes on, by the same command
    if given is None:
        return None
    folder = checkpoint_folder(config)
    if given == "last":
        quiet = bool(getattr(rank_zero_only, "rank", 0))
        found = newest_whole(folder, resumable=command == "fit", quiet=quiet)
        path = found or folder / LAST
    else:
        path = folder / "best.ckpt" if given == "best" else local_file(given)
    if path.exists():
        return str(path)
    if given == "last" and command == "fit":
        log.warning(
            "there is no %s to resume from: the run starts afresh%s", path, _moved_aside(config)
        )
        return None
    raise InputError(
        f"Expected a checkpoint at {path} (`--ckpt_path {given}`); found none. "
        + _found_in(folder, command)
        + _moved_aside(config)
    )


@contextmanager
def held_folders(trainer: Trainer, config: Namespace, command: str) -> Iterator[None]:
    """Hold the folders that `fit` writes into; another one would move its checkpoints away.

    Both, wherever they lie: another run may share the one and not the other.
    """
    root, checkpoints = Path(trainer.default_root_dir), checkpoint_folder(config)
    wanted = bool(trainer.checkpoint_callbacks) or checkpoints.exists()
    with ExitStack() as held:
        if command == "fit" and trainer.is_global_zero and not is_dry(trainer):
            held.enter_context(locked_folder(root, "trainer.default_root_dir"))
            if wanted and root.resolve() != checkpoints.resolve():
                held.enter_context(locked_folder(checkpoints, "checkpoint.dirpath"))
            for each in trainer.checkpoint_callbacks:
                if isinstance(each, LastCheckpoint):
                    each.is_held = True
        yield


def _moved_aside(config: Namespace) -> str:
    """Return where the newest of the results is that were moved aside; "" where none were."""
    folder = checkpoint_folder(config)
    root = Path(config.get("trainer.default_root_dir") or ".")
    found = [
        file
        for pattern in (f"*/{FOLDER}/{LAST}", f"*/{LAST}")
        for place in dict.fromkeys((root, folder))
        for file in (place / EARLIER).glob(pattern)
    ]
    if not found:
        return ""
    newest = max(found, key=lambda file: file.stat().st_mtime)
    return f" (an earlier run's is there: `--ckpt_path {newest}` goes on from it)"


def _found_in(folder: Path, command: str) -> str:
    found = sorted(path.name for path in folder.glob("*.ckpt"))
    if found:
        return f"{folder} holds {', '.join(found)}: name one of them."
    return (
        f"{folder} holds no checkpoint: run `lightning fit` first, or name the run's folder by "
        f"`--trainer.default_root_dir` as it was in `fit`."
    )


def check_resumable(saved: SavedRun) -> None:
    """Refuse a checkpoint that training cannot go on from; Lightning would start anew in silence.

    Raises:
        InputError: parts of the training's state are missing.
    """
    check_place(saved.values, saved.path)
    missing = [key for key in TRAINING_STATES if key not in saved.values]
    if missing:
        raise InputError(
            f"Expected a checkpoint that training can go on from at {saved.path}; it holds no "
            f"{', no '.join(missing)}, as one by `checkpoint.save_weights_only`. Name another, or "
            "train its weights anew: `qa-lightning export` it, and name the folder in "
            "`model.model_name_or_path`."
        )


def merge_checkpoint(config: Namespace, explicit: Namespace, saved: SavedRun, command: str) -> None:
    """Fill a command's configuration from a checkpoint.

    The network and the tokenizer are the checkpoint's. For all else what the user wrote, in a
    file or on the command line, stands, and what was left out is the checkpoint's.

    Raises:
        InputError: the user wants another network for a training that goes on, or names no data.
    """
    check_changes(config, explicit, saved, command)
    _check_data(config, explicit, saved)
    groups = {
        "model": saved.model,
        "data": {key: saved.windows[key] for key in WINDOW_KEYS if key in saved.windows},
        "evaluation": {
            key: saved.evaluation[key] for key in SEARCH_KEYS if key in saved.evaluation
        },
    }
    for group, values in groups.items():
        for key, value in values.items():
            name = f"{group}.{key}"
            if name not in config:
                continue
            if (group == "model" and key in NETWORK_KEYS) or name not in explicit:
                config[name] = value
    config["data.tokenizer"] = str(_tokenizer_folder(config, saved.tokenizer_files))
    config["data.tokenizer_revision"] = None


def merge_order(config: Namespace, explicit: Namespace, saved: SavedRun) -> None:
    """Take from a checkpoint what its epoch was begun with, for a ``fit`` that goes on.

    Raises:
        InputError: what the user wrote contradicts it, and cannot be applied.
    """
    for key in ORDER:
        name = f"data.{key}"
        if name not in explicit and key in saved.data and not _is_new_seed(key, explicit):
            config[name] = saved.data[key]
    fill_plain(config)
    groups = (vars(config[group]) for group in ("model", "data", "trainer"))
    problems = list(resume_problems(saved.values, *groups))
    if problems:
        raise InputError("\n".join(problems))


def _is_new_seed(key: str, explicit: Namespace) -> bool:
    return key == "seed" and "seed_everything" in explicit


def _check_data(config: Namespace, explicit: Namespace, saved: SavedRun) -> None:
    """Refuse to take the generated documents for the data that a checkpoint was trained on.

    Its own are not taken: what a file says is no reason to read another one.
    """
    if any(f"data.{key}" in explicit for key in DATA_KEYS):
        return
    key = next((key for key in DATA_KEYS if saved.data.get(key)), None)
    if key is None or (key == "dataset" and saved.data[key] == config["data.dataset"]):
        return
    raise InputError(
        f"Expected `data.dataset` or `data.data_files` to name the data; got neither. The "
        f"checkpoint at {saved.path} was trained with `data.{key}` {saved.data[key]!r:.300}: name "
        "it, or give the run's `config.yaml` by `--config`."
    )


_held: list[Lease | None] = []
"""Keeps the tokenizers that this process reads in the cache."""


def _tokenizer_folder(config: Namespace, files: Mapping[str, str]) -> Path:
    """Return a checkpoint's tokenizer in the cache, where it is once for each content."""
    digest = hashlib.sha256(b"tokenizer\0")
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{text}\0".encode())
    key = digest.hexdigest()[:32]
    data = config.data
    cache = Cache(
        cache_folder(data.cache_dir), most_entries=data.cache_entries, most_gib=data.cache_gib
    )
    found = cache.find(key)
    if found is None:
        with cache.building(key, {"source": "a checkpoint's", "split": "tokenizer"}) as folder:
            write_tokenizer_files(files, folder)
        found = cache.find(key) or (cache.folder / key, None)
    _held.append(found[1])
    return found[0]
