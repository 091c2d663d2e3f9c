"""Tensors of numbers without memory, counted as if they had it."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_WHOLE_NUMBERS = (torch.ops.aten.arange, torch.ops.aten.randint, torch.ops.aten.div)
"""What makes whole numbers of whole numbers, with no tensor and no type given."""


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes of all tensors that live at a time, of networks that have no memory.

    Floating-point numbers are torch's fake tensors: shapes on a device, which autograd, autocast
    and checkpointing treat as they treat real ones. Whole numbers and masks are real, since
    networks decide by them; they are small, and stay on the CPU. A number that a network reads
    from a fake tensor is zero.

    Use it inside a ``FakeTensorMode``.

    Args:
        device: where the network would be.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.now = 0
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operator on what is real, or on what is not, and count what it returns."""
        options = kwargs or {}
        tensors = [each for each in tree_leaves((args, options)) if isinstance(each, Tensor)]
        fake = any(isinstance(each, FakeTensor) for each in tensors)
        if fake and func is torch.ops.aten._local_scalar_dense.default:
            return 0.0 if args[0].dtype.is_floating_point else 0
        if fake or not (tensors or _makes_whole_numbers(func, options)):
            args, options = tree_map(self._unreal, (args, options))
            result = func(*args, **options)
        else:
            if "device" in options:
                options = {**options, "device": torch.device("cpu")}
            with unset_fake_temporarily():
                result = func(*args, **options)
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._count(each)
        return result

    def restart(self) -> None:
        """Look for the peak from here on."""
        self.peak = self.now

    def _unreal(self, value: Any) -> Any:
        """Return a real tensor as a fake one on the network's device; it keeps the real one."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        made: Any = torch.empty_strided(
            value.shape,
            value.stride(),
            dtype=value.dtype,
            device=self.device if value.dim() else value.device,
        )
        made.stands_for = value
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


def _makes_whole_numbers(func: Any, options: Any) -> bool:
    dtype = options.get("dtype")
    if dtype is None:
        return func.overloadpacket in _WHOLE_NUMBERS
    return not dtype.is_floating_point


def unreal_floats() -> FakeTensorMode:
    """Return the mode around a ``LiveMemory``."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def place(network: nn.Module, device: torch.device) -> None:
    """Put a network of torch's meta device on another, in place, inside a ``LiveMemory``.

    Its floating-point numbers become fake tensors, its whole numbers zeros.
    """
    made: dict[Tensor, Tensor] = {}
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                if tensor not in made:
                    made[tensor] = _placed(tensor, device)
                held[name] = made[tensor]  # type: ignore[assignment]


def _placed(tensor: Tensor, device: torch.device) -> Tensor:
    empty = torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
