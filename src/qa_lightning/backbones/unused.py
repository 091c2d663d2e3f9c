"""Parameters that a network has and its answers do not depend on."""

from typing import Any

import torch
from transformers import PreTrainedModel

from qa_lightning.backbones.reading import span_logits


def freeze_unused(network: PreTrainedModel) -> None:
    """Keep out of training what no window's logits depend on, in place.

    Poolers that nothing reads (FNet, SqueezeBERT), LUKE's entities and the like: an optimizer
    passes them over for want of a gradient, but several processes would wait for it in vain. A
    window of a few tokens is read to see what they are, by the plainest attention: others want 16
    bits of a GPU, or compile themselves for it. A Longformer uses all that it has.
    """
    if network.config.model_type == "longformer":
        return
    device, training = network.device, network.training
    ids_bl = torch.zeros((1, 8), dtype=torch.long, device=device)
    global_bl = ids_bl.clone()
    global_bl[:, 0] = 1
    window = {
        "input_ids": ids_bl,
        "attention_mask": torch.ones_like(ids_bl),
        "token_type_ids": global_bl,
        "global_attention_mask": global_bl,
    }
    attention = network.config._attn_implementation
    network.config._attn_implementation = "eager"
    network.train(False)  # no layer is dropped
    with torch.enable_grad():
        logits = span_logits(network, window)
    network.train(training)
    network.config._attn_implementation = attention
    seen: set[Any] = set()
    left: list[Any] = [logits_bl.grad_fn for logits_bl in logits if logits_bl.requires_grad]
    if not left:  # in inference mode
        return
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [before for before, _ in node.next_functions]
    used = {node.variable for node in seen if hasattr(node, "variable")}
    for parameter in network.parameters():
        if parameter not in used:
            parameter.requires_grad_(False)
