"""Which objective a run trains with: its options, and what a batch must hold for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qa_lightning.errors import InputError
from qa_lightning.objectives.averaging import mean_over_processes
from qa_lightning.objectives.marginal import any_answer_loss, document_loss
from qa_lightning.objectives.windows import IGNORE_POSITION, first_answer_loss
from qa_lightning.ranges import Rule, number, one_of, problems

OBJECTIVES = ("first_answer", "any_answer", "document")
RULES: dict[str, Rule] = {"objective": one_of(OBJECTIVES), "label_smoothing": number(0, below=1)}

_SOURCES = {
    "gold_start_positions": "`QADataModule(all_gold_spans=True)` gives them",
    "gold_end_positions": "`QADataModule(all_gold_spans=True)` gives them",
    "document_index": "`QADataModule(group_by_document=True)` gives whole documents, numbered",
    "label_weights": "`QADataModule` gives them where there are labels",
}


def objective_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each option of the objective that cannot work.

    Args:
        settings: ``objective``, ``label_smoothing``.
    """
    name, smoothing = settings["objective"], settings["label_smoothing"]
    yield from problems(RULES, settings, prefix="model.")
    if RULES["label_smoothing"].allows(smoothing) and smoothing and name in OBJECTIVES[1:]:
        yield (
            f"Expected `model.label_smoothing` of 0 with `model.objective` {name}, which has no "
            f"one target whose probability could be spread; got {smoothing}. Set it to 0, or use "
            "first_answer."
        )


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Turn logits and a batch's labels into losses.

    Attributes:
        name: one of ``OBJECTIVES``.
        label_smoothing: for ``first_answer``, in training alone (see ``first_answer_loss``).
        confidence_weighting: weigh windows, or documents, by the batch's ``label_weights`` in
            training: the loss is ``sum(weight * loss) / sum(weight)``.
    """

    name: str = "first_answer"
    label_smoothing: float = 0.0
    confidence_weighting: bool = False

    @property
    def _option(self) -> str:
        return f"`model.objective` {self.name}"

    def training_loss(
        self, batch: Mapping[str, Tensor], start_logits_bl: Tensor, end_logits_bl: Tensor
    ) -> Tensor:
        """Return the mean loss of a batch: over labelled windows, or over labelled documents.

        Under several processes it is this process's share of the mean over all of them.

        Raises:
            InputError: the batch lacks what the objective needs.
        """
        weight_b = self._weights(batch)
        if self.name != "document":
            smoothing = self.label_smoothing
            loss_b = self._window_losses(batch, start_logits_bl, end_logits_bl, smoothing)
            return mean_over_processes(loss_b, weight_b)
        _expect(batch, self._option, "gold_start_positions", "gold_end_positions", "document_index")
        # All windows of a document have the weight of its one answer.
        document_b = batch["document_index"]
        weight_k = torch.zeros_like(weight_b).scatter_reduce(0, document_b, weight_b, "amax")
        loss_k = document_loss(start_logits_bl, end_logits_bl, batch)
        return mean_over_processes(loss_k, weight_k)

    def window_losses(
        self, batch: Mapping[str, Tensor], start_logits_bl: Tensor, end_logits_bl: Tensor
    ) -> Tensor:
        """Return the loss of each window for evaluation, [b]; zero without a label.

        Neither smoothed nor weighted, so that runs with different options can be compared. Batches
        of evaluation do not hold documents together: for ``document`` it is ``any_answer``'s.

        Raises:
            InputError: the batch lacks what the objective needs.
        """
        return self._window_losses(batch, start_logits_bl, end_logits_bl, 0.0)

    def _window_losses(
        self,
        batch: Mapping[str, Tensor],
        start_logits_bl: Tensor,
        end_logits_bl: Tensor,
        label_smoothing: float,
    ) -> Tensor:
        if self.name != "first_answer":
            _expect(batch, self._option, "gold_start_positions", "gold_end_positions")
            return any_answer_loss(start_logits_bl, end_logits_bl, batch)
        return first_answer_loss(
            start_logits_bl,
            end_logits_bl,
            batch["start_positions"],
            batch["end_positions"],
            batch["attention_mask"],
            label_smoothing=label_smoothing,
        )

    def _weights(self, batch: Mapping[str, Tensor]) -> Tensor:
        labelled_b = (batch["start_positions"] != IGNORE_POSITION).float()
        if not self.confidence_weighting:
            return labelled_b
        _expect(batch, "`model.confidence_weighting`", "label_weights")
        return labelled_b * batch["label_weights"]


def _expect(batch: Mapping[str, Tensor], option: str, *keys: str) -> None:
    missing = [key for key in keys if key not in batch]
    if not missing:
        return
    names = ", ".join(f"`{key}`" for key in missing)
    sources = "; ".join(dict.fromkeys(_SOURCES[key] for key in missing))
    raise InputError(
        f"Expected batches with {names} for {option}; got batches without. {sources} (the command "
        "line asks for them by itself)."
    )
