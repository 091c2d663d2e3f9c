"""Every kind of file gives the same examples, held against the `json` module and pandas."""

import csv
import gzip
import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import CANONICAL_FEATURES, load_examples

Rows = list[dict[str, Any]]

ROWS: Rows = [
    {
        "id": "a1",
        "title": "Porto",
        "context": '  O rio Douro\u2028passa no "Porto";\r\nsim, 😀\u0301. ',
        "question": " Que rio? ",
        "answers": {"text": ["O rio Douro", "Douro"], "answer_start": [2, 8]},
    },
    {
        "id": "a2",
        "title": "",
        "context": "Lima, capital do Peru",
        "question": "Qual é a capital?",
        "answers": {"text": [" Lima"], "answer_start": [0]},
    },
    {
        "id": "3",
        "title": "Nada",
        "context": "Aqui não há\n nada",
        "question": "Quem?",
        "answers": {"text": [], "answer_start": []},
    },
]


def squad_of(rows: Rows) -> dict[str, Any]:
    """Nest flat rows as SQuAD 2.0 files are, an article and a paragraph each."""
    articles = []
    for row in rows:
        gold = row["answers"]
        question = {
            "id": row["id"],
            "question": row["question"],
            "is_impossible": not gold["text"],
            "answers": [
                {"text": text, "answer_start": start}
                for text, start in zip(gold["text"], gold["answer_start"], strict=True)
            ],
        }
        if not gold["text"]:
            question["plausible_answers"] = [{"text": "nada", "answer_start": 13}]
        paragraphs = [{"context": row["context"], "qas": [question]}]
        articles.append({"title": row["title"], "paragraphs": paragraphs})
    return {"version": "v2.0", "data": articles}


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def lines_of(rows: Rows, *, ascii_only: bool = False) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)


def write_csv(path: Path, rows: Rows, *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def with_json_answers(rows: Rows) -> Rows:
    return [{**row, "answers": json.dumps(row["answers"])} for row in rows]


def test_nested_squad(tmp_path: Path) -> None:
    path = write(tmp_path / "dev.json", json.dumps(squad_of(ROWS)))
    examples = load_examples(path)
    assert examples.to_list() == ROWS
    assert examples.features == CANONICAL_FEATURES
    assert examples.column_names == ["id", "title", "context", "question", "answers"]
    assert str(examples.split) == "validation"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", ["list", "data", "records", "lines", "jsonl", "ndjson", "one"])
def test_flat_json(tmp_path: Path, shape: str, suffix: str) -> None:
    records = [
        {**row, "answers": squad_of([row])["data"][0]["paragraphs"][0]["qas"][0]["answers"]}
        for row in ROWS
    ]
    text, name, expected = {
        "list": (json.dumps(ROWS), "x.json", ROWS),
        "data": (json.dumps({"data": ROWS}, indent=1), "x.json", ROWS),
        "records": (json.dumps(records, ensure_ascii=False), "x.JSON", ROWS),
        "lines": (lines_of(ROWS), "x.json", ROWS),  # JSON Lines under another name
        "jsonl": ("\ufeff\n" + lines_of(ROWS) + "\n \n", "x.jsonl", ROWS),
        "ndjson": (lines_of(ROWS, ascii_only=True).rstrip(), "x.ndjson", ROWS),
        "one": (json.dumps(ROWS[0]), "x.json", ROWS[:1]),
    }[shape]
    path = write(tmp_path / (name + suffix), text)
    assert load_examples(str(path)).to_list() == expected


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x.json.gz", json.dumps(ROWS)).rename(tmp_path / "x.json")
    write(tmp_path / "plain", json.dumps(ROWS)).rename(tmp_path / "y.json.gz")
    assert load_examples(tmp_path / "x.json").to_list() == ROWS
    assert load_examples(tmp_path / "y.json.gz").to_list() == ROWS


@pytest.mark.parametrize(("delimiter", "name"), [(",", "x.csv"), (";", "x.csv"), ("\t", "x.tsv")])
def test_csv_with_json_answers(tmp_path: Path, delimiter: str, name: str) -> None:
    path = write_csv(
        tmp_path / name, with_json_answers(ROWS), delimiter=delimiter, encoding="utf-8-sig"
    )
    assert load_examples(path).to_list() == ROWS
    packed = write(tmp_path / f"{name}.gz", path.read_bytes())
    assert load_examples(packed).to_list() == ROWS


@pytest.mark.parametrize("names", [("answer_text", "answer_start"), None])
@pytest.mark.parametrize("form", ["single", "lists"])
def test_csv_with_a_pair_of_answer_columns(
    tmp_path: Path, form: str, names: tuple[str, str] | None
) -> None:
    first, second = names or ("answers.text", "answers.answer_start")
    flat = []
    for row in ROWS[1:]:
        gold = row["answers"]
        plain = {key: value for key, value in row.items() if key != "answers"}
        if form == "lists":
            pair = (json.dumps(gold["text"]), json.dumps(gold["answer_start"]))
        else:
            pair = (*gold["text"], *gold["answer_start"]) or ("", "")
        flat.append({**plain, first: pair[0], second: pair[1]})
    assert load_examples(write_csv(tmp_path / "x.csv", flat)).to_list() == ROWS[1:]


def test_csv_as_datasets_and_pandas_write_it(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS).to_csv(tmp_path / "a.csv")
    pd.DataFrame(ROWS).to_csv(tmp_path / "b.csv")
    assert "array(" in (tmp_path / "a.csv").read_text()
    assert load_examples(tmp_path / "a.csv").to_list() == ROWS
    assert load_examples(tmp_path / "b.csv").to_list() == ROWS


def test_csv_cells_of_long_documents(tmp_path: Path) -> None:
    long = [{**ROWS[0], "context": "palavra " * 50_000}]
    path = write_csv(tmp_path / "x.csv", with_json_answers(long))
    assert load_examples(path).to_list() == long


def test_parquet_as_the_hub_has_it(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS, features=CANONICAL_FEATURES).to_parquet(tmp_path / "x.parquet")
    own = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "x.parquet"), cache_dir=str(tmp_path), split="train"
    )
    assert load_examples(tmp_path / "x.parquet").to_list() == own.to_list() == ROWS
    packed = write(tmp_path / "x.parquet.gz", (tmp_path / "x.parquet").read_bytes())
    assert load_examples(packed).to_list() == ROWS


def test_parquet_of_other_types(tmp_path: Path) -> None:
    rows = [{**row, "id": number} for number, row in enumerate(ROWS)]
    gold = pa.struct([("answer_start", pa.list_(pa.int64())), ("text", pa.large_list(pa.string()))])
    table = pa.table(
        {
            "answers": pa.array([row["answers"] for row in rows], gold),
            "question": pa.array([row["question"] for row in rows]).dictionary_encode(),
            "context": pa.array([row["context"] for row in rows], pa.large_string()),
            "id": pa.array([row["id"] for row in rows], pa.uint16()),
            "unused": [[1.0]] * 3,
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    expected = [{**row, "id": str(row["id"]), "title": ""} for row in rows]
    assert load_examples(tmp_path / "x.parquet").to_list() == expected


def test_save_to_disk(tmp_path: Path) -> None:
    dataset = datasets.Dataset.from_list(ROWS)
    dataset.save_to_disk(tmp_path / "one")
    shuffled = dataset.select([2, 0])
    datasets.DatasetDict(train=dataset, validation=shuffled).save_to_disk(tmp_path / "two")
    assert load_examples(tmp_path / "one").to_list() == ROWS
    assert load_examples(str(tmp_path / "two"), split="validation").to_list() == [ROWS[2], ROWS[0]]
    both = load_examples({"test": tmp_path / "one"}, split="test[1:]")
    assert both.to_list() == ROWS[1:]


def test_columns_are_mapped_and_dots_step_into_structures(tmp_path: Path) -> None:
    rows = [
        {
            "qid": number,
            "doc": {"meta": {"name": row["title"]}, "body": row["context"]},
            "pergunta": row["question"],
            "resposta": row["answers"]["text"],
            "gold": {"at": row["answers"]["answer_start"]},
            "context": "not this one",
        }
        for number, row in enumerate(ROWS)
    ]
    columns = {
        "id": "qid",
        "title": "doc.meta.name",
        "context": "doc.body",
        "question": "pergunta",
        "answer_text": "resposta",
        "answers.answer_start": "gold.at",
    }
    expected = [{**row, "id": str(number)} for number, row in enumerate(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    for path in (write(tmp_path / "x.jsonl", lines_of(rows)), tmp_path / "x.parquet"):
        assert load_examples(path, columns=columns).to_list() == expected


def test_columns_of_nested_files_are_mapped(tmp_path: Path) -> None:
    text = json.dumps(squad_of(ROWS)).replace('"question"', '"pergunta"')
    path = write(tmp_path / "x.json", text.replace('"context"', '"texto"'))
    columns = {"question": "pergunta", "context": "texto"}
    assert load_examples(path, columns=columns).to_list() == ROWS


def test_several_files_a_split_in_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "b.jsonl", lines_of(ROWS[:1]))
    second = write_csv(tmp_path / "a.csv", with_json_answers(ROWS[1:]))
    assert load_examples([first, str(second)]).to_list() == ROWS
    assert load_examples({"train": [str(first), second]}, split="train").to_list() == ROWS
    write(tmp_path / "part-2.jsonl", lines_of(ROWS[1:]))
    write(tmp_path / "part-1.jsonl", lines_of(ROWS[:1]))
    assert load_examples(f"{tmp_path}/part-*.jsonl").to_list() == ROWS


def test_a_folder_of_files(tmp_path: Path) -> None:
    write(tmp_path / "README.md", "# data")
    write(tmp_path / "labels.json", "[1]")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-00000-of-00002.jsonl", lines_of(ROWS[:1]))
    write(tmp_path / "data" / "train-00001-of-00002.jsonl.gz", lines_of(ROWS[1:2]))
    write(tmp_path / "dev-v2.0.json", json.dumps(squad_of(ROWS[2:])))
    assert load_examples(tmp_path, split="train").to_list() == ROWS[:2]
    assert load_examples(tmp_path, split="validation").to_list() == ROWS[2:]
    assert load_examples(tmp_path, split="validation+train[:50%]").to_list() == [ROWS[2], ROWS[0]]
    assert load_examples({"test": tmp_path / "data"}, split="test").to_list() == ROWS[:2]


def test_is_impossible_goes_before_answers(tmp_path: Path) -> None:
    flags = [True, False, None]
    rows = [{**ROWS[1], "id": str(n), "is_impossible": flag} for n, flag in enumerate(flags)]
    cells = with_json_answers(
        [{**row, "is_impossible": str(row["is_impossible"] or "")} for row in rows]
    )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    for path in (
        write(tmp_path / "x.json", json.dumps(rows)),
        write_csv(tmp_path / "x.csv", cells),
        tmp_path / "x.parquet",
    ):
        texts = [answers["text"] for answers in load_examples(path)["answers"]]
        assert texts == [[], [" Lima"], [" Lima"]]


def test_prediction_needs_no_answers_and_no_ids(tmp_path: Path) -> None:
    rows = [{"context": row["context"], "question": row["question"]} for row in ROWS]
    expected = [
        {**row, "id": f"row-{number}", "title": "", "answers": {"text": [], "answer_start": []}}
        for number, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    path = write(tmp_path / "x.jsonl", lines_of(rows))
    for source in (path, tmp_path / "x.parquet", write_csv(tmp_path / "x.csv", rows)):
        assert load_examples(source, with_answers=False).to_list() == expected
    # An id belongs to its row, whatever part is read.
    assert load_examples(path, split="train[-1:]", with_answers=False)["id"] == ["row-2"]
    both = load_examples({"a": path, "b": path}, split="a[:1]+b[:1]", with_answers=False)
    assert both["id"] == ["a-row-0", "b-row-0"]
    with pytest.raises(InputError, match=r"x\.jsonl a column for each of: answers"):
        load_examples(path)


def test_empty_texts_are_kept_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{**ROWS[0], "question": ""}, ROWS[1]]
    with caplog.at_level(logging.WARNING):
        assert load_examples(write(tmp_path / "x.json", json.dumps(rows))).to_list() == rows
    assert "1 of 2 have an empty question" in caplog.text


def test_the_fingerprint_of_the_dataset_is_stable(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", json.dumps(ROWS))
    first, second = load_examples(path), load_examples(path, split="train[:2]")
    assert first._fingerprint == load_examples(path)._fingerprint != second._fingerprint
    assert first.map(lambda row: {"n": len(row["context"])})["n"] == [
        len(r["context"]) for r in ROWS
    ]
    first.save_to_disk(tmp_path / "saved")
    assert datasets.load_from_disk(tmp_path / "saved").features == CANONICAL_FEATURES
