"""The weights of a short-context model → those of a Longformer.

Axes: ``p`` positions, ``d`` hidden width, ``k`` the two outputs of the answer head.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import (
    LongformerConfig,
    LongformerForQuestionAnswering,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from qa_lightning.errors import InputError

HEAD = "qa_outputs"
_POSITIONS = "embeddings.position_embeddings.weight"
_PROJECTIONS = ("query", "key", "value")
_SAME_KEYS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
)


def longformer_of(
    model: PreTrainedModel,
    *,
    max_length: int,
    attention_window: int,
    tokenizer: PreTrainedTokenizerBase,
    head_seed: int | None = None,
) -> LongformerForQuestionAnswering:
    """Return a Longformer with a copy of a question-answering model's weights, in evaluation mode.

    Args:
        model: BERT, RoBERTa, XLM-RoBERTa or CamemBERT, with a head ``qa_outputs``.
        max_length: tokens that the Longformer has positions for.
        attention_window: even number of tokens.
        tokenizer: the model's; it tells the special ids.
        head_seed: seed of a new head; None keeps the model's own.

    Raises:
        InputError: there is no padding token, which Longformer's positions are counted from.
    """
    pad_token_id = _pad_token_id(model.config, tokenizer)
    config = _longformer_config(
        model.config,
        tokenizer,
        attention_window=[attention_window] * model.config.num_hidden_layers,
        max_position_embeddings=pad_token_id + 1 + max_length,
        pad_token_id=pad_token_id,
    )
    weights = {name: weight.clone() for name, weight in model.base_model.state_dict().items()}
    weights[_POSITIONS] = _tiled_positions(
        weights[_POSITIONS],
        max_length=max_length,
        first_of_original=0 if model.config.model_type == "bert" else pad_token_id + 1,
        first=pad_token_id + 1,
    )
    weights |= dict(_global_twins(weights))
    weights = {f"longformer.{name}": weight for name, weight in weights.items()}
    weights |= _head(model, head_seed)
    # On the meta device no weight is drawn at random only to be replaced.
    with torch.device("meta"):
        longformer = LongformerForQuestionAnswering(config)
    longformer.load_state_dict(weights, assign=True)
    longformer.eval()  # type: ignore[no-untyped-call]
    return longformer


def _pad_token_id(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    # RoBERTa counts positions from its config's padding id, and Longformer as well. BERT does not
    # care, so that its configs may well be wrong: there the tokenizer knows.
    known = [config.pad_token_id, tokenizer.pad_token_id]
    if config.model_type == "bert":
        known.reverse()
    found = next((number for number in known if number is not None), None)
    if found is None:
        raise InputError(
            "Expected the tokenizer or the config to name a padding token, which Longformer's "
            "positions are counted from; neither does. Add `pad_token_id` to config.json."
        )
    return int(found)


def _longformer_config(
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    attention_window: list[int],
    max_position_embeddings: int,
    pad_token_id: int,
) -> LongformerConfig:
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    return LongformerConfig(
        **{key: getattr(config, key) for key in _SAME_KEYS},
        attention_window=attention_window,
        max_position_embeddings=max_position_embeddings,
        pad_token_id=pad_token_id,
        sep_token_id=last,
        bos_token_id=first if config.bos_token_id is None else config.bos_token_id,
        eos_token_id=last if config.eos_token_id is None else config.eos_token_id,
        architectures=[LongformerForQuestionAnswering.__name__],
    )


def _tiled_positions(
    original_pd: Tensor, *, max_length: int, first_of_original: int, first: int
) -> Tensor:
    """Repeat the rows in use up to ``max_length`` of them, behind ``first`` rows that are not."""
    used_pd = original_pd[first_of_original:]
    rows_p = torch.arange(max_length) % len(used_pd)
    unused_pd = original_pd.new_zeros(first, original_pd.shape[1])
    unused_pd[:first_of_original] = original_pd[:first_of_original]
    return torch.cat((unused_pd, used_pd[rows_p]))


def _global_twins(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield a copy of each local projection, by the name of its global twin."""
    for name, weight in weights.items():
        module, _, kind = name.rpartition(".")
        if module.endswith(tuple(f".attention.self.{each}" for each in _PROJECTIONS)):
            yield f"{module}_global.{kind}", weight.clone()


def _head(model: PreTrainedModel, seed: int | None) -> dict[str, Tensor]:
    """Return the weights of the answer head: the model's own, or new ones."""
    head = model.get_submodule(HEAD).state_dict()
    if seed is None:
        return {f"{HEAD}.{name}": weight.clone() for name, weight in head.items()}
    generator = torch.Generator().manual_seed(seed)
    std = model.config.initializer_range
    weight_kd = torch.empty_like(head["weight"]).normal_(std=std, generator=generator)
    return {f"{HEAD}.weight": weight_kd, f"{HEAD}.bias": torch.zeros_like(head["bias"])}
