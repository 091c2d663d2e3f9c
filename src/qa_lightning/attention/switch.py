"""Change a Longformer's classes in place, and back."""

from typing import Any, TypeVar

from torch import nn
from transformers import PreTrainedModel
from transformers.models.big_bird.modeling_big_bird import BigBirdAttention, BigBirdModel
from transformers.models.longformer.modeling_longformer import (
    LongformerEncoder,
    LongformerModel,
    LongformerSelfAttention,
)

from qa_lightning.attention.bigbird import PinnedAttention, PinnedModel
from qa_lightning.attention.flex import FlexSelfAttention
from qa_lightning.attention.layers import WindowedEncoder, WindowedModel, WindowedSelfAttention
from qa_lightning.attention.sliding import NAME, sliding_networks
from qa_lightning.errors import InputError

ModelT = TypeVar("ModelT", bound=nn.Module)

_MADE: dict[tuple[Any, Any], Any] = {}

# The reference's class, and ours that overrides its `forward`.
Replacements = tuple[tuple[type[nn.Module], type[nn.Module]], ...]
AROUND: Replacements = ((LongformerEncoder, WindowedEncoder), (LongformerModel, WindowedModel))
WINDOWED: Replacements = ((LongformerSelfAttention, WindowedSelfAttention), *AROUND)
FLEX: Replacements = ((LongformerSelfAttention, FlexSelfAttention), *AROUND)
PINNED: Replacements = ((BigBirdAttention, PinnedAttention), (BigBirdModel, PinnedModel))


class _Switched:
    """Mark a class made by ``_made_class``; pickle and copy by the class it stands for."""

    replaced_class: type[nn.Module]
    windowed_class: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        recipe = (self.windowed_class, self.replaced_class)
        return _empty, recipe, self.__dict__


def _made_class(ours: Any, replaced: Any) -> Any:
    """Return a subclass of ``replaced`` with our ``forward``, under the same name.

    The name is kept because `save_pretrained`, FSDP and `device_map` go by it.
    """
    if (ours, replaced) not in _MADE:
        fields = {
            "__module__": replaced.__module__,
            "__doc__": ours.__doc__,
            "replaced_class": replaced,
            "windowed_class": ours,
        }
        _MADE[ours, replaced] = type(replaced.__name__, (_Switched, ours, replaced), fields)
    return _MADE[ours, replaced]


def _empty(ours: Any, replaced: Any) -> nn.Module:
    made: type[nn.Module] = _made_class(ours, replaced)
    return made.__new__(made)


def use_windowed_attention(model: ModelT) -> ModelT:
    """Compute the same attention faster, in place; weights and checkpoints do not change.

    Args:
        model: Any transformers Longformer, any of its encoders with sliding layers (ModernBERT's
            kin), or a module that holds one. Calling it twice is harmless.

    Raises:
        InputError: When the model holds no such layer.
    """
    networks = sliding_networks(model)
    for network in networks:
        _attend_by(network, NAME)
    return model if networks else _switch(model, WINDOWED)


def use_reference_attention(model: ModelT) -> ModelT:
    """Give a model back the attention of transformers, in place.

    Raises:
        InputError: When the model holds no Longformer attention layer and no sliding layer.
    """
    networks = sliding_networks(model)
    for network in networks:
        _attend_by(network, "sdpa")
    return model if networks else _switch(model, ())


def use_flex_attention(model: ModelT) -> ModelT:
    """Compute the same attention by ``flex_attention``, in place; meant for CUDA.

    Where it cannot be had (dropout while training, gradients on the CPU) a layer attends as with
    ``use_windowed_attention``, with one warning.

    Raises:
        InputError: When the model holds no Longformer attention layer.
    """
    return _switch(model, FLEX)


def pin_bigbird_attention(model: ModelT) -> ModelT:
    """Let a BigBird attend by the length of its windows alone, in place; see ``bigbird``."""
    for module in model.modules():
        module.__class__ = _chosen_class(module, PINNED)
    return model


def _attend_by(network: PreTrainedModel, name: str) -> None:
    """Give a network another implementation of transformers' interface.

    ``set_attn_implementation`` of older releases passes over a ModernBERT, which goes by the
    interface all the same.
    """
    network.config._attn_implementation = name


def _switch(model: ModelT, replacements: Replacements) -> ModelT:
    modules = list(model.modules())
    layers = [module for module in modules if isinstance(module, LongformerSelfAttention)]
    if not layers:
        raise InputError(
            "Expected a Longformer of transformers (a model with LongformerSelfAttention layers). "
            f"Got {type(model).__name__}, which has none. Use `attention: reference` for it."
        )
    for layer in layers:
        _check_forward(_reference_class(layer))
    for module in modules:
        module.__class__ = _chosen_class(module, replacements)
    return model


def _check_forward(layer_class: type[nn.Module]) -> None:
    if layer_class.forward is not LongformerSelfAttention.forward:
        raise InputError(
            "Expected attention layers that compute what LongformerSelfAttention does. Got "
            f"{layer_class.__name__}, which has a `forward` of its own. Use "
            "`attention: reference` for it."
        )


def _reference_class(module: nn.Module) -> type[nn.Module]:
    return module.replaced_class if isinstance(module, _Switched) else type(module)


def _chosen_class(module: nn.Module, replacements: Replacements) -> Any:
    """Return ours where it applies; a model with a `forward` of its own keeps that."""
    replaced = _reference_class(module)
    for reference, ours in replacements:
        if issubclass(replaced, reference) and replaced.forward is reference.forward:
            return _made_class(ours, replaced)
    return replaced
