"""What shards are for, on GPUs: less memory on each, at a speed that is told."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from launching import launch_alone
from running import read_json, write_yaml

pytestmark = [pytest.mark.gpu, pytest.mark.two_process]

SHARDED = Path(__file__).resolve().parents[2] / "configs" / "overlays" / "fsdp.yaml"
# A network whose weights are most of what it needs.
WIDE = {"hidden_size": 1024, "num_hidden_layers": 6, "intermediate_size": 4096}


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are not two CUDA devices")
def test_each_gpu_holds_less_with_shards(
    small_settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    small_settings["model"]["config"] |= WIDE
    small_settings["trainer"] |= {"accelerator": "gpu", "max_epochs": 3, "limit_val_batches": 0}
    small_settings["trainer"]["callbacks"] = [{"class_path": "ranks.GpuUse"}]
    found = {}
    for name, strategy in {
        "whole": ("--trainer.strategy", "ddp"),
        "shards": ("--config", str(SHARDED)),
    }.items():
        small_settings["trainer"]["default_root_dir"] = str(tmp_path / name)
        config = write_yaml(tmp_path / f"{name}.yaml", small_settings)
        result = launch_alone("fit", "--config", config, strategy=strategy)
        assert result.returncode == 0, result.stderr[-4000:]
        found[name] = [read_json(tmp_path / name / f"use{rank}.json") for rank in (0, 1)]
        sys.stdout.write(f"{name}: {found[name]}\n")
    for rank in (0, 1):  # half of 16 bytes a parameter, and the layer at work
        assert found["shards"][rank]["peak"] < 0.8 * found["whole"][rank]["peak"]
