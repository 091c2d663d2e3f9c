"""Read the file of an offline W&B run back: wandb ships no public reader.

It is a log in LevelDB's format: a header of 7 bytes, then blocks of 32 KiB, in which records stand
in parts of ``crc32, length, type`` and data; a part's type says whether it is whole, first, middle
or last. Each record is a ``wandb.proto.wandb_internal_pb2.Record``.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

HEADER = 7
BLOCK = 32 * 1024
PART = struct.Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """Hold what a run's file says, later entries over earlier ones."""

    id: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    config_updates: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    files: Path = Path()

    def series(self, key: str) -> list[Any]:
        """Return the values of a key, in order."""
        return [row[key] for row in self.history if key in row]

    def table(self, reference: dict[str, Any]) -> dict[str, Any]:
        """Return a table's columns and data from its reference in the history."""
        assert reference["_type"] == "table-file"
        return json.loads((self.files / reference["path"]).read_text(encoding="utf-8"))


def run_files(folder: Path) -> list[Path]:
    """Return the files of all runs below a folder, oldest first."""
    return sorted(folder.rglob("run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def read_run(path: Path) -> OfflineRun:
    """Read a run's file."""
    run = OfflineRun(files=path.parent / "files")
    for record in records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.project = record.run.run_id, record.run.project
            _update(run.config, record.run.config.update)
        elif kind == "config":
            changed: dict[str, Any] = {}
            _update(changed, record.config.update)
            _update(run.config, record.config.update)
            run.config_updates.append(changed)
        elif kind == "history":
            run.history.append(_values(record.history.item))
        elif kind == "summary":
            _update(run.summary, record.summary.update)
        elif kind == "metric":
            run.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "artifact":
            run.artifacts.append(record.artifact)
    return run


def records(content: bytes) -> Iterator[Record]:
    """Yield the records of a log."""
    assert content[:4] == b":W&B"
    data, place = b"", HEADER
    while place + PART.size <= len(content):
        left = BLOCK - place % BLOCK
        if left < PART.size:
            place += left
            continue
        _, length, kind = PART.unpack_from(content, place)
        place += PART.size
        data = (
            content[place : place + length]
            if kind in (WHOLE, FIRST)
            else data + content[place : place + length]
        )
        place += length
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(data)
            yield record


def _values(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _update(found, items)
    return found


def _update(target: dict[str, Any], items: Any) -> None:
    for item in items:
        keys = list(item.nested_key) or [item.key]
        place = target
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = json.loads(item.value_json)
