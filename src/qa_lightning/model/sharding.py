"""Weights, gradients and the optimizer's state in shards, one on each process (FSDP)."""

from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from qa_lightning.backbones.families import SEE_PADDING
from qa_lightning.errors import InputError
from qa_lightning.model.optimizer import is_layer
from qa_lightning.resuming import check_optimizers


def shard(network: nn.Module, device_type: str) -> None:
    """Spread a network over all processes, in place (Zhao et al. 2023; torch's ``fully_shard``).

    Each layer of the encoder is gathered when it is computed, and let go of after it; what is not
    of a layer is one more such piece.

    Args:
        network: the same on all processes.
        device_type: where it is computed, such as ``cuda``.

    Raises:
        InputError: it runs once for each length in a batch, and processes would wait for others.
    """
    kind = getattr(getattr(network, "config", None), "model_type", None)
    if kind in SEE_PADDING:
        raise InputError(
            "Expected shards (ModelParallelStrategy) of a network that reads a batch at once; a "
            f"{kind} sees padding, and reads windows of one length at a time. Set "
            "`trainer.strategy` ddp."
        )
    mesh = init_device_mesh(device_type, (distributed.get_world_size(),))
    for name, module in network.named_modules():
        if is_layer(name):
            fully_shard(module, mesh=mesh)
    fully_shard(network, mesh=mesh)


def read_whole(strategy: Strategy) -> None:
    """Let a strategy of shards read checkpoints by our one reader, from whatever run they are.

    Lightning's own takes the optimizer's state for one that it has written itself: that of a run
    without shards would go to other parameters.

    Raises:
        InputError: its checkpoints would be folders of shards, which nothing of ours reads.
    """
    if not isinstance(strategy, ModelParallelStrategy):
        return
    if strategy._save_distributed_checkpoint:
        raise InputError(
            "Expected `trainer.strategy.init_args.save_distributed_checkpoint` false, so that "
            "a checkpoint is one file, which every command reads; got true. Set it, or use "
            "`--config configs/overlays/fsdp.yaml`."
        )

    def load(checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint: dict[str, Any] = strategy.checkpoint_io.load_checkpoint(checkpoint_path)
        module = strategy.lightning_module
        assert module is not None
        module.on_load_checkpoint(checkpoint)
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(module, checkpoint.pop("state_dict"), options=options)
        states = checkpoint.get("optimizer_states", [])
        if states and strategy.optimizers:
            check_optimizers(states, strategy.optimizers, checkpoint_path)
        for optimizer, state in zip(strategy.optimizers, states, strict=False):
            named = _by_name(state, optimizer, module)
            set_optimizer_state_dict(module, optimizer, named, options=options)
        return checkpoint

    setattr(strategy, "load_checkpoint", load)  # noqa: B010


def _by_name(
    state: dict[str, Any], optimizer: torch.optim.Optimizer, module: nn.Module
) -> dict[str, Any]:
    """Return an optimizer's saved state by the parameters' names in place of their numbers.

    As in torch, the parameters' places in their groups count, not the numbers.
    """
    name_of = {parameter: name for name, parameter in module.named_parameters()}
    named: dict[str, Any] = {"state": {}, "param_groups": []}
    for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        names = [name_of[parameter] for parameter in own["params"]]
        for number, name in zip(saved["params"], names, strict=True):
            if number in state["state"]:
                named["state"][name] = state["state"][number]
        named["param_groups"].append({**saved, "params": names})
    return named


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor of all shards, on every process; all of them have to call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """Return this process's shard; of a tensor that is not in shards, all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def on_all_processes(flags: Tensor, *parameters: Tensor) -> Tensor:
    """Return where flags are set on every process, if one of the parameters is in shards."""
    if not any(isinstance(parameter, DTensor) for parameter in parameters):
        return flags
    counts = flags.int()
    distributed.all_reduce(counts, distributed.ReduceOp.MIN)
    return counts.bool()
