"""Settings that no command on a checkpoint can apply: refused in ``fit``, told elsewhere."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from jsonargparse import Namespace

from qa_lightning.backbones import build_network, network_config, plain_config
from qa_lightning.cli.room import checkpoint_folder
from qa_lightning.errors import InputError
from qa_lightning.saved import SavedRun

log = logging.getLogger(__name__)

_ORIGINS = (
    "model.model_name_or_path",
    "model.revision",
    "model.initialization",
    "data.tokenizer",
    "data.tokenizer_revision",
)
"""Where a run's network and tokenizer came from: those that go on have the checkpoint's."""


class Change(NamedTuple):
    """Hold a setting that the user wrote, and what the checkpoint has in its place."""

    key: str
    kept: Any
    given: Any


def check_changes(config: Namespace, explicit: Namespace, saved: SavedRun, command: str) -> None:
    """Refuse a network that the checkpoint's weights are not of; tell another origin of it.

    Args:
        config: as the user has it, nothing of the checkpoint in it yet.
        explicit: the keys that the user wrote.
        saved: the checkpoint.
        command: ``fit`` refuses, the others tell.

    Raises:
        InputError: a training that goes on cannot take a setting.
    """
    network = [*_config_changes(config, explicit, saved), *_lora_changes(config, explicit, saved)]
    if network and command == "fit":
        raise InputError(
            "\n".join(
                f"Expected `{each.key}` to stay {each.kept!r}, of which the checkpoint's weights "
                f"are; got {each.given!r}. Leave it out, or begin a new run"
                + (" from the exported weights." if each.key.startswith("model.lora") else ".")
                for each in network
            )
        )
    for each in (*network, *_origin_changes(config, explicit, saved)):
        log.warning(
            "`%s` is %r, as the checkpoint has it, in place of %r. Leave it out.",
            each.key,
            each.kept,
            each.given,
        )


def _config_changes(config: Namespace, explicit: Namespace, saved: SavedRun) -> Iterator[Change]:
    given, kept = config["model.config"], saved.model["config"]
    if "model.config" not in explicit or not isinstance(given, Mapping):
        return
    odd = {key: value for key, value in given.items() if kept.get(key) != value}
    if not odd:
        return
    # A network settles some values when it is built, such as one window for each layer.
    with torch.device("meta"):
        settled = plain_config(build_network(network_config({**kept, **odd})).config)
    for key, value in odd.items():
        if settled.get(key) != kept.get(key):
            yield Change(f"model.config.{key}", kept.get(key), value)


def _lora_changes(config: Namespace, explicit: Namespace, saved: SavedRun) -> Iterator[Change]:
    given, kept = config["model.lora"], saved.model.get("lora")
    if "model.lora" not in explicit:
        return
    if given is None or kept is None:
        if given is not kept:
            yield Change("model.lora", kept, given)
        return
    for key, value in given.items():
        if kept.get(key) != value:
            yield Change(f"model.lora.{key}", kept.get(key), value)


def _origin_changes(config: Namespace, explicit: Namespace, saved: SavedRun) -> Iterator[Change]:
    began = _began_with(config, saved)
    for key in _ORIGINS:
        group, _, name = key.partition(".")
        before = began.get(group) or {}
        if key in explicit and name in before and config[key] != before[name]:
            yield Change(key, before[name], config[key])


def _began_with(config: Namespace, saved: SavedRun) -> dict[str, Any]:
    """Return what a run began with, by its folder, or by the checkpoint's word alone."""
    root = Path(config.get("trainer.default_root_dir") or ".").resolve()
    place = saved.path.resolve()
    if root in place.parents or checkpoint_folder(config).resolve() == place.parent:
        try:
            found = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            found = None
        if isinstance(found, dict):
            return found
    return {"model": {"model_name_or_path": saved.values.get("base_model")}}
