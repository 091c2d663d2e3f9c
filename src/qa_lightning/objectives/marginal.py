"""Losses that any gold place satisfies: within a window, or within all windows of a document.

Start and end are summed independently, as in Clark and Gardner (2018), "Simple and Effective
Multi-Paragraph Reading Comprehension" (arXiv:1710.10723, section 2.2), and in
``or_softmax_cross_entropy_loss_one_doc`` of AllenAI's ``longformer/scripts/triviaqa.py``: the
log-sum-exp of the logits at gold starts, less that of all logits, and likewise for the ends. Pairs
are not summed: a start of one gold span and the end of another count as right as well. A token at
which several gold spans begin counts once, though (AllenAI's counts it as often), since the sum
is to be a probability.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from qa_lightning.objectives.windows import IGNORE_POSITION


def any_answer_loss(
    start_logits_bl: Tensor, end_logits_bl: Tensor, batch: Mapping[str, Tensor]
) -> Tensor:
    """Return each window's mean of start and end ``-log P(any gold place of the window)``.

    A window without a gold span has its label's place, the no-answer token, for the gold one.

    Args:
        start_logits_bl: any floating type.
        end_logits_bl: likewise.
        batch: ``attention_mask``, ``start_positions``, ``end_positions``,
            ``gold_start_positions`` and ``gold_end_positions`` as ``batches`` gives them.

    Returns:
        float32 losses of shape ``[b]``; zero where the label is ``IGNORE_POSITION``.
    """
    window_b = torch.arange(len(start_logits_bl), device=start_logits_bl.device)
    return _shared_loss(start_logits_bl, end_logits_bl, batch, window_b)


def document_loss(
    start_logits_bl: Tensor, end_logits_bl: Tensor, batch: Mapping[str, Tensor]
) -> Tensor:
    """Return each document's mean of start and end ``-log P(any of its gold places)``.

    Clark and Gardner's shared normalisation (section 3.2): one softmax over the text of all
    windows of the document. Only windows that hold a gold span are in the numerator; of a document
    that has none, the no-answer tokens of all its windows are.

    Args:
        start_logits_bl: any floating type.
        end_logits_bl: likewise.
        batch: as for ``any_answer_loss``, and ``document_index`` (int64 [b], from 0).

    Returns:
        float32 losses of shape ``[b]``, of which the document of index ``k`` has place ``k``; zero
        behind the last document (there are at most as many as windows, and to ask how many would
        make the processor wait for the device) and for documents of windows without labels.
    """
    return _shared_loss(start_logits_bl, end_logits_bl, batch, batch["document_index"])


def _shared_loss(
    start_logits_bl: Tensor, end_logits_bl: Tensor, batch: Mapping[str, Tensor], group_b: Tensor
) -> Tensor:
    """Return ``-log P(gold)`` of groups of windows that share one normalisation, [k = b]."""
    labelled_b = batch["start_positions"] != IGNORE_POSITION
    text_bl = (batch["attention_mask"] != 0) & labelled_b[:, None]
    losses_k = []
    for logits_bl, part in ((start_logits_bl, "start"), (end_logits_bl, "end")):
        target_bl = _targets(
            batch[f"gold_{part}_positions"], batch[f"{part}_positions"], group_b, text_bl
        )
        gold_k = _log_total(logits_bl, target_bl, group_b)
        losses_k.append(_log_total(logits_bl, text_bl, group_b) - gold_k)
    return (losses_k[0] + losses_k[1]) / 2


def _targets(gold_bg: Tensor, label_b: Tensor, group_b: Tensor, text_bl: Tensor) -> Tensor:
    """Return the gold places [b, l], or the labels in groups of windows without any."""
    length = text_bl.shape[1]
    gold_bl = _marked(gold_bg, length) & text_bl
    label_bl = _marked(label_b[:, None], length) & text_bl
    count_k = torch.zeros_like(group_b).index_add(0, group_b, gold_bl.sum(1))
    return torch.where((count_k > 0)[group_b, None], gold_bl, label_bl)


def _marked(positions_bg: Tensor, length: int) -> Tensor:
    """Return a mask [b, l] that is true at the positions; negative ones mark nothing."""
    column_bg = torch.where(positions_bg < 0, length, positions_bg)
    mask = torch.zeros(len(positions_bg), length + 1, dtype=torch.bool, device=positions_bg.device)
    return mask.scatter(1, column_bg, True)[:, :length]


def _log_total(logits_bl: Tensor, mask_bl: Tensor, group_b: Tensor) -> Tensor:
    """Return the log-sum-exp of the masked logits of each group, [k = b]; zero for empty ones."""
    masked_bl = logits_bl.float().masked_fill(~mask_bl, float("-inf"))
    top_b = masked_bl.detach().amax(1)
    shift_k = torch.full_like(top_b, float("-inf")).scatter_reduce(0, group_b, top_b, "amax")
    shift_k = shift_k.masked_fill(shift_k == float("-inf"), 0.0)
    sum_b = (masked_bl - shift_k[group_b, None]).exp().sum(1)
    sum_k = torch.zeros_like(sum_b).index_add(0, group_b, sum_b)
    # An empty group's sum is 0, whose log would make the gradients of all others nan.
    return torch.where(sum_k == 0, 1.0, sum_k).log() + shift_k
