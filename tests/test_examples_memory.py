"""Data in memory: every shape gives what a file of it gives, and no hyper-parameter holds it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from qa_lightning import QADataModule
from qa_lightning.cli import main
from qa_lightning.errors import InputError
from qa_lightning.examples import MemorySource, load_examples
from running import rows_of, small_tokenizer

ROWS = rows_of(9)


def as_squad(rows: list[dict[str, Any]]) -> dict[str, Any]:
    paragraphs = [
        {
            "context": row["context"],
            "qas": [
                {
                    "id": row["id"],
                    "question": row["question"],
                    "answers": [
                        {"text": text, "answer_start": start}
                        for text, start in zip(*row["answers"].values(), strict=True)
                    ],
                }
            ],
        }
        for row in rows
    ]
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": paragraphs}]}


def flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with one answer in two columns, as spreadsheets have them."""
    return [
        {
            **{name: row[name] for name in ("id", "context", "question")},
            "answer_text": row["answers"]["text"][0],
            "answer_start": row["answers"]["answer_start"][0],
        }
        for row in rows
    ]


def with_numpy(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**row, "answers": {name: np.array(values) for name, values in row["answers"].items()}}
        for row in rows
    ]


@dataclass
class Asked:
    id: str
    title: str
    context: str
    question: str
    answers: dict[str, list[Any]]


SHAPES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "list of rows": lambda rows: rows,
    "tuple of rows": tuple,
    "rows with numpy": with_numpy,
    "two answer columns": flat,
    "squad document": as_squad,
    "squad articles": lambda rows: as_squad(rows)["data"],
    "columns": lambda rows: datasets.Dataset.from_list(rows)[:],
    "data set": datasets.Dataset.from_list,
    "sliced data set": lambda rows: datasets.Dataset.from_list([*rows, *rows]).select(
        range(len(rows))
    ),
    "arrow": pa.Table.from_pylist,
    "pandas": pd.DataFrame,
    "pandas, flat": lambda rows: pd.DataFrame(flat(rows)),
    "pandas, flat, floats": lambda rows: pd.DataFrame(flat(rows)).astype({"answer_start": float}),
    "pandas, odd index": lambda rows: pd.DataFrame(rows, index=[f"i{n}" for n in range(len(rows))]),
    "pandas with numpy": lambda rows: pd.DataFrame(with_numpy(rows)),
    "pandas, ids as index": lambda rows: pd.DataFrame(rows).set_index("id"),
    "pandas, index of two": lambda rows: pd.DataFrame(rows).set_index(["id", "question"]),
    "pandas, ids twice": lambda rows: pd.DataFrame(rows).set_index("id", drop=False),
    "pandas rows": lambda rows: [row for _, row in pd.DataFrame(rows).iterrows()],
    "named tuples": lambda rows: list(pd.DataFrame(rows).itertuples()),
    "data classes": lambda rows: [Asked(**row) for row in rows],
    "a view of a dictionary": lambda rows: {row["id"]: row for row in rows}.values(),
    "an array of rows": lambda rows: np.array(rows, dtype=object),
    "record batch": pa.RecordBatch.from_pylist,
    "polars": pl.DataFrame,
    "polars, lazy": lambda rows: pl.DataFrame(rows).lazy(),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_examples(shape: str) -> None:
    examples = load_examples(MemorySource({"train": SHAPES[shape](ROWS)}), split="train")
    assert [row["answers"] for row in examples] == [row["answers"] for row in ROWS]
    for name in ("id", "context", "question"):
        assert examples[name] == [row[name] for row in ROWS]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_identity_follows_the_content(shape: str) -> None:
    make = SHAPES[shape]
    identity = MemorySource({"train": make(ROWS)}).identity(["train"])
    assert identity == MemorySource({"train": make(rows_of(9))}).identity(["train"])
    changed = rows_of(9)
    changed[4] = {**changed[4], "question": "Outra?"}
    assert identity != MemorySource({"train": make(changed)}).identity(["train"])


def test_rows_changed_in_place_are_seen() -> None:
    rows = [dict(row) for row in ROWS]
    frame = pd.DataFrame(rows)
    source = MemorySource({"train": frame, "path": str(Path(__file__))})
    before = source.identity(["train"])
    frame.loc[0, "question"] = "Outra?"
    # A frame is read when it is given: what is hashed and what is read cannot differ.
    assert source.identity(["train"]) == before
    examples = load_examples(source, split="train")
    assert examples[0]["question"] == ROWS[0]["question"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (3, "got an int"),
        ({1, 2}, "a set, one that holds an int"),
        (b"rows", "a bytes"),
        ((row for row in ROWS), "list\\(data\\)"),
        (iter(ROWS), "list\\(data\\)"),
        ([], "an empty one"),
        ([1, 2], "holds an int"),
        ({"train": datasets.Dataset.from_list(ROWS)}, "data\\['train'\\]"),
        (datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)), "data\\['train'\\]"),
        ({}, "got"),
    ],
)
def test_what_is_no_data_is_refused(data: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_examples(MemorySource({"train": data}), split="train")


def test_a_fault_is_told_by_its_row() -> None:
    rows = [dict(row) for row in ROWS]
    rows[3] = {**rows[3], "context": None}
    with pytest.raises(InputError, match=r"`train` in memory, row 4.*`context` is missing"):
        load_examples(MemorySource({"train": rows}), split="train")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "tokenizer": small_tokenizer(),
        "max_length": 64,
        "doc_stride": 16,
        "cache_dir": str(tmp_path / "cache"),
    }


def test_a_datamodule_trains_on_it_and_keeps_its_hash_alone(settings: dict[str, Any]) -> None:
    data = QADataModule(train=pd.DataFrame(ROWS), validation=ROWS[:4], test=ROWS[4:], **settings)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert data.train_examples["id"] == [row["id"] for row in ROWS]
    assert data.val_examples["id"] == [row["id"] for row in ROWS[:4]]
    assert data.split("test").examples["id"] == [row["id"] for row in ROWS[4:]]
    assert next(iter(data.train_dataloader()))["input_ids"].ndim == 2
    assert set(data.hparams["in_memory"]) == {"train", "validation", "test"}
    assert ROWS[0]["context"] not in json.dumps(dict(data.hparams), default=repr)
    assert ROWS[0]["context"] not in json.dumps(data.state_dict())


def test_a_dictionary_of_data_sets_is_a_data_set(settings: dict[str, Any]) -> None:
    splits = datasets.DatasetDict(
        train=datasets.Dataset.from_list(ROWS), dev=datasets.Dataset.from_list(ROWS[:3])
    )
    data = QADataModule(splits, train_split="train[:5]", val_split="dev", **settings)
    data.prepare_data()
    data.setup("fit")
    assert (len(data.train_examples), len(data.val_examples)) == (5, 3)


def test_the_cache_serves_the_same_content_and_no_other(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def preparations(rows: list[dict[str, Any]]) -> int:
        caplog.clear()
        data = QADataModule(train=rows, validation=rows, **settings)
        with caplog.at_level("INFO", logger="qa_lightning"):
            data.prepare_data()
        return caplog.text.count("preparing split")

    assert preparations(ROWS) == 2
    assert preparations(rows_of(9)) == 0
    assert preparations(rows_of(8)) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train": ROWS, "data_files": {"train": "x.json"}}, "either `data_files`"),
        ({"train": ROWS, "dataset": "org/name"}, "either `dataset`"),
        ({"dataset": datasets.Dataset.from_list(ROWS)}, "QADataModule\\(train="),
        ({"dataset": pd.DataFrame(ROWS)}, "QADataModule\\(train="),
        ({"dataset": {}}, "no split"),
    ],
)
def test_two_sources_or_none_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        QADataModule(**given)


def test_a_missing_validation_says_what_there_is(settings: dict[str, Any]) -> None:
    data = QADataModule(train=ROWS, **settings)
    with pytest.raises(InputError, match=r"val_split.*train"):
        data.prepare_data()
    data = QADataModule(train=ROWS, train_split="train[:6]", val_split="train[6:]", **settings)
    data.prepare_data()
    data.setup("fit")
    assert len(data.val_examples) == 3


def test_the_command_line_has_no_key_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["fit", "--data.train", "rows.json"])
    assert left.value.code == 2
    assert "data.train" in capsys.readouterr().err
