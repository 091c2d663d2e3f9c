"""The plain contents of a Lightning checkpoint of ours, read without Lightning."""

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from qa_lightning.backbones import merged_weights
from qa_lightning.errors import InputError

_NETWORK = "network."
_SUFFIX = ".ckpt"


@dataclass(frozen=True)
class CheckpointContents:
    """Hold what a checkpoint knows about its network and its windows.

    Attributes:
        path: the file.
        config: keys of the network's config (see ``backbones.network_config``).
        weights: the network's tensors, copied: the file may be overwritten by a running training.
            Adapters are merged into the matrices they stood beside.
        attention: ``windowed``, ``flex`` or ``reference``.
        tokenizer_files: file name to text.
        windows: the datamodule's state: ``max_length``, ``doc_stride``, …
        fitted: the evaluation's state: ``threshold``, ``temperature``, ``no_answer``, and what the
            confidences are worth: ``calibration``, ``risk_coverage``.
        data: the datamodule's arguments, for the model card.
        training: the module's other arguments, for the model card.
        epoch: when it was written.
        global_step: likewise.
        best_score: the monitored score of this checkpoint, if one was kept.
        monitor: its name.
    """

    path: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(repr=False)
    attention: str
    tokenizer_files: Mapping[str, str] = field(repr=False)
    windows: Mapping[str, Any]
    fitted: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    epoch: int
    global_step: int
    best_score: float | None = None
    monitor: str | None = None


def checkpoint_file(source: str | Path) -> Path | None:
    """Return the checkpoint that a path means: a file, a run's folder, or that of its checkpoints.

    None where the path is neither: it may be an exported folder or a Hub id.
    """
    path = Path(source).expanduser()
    if path.is_file() or path.suffix == _SUFFIX:
        return path
    folders = (path / "checkpoints", path)
    in_run = [folder / f"{name}{_SUFFIX}" for folder in folders for name in ("best", "last")]
    return next((file for file in in_run if file.is_file()), None)


def read_checkpoint(path: Path) -> CheckpointContents:
    """Read a checkpoint of ours; no code in the file is run.

    Raises:
        InputError: there is no such file, or it was not written by ``lightning fit``.
    """
    checkpoint = _load(path)
    hyper_parameters = dict(checkpoint.get("hyper_parameters") or {})
    states = [state for state in checkpoint.values() if isinstance(state, dict)]
    windows = next((state for state in states if "tokenizer_files" in state), None)
    weights = {
        name.removeprefix(_NETWORK): tensor.clone()
        for name, tensor in checkpoint.get("state_dict", {}).items()
        if name.startswith(_NETWORK)
    }
    if windows is None or not weights or not hyper_parameters.get("config"):
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; found one without "
            "network, config or tokenizer of ours. For a model of transformers give its folder or "
            "its Hub id."
        )
    if hyper_parameters.get("lora") is not None:
        weights = merged_weights(weights, hyper_parameters["lora"])
    score, monitor = _best_score(checkpoint)
    return CheckpointContents(
        path=path,
        config=hyper_parameters.pop("config"),
        weights=weights,
        attention=hyper_parameters.get("attention", "windowed"),
        tokenizer_files=windows["tokenizer_files"],
        windows={key: value for key, value in windows.items() if key != "tokenizer_files"},
        fitted=_fitted(checkpoint),
        data=dict(checkpoint.get("datamodule_hyper_parameters") or {}),
        training=hyper_parameters,
        epoch=int(checkpoint.get("epoch", 0)),
        global_step=int(checkpoint.get("global_step", 0)),
        best_score=score,
        monitor=monitor,
    )


def tokenizer_from_files(files: Mapping[str, str]) -> PreTrainedTokenizerBase:
    """Rebuild a tokenizer from the texts of its files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            # A name with a path in it must not lead out of the folder.
            (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return tokenizer


def _load(path: Path) -> dict[str, Any]:
    if path.is_file() and not zipfile.is_zipfile(path):  # torch would advise on its own options
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; that file is none."
        )
    try:
        # Mapped, since most of a checkpoint is the optimizer's state, which nobody reads here.
        loaded = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except FileNotFoundError as error:
        raise InputError(f"Expected a checkpoint at {path}; found no such file.") from error
    except Exception as error:  # torch raises five different types for a file that is none
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; it could not be read: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return loaded if isinstance(loaded, dict) else {}


def _fitted(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of the evaluation callback: the one that knows a temperature."""
    states = (checkpoint.get("callbacks") or {}).values()
    found = (dict(s) for s in states if isinstance(s, dict) and "temperature" in s)
    return next(found, {})


def _best_score(checkpoint: Mapping[str, Any]) -> tuple[float | None, str | None]:
    for state in (checkpoint.get("callbacks") or {}).values():
        if isinstance(state, dict) and state.get("monitor") is not None:
            score = state.get("current_score")
            return (None if score is None else float(score)), str(state["monitor"])
    return None, None
