"""Room that a run will need on its disks, estimated from below before anything is prepared."""

from collections.abc import Iterator
from pathlib import Path

from jsonargparse import Namespace
from lightning.fabric.utilities.rank_zero import rank_zero_only
from transformers import PreTrainedConfig

from qa_lightning.backbones import parameter_count
from qa_lightning.cache import cache_folder
from qa_lightning.folders import Need, bytes_in, room_problems
from qa_lightning.saved import checkpoints_need

_BYTES = {"bf16-true": 2, "16-true": 2}
_STATES = 3  # weights, and AdamW's two moments


def checkpoint_folder(config: Namespace) -> Path:
    """Return the folder of a run's checkpoints."""
    configured = config.get("checkpoint.dirpath")
    root = config.get("trainer.default_root_dir") or "."
    return Path(configured).expanduser() if configured else Path(root) / "checkpoints"


def disk_problems(config: Namespace, network: PreTrainedConfig) -> Iterator[str]:
    """Yield a sentence for each disk without room for the checkpoints and prepared data of a fit.

    Args:
        config: the command's.
        network: the settings of its network.

    Raises:
        InputError: the network cannot be built.
    """
    if config.trainer.fast_dev_run or getattr(rank_zero_only, "rank", 0):
        return
    needs = [Need("prepared data", "data.cache_dir", *_prepared(config.data))]
    if config.trainer.enable_checkpointing is not False:
        partly = config.model.lora is not None or config.model.freeze_embeddings
        copies = 1 if partly else _STATES  # the callback counts them when there are weights
        size = parameter_count(network) * _BYTES.get(str(config.trainer.precision), 4) * copies
        fresh = config.ckpt_path is None
        needs.append(checkpoints_need(checkpoint_folder(config), size, fresh=fresh))
    yield from room_problems(needs)


def _prepared(data: Namespace) -> tuple[Path, int]:
    """Return the folder of prepared data, and what its files have at least: as much as is read."""
    folder = cache_folder(data.cache_dir)
    held = bytes_in(folder)
    read = 0
    for split, listed in (data.data_files or {}).items():
        if split in (data.train_split, data.val_split):  # not a part of one
            for name in [listed] if isinstance(listed, str) else listed:
                path = Path(name).expanduser()
                read += path.stat().st_size if path.is_file() else 0
    return folder, max(0, read - held)
