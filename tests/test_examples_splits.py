"""Slices count as `datasets` counts; fingerprints change exactly when what is read does."""

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples, source_fingerprint
from qa_lightning.examples.splits import base_names, slices_of


def rows_of(number: int, prefix: str = "") -> list[dict[str, Any]]:
    return [
        {"id": f"{prefix}{n}", "context": "Lima", "question": "?", "answers": []}
        for n in range(number)
    ]


def write(path: Path, number: int, prefix: str = "") -> Path:
    path.write_text(json.dumps(rows_of(number, prefix)))
    return path


def test_the_notebooks_slices() -> None:
    sizes = {"train": 87_599, "validation": 10_570}
    (train,) = slices_of("train[:5%]", sizes)
    (validation,) = slices_of("validation[:4%]", sizes)
    assert train == ("train", 0, 4_380)
    assert validation == ("validation", 0, 423)


@pytest.mark.parametrize(
    "split",
    [
        "train",
        "train[:5%]",
        "train[-3:]",
        "train[10:20]+validation[:50%]",
        "train[:33%] + train[66%:]",
        "validation[5:-1]",
        "train[:20%](pct1_dropremainder)",
        "train[100:900]",
    ],
)
def test_slices_of_local_files_equal_datasets(tmp_path: Path, split: str) -> None:
    files = {
        "train": str(write(tmp_path / "a.json", 107, "t")),
        "validation": str(write(tmp_path / "b.json", 13, "v")),
    }
    compact = split.replace(" ", "")  # `datasets` documents the blanks and fails on them
    own = datasets.load_dataset("json", data_files=files, split=compact, cache_dir=str(tmp_path))
    ours = load_examples(files, split=split)
    assert ours["id"] == own["id"]
    assert str(ours.split) == compact


@given(
    size=st.integers(1, 400),
    start=st.none() | st.integers(-100, 100),
    stop=st.none() | st.integers(-100, 100),
    unit=st.sampled_from(["", "%"]),
)
def test_slices_equal_python_slices(
    size: int, start: int | None, stop: int | None, unit: str
) -> None:
    def bound(value: int | None) -> int | None:
        return value if value is None or not unit else round(value * size / 100)

    expected = list(range(size))[bound(start) : bound(stop)]
    if unit and bound(start) == 0 and start:
        return  # "-0": a rounding of `datasets` that no Python slice has
    low, high = ("" if value is None else f"{value}{unit}" for value in (start, stop))
    try:
        (part,) = slices_of(f"a[{low}:{high}]", {"a": size})
    except InputError:
        assert not expected
    else:
        assert list(range(part.start, part.stop)) == expected


def test_base_names() -> None:
    assert base_names("a+b[:5%]+a[1:]") == ("a", "b")


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ("dev", "which has train, validation; got 'dev'"),
        ("train+dev[:1%]+eval", "got 'dev, eval'"),
        (None, "which has train, validation; got none. Name one"),
        ("train[:5.5%]", "Expected a split such as `train`"),
        ("train[5]", "Expected a split such as `train`"),
        ("", "Expected a split such as `train`"),
        ("train[:101%]", "Percent slice boundaries"),
        ("train[3:3]", "selects none (train has 5)"),
        ("train[:50%](pct1_dropremainder)", "less than 100"),
    ],
)
def test_wrong_splits(tmp_path: Path, split: str | None, told: str) -> None:
    files = {"train": write(tmp_path / "a.json", 5), "validation": write(tmp_path / "b.json", 2)}
    with pytest.raises(InputError) as caught:
        load_examples(files, split=split)
    assert told in str(caught.value)


def test_the_split_of_a_file_is_in_its_name_or_train(tmp_path: Path) -> None:
    for name, split in {
        "dev-v2.0.json": "validation",
        "train.json": "train",
        "squad_test.json": "test",
        "latest.json": "train",
        "devices.json": "train",
    }.items():
        path = write(tmp_path / name, 2)
        assert str(load_examples(path).split) == split
        assert len(load_examples(path, split=f"{split}[:50%]")) == 1
    with pytest.raises(InputError, match="which has validation; got 'train'"):
        load_examples(tmp_path / "dev-v2.0.json", split="train")


def test_fingerprints_follow_bytes_and_arguments(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", 3)
    other = write(tmp_path / "b.json", 4)
    files = {"train": [path, other], "test": other}
    key = source_fingerprint(files, split="train")
    os.utime(path, (1, 1))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    copies = [shutil.copy(file, moved / f"{n}.json") for n, file in enumerate((path, other))]
    assert key == source_fingerprint(files, split="train")
    assert key == source_fingerprint({"train": copies}, split="train", cache_dir=tmp_path, seed=3)
    variants = [
        source_fingerprint({"train": [other, path]}, split="train"),
        source_fingerprint({"train": path}, split="train"),
        source_fingerprint(files, split="test"),
        source_fingerprint(files, split="train[:99%]"),
        source_fingerprint(files, split="train", columns={"title": "id"}),
        source_fingerprint(files, split="train", dataset_config="x"),
        source_fingerprint(files, split="train", revision="x"),
        source_fingerprint(files, split="train", with_answers=False),
    ]
    path.write_text(path.read_text().replace("Lima", "Lyma", 1))
    variants.append(source_fingerprint(files, split="train"))
    assert len({key, *variants}) == len(variants) + 1
    with pytest.raises(InputError, match="got 'dev'"):
        source_fingerprint(files, split="dev")


def test_fingerprints_parse_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    assert len(source_fingerprint(tmp_path / "x.json")) == 32


def test_fingerprints_of_saved_data_sets(tmp_path: Path) -> None:
    for name, number in {"one": 3, "same": 3, "other": 4}.items():
        datasets.Dataset.from_list(rows_of(number)).save_to_disk(tmp_path / name)
    one, same, other = (source_fingerprint(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same != other


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a generator of two rows in the place of the real one."""

    def demo_rows(split: str, *, seed: int = 0, config: str | None = None) -> list[dict[str, Any]]:
        return rows_of(2, f"{config or split}{seed}-")

    module = ModuleType("qa_lightning.demo")
    module.__dict__.update(demo_rows=demo_rows, DEMO_VERSION=1)
    monkeypatch.setitem(sys.modules, "qa_lightning.demo", module)


@pytest.mark.usefixtures("demo")
def test_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_examples("demo", split="train")["id"] == ["train0-0", "train0-1"]
    assert load_examples("demo", split="validation[1:]", seed=5)["id"] == ["validation5-1"]
    with pytest.raises(InputError, match="which has train, validation, test; got 'dev'"):
        load_examples("demo", split="dev")
    assert load_examples("demo", split="test", dataset_config="noisy")["id"][0] == "noisy0-0"
    keys = {source_fingerprint("demo", split="train", seed=seed) for seed in (None, 0, 1)}
    assert len(keys) == 2
    monkeypatch.setattr(sys.modules["qa_lightning.demo"], "DEMO_VERSION", 2)
    assert source_fingerprint("demo", split="train") not in keys


def test_the_real_demo() -> None:
    examples = load_examples("demo", split="validation[:20]")
    assert len(examples) == 20
    for row in examples:
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text


def test_a_folder_named_demo_needs_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    write(tmp_path / "demo" / "train.json", 3)
    monkeypatch.chdir(tmp_path)
    assert len(load_examples("./demo", split="train")) == 3
    assert len(load_examples(Path("demo"), split="train")) == 3
