"""The settings beside a model's weights: what ``qa-lightning export`` wrote, or what fits it."""

import json
import logging
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from qa_lightning.backbones import longest_window, trained_length
from qa_lightning.errors import InputError
from qa_lightning.features import NOTHING_BETWEEN, layout_of
from qa_lightning.saved import reason, settings_problems

log = logging.getLogger(__name__)

SETTINGS_FILE = "qa_lightning.json"
_LONGFORMER_TOKENS = 4096  # a window that all published Longformers take
_OTHER_TOKENS = 384


def stored_settings(name: str, revision: str | None) -> dict[str, Any]:
    """Return what ``qa-lightning export`` wrote beside the weights, if it did."""
    file = cached_file(
        name,
        SETTINGS_FILE,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    if file is None:
        return {}
    try:
        stored = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"Expected settings as `qa-lightning export` writes them in {file}; it cannot be read: "
            f"{reason(error)}. Export anew, or remove it: the defaults are used then."
        ) from error
    groups = stored if isinstance(stored, dict) else {"windows": stored}
    problems = list(settings_problems(groups.get("windows", {}), groups.get("decision", {})))
    if not isinstance(groups.get("language"), str | None):
        problems.append(f"`language` is {groups['language']!r}, no word")
    if problems:
        raise InputError(
            f"Expected settings as `qa-lightning export` writes them in {file}; "
            f"{'; '.join(problems)}. Export anew, or remove it: the defaults are used then."
        )
    return groups


def default_windows(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return window sizes for a model of which only the architecture is known.

    Windows are as long as it was made for; where nothing says, as those of transformers' examples.
    """
    made_for = longest_window(network) or trained_length(network.config) or _OTHER_TOKENS
    wanted = _LONGFORMER_TOKENS if network.config.model_type == "longformer" else made_for
    length = min(wanted, made_for, tokenizer.model_max_length)
    return {
        "max_length": length,
        "doc_stride": min(128, length // 3),
        "max_question_length": min(64, length // 3),
        "token_types": _tells_texts_apart(tokenizer),
    }


def warn_of_nothing_between(tokenizer: PreTrainedTokenizerBase) -> None:
    """Tell of a tokenizer that joins question and context without a token between them."""
    if not layout_of(tokenizer, "auto").between:
        log.warning(
            NOTHING_BETWEEN, type(tokenizer).__name__, "The model is used as it was trained"
        )


def _tells_texts_apart(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer's own pairs have token types; the network was trained with those.

    The network's config does not tell: a RoBERTa of two types may have seen one alone.
    """
    return any(tokenizer("a", "a", return_token_type_ids=True)["token_type_ids"])
