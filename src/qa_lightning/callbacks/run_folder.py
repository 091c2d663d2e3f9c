"""The run's folder: its configuration, and an earlier run's results moved out of the way."""

import logging
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from qa_lightning.callbacks.checkpoints import FOLDER
from qa_lightning.folders import LOCK

log = logging.getLogger(__name__)

RESULTS = ("config.yaml", FOLDER, "answers", "reports")
EARLIER = "earlier"
ORIGINS = {
    "model": ("model_name_or_path", "config", "revision", "initialization"),
    "data": ("tokenizer", "tokenizer_revision"),
}
"""Where network and tokenizer came from when a run began; a resumed one has the checkpoint's."""


class RunFolder(SaveConfigCallback):
    """Write ``config.yaml`` of ``fit`` into the run's folder, whatever the logger.

    Nothing of an earlier run is overwritten: where the folder holds another run's results and
    ``fit`` does not resume from them, they are moved to ``earlier/1``, ``earlier/2``, … in it,
    and checkpoints in a folder of the user's choice likewise. It is the first of the callbacks, so
    that nothing of this run is there by then.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave all as it is: what follows may still refuse the run."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make room before the first batch, if there is a check of validation."""
        self._begin(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make room: all checks have passed, and a checkpoint to go on from has been read."""
        self._begin(trainer)

    def _begin(self, trainer: Trainer) -> None:
        """Make room and write the configuration, on rank zero."""
        if trainer.is_global_zero and not self.already_saved:
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            file, config = folder / self.config_filename, self.config
            if self._resumes(folder):
                config = with_origins(config, file)
            else:
                move_earlier_run(folder, self._checkpoints(folder))
            self.parser.save(config, file, skip_none=False, overwrite=True)
            self.already_saved = True
        trainer.strategy.barrier()

    def _checkpoints(self, folder: Path) -> Path:
        configured = self.config.get("checkpoint.dirpath")
        return Path(configured).expanduser() if configured else folder / FOLDER

    def _resumes(self, folder: Path) -> bool:
        given = self.config.get("ckpt_path")
        if given is None:
            return False
        parents = Path(given).resolve().parents
        within = folder.resolve() in parents and (folder / EARLIER).resolve() not in parents
        return within or self._checkpoints(folder).resolve() == parents[0]


def with_origins(config: Namespace, file: Path) -> Namespace:
    """Return a resumed run's configuration with the network and tokenizer that it began with.

    The checkpoint's stand in their place while it runs, the tokenizer as a folder of this
    machine's cache: saved, they would repeat the run nowhere else, and without its backbone.
    """
    began = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    kept: Namespace = config.clone()
    for group, keys in ORIGINS.items():
        for key in keys:
            if key in (began.get(group) or {}):
                kept[f"{group}.{key}"] = began[group][key]
    return kept


def move_earlier_run(folder: Path, checkpoints: Path) -> None:
    """Move the results of an earlier run into the next free ``earlier/<n>`` of their folder.

    Args:
        folder: the run's folder.
        checkpoints: the folder of its checkpoints, in it or elsewhere.
    """
    found = sorted(path.name for path in checkpoints.glob("*.ckpt"))
    if not found:
        return
    _move_aside(folder, RESULTS)
    if checkpoints != folder / FOLDER:
        _move_aside(checkpoints, found)


def _move_aside(folder: Path, names: Iterable[str]) -> None:
    paths = [folder / name for name in names if (folder / name).exists()]
    if not paths:
        return
    place = next(place for n in count(1) if not (place := folder / EARLIER / str(n)).exists())
    place.mkdir(parents=True)
    for path in paths:
        if not (path / LOCK).exists():
            path.rename(place / path.name)
            continue
        (place / path.name).mkdir()  # the folder is held for this run: it stays, with its lock
        for file in path.iterdir():
            if file.name != LOCK:
                file.rename(place / path.name / file.name)
    log.warning("%s held the results of an earlier run: they are now in %s", folder, place)
