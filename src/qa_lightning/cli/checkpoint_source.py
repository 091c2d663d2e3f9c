"""Which checkpoint a command means, and what of it goes into the command's configuration."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import datasets
from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from qa_lightning.callbacks.tracked_run import is_dry
from qa_lightning.cli.filling import fill_plain
from qa_lightning.cli.room import checkpoint_folder
from qa_lightning.errors import InputError
from qa_lightning.folders import locked_folder
from qa_lightning.resuming import ORDER, resume_problems
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
        log.warning("there is no %s to resume from: the run starts afresh", path)
        return None
    raise InputError(
        f"Expected a checkpoint at {path} (`--ckpt_path {given}`); found none. "
        + _found_in(folder, command)
    )


@contextmanager
def held_folders(trainer: Trainer, config: Namespace, command: str) -> Iterator[None]:
    """Hold the folders that `fit` writes into; another one would move its checkpoints away."""
    root, checkpoints = Path(trainer.default_root_dir), checkpoint_folder(config)
    with ExitStack() as held:
        if command == "fit" and trainer.is_global_zero and not is_dry(trainer):
            held.enter_context(locked_folder(root, "trainer.default_root_dir"))
            if root not in checkpoints.parents:
                held.enter_context(locked_folder(checkpoints, "checkpoint.dirpath"))
        yield


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
    missing = [key for key in TRAINING_STATES if key not in saved.values]
    if missing:
        raise InputError(
            f"Expected a checkpoint that training can go on from at {saved.path}; it holds no "
            f"{', no '.join(missing)}, as one by `checkpoint.save_weights_only`. Name another, or "
            "train its weights anew: `qa-lightning export` it, and name the folder in "
            "`model.model_name_or_path`."
        )


def merge_checkpoint(config: Namespace, explicit: Namespace, saved: SavedRun) -> None:
    """Fill a command's configuration from a checkpoint.

    The network and the tokenizer are the checkpoint's. For all else what the user wrote, in a
    file or on the command line, stands, and what was left out is the checkpoint's.
    """
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
            if name == "model.lora" and name in explicit and _contradicts(config[name], value):
                log.warning(
                    "`model.lora` is what the checkpoint was trained with, %s, in place of %s. For "
                    "other adapters, export the checkpoint and fine-tune the exported folder.",
                    value,
                    config[name],
                )
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
    problems = list(resume_problems(saved.values, config.model, config.data))
    if problems:
        raise InputError("\n".join(problems))


def _is_new_seed(key: str, explicit: Namespace) -> bool:
    return key == "seed" and "seed_everything" in explicit


def _chosen(state: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: state[key] for key in keys if key in state}


def _contradicts(given: Mapping[str, Any] | None, kept: Mapping[str, Any] | None) -> bool:
    """Say whether adapters were asked for that are not the checkpoint's."""
    if given is None or kept is None:
        return given is not kept
    return any(kept.get(key) != value for key, value in given.items())


def _tokenizer_folder(config: Namespace, files: Mapping[str, str]) -> Path:
    """Write a checkpoint's tokenizer into the cache, once for each content."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{text}\0".encode())
    root = Path(config.get("data.cache_dir") or datasets.config.HF_CACHE_HOME).expanduser()
    folder = root / "qa_lightning" / "tokenizers" / digest.hexdigest()[:32]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "tokenizer"
        whole.mkdir()
        write_tokenizer_files(files, whole)
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been faster
                raise
    return folder
