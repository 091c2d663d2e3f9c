"""How Lightning stores and reads checkpoints of ours: whole, and without running anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO, TorchCheckpointIO
from lightning.pytorch.plugins.io.wrapper import _WrappingCheckpointIO
from lightning.pytorch.strategies import Strategy

from qa_lightning.saved import LAST, damage, local_file, read_saved, write_saved


class WholeCheckpointIO(TorchCheckpointIO):
    """Read checkpoints by our one reader, and write them beside their place, then rename.

    Lightning's own writes into ``$TMPDIR`` and copies over the old file where that is another file
    system, and unpickles what an ``http`` address names.

    Args:
        agreed: returns the value of rank zero on every rank.
    """

    def __init__(self, agreed: Callable[[Any], Any] = lambda value: value) -> None:
        self._agreed = agreed
        self._steps: dict[Path, int] = {}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a file; of ``last.ckpt`` the one before stays as ``previous.ckpt``."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place, step = Path(path), checkpoint.get("global_step", -1)
        # A second save of a step takes the place of the first: the one before is another step's.
        # What this process has neither written nor read itself may be the damaged file that a run
        # was resumed in spite of: then the one before it is better kept.
        known = self._steps.get(place.resolve())
        keep = place.name == LAST and known != step and (known is not None or damage(place) is None)
        write_saved(checkpoint, place, keep_previous=keep)
        self._steps[place.resolve()] = step

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the file that rank zero chose; ``weights_only`` has no effect: it always is."""
        chosen = self._agreed(str(path))
        contents = read_saved(chosen, mapped=False)
        self._steps[local_file(chosen).resolve()] = contents.get("global_step", -1)
        return contents


def store_whole(strategy: Strategy) -> None:
    """Put `WholeCheckpointIO` in the place of Lightning's own; a user's own stays."""
    used: CheckpointIO = strategy.checkpoint_io
    if isinstance(used, _WrappingCheckpointIO):  # one that writes in another thread
        used._checkpoint_io = WholeCheckpointIO(strategy.broadcast)  # its setter works once
    elif type(used) is TorchCheckpointIO:
        strategy.checkpoint_io = WholeCheckpointIO(strategy.broadcast)
