"""Windows → candidates: the network, in batches of like length, nothing kept but the best spans."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from qa_lightning.answerer.cutting import WindowRows
from qa_lightning.answerer.deciding import DIVERGED
from qa_lightning.answerer.devices import Portions
from qa_lightning.answerer.loading import DecisionSettings, Reader
from qa_lightning.backbones import FollowedNetwork, model_inputs, span_logits
from qa_lightning.batches import WindowCollator, WindowDataset, word_masks
from qa_lightning.candidates import (
    TokenCandidates,
    WindowCandidates,
    to_characters,
    window_candidates,
)
from qa_lightning.errors import InputError


class WindowRunner:
    """Run a reader's network over windows; it holds no state, threads may share it.

    Args:
        reader: network and settings.
        device: where the network is.
        portions: how windows are put together to batches.
        numbers: that products multiply (see ``backbones.fast_network``).
    """

    def __init__(
        self,
        reader: Reader,
        device: torch.device,
        *,
        portions: Portions,
        numbers: torch.dtype = torch.float32,
    ) -> None:
        self._network = FollowedNetwork(reader.network, numbers=numbers, own=reader.own)
        self._bf16 = numbers == torch.bfloat16
        self._decision = reader.decision
        self._device = device
        self._portions = portions
        inputs = model_inputs(reader.network)
        self._collate = WindowCollator.for_tokenizer(
            reader.tokenizer,
            token_types=reader.token_types and "token_type_ids" in inputs,
            global_attention=reader.global_attention if reader.is_longformer else None,
        )

    def with_decision(self, decision: DecisionSettings) -> "WindowRunner":
        """Return one that shares the network and looks for other spans."""
        other = copy.copy(self)
        other._decision = decision
        return other

    def candidates(self, features: WindowRows, *, n_best: int) -> WindowCandidates:
        """Return the ``n_best`` candidates of each window, in the windows' order."""
        windows = WindowDataset(features, borders=self._decision.word_borders)
        network, found = self._network.now(), [TokenCandidates.empty(n_best)]
        with torch.inference_mode():
            for rows in self._portions.of(windows.lengths()):
                batch = self._collate(windows.__getitems__(rows))
                found.append(self._run(network, batch, n_best))
        joined = TokenCandidates(*map(torch.cat, zip(*found, strict=True)))
        return to_characters(joined, features)

    def probabilities(self, features: WindowRows) -> NDArray[np.float32]:
        """Return how likely an answer begins, and ends, with each context token of one window.

        Returns:
            Two rows, 0 to 1; the rest to 1 is of the question's and the special tokens.
        """
        windows = WindowDataset(features, borders=False)
        batch = self._collate(windows.__getitems__([0]))
        with torch.inference_mode():
            logits = self._logits(self._network.now(), batch)
        is_context = batch["context_mask"][0].bool()
        rows = [tensor[0].float().softmax(-1).cpu()[is_context] for tensor in logits]
        found: NDArray[np.float32] = torch.stack(rows).numpy()
        return found

    def _logits(self, network: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        batch = {name: tensor.to(self._device) for name, tensor in batch.items()}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            logits = span_logits(network, batch)
        if any(tensor[batch["attention_mask"] > 0].isnan().any() for tensor in logits):
            raise InputError(DIVERGED)
        return logits

    def _run(
        self, network: PreTrainedModel, batch: dict[str, Tensor], n_best: int
    ) -> TokenCandidates:
        batch = {name: tensor.to(self._device) for name, tensor in batch.items()}
        logits = self._logits(network, batch)
        candidates = window_candidates(
            *logits,
            context_mask_bl=batch["context_mask"],
            attention_mask_bl=batch["attention_mask"],
            cls_positions_b=batch["cls_positions"],
            feature_index_b=batch["feature_index"],
            n_best=n_best,
            max_answer_length=self._decision.max_answer_length,
            search=self._decision.search,
            word_masks=word_masks(batch) if self._decision.word_borders else None,
        )
        return TokenCandidates(*(tensor.cpu() for tensor in candidates))
