"""The model card of an exported checkpoint: data, scores, settings and how to use it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from qa_lightning.answerer.checkpoints import CheckpointContents
from qa_lightning.backbones import COMPARE_TYPES, HALVES, OWN_HEADS

_GENERATED = "demo"  # a data set of this package
_SHOWN_SCORES = ("exact_match", "f1")
_DATA_KEYS = (
    "dataset",
    "dataset_config",
    "revision",
    "data_files",
    "train_split",
    "val_split",
    "alignment",
    "negative_windows",
    "batch_size",
    "seed",
)
_TRAINING_KEYS = (
    "objective",
    "label_smoothing",
    "confidence_weighting",
    "learning_rate",
    "head_learning_rate",
    "layer_decay",
    "freeze_embeddings",
    "lora",
    "weight_decay",
    "warmup_ratio",
    "lr_schedule",
)

# What `scores.json` holds beside scores: settings have a table of their own.
_NO_SCORES = (
    *("epoch", "global_step", "examples", "windows_without_label"),
    *("temperature", "threshold", "null_score_threshold"),
)

_GLOBAL_ATTENTION = """
question = torch.tensor([owner == 0 for owner in owners])
question[0] = True  # the question and the first token attend globally
inputs["global_attention_mask"] = question[None].long()"""

_HEAD = (
    """from transformers import AutoModelForQuestionAnswering, AutoTokenizer

model = AutoModelForQuestionAnswering.from_pretrained("THIS_REPOSITORY_OR_FOLDER")""",
    """    outputs = model(**inputs)
start_logits, end_logits = outputs.start_logits, outputs.end_logits""",
)
_OWN_HEAD = (
    """from safetensors.torch import load_file
from transformers import AUTO, AutoTokenizer
from transformers.utils import cached_file

# transformers has no head for this network: two logits a token, by one matrix.
model = AUTO.from_pretrained("THIS_REPOSITORY_OR_FOLDER")
weights = load_file(cached_file("THIS_REPOSITORY_OR_FOLDER", "model.safetensors"))
head = [weights[f"qa_outputs.{name}"] for name in ("weight", "bias")]""",
    """    states = model(**inputs).last_hidden_state
start_logits, end_logits = torch.nn.functional.linear(states, *head).unbind(-1)""",
)
"""Two parts of the example: how to load, and how to get the logits."""


def model_card(
    contents: CheckpointContents, settings: Mapping[str, Any], usage: str | None = None
) -> str:
    """Return the text of a model card: data, scores, settings and how to use it.

    Args:
        contents: of the checkpoint.
        settings: the reader's, its scores and its licence.
        usage: how to use it, of a folder that is not for transformers.
    """
    model_type = _model_type(contents)
    sections = [
        f"---\n{_metadata(contents, settings, is_onnx=usage is not None).to_yaml()}\n---",
        "# Extractive question answering over long documents",
        f"A network of type `{model_type}` that answers a question with a span of the document, "
        f"word for word. Trained with qa_lightning{_origin(contents, settings.get('license'))}",
        "## Scores",
        "\n".join(_score_lines(settings["scores"], settings["measured_on"])),
        "## How to use it",
        usage or _usage(settings, model_type),
        "## How it answers",
        "\n".join(_decision_lines(settings)),
        "## Training",
        "\n".join(_training_lines(contents)),
        "## Network",
        _table("key", "value", ((key, f"`{value}`") for key, value in contents.config.items())),
    ]
    return "\n\n".join(sections) + "\n"


def _model_type(contents: CheckpointContents) -> str:
    return str(contents.config.get("model_type", "longformer"))


def _origin(contents: CheckpointContents, licence: str | None) -> str:
    """Tell what the training started from, and under which licence the result is."""
    base = contents.base_model
    start = f" from `{_short(base)}`" if base else " from random weights"
    if licence:
        return f"{start}. Licence: `{licence}`."
    sources = f"that of `{_short(base)}` and " if base else ""
    return f"{start}. Its licence is not stated: {sources}that of the data decide."


def _short(name: str) -> str:
    """Return a Hub id, or a folder's name without its place on somebody's machine."""
    return Path(name).name if _is_path({"dataset": name}) else name


def _metadata(
    contents: CheckpointContents, settings: Mapping[str, Any], *, is_onnx: bool
) -> ModelCardData:
    scores = settings["scores"]
    model_type = _model_type(contents)
    dataset, base = dataset_name(contents.data), contents.base_model
    results = [
        EvalResult(
            task_type="question-answering",
            dataset_type=dataset,
            dataset_name=dataset,
            metric_type=name,
            metric_value=round(scores[name], 2),
        )
        for name in _SHOWN_SCORES
        if name in scores
    ]
    return ModelCardData(
        model_name=f"{model_type}-question-answering" if results else None,
        language=settings["language"],
        license=settings.get("license"),
        base_model=base if base and not _is_path({"dataset": base}) else None,
        library_name="onnx" if is_onnx else "transformers",
        pipeline_tag="question-answering",
        tags=[model_type, "extractive-question-answering", "qa_lightning"],
        datasets=[dataset] if _is_on_hub(contents.data) else None,
        metrics=list(_SHOWN_SCORES),
        eval_results=results or None,
    )


def dataset_name(data: Mapping[str, Any]) -> str:
    """Return what the training data is called, without a path of somebody's machine."""
    if data.get("data_files"):
        return "local files"
    if data.get("in_memory"):
        return "data in memory"
    return Path(str(data.get("dataset") or "unknown")).name if _is_path(data) else data["dataset"]


def _is_on_hub(data: Mapping[str, Any]) -> bool:
    return not data.get("data_files") and not _is_path(data) and data["dataset"] != _GENERATED


def _is_path(data: Mapping[str, Any]) -> bool:
    # A Hub id has at most one slash.
    name = str(data.get("dataset") or "")
    return not name or name.startswith(("/", ".", "~")) or name.count("/") > 1


def _score_lines(scores: Mapping[str, Any], measured_on: str | None) -> Iterator[str]:
    numbers = {
        name: value
        for name, value in scores.items()
        if isinstance(value, int | float)
        and not name.endswith(("_low", "_high"))
        and name not in _NO_SCORES
        and not name.endswith("total")
    }
    if not numbers:
        yield "None are known."
        return
    rows = []
    for name, value in numbers.items():
        ends = [scores.get(f"{name}_{end}") for end in ("low", "high")]
        interval = "" if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}"
        rows.append((f"`{name}`", f"{value:.6g}", interval))
    yield _table("score", "value", "95 % interval", rows)
    yield ""
    of = f"{scores['examples']:,} questions of " if "examples" in scores else ""
    split = f" Measured on {of}the {measured_on} split." if measured_on else ""
    yield (
        "Exact match and F1 follow the official SQuAD rules, 0 to 100; a suffix names other rules."
        + split
    )


def _usage(settings: Mapping[str, Any], model_type: str) -> str:
    windows = settings["windows"]
    attending = _GLOBAL_ATTENTION if model_type == "longformer" else ""
    loading, logits = _OWN_HEAD if model_type in OWN_HEADS else _HEAD
    auto = "AutoModelForTextEncoding" if model_type in HALVES else "AutoModel"
    typing = _token_types(windows, model_type)
    return f"""```python
from qa_lightning import QuestionAnswerer

answerer = QuestionAnswerer.from_checkpoint("THIS_REPOSITORY_OR_FOLDER")
answer = answerer.answer("QUESTION", "DOCUMENT OF ANY LENGTH")
answer.text, answer.start_char, answer.end_char, answer.confidence
```

With transformers alone, for one window of at most {windows["max_length"]} tokens
{_template_note(windows)}

```python
import torch
{loading.replace("AUTO", auto)}

tokenizer = AutoTokenizer.from_pretrained("THIS_REPOSITORY_OR_FOLDER")
inputs = tokenizer("QUESTION", "DOCUMENT", return_tensors="pt", return_offsets_mapping=True)
offsets = inputs.pop("offset_mapping")[0]
owners = inputs.sequence_ids(0)
context = torch.tensor([owner == 1 for owner in owners]){attending}{typing}
with torch.no_grad():
{logits}
start = start_logits[0].masked_fill(~context, -torch.inf).argmax()
end = end_logits[0].masked_fill(~context, -torch.inf)[start:].argmax() + start
answer = "DOCUMENT"[offsets[start][0] : offsets[end][1]]
```"""


def _template_note(windows: Mapping[str, Any]) -> str:
    if windows["separators"] == "auto":
        return "(longer documents need windows and the comparison of their scores):"
    return (
        f"(trained with {windows['separators']} separators in a window, which the tokenizer's own "
        "template may not put: prefer the above):"
    )


def _token_types(windows: Mapping[str, Any], model_type: str) -> str:
    if not windows["token_types"]:
        return ""
    given = 'inputs["token_type_ids"] = (torch.arange(len(owners)) >= owners.index(1))[None].long()'
    if model_type in COMPARE_TYPES:
        return f"\n{given}  # 0 up to the document, 1 from there"
    return f"""
if getattr(model.config, "type_vocab_size", 0) > 1:  # 0 up to the document, 1 from there
    {given}"""


def _decision_lines(settings: Mapping[str, Any]) -> Iterator[str]:
    rows = [*settings["windows"].items(), *settings["decision"].items()]
    yield _table("setting", "value", ((f"`{key}`", f"`{value}`") for key, value in rows))
    yield ""
    yield (
        "`null_score_threshold` is that of the null odds above which no answer is given (only with "
        "`no_answer`); `temperature` calibrates the confidences. What the training did not set was "
        "chosen on the validation split."
    )


def _training_lines(contents: CheckpointContents) -> Iterator[str]:
    data = dict(contents.data)
    if data.get("data_files"):
        files = data["data_files"].items()
        data["data_files"] = {split: _file_names(value) for split, value in files}
        data["dataset"] = None
    elif _is_path(data):
        data["dataset"] = dataset_name(data)
    chosen = [(key, data.get(key)) for key in _DATA_KEYS]
    chosen += [(key, contents.training.get(key)) for key in _TRAINING_KEYS]
    chosen += [("epoch", contents.epoch), ("optimizer steps", contents.global_step)]
    rows = ((key, f"`{value}`") for key, value in chosen if value is not None)
    yield _table("", "value", rows)


def _file_names(paths: Any) -> list[str]:
    return [Path(path).name for path in ([paths] if isinstance(paths, str) else paths)]


def _table(*parts: Any) -> str:
    """Return a Markdown table; the last argument is its rows, those before it the heads."""
    *heads, rows = parts
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
