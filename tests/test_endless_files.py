"""Files that a few bytes make endless, and places that are no files: each ends in one message."""

import contextlib
import gzip
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from qa_lightning.bounds import MAX_VALUES, bounded_yaml, plain_problem
from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples, unfolding
from qa_lightning.reports.writing import write_whole
from running import fail, rows_of, run, squad_json, write_rows


def laughs(levels: int, width: int = 10) -> str:
    """Return YAML that stands for ``width ** levels`` values."""
    lines = ["a0: &a0 [ha]"]
    for level in range(1, levels + 1):
        names = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{names}]")
    return "\n".join(lines) + "\n"


def merged(levels: int) -> str:
    """Return YAML whose mappings take in the one before them, ten times each."""
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, levels + 1):
        names = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {{<<: [{names}]}}")
    return "\n".join(lines) + "\n"


def under(text: str, *keys: str) -> str:
    """Put YAML under keys."""
    for depth, key in reversed(list(enumerate(keys))):
        indent = "  "
        text = f"{key}:\n" + "".join(f"{indent}{line}\n" for line in text.splitlines())
        assert depth >= 0
    return text


BOMBS = {
    "billion laughs": under(laughs(9), "model", "config"),
    "merged laughs": under(merged(20), "model", "config"),
    "laughs in data": under(laughs(20), "data"),
    "laughs at the top": laughs(30),
    "a quadratic one": "x: &x [" + "1," * 2000 + "]\ny: [" + "*x," * 2000 + "]",
    "a list in itself": "data: &x [*x]",
    "a mapping in itself": "model:\n  config: &x\n    hidden_size: *x",
    "a key in itself": "&x {*x : 1}",
    "two in each other": "a: &a\n  b: &b [*a, *b]",
    "merged with itself": "data: &x\n  <<: *x\n  y: *x",
    "deep lists": "data: " + "[" * 5000 + "]" * 5000,
    "deep mappings": "data: " + "{a: " * 5000 + "1" + "}" * 5000,
    "deep and cut": "data: " + "[" * 100_000,
    "deep blocks": "".join(" " * depth + "a:\n" for depth in range(2000)),
    "deep sequences": "- " * 5000,
    "very long": "x: " + "a" * 5_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_settings_that_never_end_are_refused(
    name: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[name])
    for arguments in (("--config", path), ("--config", small, f"--config={path}")):
        message = fail(capsys, "fit", *arguments)
        assert "bomb.yaml" in message
        assert len(message) < 2000


def test_settings_that_never_end_are_refused_on_the_command_line(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.yaml"
    path.write_text(laughs(20))
    for given in (str(path), "{a: &a [*a]}", "[" * 3000, laughs(20), merged(20)):
        assert len(fail(capsys, "fit", "--config", small, "--model.config", given)) < 20_000
        told = fail(capsys, "fit", "--config", small, f"--trainer.callbacks={given}")
        assert len(told) < 20_000


def test_a_text_among_settings_is_loaded_within_the_bounds(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "texts.yaml"
    for text in (laughs(20), merged(20)):
        path.write_text(yaml.safe_dump({"model": {"config": text}}))
        fail(capsys, "fit", "--config", small, "--config", path)


def test_columns_that_never_end_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    fail(capsys, "audit", "demo", "--columns", "{question: &a [*a]}")


def test_anchors_and_aliases_of_a_person_stay(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "anchors.yaml"
    path.write_text("data:\n  max_length: &n 48\n  doc_stride: 16\nevaluation:\n  n_best: *n\n")
    run("fit", "--config", small, "--config", path, "--trainer.fast_dev_run", "true")
    load = bounded_yaml(yaml.safe_load)
    assert load("a: &a {x: 1}\nb:\n  <<: *a\n  y: *a")["b"] == {"x": 1, "y": {"x": 1}}


def test_the_bound_counts_what_stands_there() -> None:
    assert plain_problem([0] * (MAX_VALUES - 2)) is None
    assert plain_problem([0] * (MAX_VALUES + 1)) is not None
    nested: Any = 0
    for _ in range(60):
        nested = {"a": nested}
    assert plain_problem(nested) is None
    assert plain_problem({"a": {"b": [nested] * 3}}) is None
    for _ in range(10):
        nested = [nested]
    assert "deeper" in str(plain_problem(nested))


# Data


@contextlib.contextmanager
def streams(folder: Path) -> Iterator[dict[str, Path]]:
    """Make one of each thing that is no file."""
    os.mkfifo(folder / "pipe.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "linked.json").symlink_to(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s.json"))
        names = ("pipe.json", "zero.json", "linked.json", "s.json")
        yield {name: folder / name for name in names}


def test_pipes_and_devices_are_no_data(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with streams(tmp_path) as made:
        for path in made.values():
            files = ("--data.data_files", json.dumps({"train": str(path), "validation": str(path)}))
            assert "is no file, but a" in fail(capsys, "fit", "--config", small, *files)
            assert "is no file, but a" in fail(capsys, "audit", path)
            assert "is no file, but a" in fail(capsys, "fit", "--config", path)
            with pytest.raises(InputError, match="is no file, but a"):
                load_examples(path)
            with pytest.raises(InputError, match="is no file, but a"):
                load_examples([path, path])
        write_rows(tmp_path / "folder" / "train.json", rows_of(3))
        os.mkfifo(tmp_path / "folder" / "more.json")
        assert len(load_examples(tmp_path / "folder", split="train")) == 3


def test_pipes_and_devices_are_no_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("answer", "--checkpoint", tmp_path, "--question", "Who?", "--document")
    with streams(tmp_path) as made:
        for path in made.values():
            assert "is no file, but a" in fail(capsys, *asked, path)
    reading, writing = os.pipe()  # what the shell's <(command) hands over
    os.write(writing, b"Ana was there.")
    os.close(writing)
    assert "no file" not in fail(capsys, *asked, f"/dev/fd/{reading}")
    os.close(reading)


def packed(path: Path, parts: Iterator[bytes]) -> Path:
    """Write a gzip file."""
    with gzip.open(path, "wb", compresslevel=6) as file:
        for part in parts:
            file.write(part)
    return path


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet", "tsv"])
def test_a_gzip_bomb_is_refused(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfolding, "_UNPACKED", 1 << 22)
    path = packed(tmp_path / f"bomb.{ending}.gz", (bytes(1 << 20) for _ in range(40)))
    with pytest.raises(InputError, match="unfolds to more than"):
        load_examples(path)


def test_text_that_packs_well_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfolding, "_UNPACKED", 1000)
    rows = rows_of(500)
    text = json.dumps(squad_json(rows), ensure_ascii=False).encode()
    path = packed(tmp_path / "rows.json.gz", iter([text]))
    assert path.stat().st_size * 4 < len(text)
    assert len(load_examples(path)) == 500
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert len(load_examples(packed(tmp_path / "rows.jsonl.gz", iter([lines])))) == 500


PARQUET_BOMBS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "a value that is repeated": (["a" * (1 << 18)] * 64, {}),
    "a large value": (["a" * (1 << 25)], {"compression": "zstd", "use_dictionary": False}),
    "small values": (["a" * 20] * 500_000, {}),
}


@pytest.mark.parametrize("name", PARQUET_BOMBS)
def test_a_parquet_bomb_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfolding, "_UNPACKED", 1 << 22)
    texts, settings = PARQUET_BOMBS[name]
    table = pa.table({"id": range(len(texts)), "context": texts, "question": ["a?"] * len(texts)})
    pq.write_table(table.select(["context", "question"]), tmp_path / "bomb.parquet", **settings)
    assert (tmp_path / "bomb.parquet").stat().st_size < 1 << 18
    with pytest.raises(InputError, match="unfolds to more than"):
        load_examples(tmp_path / "bomb.parquet")


def test_contexts_that_stand_in_many_rows_are_data(tmp_path: Path) -> None:
    rows = [{**row, "id": f"{row['id']}-{n}"} for row in rows_of(20) for n in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert len(load_examples(tmp_path / "rows.parquet")) == 600


def test_a_document_larger_than_the_memory_is_not_read(
    demo_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(5 << 30)  # of nothing: it takes no room on the disk
    message = fail(
        capsys, "answer", "--checkpoint", demo_run, "--question", "Onde?", "--document", path
    )
    assert "large.txt" in message
    assert "500 MB" in message


# Results


def test_a_link_is_written_through_and_stays(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "there.jsonl").write_text("old")
    for name, target in (("a", "there.jsonl"), ("b", "data/new.jsonl"), ("c", "far/new.jsonl")):
        link = tmp_path / name
        link.symlink_to(target)
        write_whole(link, ("new",))
        assert link.is_symlink()
        assert (tmp_path / target).read_text() == "new"
        assert not (tmp_path / target).is_symlink()


def what_is_there(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Return what each file is; that a link was followed moves the time it was read at."""
    found = {path: path.lstat() for path in folder.iterdir()}
    return {path: (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns) for path, s in found.items()}


def test_audit_replaces_no_link_and_no_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_rows(tmp_path / "data.json", rows_of(3))
    (tmp_path / "link.json").symlink_to("target.json")
    for option in ("--output", "--repaired", "--html"):
        run("audit", data, option, tmp_path / "link.json")
        assert (tmp_path / "link.json").is_symlink()
        assert (tmp_path / "target.json").read_text()
        (tmp_path / "target.json").unlink()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "null.json").symlink_to("/dev/null")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "own.json").symlink_to(data)
    kinds = what_is_there(tmp_path)
    for name in ("pipe", "null", "folder", "loop", "own"):
        for option in ("--output", "--repaired", "--html"):
            fail(capsys, "audit", data, option, tmp_path / f"{name}.json")
    assert what_is_there(tmp_path) == kinds
    assert Path("/dev/null").is_char_device()


def test_a_pipe_for_results_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told: list[str] = []

    def write() -> None:
        try:
            write_whole(tmp_path / "pipe", ("text",))
        except InputError as error:
            told.append(str(error))

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(10)
    assert told
    assert (tmp_path / "pipe").is_fifo()
