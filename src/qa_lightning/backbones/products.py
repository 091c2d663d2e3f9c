"""A network's matrix products on x86 processors by oneDNN, for reading alone.

Torch multiplies float32 with Intel's MKL, which takes an older way on other makers' processors:
oneDNN, which torch holds too, multiplies two and a half times as fast on an AMD EPYC of AVX-512.
"""

import copy
import platform
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)
Product = Callable[[Tensor], Tensor]

_X86 = {"x86_64", "amd64"}
_ROWS = 512  # tokens at a time that weights are laid out for; others serve as well


def multiplies_by_onednn() -> bool:
    """Tell whether this torch can multiply by oneDNN on such processors."""
    is_there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return (
        is_there
        and platform.machine().lower() in _X86
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def fast_network(network: NetworkT) -> NetworkT:
    """Return a network for reading that computes the same faster, and shares all its tensors.

    It is the network itself where there is nothing to gain: on other devices and processors, and
    in other types than float32.

    Args:
        network: in evaluation mode, on its device.
    """
    if not multiplies_by_onednn() or not any(map(_is_plain, network.modules())):
        return network
    tensors = chain(network.parameters(), network.buffers())
    shared = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    modules = list(shared.modules())
    for linear in filter(_is_plain, modules):
        _put(linear, _product(linear, "none"))
    for module in modules:
        if _activates(module):
            _put(module.dense, _product(module.dense, "gelu"))
            module.intermediate_act_fn = nn.Identity()
    return shared


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module is a linear layer of float32 on the CPU, and nothing besides.

    Hooks expect that the layer computes as it was written.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks
    return (
        type(module) is nn.Linear
        and type(module.weight) is nn.Parameter
        and (module.weight.device.type, module.weight.dtype) == ("cpu", torch.float32)
        and not hooks
    )


def _activates(module: nn.Module) -> bool:
    """Tell whether a module is the first half of an encoder's feed-forward part, with exact GELU.

    Its activation then costs nothing: it is taken of numbers that are in registers.
    """
    activation = getattr(module, "intermediate_act_fn", None)
    exact = getattr(activation, "act", activation) is F.gelu
    return exact and _is_plain(getattr(module, "dense", module))


def _put(linear: Any, product: Product) -> None:
    """Let a layer compute by a product; its class stays, which others go by."""
    linear.forward = product


def _product(linear: Any, then: str) -> Product:
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
    bias = linear.bias

    def product(states: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, then, [], "none")
        return found

    return product
