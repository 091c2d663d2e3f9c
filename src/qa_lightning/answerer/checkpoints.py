"""The plain contents of a Lightning checkpoint of ours, read without Lightning."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from qa_lightning.backbones import merged_weights
from qa_lightning.errors import InputError
from qa_lightning.saved import (
    SavedRun,
    local_file,
    read_run,
    read_saved,
    reason,
    saved_run,
    weight_problems,
    write_tokenizer_files,
)

log = logging.getLogger(__name__)

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
        base_model: what the training started from; None where that was chance.
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
    base_model: str | None = None


def checkpoint_file(source: str | Path) -> Path | None:
    """Return the checkpoint that a path means: a file, a run's folder, or that of its checkpoints.

    None where the path is neither: it may be an exported folder or a Hub id.

    Raises:
        InputError: nothing is named, which would be the folder that one happens to be in.
    """
    if not str(source).strip():
        raise InputError(f"Expected a checkpoint's file, a folder or a Hub id; got {source!r}.")
    path = local_file(source)
    if path.is_file() or path.suffix == _SUFFIX:
        return path
    return _named(path, "best") or _kept(path, _named(path, "last"))


def _named(folder: Path, name: str) -> Path | None:
    files = (place / f"{name}{_SUFFIX}" for place in (folder / "checkpoints", folder))
    return next((file for file in files if file.is_file()), None)


def _kept(folder: Path, last: Path | None) -> Path | None:
    """Return a checkpoint of those that a plain ``Trainer`` keeps: the best, the last, the newest.

    The last says which is the best, if its ``ModelCheckpoint`` watched a score. A name such as
    ``{epoch}-{val/f1}`` makes folders.
    """
    if not folder.is_dir():
        return None
    kept = (f"{place}checkpoints/**/*" for place in ("", "version_*/", "*/*/"))
    patterns = ("*", "*=*/*", *kept)
    found = {path for pattern in patterns for path in folder.glob(f"{pattern}{_SUFFIX}")}
    newest = last or max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        return None
    best = _best_by(newest)
    beside = [path for path in found if path.name == best]
    chosen = min(beside, key=lambda path: path.parent != newest.parent, default=newest)
    if chosen != last:
        told = "newest" if chosen == newest else "best"
        log.info("%s has no best.ckpt: its %s checkpoint is %s", folder, told, chosen)
    return chosen


def _best_by(checkpoint: Path) -> str | None:
    """Return the file name of the best checkpoint, by what one of them knows."""
    try:
        states = read_saved(checkpoint).get("callbacks", {})
    except InputError:  # whoever reads it next tells
        return None
    watching = (state for state in states.values() if isinstance(state, Mapping))
    paths = (state.get("best_model_path") for state in watching if state.get("monitor"))
    return next((Path(str(path)).name for path in paths if path), None)


def read_checkpoint(path: Path) -> CheckpointContents:
    """Read a checkpoint of ours; no code in the file is run.

    Raises:
        InputError: there is no such file, it was not written by ``lightning fit``, or its weights
            are not finite.
    """
    return contents_of(read_run(path))


def contents_in_memory(module: Any, datamodule: Any, evaluation: Any) -> CheckpointContents:
    """Return what a checkpoint of a module, written now, would hold; the weights are copied.

    Args:
        module: a ``QAModule`` whose network is built.
        datamodule: its ``QADataModule``.
        evaluation: the ``AnswerEvaluation`` that fitted it; None is that of the module's trainer.
    """
    evaluation = evaluation or _evaluation_of(module)
    states = {} if evaluation is None else {"evaluation": evaluation.state_dict()}
    values = {
        "hyper_parameters": dict(module.hparams),
        "state_dict": module.state_dict(),
        "datamodule": datamodule.state_dict(),
        "datamodule_hyper_parameters": dict(datamodule.hparams),
        "callbacks": states,
    }
    module.on_save_checkpoint(values)
    return contents_of(saved_run(values, Path("the module in memory")))


def _evaluation_of(module: Any) -> Any:
    """Return the callback that fits a temperature, of the trainer a module is attached to."""
    try:
        callbacks = module.trainer.callbacks
    except RuntimeError:  # Lightning's, for a module without a trainer
        return None
    return next((one for one in callbacks if "temperature" in one.state_dict()), None)


def contents_of(saved: SavedRun) -> CheckpointContents:
    """Return what an answerer needs of a run's values.

    Raises:
        InputError: its weights are not finite.
    """
    arguments = dict(saved.model)
    score, monitor = _best_score(saved.values)
    return CheckpointContents(
        path=saved.path,
        config=arguments.pop("config"),
        weights=_weights(saved),
        attention=arguments.get("attention", "windowed"),
        tokenizer_files=saved.tokenizer_files,
        windows=saved.windows,
        fitted=saved.evaluation,
        data=saved.data,
        training=arguments,
        epoch=saved.values.get("epoch") or 0,
        global_step=saved.values.get("global_step") or 0,
        best_score=score,
        monitor=monitor,
        base_model=saved.values.get("base_model"),
    )


def _weights(saved: SavedRun) -> dict[str, Tensor]:
    """Return the network's tensors, copied, with its adapters merged."""
    for problem in weight_problems(saved.weights):
        raise InputError(
            f"Expected the weights of a trained network in {saved.path}; {problem}. It can answer "
            "nothing: take an earlier checkpoint."
        )
    weights = {name: tensor.clone() for name, tensor in saved.weights.items()}
    adapters = saved.model.get("lora")
    if adapters is None:
        return weights
    try:
        return merged_weights(weights, adapters)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"Expected adapters (`lora`) that fit their network in {saved.path}; got "
            f"{str(adapters)[:200]}: {reason(error)}. Take another checkpoint."
        ) from error


def tokenizer_from_files(files: Mapping[str, str]) -> PreTrainedTokenizerBase:
    """Rebuild a tokenizer from the texts of its files."""
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer_files(files, Path(folder))
        try:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False
            )
        except Exception as error:  # the tokenizers' own is a bare Exception
            raise InputError(
                "Expected a tokenizer in the checkpoint; its files cannot be loaded: "
                f"{reason(error)} Take another checkpoint."
            ) from error
    return tokenizer


def _best_score(checkpoint: Mapping[str, Any]) -> tuple[float | None, str | None]:
    for state in (checkpoint.get("callbacks") or {}).values():
        if isinstance(state, dict) and state.get("monitor") is not None:
            score = state.get("current_score")
            if isinstance(score, Tensor) and score.numel() == 1:
                score = float(score)
            return (score if isinstance(score, float) else None), str(state["monitor"])
    return None, None
