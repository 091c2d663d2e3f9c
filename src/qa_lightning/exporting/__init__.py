"""A Lightning checkpoint → a folder for transformers, or for onnxruntime, with a model card."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from qa_lightning.answerer.answering import QuestionAnswerer
from qa_lightning.answerer.checkpoints import (
    CheckpointContents,
    checkpoint_file,
    read_checkpoint,
)
from qa_lightning.answerer.loading import Reader, reader_from_checkpoint, settings_of
from qa_lightning.errors import InputError
from qa_lightning.exporting.card import model_card
from qa_lightning.exporting.onnx_folder import check_onnx_is_there, write_onnx, write_settings
from qa_lightning.folders import folder_problems, stream_problems, whole_folder
from qa_lightning.ranges import Rule, check, one_of
from qa_lightning.saved import write_tokenizer_files

CARD = "README.md"
RULES: dict[str, Rule] = {
    "format": one_of(("transformers", "onnx")),
    "quantize": one_of(("int8",), optional=True),
}
_REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_EVALUATION = Path("answers") / "val" / "scores.json"
_SPLIT_OF_STAGE = {"val": "validation", "test": "test"}


def export_checkpoint(
    source: str | Path,
    output: str | Path,
    *,
    file_format: str = "transformers",
    quantization: str | None = None,
    scores_file: str | Path | None = None,
    license_id: str | None = None,
) -> Path:
    """Write a checkpoint for others to read; the folder appears whole or not at all.

    As ``transformers`` it holds the weights (safetensors), ``config.json``, the tokenizer's files,
    ``README.md`` (the model card) and ``qa_lightning.json``: window sizes, threshold and
    temperature, which ``QuestionAnswerer`` reads and transformers ignores. As ``onnx`` it holds
    ``model.onnx``, ``tokenizer.json``, the same two, and ``answer.py``, which answers with
    onnxruntime, numpy and tokenizers alone; its logits and answers are compared with the
    checkpoint's first.

    Args:
        source: a ``.ckpt`` file, or a run's folder.
        output: a folder that does not exist, or is empty.
        file_format: ``transformers`` or ``onnx``.
        quantization: ``int8`` for the weights of an ``onnx`` one; None is float32.
        scores_file: a ``scores.json`` for the card; None is that of the run's last validation, if
            it was of this checkpoint.
        license_id: the licence for the card, by its id on the Hub (``apache-2.0``).

    Returns:
        The folder.

    Raises:
        InputError: there is no such checkpoint, its network has diverged or cannot be written as
            asked, or the folder is in use.
    """
    check(RULES, {"format": file_format, "quantize": quantization}, prefix="--")
    if file_format == "onnx":
        check_onnx_is_there()
    elif quantization is not None:
        raise InputError(
            f"Expected `--format onnx` with `--quantize {quantization}`; got {file_format}, whose "
            "weights are in float32."
        )
    file = checkpoint_file(source)
    if file is None:
        raise InputError(
            f"Expected a checkpoint written by `lightning fit`, or the folder of its run; "
            f"{str(source)!r} is neither."
        )
    folder = Path(output).expanduser()
    for problem in folder_problems(folder, "--output"):
        raise InputError(problem)
    contents = read_checkpoint(file)
    scores = read_scores(contents, scores_file)
    reader = reader_from_checkpoint(contents)
    # Weights may be finite, and nothing that is computed from them: it has to answer once.
    QuestionAnswerer(reader, device="cpu").answer("a", "a")
    settings = settings_of(reader) | {"format": 1, "measured_on": _split_of(scores_file)}
    settings["scores"] = _finite(scores)
    with whole_folder(folder, "--output") as scratch:
        usage: str | None = None  # that of transformers
        if file_format == "onnx":
            usage = write_onnx(reader, settings, scratch, quantization=quantization)
        else:
            _write(contents, reader, settings, scratch)
        card = model_card(contents, settings | {"license": license_id}, usage)
        (scratch / CARD).write_text(card, encoding="utf-8")
    return folder


def push_to_hub(folder: str | Path, repository: str, *, private: bool = False) -> str:
    """Upload an exported folder to the Hub; return its address.

    Raises:
        InputError: the Hub cannot be reached, or does not let in who asks.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload the model")
    except OSError as error:  # of the network, and all of the Hub's answers
        raise InputError(
            f"Expected to upload to {repository}; {folder} is written, but the Hub refused: "
            f"{' '.join(str(error).split())}"
        ) from error
    return f"https://huggingface.co/{repository}"


def check_repository(name: str) -> None:
    """Refuse what cannot name a repository of the Hub, before anything is written.

    Raises:
        InputError: it cannot.
    """
    if not _REPOSITORY.fullmatch(name):
        raise InputError(
            f"Expected `--push_to_hub` to be a repository such as user/name; got {name!r}."
        )


def read_scores(contents: CheckpointContents, scores_file: str | Path | None) -> dict[str, Any]:
    """Return the scores of a checkpoint: of a file, of its run, or the monitored one alone.

    Raises:
        InputError: the named file is not there, or holds no scores.
    """
    if scores_file is not None:
        return _scores_of(Path(scores_file))
    in_run = contents.path.resolve().parent.parent / _EVALUATION
    if in_run.is_file():
        scores = _scores_of(in_run)
        if scores.get("global_step") == contents.global_step:
            return scores
    if contents.best_score is None or contents.monitor is None:
        return {}
    return {contents.monitor.rpartition("/")[2]: contents.best_score}


def _scores_of(path: Path) -> dict[str, Any]:
    try:
        for problem in stream_problems(path):
            raise ValueError(problem)
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"Expected a `scores.json` at {path}; it could not be read: {error}"
        ) from error


def _split_of(scores_file: str | Path | None) -> str | None:
    """Return the split that scores are of, by the folder they lie in; None: nobody knows."""
    if scores_file is None:
        return "validation"
    return _SPLIT_OF_STAGE.get(Path(scores_file).resolve().parent.name)


def _write(
    contents: CheckpointContents, reader: Reader, settings: Mapping[str, Any], folder: Path
) -> None:
    write_tokenizer_files(contents.tokenizer_files, folder)
    reader.network.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod((folder / "config.json").stat().st_mode)  # they are made for the owner alone
    write_settings(settings, folder)


def _finite(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in scores.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
