"""The mean of losses over the batch of all processes."""

import torch
from torch import Tensor, distributed


def mean_over_processes(losses_k: Tensor, weights_k: Tensor) -> Tensor:
    """Return this process's share of ``sum(weights * losses) / sum(weights)``.

    DDP averages the gradients of the processes. A plain weighted mean on each would be another
    loss than that of their batches joined wherever the sums of weights differ; here the joined
    batch's sum is divided by, so that the average of the shares *is* the joined weighted mean.
    Every process has to call this in the same step. Micro-batches of one step (accumulation) count
    alike, whatever their weights.

    Args:
        losses_k: float32 losses of windows or documents.
        weights_k: float32, zero for those without a label.

    Returns:
        A scalar; zero, with a graph, where all weights are zero.

    Example:
        >>> mean_over_processes(torch.tensor([2.0, 5.0, 0.0]), torch.tensor([1.0, 0.5, 0.0]))
        tensor(3.)
    """
    total = weights_k.detach().sum()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total = total / distributed.get_world_size()
    return (losses_k * weights_k).sum() / torch.where(total > 0, total, 1.0)
