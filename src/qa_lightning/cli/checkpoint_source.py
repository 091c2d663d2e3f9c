"""Which checkpoint a command means, and what of it goes into the command's configuration."""

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from jsonargparse import Namespace

from qa_lightning.errors import InputError

log = logging.getLogger(__name__)

NETWORK_KEYS = ("model_name_or_path", "config", "revision", "initialization", "lora")
"""What decides the network's shape: always the checkpoint's, since its weights must fit."""


@dataclass(frozen=True)
class CheckpointContents:
    """Hold the plain values of a checkpoint that configure a command."""

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    evaluation: Mapping[str, Any]


def checkpoint_path(config: Namespace, command: str) -> str | None:
    """Return the file that ``--ckpt_path`` means; ``best`` and ``last`` are of the run's folder.

    Raises:
        InputError: the file does not exist; in ``fit`` a missing ``last`` means a fresh start.
    """
    given: str | None = config.get("ckpt_path")
    if given is None or "://" in str(given):
        return given
    folder = checkpoint_folder(config)
    path = folder / f"{given}.ckpt" if given in ("best", "last") else Path(given)
    if path.exists():
        return str(path)
    if given == "last" and command == "fit":
        log.warning("there is no %s to resume from: the run starts afresh", path)
        return None
    raise InputError(
        f"Expected a checkpoint at {path} (`--ckpt_path {given}`); found none. "
        + _found_in(folder, command)
    )


def checkpoint_folder(config: Namespace) -> Path:
    """Return the folder of a run's checkpoints."""
    configured = config.get("checkpoint.dirpath")
    root = config.get("trainer.default_root_dir") or "."
    return Path(configured).expanduser() if configured else Path(root) / "checkpoints"


def _found_in(folder: Path, command: str) -> str:
    found = sorted(path.name for path in folder.glob("*.ckpt"))
    if found:
        return f"{folder} holds {', '.join(found)}: name one of them."
    return (
        f"{folder} holds no checkpoint: run `lightning fit` first, or name the run's folder by "
        f"`--trainer.default_root_dir` as it was in `fit`."
    )


def read_checkpoint(path: str) -> CheckpointContents:
    """Read the hyper-parameters and the windows' settings of a checkpoint, not its weights.

    Raises:
        InputError: the file is no checkpoint, or not one of ours.
    """
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:  # torch raises five different types for a file that is none
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; it could not be read as "
            f"one ({type(error).__name__}). Name a .ckpt file of a run's `checkpoints` folder."
        ) from error
    contents = checkpoint if isinstance(checkpoint, dict) else {}  # torch.save takes anything
    states = [value for value in contents.values() if isinstance(value, dict)]
    data = next((state for state in states if "tokenizer_files" in state), None)
    model = contents.get("hyper_parameters")
    if data is None or not model:
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; it holds no "
            "hyper-parameters or no tokenizer of ours. Name a .ckpt file of a run's `checkpoints` "
            "folder; weights of another program go into `model.model_name_or_path`."
        )
    callbacks = contents.get("callbacks", {}).values()
    searching = (state for state in callbacks if "window_scoring" in state)
    evaluation: Mapping[str, Any] = next(searching, {})
    return CheckpointContents(model=model, data=data, evaluation=evaluation)


def merge_checkpoint(config: Namespace, explicit: Namespace, contents: CheckpointContents) -> None:
    """Fill a command's configuration from a checkpoint.

    The network and the tokenizer are the checkpoint's. For all else what the user wrote, in a
    file or on the command line, stands, and what was left out is the checkpoint's.
    """
    for group in ("model", "data", "evaluation"):
        for key, value in getattr(contents, group).items():
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
    config["data.tokenizer"] = str(_tokenizer_folder(config, contents.data["tokenizer_files"]))
    config["data.tokenizer_revision"] = None


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
        for name, text in files.items():
            (whole / name).write_text(text, encoding="utf-8")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been faster
                raise
    return folder
