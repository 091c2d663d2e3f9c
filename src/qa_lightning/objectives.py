"""Training objectives: logits and gold spans to a loss per window.

Axes: ``b`` windows in the batch, ``l`` tokens. Padding takes no part in any softmax.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from qa_lightning.errors import InputError

IGNORE_POSITION = -100
"""A gold position of a window that no loss may use (an answer without a trusted span)."""

WindowLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


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
) -> Tensor:
    """Return each window's mean of the start and the end cross-entropy against its first answer.

    The formula of BERT's ``run_squad.py`` and of ``LongformerForQuestionAnswering``, but the
    softmax runs over the text alone: in the original it includes padding, so that the length of
    the padding changes the loss.

    Returns:
        float32 losses of shape ``[b]``; zero where the position is ``IGNORE_POSITION``.
    """
    losses_b = [
        F.cross_entropy(
            mask_padding(logits_bl, attention_mask_bl),
            positions_b,
            ignore_index=IGNORE_POSITION,
            reduction="none",
        )
        for logits_bl, positions_b in (
            (start_logits_bl, start_positions_b),
            (end_logits_bl, end_positions_b),
        )
    ]
    return (losses_b[0] + losses_b[1]) / 2


OBJECTIVES: dict[str, WindowLoss] = {"first_answer": first_answer_loss}


def window_loss(name: str) -> WindowLoss:
    """Return the objective of a name.

    Raises:
        InputError: there is no objective of that name.
    """
    try:
        return OBJECTIVES[name]
    except KeyError:
        raise InputError(
            f"Expected `model.objective` to be one of {', '.join(OBJECTIVES)}; got {name!r}."
        ) from None


def labelled_mean(losses_b: Tensor, start_positions_b: Tensor) -> Tensor:
    """Average window losses over the windows that have a label; zero, with a graph, if none has.

    Example:
        >>> import torch
        >>> labelled_mean(torch.tensor([2.0, 0.0]), torch.tensor([3, IGNORE_POSITION]))
        tensor(2.)
    """
    count = (start_positions_b != IGNORE_POSITION).sum().clamp(min=1)
    return losses_b.sum() / count
