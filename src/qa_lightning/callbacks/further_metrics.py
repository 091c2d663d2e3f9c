"""Further metrics of `evaluate`, beside the official ones."""

from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Real
from typing import Any

from qa_lightning.errors import InputError


def further_figures(
    names: Sequence[str], predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return the figures of metrics that ``evaluate.load`` finds, as ``<metric>_<figure>``.

    A metric that takes SQuAD rows gets rows, of SQuAD 2 if it wants them: the answers are decided,
    so that the no-answer probability is 1 where none is given, else 0. Any other metric gets each
    predicted text with its gold texts, questions without a gold text left out; where that leaves
    nothing, it has no figures.

    Args:
        names: Hub ids or folders of metrics.
        predictions: texts by id.
        gold: gold texts by id.

    Raises:
        InputError: there is no such metric, or it cannot score texts.
    """
    figures: dict[str, float] = {}
    for name in names:
        metric = _load(name)
        inputs = _inputs(metric, predictions, gold)
        if not inputs["references"]:
            continue
        try:
            result = dict(metric.compute(**inputs))
        except Exception as error:  # whatever a script of the user's own may raise
            raise InputError(
                f"Expected a metric of texts in `evaluation.metrics`; {name!r} could not score "
                f"the answers: {_reason(error)}"
            ) from error
        short = name.rstrip("/").rsplit("/", 1)[-1]
        numbers = {key: value for key, value in result.items() if isinstance(value, Real)}
        figures |= {f"{short}_{key}": float(value) for key, value in numbers.items()}
    return figures


@cache
def _load(name: str) -> Any:
    import evaluate  # takes seconds

    try:
        return evaluate.load(name, keep_in_memory=True)
    except Exception as error:  # of the hub, of the file system, or of the script
        raise InputError(
            f"Expected `evaluation.metrics` to name metrics that `evaluate.load` finds; {name!r} "
            f"could not be loaded: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    """Return what an error is and the first line of what it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _inputs(
    metric: Any, predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]
) -> dict[str, list[Any]]:
    expected = str(metric.features)
    if "prediction_text" in expected:
        rows: list[Any] = [{"id": name, "prediction_text": predictions[name]} for name in gold]
        if "no_answer_probability" in expected:
            rows = [
                row | {"no_answer_probability": float(not row["prediction_text"])} for row in rows
            ]
        return {
            "predictions": rows,
            "references": [
                {"id": name, "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}
                for name, texts in gold.items()
            ],
        }
    answerable = {name: texts for name, texts in gold.items() if texts}
    takes_many = "List(" in expected or "Sequence(" in expected
    return {
        "predictions": [predictions[name] for name in answerable],
        "references": [list(texts) if takes_many else texts[0] for texts in answerable.values()],
    }
