"""A network's matrix products as the processor multiplies fastest, for reading alone.

Torch multiplies float32 with Intel's MKL, which takes an older way on other makers' processors:
oneDNN, which torch holds too, multiplies two and a half times as fast on an AMD EPYC of AVX-512.
It also multiplies bfloat16 from weights that are laid out once, and whole numbers of eight bits.

What is laid out is a copy, and must never be of another time than its network: ``FollowedNetwork``.
"""

import copy
import operator
import platform
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
import xxhash
from torch import Tensor, nn
from transformers import PreTrainedModel

from qa_lightning.backbones.building import longest_window

NetworkT = TypeVar("NetworkT", bound=nn.Module)
Product = Callable[[Tensor], Tensor]

_X86 = {"x86_64", "amd64"}
_ROWS = 512  # tokens at a time that weights are laid out for; others serve as well
_SHORT = 512  # tokens of windows whose attention scores fit into the caches
_LOGITS = 2  # a start's and an end's
_INT8 = 127  # the largest on either side of zero
_ROW_BY_ROW = torch.contiguous_format  # strides too, which one column leaves open
_LEAST = 1e-30  # of what rows of zeros are divided by


def multiplies_by_onednn(dtype: torch.dtype = torch.float32) -> bool:
    """Tell whether this torch can multiply by oneDNN on such processors, in a type of numbers."""
    operators = torch.ops.mkldnn
    is_there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    known = platform.machine().lower() in _X86 and hasattr(operators, "_linear_pointwise")
    if dtype != torch.bfloat16 or not (is_there and known):
        return is_there and known
    supported = getattr(operators, "_is_mkldnn_bf16_supported", None)  # not on AVX2 alone
    return supported is not None and bool(supported())


def fast_network(network: NetworkT, *, numbers: torch.dtype = torch.float32) -> NetworkT:
    """Return a network for reading that computes the same faster, and shares all its tensors.

    It is in evaluation mode, and the network itself if that is too and there is nothing to gain: on
    other devices and processors, and in other types than float32. Weights are laid out as they are
    now; a network that may change is held by ``FollowedNetwork``.

    Args:
        network: on its device.
        numbers: that are multiplied; what is between products, and the logits, are in float32.
            ``torch.bfloat16`` is for reading under autocast to it. For ``torch.int8`` each
            token's numbers are divided by the largest of them, and each weight's by its row's, so
            that no token changes another's.
    """
    is_float32 = numbers == torch.float32
    here = multiplies_by_onednn(numbers) and any(map(_is_plain, network.modules()))
    in_training = any(module.training for module in network.modules())
    if not here and is_float32 and not in_training:
        return network
    tensors = chain(network.parameters(), network.buffers())
    shared = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors}).eval()
    modules = list(shared.modules())
    if here:
        _multiply_by_onednn(modules, numbers)
    if not is_float32:
        _keep_logits_exact(modules)
    if numbers == torch.bfloat16:
        _attend_by_products(shared)
    return shared


class FollowedNetwork(Generic[NetworkT]):
    """Hold a network beside the fast one made of it, and never let that be of another time.

    A network of other layers, parameters or hooks has another fast one made of it, and so has one
    whose weights hold other numbers, whoever wrote them in whatever way: nothing tells of what is
    written through ``.data``. Comparing them costs as much as reading them once (a millisecond for
    ten million), so it is done once a call, and in full only of a network that others may hold.

    Args:
        network: as for ``fast_network``, and so are ``numbers``.
        own: nobody else holds it; but for what torch counts as written, the first row of each
            weight stands for all.
    """

    def __init__(
        self, network: NetworkT, *, numbers: torch.dtype = torch.float32, own: bool = False
    ) -> None:
        self._network, self._numbers, self._own = network, numbers, own
        self._held = self._made()

    def now(self) -> NetworkT:
        """Return the fast network of the network as it is; threads may share it."""
        held, parts = self._held, list(_parts(self._network))
        is_same = len(parts) == len(held.parts) and all(map(operator.is_, parts, held.parts))
        if not is_same or _marks(held.laid_out) != held.marks:
            held = self._held = self._made()
        return held.fast

    def _made(self) -> "_Held[NetworkT]":
        # What is compared comes first: who writes meanwhile is seen the next time.
        parts = list(_parts(self._network))
        layers: Any = filter(_is_plain, self._network.modules())
        if not multiplies_by_onednn(self._numbers):
            layers = ()
        tensors = [t for layer in layers for t in (layer.weight, layer.bias) if t is not None]
        rows = slice(1) if self._own else slice(None)
        laid_out = [(tensor, tensor.detach()[rows].numpy()) for tensor in tensors]
        marks = _marks(laid_out)
        fast = fast_network(self._network, numbers=self._numbers)
        return _Held(parts, laid_out, marks, fast)


class _Held(NamedTuple, Generic[NetworkT]):
    """Hold a fast network, and what it was made of: parts, and the numbers of the layers.

    Attributes:
        parts: see ``_parts``.
        laid_out: tensors, and what is compared of each: their own memory, and no copy of it.
        marks: see ``_marks``.
        fast: the network that was made of these.
    """

    parts: list[object]
    laid_out: list[tuple[Tensor, Any]]
    marks: list[object]
    fast: NetworkT


def _parts(network: nn.Module) -> Iterator[object]:
    """Yield what a network is made of; held, none of it gives its place to another unseen."""
    for module in network.modules():
        yield module
        yield from vars(module).values()  # in training or not, another forward, an adapter's switch
        yield from module._parameters.values()
        yield from module._buffers.values()
        yield from module._forward_hooks.values()
        yield from module._forward_pre_hooks.values()


def _marks(laid_out: list[tuple[Tensor, Any]]) -> list[object]:
    """Return what is another once tensors' numbers are: their places, versions and hashes."""
    marks: list[object] = []
    for tensor, numbers in laid_out:
        version = 0 if tensor.is_inference() else tensor._version
        flat: Any = np.ascontiguousarray(numbers)
        marks.append((tensor.data_ptr(), version, xxhash.xxh3_64_intdigest(flat)))
    return marks


def _multiply_by_onednn(modules: list[nn.Module], dtype: torch.dtype) -> None:
    linears, halves = list(filter(_is_plain, modules)), list(filter(_activates, modules))
    for linear in linears:
        _put(linear, _product(linear, "none", dtype))
    for half in halves:
        _put(half.dense, _product(half.dense, "gelu", dtype))
        half.intermediate_act_fn = nn.Identity()


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a module is a linear layer of float32 on the CPU, and nothing besides.

    Hooks, and what has put itself in place of its ``forward``, are to be run.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
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


def _product(linear: Any, then: str, dtype: torch.dtype) -> Product:
    return (_rounded if dtype == torch.int8 else _laid_out)(linear, then, dtype)


def _laid_out(linear: Any, then: str, dtype: torch.dtype) -> Product:
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype), _ROWS)
    bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def product(states: Tensor) -> Tensor:
        states = states.to(dtype)
        found: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, then, [], "none")
        return found

    return product


def _rounded(linear: Any, then: str, dtype: torch.dtype) -> Product:
    weight_oi = linear.weight.detach()
    scale_o = weight_oi.abs().amax(1).div_(_INT8).clamp_(min=_LEAST)
    rounded_io = (
        (weight_oi / scale_o[:, None]).round_().to(dtype).t().clone(memory_format=_ROW_BY_ROW)
    )
    bias_o = 0.0 if linear.bias is None else linear.bias.detach()

    def product(states: Tensor) -> Tensor:
        state_ni = states.reshape(-1, states.shape[-1])
        scale_n1 = state_ni.abs().amax(1, keepdim=True).div_(_INT8).clamp_(min=_LEAST)
        rounded_ni = torch.div(state_ni, scale_n1).round_().to(dtype)
        found_no = torch._int_mm(rounded_ni, rounded_io).float()
        found_no = found_no.mul_(scale_o).mul_(scale_n1).add_(bias_o)
        found_no = F.gelu(found_no) if then == "gelu" else found_no
        return found_no.view(*states.shape[:-1], len(scale_o))

    return product


def _keep_logits_exact(modules: list[nn.Module]) -> None:
    """Let the answer head multiply in float32: it is small, and its logits are what is compared."""
    for module in modules:
        if type(module) is nn.Linear and module.out_features == _LOGITS:
            _put(module, _exact_product(module))


def _exact_product(linear: nn.Linear) -> Product:
    def product(states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, enabled=False):
            bias = None if linear.bias is None else linear.bias.float()
            return F.linear(states.float(), linear.weight.float(), bias)

    return product


def _attend_by_products(network: nn.Module) -> None:
    """Let short windows attend by two products and a softmax, on CPUs without AMX.

    Torch's fused kernel multiplies in float32 there, in nearly twice the time.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if not isinstance(network, PreTrainedModel) or network.device.type != "cpu":
        return
    longest = longest_window(network)
    short = longest is not None and longest <= _SHORT
    fused = network.config._attn_implementation == "sdpa"
    if short and fused and not capabilities.get("amx_bf16"):
        network.set_attn_implementation("eager")
