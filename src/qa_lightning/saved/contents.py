"""A checkpoint's values → what ``lightning fit`` saved of a run, checked."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qa_lightning.bounds import plain_problem
from qa_lightning.errors import InputError
from qa_lightning.saved.reading import read_saved

_NETWORK = "network."
_MOST_STEPS = 10**12


@dataclass(frozen=True)
class SavedRun:
    """Hold what a checkpoint says of the run that wrote it.

    Attributes:
        path: the file.
        model: the module's arguments; ``config`` is the network's.
        windows: the datamodule's state: ``max_length``, ``doc_stride``, …
        tokenizer_files: file name to text.
        evaluation: the evaluation's state: ``threshold``, ``temperature``, ``n_best``, …
        data: the datamodule's arguments.
        weights: the network's tensors, by the names that the network has for them.
        values: all of the file.
    """

    path: Path
    model: Mapping[str, Any]
    windows: Mapping[str, Any]
    tokenizer_files: Mapping[str, str] = field(repr=False)
    evaluation: Mapping[str, Any]
    data: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)


def read_run(path: str | Path) -> SavedRun:
    """Read a checkpoint of ours; its tensors stay in the file until they are used.

    Raises:
        InputError: there is none, or it was not written by ``lightning fit``.
    """
    return saved_run(read_saved(path), Path(path))


def saved_run(values: Mapping[str, Any], path: Path) -> SavedRun:
    """Return what a checkpoint's values say of its run.

    Raises:
        InputError: they are not what ``lightning fit`` stores.
    """
    model = values.get("hyper_parameters") or {}
    states = [state for state in values.values() if isinstance(state, dict)]
    windows = next((state for state in states if "tokenizer_files" in state), None)
    weights = {
        name.removeprefix(_NETWORK): tensor
        for name, tensor in (values.get("state_dict") or {}).items()
        if isinstance(name, str) and name.startswith(_NETWORK)
    }
    if windows is None or not weights or not model.get("config"):
        raise InputError(
            f"Expected a checkpoint written by `lightning fit` at {path}; found one without "
            "network, config or tokenizer of ours. For a model of transformers give its folder or "
            "its Hub id."
        )
    run = SavedRun(
        path=path,
        model=model,
        windows={key: value for key, value in windows.items() if key != "tokenizer_files"},
        tokenizer_files=windows["tokenizer_files"],
        evaluation=_evaluation(values),
        data=values.get("datamodule_hyper_parameters") or {},
        weights=weights,
        values=values,
    )
    problems = list(_problems(run))
    if problems:
        raise InputError(
            f"Expected a checkpoint as `lightning fit` writes it at {path}; {'; '.join(problems)}. "
            "Name another."
        )
    return run


def _problems(run: SavedRun) -> Iterator[str]:
    groups = {"model": run.model, "windows": run.windows, "data": run.data}
    for name, group in groups.items():
        if problem := plain_problem(group):
            yield f"of its {name}: {problem}"
    for key in ("epoch", "global_step"):
        if not _is_size(count := run.values.get(key) or 0) or count > _MOST_STEPS:
            yield f"its `{key}` should be a number from 0 and is {count!r:.40}"
    config, files = run.model["config"], run.tokenizer_files
    if not isinstance(config, dict):
        yield f"its network's config is a {type(config).__name__}, not keys and values"
    if run.model.get("model_name_or_path") is not None:
        yield "it names a network elsewhere, where its own config should stand"
    if not isinstance(files, dict) or not all(isinstance(t, str) for t in files.values()):
        yield "its tokenizer's files are not names and texts"
    yield from settings_problems(run.windows, run.evaluation)


def _evaluation(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of the evaluation callback: the one that knows a temperature."""
    states = (values.get("callbacks") or {}).values()
    return next((dict(s) for s in states if isinstance(s, dict) and "temperature" in s), {})


def settings_problems(windows: Any, decision: Any) -> Iterator[str]:
    """Yield a clause for each setting, out of a file, that is not of its kind.

    Args:
        windows: how documents are cut; keys may be absent.
        decision: how answers are chosen; likewise.
    """
    for name, group, table in (
        ("windows", windows, _WINDOWS),
        ("decision", decision, _DECISION),
    ):
        if not isinstance(group, Mapping):
            yield f"`{name}` is a {type(group).__name__}, not keys and values"
            continue
        for key, (wanted, holds) in table.items():
            if key in group and not holds(group[key]):
                yield f"`{key}` should be {wanted} and is {str(group[key])[:40]!r}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_size(value: Any) -> bool:
    return value == 0 or _is_count(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_temperature(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _is_separators(value: Any) -> bool:
    return isinstance(value, int | str) and value in ("auto", 2, 3)


def _is_attention(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_size, value)))


_COUNT = ("a number from 1", _is_count)
_FLAG = ("true or false", _is_flag)
_TEXT = ("a text or none", _is_text_or_none)
_THRESHOLD = ("a number or none", _is_number_or_none)

_WINDOWS = {
    "max_length": _COUNT,
    "doc_stride": ("a number from 0", _is_size),
    "max_question_length": _COUNT,
    "separators": ("auto, 2 or 3", _is_separators),
    "token_types": _FLAG,
    "global_attention": ("a word or a list of columns", _is_attention),
    "language": _TEXT,
}
_DECISION = {
    "n_best": _COUNT,
    "max_answer_length": _COUNT,
    "window_scoring": _TEXT,
    "search": _TEXT,
    "no_answer": _FLAG,
    "threshold": _THRESHOLD,
    "null_score_threshold": _THRESHOLD,
    "temperature": ("a number above 0", _is_temperature),
}
