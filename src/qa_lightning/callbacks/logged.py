"""Which keys a run logs, learned from what logs them, and which of the asked ones it does not."""

import ast
import difflib
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import datasets
import torch

from qa_lightning.alignment import align_examples
from qa_lightning.answers import DEFAULT_WINDOW_SCORING
from qa_lightning.callbacks.assessment import AnswerSettings, assess
from qa_lightning.callbacks.gathering import GatheredWindows
from qa_lightning.candidates import TokenCandidates
from qa_lightning.examples import CANONICAL_FEATURES

_OURS = ("lightning.", "qa_lightning.")
_TEXT = "Lima is a town in Peru."


class _SmallSplit(NamedTuple):
    """Hold a split of four questions that nobody asked."""

    examples: datasets.Dataset
    features: datasets.Dataset


@cache
def evaluation_keys(
    stage: str, *, language: str | None, metrics: Sequence[str] = (), unanswerable: bool = True
) -> frozenset[str]:
    """Return the keys that a whole evaluation logs: those that scoring four answers gives.

    Args:
        stage: ``val`` or ``test``.
        language: that scores are added for.
        metrics: further metrics; they are loaded.
        unanswerable: some questions have no answer.

    Raises:
        InputError: a metric is not there, or scores no texts.
    """
    zeros = torch.zeros(4, 1, dtype=torch.int32)
    candidates = TokenCandidates(
        torch.arange(4), zeros, zeros, torch.zeros(4, 1), torch.zeros(4), torch.ones(4)
    )
    settings = AnswerSettings(
        n_best=1,
        window_scoring=DEFAULT_WINDOW_SCORING,
        threshold=None,
        threshold_is_fixed=False,
        temperature=1.0,
        no_answer=unanswerable,
    )
    result = assess(
        GatheredWindows(candidates, torch.ones(4)),
        _small_split(unanswerable=unanswerable),
        settings=settings,
        fit=stage == "val",
        language=language,
        metrics=metrics,
    )
    return frozenset(f"{stage}/{name}" for name in result.scores)


def _small_split(*, unanswerable: bool) -> _SmallSplit:
    texts = [["Lima"], ["Peru"], ["a town"], [] if unanswerable else ["town"]]
    starts = [[_TEXT.index(text) for text in answers] for answers in texts]
    examples = datasets.Dataset.from_dict(
        {
            "id": ["a", "b", "c", "d"],
            "title": [""] * 4,
            "context": [_TEXT] * 4,
            "question": ["Which?"] * 4,
            "answers": [
                {"text": answers, "answer_start": begin}
                for answers, begin in zip(texts, starts, strict=True)
            ],
        },
        features=CANONICAL_FEATURES,
    )
    examples, _ = align_examples(examples, policy="keep", drop=False)
    number = datasets.Value("int32")
    features = datasets.Dataset.from_dict(
        {"example_index": [0, 1, 2, 3], "context_offsets": [[0, 4, 5, 7]] * 4},
        features=datasets.Features(
            {"example_index": number, "context_offsets": datasets.List(number)}
        ),
    )
    return _SmallSplit(examples, features)


def source_keys(kinds: Iterable[type]) -> frozenset[str] | None:
    """Return the keys that classes log, as their source has them; None: it does not say.

    Args:
        kinds: classes of callbacks and modules.
    """
    keys: set[str] = set()
    for kind in kinds:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
        except (OSError, TypeError, SyntaxError):
            return None
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.args[0] if node.args else None
            if node.func.attr == "log_dict":
                return None
            if node.func.attr == "log":
                if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
                    return None
                keys.add(name.value)
    return frozenset(keys)


def is_ours(kind: type) -> bool:
    """Say whether a class is of Lightning or of this package."""
    return kind.__module__.startswith(_OURS)


def monitor_problems(monitors: Mapping[str, str], logged: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each monitored key that would never come.

    Args:
        monitors: key by who monitors it, in the user's words.
        logged: all keys that the run logs.
    """
    known = sorted(logged)
    partial = {name.replace("val/", "val_partial/") for name in known}
    for who, key in monitors.items():
        if key not in known and key not in partial:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            ends = ("_low", "_high")
            means = [key for key in known if key.startswith("val/") and not key.endswith(ends)]
            yield (
                f"Expected {who} to be a key that is logged; got {key!r}. {hint}Name one of "
                f"{', '.join([*means, 'train/loss'])}."
            )


def partial_problems(monitors: Mapping[str, str], why: str) -> Iterator[str]:
    """Yield a sentence for each key that only whole validations log, in a run without any.

    Args:
        monitors: key by who monitors it, in the user's words.
        why: what leaves windows out.
    """
    for who, key in monitors.items():
        if key.startswith("val/"):
            yield (
                f"Expected whole validations for {who}, which waits for {key!r}; {why}, and their "
                f"scores go under 'val_partial/'. Monitor {key.replace('val/', 'val_partial/')!r}, "
                "or leave the limit out."
            )
