"""Starting weights for a Longformer, or another encoder, that is trained from scratch."""

import math

import torch
from torch import nn

from qa_lightning.errors import InputError

INITIALIZATIONS = ("default", "matching")
EMBEDDING_STD = 0.06
POSITION_SCALE = 0.5  # of the words' size: what a token is counts for more than where it stands
POSITION_BASE = 1_000.0

# As transformers' encoders call them.
_KEY_OF_QUERY = {
    "query": "key",
    "query_global": "key_global",
    "query_proj": "key_proj",
    "q_lin": "k_lin",
    "q_proj": "k_proj",
    "q": "k",
}


def initialize(model: nn.Module, name: str) -> None:
    """Give a freshly built network its starting weights, in place.

    ``default`` leaves the model as `transformers` built it. ``matching`` makes attention find equal
    tokens and near positions from the first step on, for tokens that are never trained too:

    - keys start as a copy of the queries (the two are trained apart), so that a token's score with
      itself is a square and every other score is nearly zero;
    - word and token-type embeddings are normal with standard deviation 0.06 and positions are
      sinusoids of half that size, so that equal words score highest and near ones come next;
    - linear layers are Xavier-uniform with zero biases, the answer head excepted.

    A small model then learns to find a question's name in a document within a thousand steps,
    where it takes many times as long from the default weights. Random numbers come from
    torch's global generator.

    Args:
        model: a Longformer or another encoder of `transformers`, with a head ``qa_outputs``.
        name: ``default`` or ``matching``.

    Raises:
        InputError: there is no such initialization, or the network has no queries and keys apart.
    """
    if name not in INITIALIZATIONS:
        raise InputError(
            f"Expected `model.initialization` to be one of {', '.join(INITIALIZATIONS)}; "
            f"got {name!r}. 'default' takes the starting weights of transformers."
        )
    if name == "matching":
        _match_equal_tokens(model)


@torch.no_grad()
def _match_equal_tokens(model: nn.Module) -> None:
    modules = dict(model.named_modules())
    if not any(path.rpartition(".")[2] in _KEY_OF_QUERY for path in modules):
        raise InputError(
            "Expected a network with layers for queries and for keys for `model.initialization` "
            f"matching; {type(model).__name__} has none of their own. Set it to default."
        )
    for path, module in modules.items():
        if isinstance(module, nn.Linear) and not path.endswith("qa_outputs"):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            _embed(module, path)
    # Only now: the queries have their own starting weights.
    for path, module in modules.items():
        parent, _, leaf = path.rpartition(".")
        if leaf in _KEY_OF_QUERY:
            modules[f"{parent}.{_KEY_OF_QUERY[leaf]}"].load_state_dict(module.state_dict())


def _embed(module: nn.Embedding, path: str) -> None:
    """Fill one table of embeddings; the row of padding is zero."""
    if path.endswith("position_embeddings"):
        # A sinusoid of amplitude a has standard deviation a / sqrt(2).
        scale = EMBEDDING_STD * POSITION_SCALE * math.sqrt(2)
        module.weight.copy_(scale * _sinusoids(*module.weight.shape))
    else:
        nn.init.normal_(module.weight, std=EMBEDDING_STD)
    if module.padding_idx is not None:
        module.weight[module.padding_idx].zero_()


def _sinusoids(length: int, width: int) -> torch.Tensor:
    """Return the sines (even columns) and cosines (odd columns) of Vaswani et al. 2017, [l, d]."""
    position_l = torch.arange(length, dtype=torch.float32)
    frequency_d = POSITION_BASE ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angle_ld = position_l[:, None] * frequency_d
    return torch.stack((angle_ld.sin(), angle_ld.cos()), dim=-1).flatten(1)[:, :width]
