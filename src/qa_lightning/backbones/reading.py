"""A batch of windows → logits that neither its padding nor its other windows change."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from qa_lightning.backbones.building import model_inputs
from qa_lightning.backbones.families import SEE_PADDING

Logits = tuple[Tensor, Tensor]


def span_logits(network: PreTrainedModel, batch: Mapping[str, Tensor]) -> Logits:
    """Return the start and end logits, each ``[b, l]``, that a network gives a batch of windows.

    The network sees windows from its first position on: where a batch is padded on the left, most
    would count positions from the padding, and read a window otherwise beside a longer one. Those
    that see padding whatever its mask get windows of one length at a time, without any.

    Args:
        network: takes what ``model_inputs`` says of the batch.
        batch: of ``WindowCollator``, padded on either side.
    """
    inputs = {key: batch[key] for key in model_inputs(network) if key in batch}
    run = _run_by_length if network.config.model_type in SEE_PADDING else _run
    mask_bl = inputs.get("attention_mask")
    if mask_bl is None or bool(mask_bl[:, 0].all()):
        return run(network, inputs)
    length = mask_bl.shape[1]
    place_bl = torch.arange(length, device=mask_bl.device).expand_as(mask_bl)
    shift_b1 = mask_bl.argmax(dim=1, keepdim=True)
    forth_bl, back_bl = (place_bl + shift_b1) % length, (place_bl - shift_b1) % length
    start_bl, end_bl = run(network, {k: t.gather(1, forth_bl) for k, t in inputs.items()})
    return start_bl.gather(1, back_bl), end_bl.gather(1, back_bl)


def _run(network: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Logits:
    outputs = network(**inputs)
    return outputs.start_logits, outputs.end_logits


def _run_by_length(network: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Logits:
    """Run windows of one length together; logits of padding are zero."""
    length_b = inputs["attention_mask"].sum(1)
    rows, parts = [], []
    for length in sorted(set(length_b.tolist())):
        row_r = (length_b == length).nonzero().squeeze(1)
        logits = _run(network, {key: tensor[row_r, :length] for key, tensor in inputs.items()})
        rows.append(row_r)
        missing = inputs["attention_mask"].shape[1] - length
        parts.append([F.pad(logits_rl, (0, missing)) for logits_rl in logits])
    order_b = torch.cat(rows).argsort()
    start_bl, end_bl = (torch.cat(logits)[order_b] for logits in zip(*parts, strict=True))
    return start_bl, end_bl
