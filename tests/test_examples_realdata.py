"""The real data sets, held against the `json` module."""

import json
import os
from pathlib import Path

import datasets
import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples, source_fingerprint

pytestmark = pytest.mark.realdata


def by_hand(path: Path) -> list[dict[str, object]]:
    return [
        {
            "id": question["id"],
            "title": article["title"],
            "context": paragraph["context"],
            "question": question["question"],
            "answers": {
                "text": [answer["text"] for answer in question["answers"]],
                "answer_start": [answer["answer_start"] for answer in question["answers"]],
            },
        }
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


@pytest.mark.parametrize(
    ("name", "rows", "contexts", "articles"),
    [("squad_v1_pt_sample.json", 3_286, 506, 10), ("xquad_en.json", 1_190, 240, 48)],
)
def test_nested_files(realdata: Path, name: str, rows: int, contexts: int, articles: int) -> None:
    examples = load_examples(realdata / name)
    assert len(examples) == len(set(examples["id"])) == rows
    assert len(set(examples["context"])) == contexts
    assert len(set(examples["title"])) == articles
    assert examples.to_list() == by_hand(realdata / name)


def test_the_facts_of_the_sample(realdata: Path) -> None:
    examples = load_examples(realdata / "squad_v1_pt_sample.json")
    misaligned = [
        row
        for row in examples
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        if not row["context"].startswith(text, start)
    ]
    assert len(misaligned) == 1_176
    assert all(row["answers"]["answer_start"] == [0] for row in misaligned)
    assert len({(row["context"], row["question"]) for row in examples}) == 3_286 - 18
    assert sum("&" in text and ";" in text for text in set(examples["context"])) >= 259


def test_slices_and_other_kinds_of_file(realdata: Path, tmp_path: Path) -> None:
    source = realdata / "squad_v1_pt_sample.json"
    rows = by_hand(source)
    assert load_examples(source, split="train[:5%]").to_list() == rows[: round(3_286 * 0.05)]
    own = datasets.Dataset.from_list(rows)
    own.to_parquet(tmp_path / "x.parquet")
    own.to_json(tmp_path / "x.jsonl.gz", compression="gzip")
    own.to_csv(tmp_path / "x.csv")
    own.save_to_disk(tmp_path / "saved")
    for name in ("x.parquet", "x.jsonl.gz", "x.csv", "saved"):
        assert load_examples(tmp_path / name).to_list() == rows, name


def test_fingerprint(realdata: Path, tmp_path: Path) -> None:
    source = realdata / "xquad_en.json"
    copy = tmp_path / "copy.json"
    copy.write_bytes(source.read_bytes())
    key = source_fingerprint(source, split="train[:5%]")
    assert key == source_fingerprint(copy, split="train[:5%]")
    os.utime(copy, (0, 0))
    assert key == source_fingerprint(copy, split="train[:5%]")
    copy.write_bytes(source.read_bytes() + b"\n")
    assert key != source_fingerprint(copy, split="train[:5%]")


def test_answers_without_texts_are_refused(realdata: Path) -> None:
    with pytest.raises(InputError, match=r"squad_v1_pt_spans_dev\.json"):
        load_examples(realdata / "squad_v1_pt_spans_dev.json")
