"""A checkpoint, an exported folder or a Hub id → network, tokenizer and settings."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as hub_logging

from qa_lightning.answerer.checkpoints import (
    CheckpointContents,
    checkpoint_file,
    read_checkpoint,
    tokenizer_from_files,
)
from qa_lightning.answerer.stored import default_windows, stored_settings, warn_of_nothing_between
from qa_lightning.answers import DEFAULT_WINDOW_SCORING, WINDOW_SCORINGS
from qa_lightning.attention import (
    check_padding_side,
    has_sliding_layers,
    pin_bigbird_attention,
    use_windowed_attention,
)
from qa_lightning.backbones import (
    any_config,
    build_network,
    longest_window,
    network_class,
    network_config,
)
from qa_lightning.batches import GlobalAttention
from qa_lightning.candidates import MAX_N_BEST, SEARCHES
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings
from qa_lightning.folders import check_checkpoint_is_there
from qa_lightning.ranges import Rule, check, flag, number, one_of, whole
from qa_lightning.saved import reason, weight_problems

DECISION_RULES: dict[str, Rule] = {
    "n_best": whole(1, MAX_N_BEST),
    "max_answer_length": whole(1),
    "window_scoring": one_of(WINDOW_SCORINGS),
    "search": one_of(SEARCHES),
    "no_answer": flag(),
    "temperature": number(above=0),
}
_WINDOW_KEYS = ("max_length", "doc_stride", "max_question_length", "separators")


@dataclass(frozen=True)
class DecisionSettings:
    """Hold how spans are searched and decided; the names and meanings of the evaluation's.

    Attributes:
        n_best: spans that take part in a question's confidences, at least.
        max_answer_length: in tokens.
        window_scoring: what makes windows comparable (see ``answers.select_answers``).
        search: ``exact`` or ``top_k``.
        word_borders: answers begin and end where words do (``borders.word_borders``).
        no_answer: whether a question may have none.
        null_score_threshold: no answer where the null odds are greater; None is 0.
        temperature: divides the scores in the softmax of the confidences.
    """

    n_best: int = 20
    max_answer_length: int = 30
    window_scoring: str = DEFAULT_WINDOW_SCORING
    search: str = "exact"
    word_borders: bool = False
    no_answer: bool = False
    null_score_threshold: float | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check(DECISION_RULES, vars(self), prefix="")

    @classmethod
    def from_evaluation(cls, state: Mapping[str, Any]) -> "DecisionSettings":
        """Take what the state of ``AnswerEvaluation`` says, and defaults for the rest."""
        keys = "n_best", "max_answer_length", "window_scoring", "search"
        known = {key: state[key] for key in keys if state.get(key) is not None}
        return cls(
            **known,
            word_borders=bool(state.get("word_borders")),
            no_answer=bool(state.get("no_answer")),
            null_score_threshold=state.get("threshold"),
            temperature=float(state.get("temperature") or 1.0),
        )


@dataclass(frozen=True)
class Reader:
    """Hold a network that reads, and all it needs to.

    Attributes:
        network: any question-answering model of transformers; it is read without dropout.
        tokenizer: a fast one.
        windows: how documents are cut.
        decision: how answers are chosen.
        token_types: whether it was trained with token types.
        global_attention: which tokens attend globally (Longformers only).
        language: ISO code of the training data's language, if known.
        origin: where it was loaded from.
        own: whether nobody else holds the network, who may train it (see ``FollowedNetwork``).
        lock: held while the tokenizer works.
    """

    network: PreTrainedModel = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)
    windows: WindowSettings
    decision: DecisionSettings
    token_types: bool
    global_attention: GlobalAttention
    language: str | None
    origin: str
    own: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        longest, windows = longest_window(self.network), self.windows
        if longest is not None and windows.max_length > longest:
            raise InputError(
                f"Expected windows of at most {longest} tokens, the network's positions; got "
                f"`max_length` {windows.max_length}."
            )
        if windows.doc_stride >= windows.max_length:
            raise InputError(
                f"Expected `doc_stride`, the overlap of windows, below their `max_length` "
                f"({windows.max_length}); got {windows.doc_stride}."
            )

    @property
    def is_longformer(self) -> bool:
        """Whether global attention means anything to the network."""
        return bool(self.network.config.model_type == "longformer")


def load_reader(
    source: str | Path, *, revision: str | None = None, dtype: torch.dtype = torch.float32
) -> Reader:
    """Load a Lightning checkpoint, a run's folder, an exported folder, or a Hub id.

    Args:
        source: a ``.ckpt`` file, a folder, or the Hub id of a question-answering model.
        revision: branch, tag or commit on the Hub.
        dtype: of the weights.

    Raises:
        InputError: there is none, or it cannot answer questions.
    """
    file = checkpoint_file(source)
    if file is not None:
        return reader_from_checkpoint(read_checkpoint(file), dtype=dtype)
    name = str(source)
    check_checkpoint_is_there(name)
    if name.startswith("~"):
        name = str(Path(name).expanduser())
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        if (Path(name) / "model.onnx").is_file():
            raise InputError(
                f"Expected a checkpoint or a model in {name}; it is a graph that `export --format "
                "onnx` wrote, which its own `answer.py` runs by onnxruntime. Name the checkpoint "
                "that it was made from, or export that without `--format onnx`."
            )
        raise InputError(
            f"Expected a checkpoint or a model in {name}; it holds neither `checkpoints/best.ckpt` "
            "(what `lightning fit` writes) nor `config.json` (what transformers writes)."
            f"{_deeper(Path(name))}"
        )
    return _load_pretrained(name, revision, dtype)


def _deeper(folder: Path) -> str:
    """Return a sentence with a checkpoint that lies somewhere below a folder, if one does."""
    file = next((path for path in folder.glob("*/**/*.ckpt")), None)
    return "" if file is None else f" There are some deeper, such as {file}: name one of them."


def reader_from_checkpoint(
    contents: CheckpointContents, *, dtype: torch.dtype = torch.float32
) -> Reader:
    """Build network and tokenizer from a checkpoint's contents."""
    try:
        config = network_config(contents.config)
        with torch.device("meta"):
            empty = build_network(config)
    except InputError as error:
        raise InputError(f"The checkpoint at {contents.path} holds no network: {error}") from error
    for problem in weight_problems(contents.weights, empty.state_dict()):
        raise InputError(
            f"Expected all weights of its {config.model_type} in {contents.path}; {problem}. It "
            "would answer at random: take another checkpoint."
        )
    with _without_bars():
        network = type(empty).from_pretrained(
            None, config=config, state_dict=dict(contents.weights), dtype=dtype
        )
    # Flex computes the same, but is slow where there is no GPU.
    windowed = config.model_type == "longformer" or has_sliding_layers(network)
    if windowed and contents.attention in ("windowed", "flex"):
        use_windowed_attention(network)
    elif config.model_type == "big_bird":
        pin_bigbird_attention(network)
    network.train(False)
    return Reader(
        network=network,
        tokenizer=tokenizer_from_files(contents.tokenizer_files),
        decision=DecisionSettings.from_evaluation(contents.fitted),
        origin=str(contents.path),
        **_window_settings(contents.windows),
    )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Hide transformers' bar for weights that are in memory, which a notebook would keep."""
    shown = hub_logging.is_progress_bar_enabled()
    hub_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            hub_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def settings_of(reader: Reader) -> dict[str, Any]:
    """Return the settings of a reader that transformers' own files have no place for."""
    windows = {key: getattr(reader.windows, key) for key in _WINDOW_KEYS}
    return {
        "windows": windows
        | {"token_types": reader.token_types, "global_attention": reader.global_attention},
        "decision": dict(vars(reader.decision)),
        "language": reader.language,
    }


def _decision(values: Mapping[str, Any]) -> DecisionSettings:
    """Take what is known: another release may have had other settings."""
    known = DecisionSettings.__dataclass_fields__.keys() & values.keys()
    return DecisionSettings(**{key: values[key] for key in known})


def _window_settings(windows: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "windows": WindowSettings(**{key: windows[key] for key in _WINDOW_KEYS if key in windows}),
        "token_types": bool(windows.get("token_types", True)),
        "global_attention": windows.get("global_attention", "question"),
        "language": windows.get("language"),
    }


def _load_pretrained(name: str, revision: str | None, dtype: torch.dtype) -> Reader:
    try:
        config = any_config(name, revision)
        network, report = cast(Any, network_class(config)).from_pretrained(
            name,
            config=config,
            revision=revision or "main",
            dtype=dtype,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except InputError:
        raise
    except Exception as error:  # safetensors, torch and transformers each raise their own
        found = "" if Path(name).is_dir() else " is no folder here, and as a Hub id it"
        raise InputError(
            "Expected a checkpoint, a folder with a question-answering model, or such a model's "
            f"Hub id; {name!r}{found} could not be loaded: {reason(error)}"
        ) from None  # torch's own text advises to trust the file
    untrained = sorted(key for key in report["missing_keys"] if not key.endswith("position_ids"))
    if untrained:
        raise InputError(
            f"Expected a model trained to answer questions; {name!r} has no weights for "
            f"{', '.join(untrained[:3])} and would answer at random. Train it by `lightning fit "
            f"--model.model_name_or_path {name}`."
        )
    for problem in weight_problems(network.state_dict()):
        raise InputError(f"Expected the weights of a trained network in {name!r}; {problem}.")
    if config.model_type == "longformer" or has_sliding_layers(network):
        use_windowed_attention(network)
    elif config.model_type == "big_bird":
        check_padding_side(config.model_type, tokenizer.padding_side)
        pin_bigbird_attention(network)
    stored = stored_settings(name, revision)
    if "separators" not in stored.get("windows", {}):
        warn_of_nothing_between(tokenizer)
    windows = default_windows(network, tokenizer) | stored.get("windows", {})
    return Reader(
        network=cast(PreTrainedModel, network.eval()),
        tokenizer=tokenizer,
        decision=_decision(stored.get("decision", {})),
        origin=name,
        **_window_settings({**windows, "language": stored.get("language")}),
    )
