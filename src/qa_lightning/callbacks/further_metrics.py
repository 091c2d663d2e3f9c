"""Further metrics of `evaluate`, beside the official ones."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from qa_lightning.errors import InputError


def further_figures(
    names: Sequence[str], predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return the figures of metrics that ``evaluate.load`` finds, as ``<metric>_<figure>``.

    A metric that takes SQuAD rows gets rows; any other gets each predicted text with its gold
    texts, questions without a gold text left out.

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
        try:
            result = metric.compute(**_inputs(metric, predictions, gold))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Expected a metric of texts in `evaluation.metrics`; {name!r} could not score "
                f"the answers: {str(error).splitlines()[0]}"
            ) from error
        short = name.rstrip("/").rsplit("/", 1)[-1]
        numbers = {key: value for key, value in result.items() if isinstance(value, int | float)}
        figures |= {f"{short}_{key}": float(value) for key, value in numbers.items()}
    return figures


@cache
def _load(name: str) -> Any:
    import evaluate  # takes seconds

    try:
        return evaluate.load(name, keep_in_memory=True)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(
            f"Expected `evaluation.metrics` to name metrics that `evaluate.load` finds; {name!r} "
            f"could not be loaded: {str(error).splitlines()[0]}"
        ) from error


def _inputs(
    metric: Any, predictions: Mapping[str, str], gold: Mapping[str, Sequence[str]]
) -> dict[str, list[Any]]:
    if "prediction_text" in str(metric.features):
        return {
            "predictions": [{"id": name, "prediction_text": predictions[name]} for name in gold],
            "references": [
                {"id": name, "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}
                for name, texts in gold.items()
            ],
        }
    answerable = {name: texts for name, texts in gold.items() if texts}
    takes_many = "List(" in str(metric.features) or "Sequence(" in str(metric.features)
    return {
        "predictions": [predictions[name] for name in answerable],
        "references": [list(texts) if takes_many else texts[0] for texts in answerable.values()],
    }
