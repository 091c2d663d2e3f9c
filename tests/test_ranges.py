"""Each argument says what it may be, and what it may not be is told."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from qa_lightning import AnswerEvaluation, QADataModule, QAModule
from qa_lightning.callbacks import BestCheckpoint, PredictionWriter, RunTracking, checkpoints
from qa_lightning.callbacks import evaluation as evaluation_room
from qa_lightning.callbacks import predictions as predictions_room
from qa_lightning.callbacks import tracking as tracking_room
from qa_lightning.datamodule.settings import RULES as DATA_RULES
from qa_lightning.errors import InputError
from qa_lightning.model import RULES as MODEL_RULES
from qa_lightning.objectives.choice import RULES as OBJECTIVE_RULES
from qa_lightning.ranges import Rule, flag, number, one_of, problems, text, whole

WRONG = [0, -1, 10**12, math.inf, -math.inf, math.nan, "", " ", "a\0b", [], {}, None, "x", True]
WRONG += [1.5, [None], object(), b"x", (1, 2, 3)]

# By constructor: its table, and the arguments that have checks of their own.
TABLES: dict[Callable[..., Any], tuple[str, Mapping[str, Rule], set[str]]] = {
    QADataModule: (
        "data.",
        DATA_RULES,
        # Data in memory and tokenizers are objects; languages and global attention are
        # looked up.
        {"dataset", "language", "global_attention", "train", "validation", "test", "predict"},
    ),
    QAModule: ("model.", {**MODEL_RULES, **OBJECTIVE_RULES}, {"lora"}),
    AnswerEvaluation: ("evaluation.", evaluation_room.RULES, set()),
    BestCheckpoint: ("checkpoint.", checkpoints.RULES, set()),
    RunTracking: ("tracking.", tracking_room.RULES, set()),
    PredictionWriter: ("prediction.", predictions_room.RULES, set()),
}


@pytest.mark.parametrize("build", TABLES)
def test_every_argument_has_a_rule_and_its_default_keeps_it(build: Callable[..., Any]) -> None:
    _, rules, own = TABLES[build]
    parameters = inspect.signature(build).parameters
    assert parameters.keys() - own - rules.keys() == set()
    for name, rule in rules.items():
        if name in parameters:
            assert rule.allows(parameters[name].default), name


@pytest.mark.parametrize("build", TABLES)
def test_no_wrong_value_comes_through_a_constructor_otherwise_than_told(
    build: Callable[..., Any],
) -> None:
    prefix, rules, own = TABLES[build]
    needed = {"config": {"hidden_size": 16}} if build is QAModule else {}
    told = 0
    for name in inspect.signature(build).parameters:
        for value in WRONG:
            message = _message_of(build, {**needed, name: value})
            if message is None:
                assert name in own or rules[name].allows(value), (name, value)
            else:
                assert prefix + name in message or "both" in message or name in own, (name, value)
                told += 1
    assert told > 8 * len(rules)


def _message_of(build: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    try:
        build(**arguments)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        (whole(1, 3), [1, 3], [0, 4, 1.0, True, "1", None, math.nan]),
        (whole(0, optional=True), [0, None, 2**31 - 1], [-1, 2**31]),
        (number(0, 1), [0, 1, 0.5], [-1e-9, 1.1, math.nan, math.inf, True, "0", None]),
        (number(above=0), [1e-300, 1e30], [0, -1, math.inf, math.nan]),
        (number(0, below=1), [0, 0.999], [1, -0.1]),
        (number(optional=True), [None, -1e9], [-math.inf, "x", []]),
        (one_of(("auto", 2)), ["auto", 2], [2.0, True, None, [], "2"]),
        (one_of((1,)), [1], [True, 1.0]),
        (text(), ["x", None], ["", " \t", 0, "a\0"]),
        (text(optional=False), ["x"], [None]),
        (flag(), [True, False], [0, 1, "true", None]),
    ],
)
def test_rules(rule: Rule, allowed: list[Any], refused: list[Any]) -> None:
    assert [value for value in allowed if not rule.allows(value)] == []
    assert [value for value in refused if rule.allows(value)] == []


def test_what_is_told_is_short_and_names_expected_found_and_remedy() -> None:
    rules = {"share": number(0, 1, remedy="It is a share."), "name": text(), "count": whole(1)}
    settings = {"share": math.inf, "name": " " * 10_000, "count": "x", "other": None}
    share, name, count = problems(rules, settings, prefix="data.")
    assert share == "Expected `data.share` to be a number from 0 to 1; got inf. It is a share."
    assert len(name) < 250
    assert "Leave it out" in name
    assert count == "Expected `data.count` to be a whole number of at least 1; got 'x'."
