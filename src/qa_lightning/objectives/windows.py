"""The loss of each window against its first answer."""

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE_POSITION = -100
"""A gold position of a window that no loss may use (an answer without a trusted span)."""


def mask_padding(logits_bl: Tensor, attention_mask_bl: Tensor) -> Tensor:
    """Return float32 logits whose padding has probability zero.

    Args:
        logits_bl: start or end logits, any floating type.
        attention_mask_bl: 1 (or more, at global tokens) for text, 0 for padding.
    """
    return logits_bl.float().masked_fill(attention_mask_bl == 0, float("-inf"))


def first_answer_loss(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    start_positions_b: Tensor,
    end_positions_b: Tensor,
    attention_mask_bl: Tensor,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return each window's mean of the start and the end cross-entropy against its first answer.

    The formula of BERT's ``run_squad.py`` and of ``LongformerForQuestionAnswering``, but the
    softmax runs over the text alone: in the original it includes padding, so that the length of
    the padding changes the loss.

    Args:
        start_logits_bl: any floating type.
        end_logits_bl: likewise.
        start_positions_b: gold tokens, ``IGNORE_POSITION`` for windows without a label.
        end_positions_b: likewise, inclusive.
        attention_mask_bl: 0 for padding.
        label_smoothing: share of the target, 0 to below 1, that is spread evenly over all tokens
            of the window, the gold one included, and never over padding.

    Returns:
        float32 losses of shape ``[b]``; zero where the position is ``IGNORE_POSITION``.
    """
    losses_b = [
        _cross_entropy(logits_bl, positions_b, attention_mask_bl, label_smoothing)
        for logits_bl, positions_b in (
            (start_logits_bl, start_positions_b),
            (end_logits_bl, end_positions_b),
        )
    ]
    return (losses_b[0] + losses_b[1]) / 2


def _cross_entropy(
    logits_bl: Tensor, positions_b: Tensor, attention_mask_bl: Tensor, label_smoothing: float
) -> Tensor:
    masked_bl = mask_padding(logits_bl, attention_mask_bl)
    gold_b = F.cross_entropy(masked_bl, positions_b, ignore_index=IGNORE_POSITION, reduction="none")
    if not label_smoothing:
        return gold_b
    # torch's own smoothing would spread over the padding, whose log-probability is minus infinity.
    padding_bl = attention_mask_bl == 0
    log_p_bl = F.log_softmax(masked_bl, dim=1).masked_fill(padding_bl, 0.0)
    even_b = -log_p_bl.sum(1) / (~padding_bl).sum(1)
    even_b = torch.where(positions_b == IGNORE_POSITION, 0.0, even_b)
    return (1 - label_smoothing) * gold_b + label_smoothing * even_b
