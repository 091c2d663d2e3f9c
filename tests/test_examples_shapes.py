"""Public files of many shapes give the same examples; what is unknown is told by its shape."""

import gzip
import json
import logging
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import MemorySource, load_examples

Row = dict[str, Any]
WORDS = ["rio", "Douro", "nasce", "serra", "água", "😀", "ponte", "mil", "ano", "Lima", "casa"]


def made_rows(seed: int, *, contexts: int = 4, answered: float = 1.0) -> list[Row]:
    """Return canonical rows, some questions to a context, with answers where they stand."""
    rng = random.Random(seed)
    rows = []
    for number in range(contexts):
        words = [rng.choice(WORDS) for _ in range(rng.randint(5, 30))]
        context = " ".join(words)
        for question in range(rng.randint(1, 3)):
            texts, starts = [], []
            for _ in range(rng.randint(1, 3) if rng.random() < answered else 0):
                first = rng.randrange(len(words))
                last = min(len(words), first + rng.randint(1, 4))
                texts.append(" ".join(words[first:last]))
                starts.append(len(" ".join([*words[:first], ""])))
            gold = {"text": texts, "answer_start": starts}
            name = {"id": f"{number}-{question}", "title": f"t{number}"}
            rows.append({**name, "context": context, "question": "Onde?", "answers": gold})
    return rows


def by_context(rows: list[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["title"], []).append(row)
    return list(groups.values())


def records(row: Row) -> list[Row]:
    gold = row["answers"]
    pairs = zip(gold["text"], gold["answer_start"], strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def qas(rows: list[Row]) -> list[Row]:
    return [{"id": r["id"], "question": r["question"], "answers": records(r)} for r in rows]


def paragraphs(rows: list[Row]) -> list[Row]:
    return [
        {"title": group[0]["title"], "context": group[0]["context"], "qas": qas(group)}
        for group in by_context(rows)
    ]


def lines(items: list[Any]) -> str:
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in items)


def korquad(rows: list[Row]) -> Any:
    """KorQuAD 2: no paragraphs, one `answer` a question, beside the page's HTML."""
    data = []
    for group in by_context(rows):
        questions = [
            {
                "id": r["id"],
                "question": r["question"],
                "answer": {**records(r)[0], "html_answer_start": 9},
            }
            for r in group
        ]
        page = {"title": group[0]["title"], "url": "u", "raw_html": "<p>", "qas": questions}
        data.append({**page, "context": group[0]["context"]})
    return {"version": "KorQuAD_2.0", "data": data}


def cmrc(rows: list[Row]) -> Any:
    """CMRC 2018 as first released: other names, and answers of texts alone."""
    return [
        {
            "context_id": f"DEV_{number}",
            "context_text": group[0]["context"],
            "title": group[0]["title"],
            "qas": [
                {"query_id": r["id"], "query_text": r["question"], "answers": r["answers"]["text"]}
                for r in group
            ],
        }
        for number, group in enumerate(by_context(rows))
    ]


def mrqa(rows: list[Row]) -> str:
    """MRQA's lines: a header, inclusive spans, texts that may differ in case."""
    items: list[Row] = [{"header": {"dataset": "SQuAD", "split": "dev"}}]
    for group in by_context(rows):
        questions = []
        for r in group:
            found = [
                {
                    "text": a["text"].upper() if len(a["text"]) % 2 else a["text"],
                    "char_spans": [[a["answer_start"], a["answer_start"] + len(a["text"]) - 1]],
                    "token_spans": [[0, 0]],
                }
                for a in records(r)
            ]
            texts = {"answers": r["answers"]["text"], "detected_answers": found}
            asked = {"qid": r["id"], "question": r["question"], "question_tokens": [["Onde", 0]]}
            questions.append(asked | texts)
        tokens = [["rio", 0]]
        items.append(
            {"id": "", "context": group[0]["context"], "qas": questions, "context_tokens": tokens}
        )
    return lines(items)


def drcd(rows: list[Row]) -> Any:
    """DRCD: ids at every level, of which the question's is meant."""
    data = []
    for number, group in enumerate(by_context(rows)):
        answers = [{**q, "answers": [{**a, "id": "1"} for a in q["answers"]]} for q in qas(group)]
        paragraph = {"context": group[0]["context"], "id": f"{number}-1", "qas": answers}
        data.append({"title": group[0]["title"], "id": str(number), "paragraphs": [paragraph]})
    return {"version": "1.3", "data": data}


SHAPES: dict[str, Callable[[list[Row]], Any]] = {
    "articles": lambda rows: {
        "data": [{"title": p["title"], "paragraphs": [p]} for p in paragraphs(rows)]
    },
    "a list of articles": lambda rows: [
        {"title": p["title"], "paragraphs": [p]} for p in paragraphs(rows)
    ],
    "one article": lambda rows: {"title": "t0", "paragraphs": paragraphs(rows)},
    "paragraphs": lambda rows: {"paragraphs": paragraphs(rows)},
    "paragraphs in data": lambda rows: {"data": paragraphs(rows)},
    "a list of paragraphs": paragraphs,
    "any key": lambda rows: {"version": 2, "textos": [{"secao": p} for p in paragraphs(rows)]},
    "keyed": lambda rows: {f"doc{number}": p for number, p in enumerate(paragraphs(rows))},
    "a paragraph a line": lambda rows: lines(paragraphs(rows)),
    "an article a line": lambda rows: lines(
        [{"title": p["title"], "paragraphs": [p]} for p in paragraphs(rows)]
    ),
    "drcd": drcd,
    "klue": lambda rows: json.loads(json.dumps(drcd(rows)).replace('"id": ', '"guid": ')),
    "query and passage": lambda rows: json.loads(
        json.dumps({"data": paragraphs(rows)})
        .replace('"question"', '"query"')
        .replace('"context"', '"passage"')
    ),
    "pandas by columns": lambda rows: json.loads(pd.DataFrame(rows).to_json()),
    "pandas split": lambda rows: json.loads(pd.DataFrame(rows).to_json(orient="split")),
    "pandas table": lambda rows: json.loads(pd.DataFrame(rows).to_json(orient="table")),
    "lists of columns": lambda rows: pd.DataFrame(rows).to_dict("list"),
    "columns as a data set's": lambda rows: datasets.Dataset.from_list(rows)[:],
    "a document of many lines": lambda rows: json.dumps({"data": paragraphs(rows)}, indent=1),
    "rows of many lines": lambda rows: "\n" + json.dumps(rows, indent=1),
    "pandas records": lambda rows: json.loads(pd.DataFrame(rows).to_json(orient="records")),
}


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_gives_the_canonical_rows(tmp_path: Path, shape: str) -> None:
    for seed in range(5):
        rows = made_rows(seed, answered=0.8)
        content = SHAPES[shape](rows)
        names = ["x.jsonl", "x.json", "x.jsonl.gz"] if isinstance(content, str) else ["x.json"]
        for name in names:
            assert load_examples(write(tmp_path / name, content)).to_list() == rows


def test_korquad_2(tmp_path: Path) -> None:
    rows = made_rows(0)
    found = load_examples(write(tmp_path / "x.json", korquad(rows))).to_list()
    for row, example in zip(rows, found, strict=True):
        first = {name: values[:1] for name, values in row["answers"].items()}
        assert example == {**row, "answers": first}


def test_mrqa_has_a_header_and_counts_the_last_character_in(tmp_path: Path) -> None:
    for seed in range(5):
        rows = [{**row, "title": ""} for row in made_rows(seed)]
        path = write(tmp_path / "SQuAD.jsonl.gz", mrqa(made_rows(seed)))
        assert load_examples(path).to_list() == rows


def test_mrqa_as_the_hub_has_it(tmp_path: Path) -> None:
    rows = [{**row, "title": ""} for row in made_rows(3)]
    table = []
    for row in rows:
        gold = row["answers"]
        ends = [s + len(t) - 1 for t, s in zip(gold["text"], gold["answer_start"], strict=True)]
        spans = [
            {"start": [s], "end": [e]} for s, e in zip(gold["answer_start"], ends, strict=True)
        ]
        found = {"text": gold["text"], "char_spans": spans}
        table.append(
            {"subset": "SQuAD", "qid": row["id"], "context": row["context"]}
            | {"question": row["question"], "answers": gold["text"], "detected_answers": found}
        )
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "x.parquet")
    assert load_examples(tmp_path / "x.parquet").to_list() == rows


def test_texts_without_places_are_looked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = made_rows(1, contexts=12)
    answers = sum(len(row["answers"]["text"]) for row in rows)
    with caplog.at_level(logging.WARNING):
        found = load_examples(write(tmp_path / "x.json", cmrc(rows))).to_list()
    assert f"{answers} answers have a text and no place" in caplog.text
    for row, example in zip(rows, found, strict=True):
        assert {**example, "answers": None} == {**row, "answers": None}
        assert example["answers"]["text"] == row["answers"]["text"]
        for text, start in zip(*example["answers"].values(), strict=True):
            unique = example["context"].find(text) == example["context"].rfind(text)
            assert start == (example["context"].index(text) if unique else 0)
    flat = [
        {"context": r["context"], "question": "?", "answer": r["answers"]["text"][0]} for r in rows
    ]
    pd.DataFrame(flat).to_csv(tmp_path / "x.csv", index=False)
    texts = [answers["text"] for answers in load_examples(tmp_path / "x.csv")["answers"]]
    assert texts == [[row["answers"]["text"][0]] for row in rows]


@pytest.mark.parametrize("suffix", ["json", "parquet"])
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_nulls_in_place_of_answers_are_counted_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, lost: int
) -> None:
    rows = made_rows(4)
    rows[5] |= {"answers": {"text": [], "answer_start": []}}  # an answer that there is none of
    held = [{**row, "answers": None} if i < lost else row for i, row in enumerate(rows)]
    path = tmp_path / f"x.{suffix}"
    if suffix == "json":
        write(path, held)
    else:
        pq.write_table(pa.Table.from_pylist(held), path)
    with caplog.at_level(logging.WARNING):
        found = load_examples(path).to_list()
    assert sum(not row["answers"]["text"] for row in found) == lost + 1
    told = [record.getMessage() for record in caplog.records if "null" in record.getMessage()]
    assert [f"{lost} rows have a null" in line for line in told] == [True] * bool(lost)


def newsqa(rows: list[Row]) -> list[Row]:
    """NewsQA's table: a row a question, ranges of all annotators, of whom some saw no answer."""
    table = []
    for row in rows:
        gold = row["answers"]
        pairs = zip(gold["text"], gold["answer_start"], strict=True)
        # The ranges of NewsQA often take a blank in.
        spans = [f"{start}:{start + len(text) + 1}" for text, start in pairs]
        ranges = "|".join([",".join(spans) or "None", "None"])
        flags = {"is_answer_absent": 0.0, "is_question_bad": "0.0", "validated_answers": math.nan}
        asked = {"story_id": "./cnn/x.story", "question": row["question"]}
        table.append(
            {**asked, "answer_char_ranges": ranges, **flags, "story_text": row["context"] + " fim"}
        )
    return table


def test_newsqa_as_a_table(tmp_path: Path) -> None:
    for seed in range(5):
        rows = made_rows(seed, answered=0.7)
        pd.DataFrame(newsqa(rows)).to_csv(tmp_path / "x.csv", index=False)
        (tmp_path / "x.jsonl").write_text(lines(newsqa(rows)))
        for name in ("x.csv", "x.jsonl"):
            found = load_examples(tmp_path / name).to_list()
            for number, (row, example) in enumerate(zip(rows, found, strict=True)):
                gold = row["answers"]
                pairs = dict.fromkeys(zip(gold["text"], gold["answer_start"], strict=True))
                assert set(zip(*example["answers"].values(), strict=True)) == set(pairs)
                assert example["id"] == f"row-{number}"
                assert example["context"] == row["context"] + " fim"


def test_newsqa_by_tokens_and_by_stories(tmp_path: Path) -> None:
    context = "O rio nasce na serra ."
    table = [{"story_text": context, "question": "Onde ?", "answer_token_ranges": "4:5,1:2|4:5"}]
    (tmp_path / "x.jsonl").write_text(lines(table))
    gold = {"text": ["serra", "rio"], "answer_start": [15, 2]}
    assert load_examples(tmp_path / "x.jsonl")["answers"][0] == gold
    asked = [
        {"q": "Onde?", "consensus": {"s": 15, "e": 21}},
        {"q": "Quem?", "consensus": {"noAnswer": True}},
    ]
    for question in asked:  # beside what most agreed on stands what each one marked
        question["answers"] = [{"sourcerAnswers": [{"s": 2, "e": 5}]}, {"noAnswer": True}]
    story = {"data": [{"storyId": "s", "text": context, "questions": asked}], "version": "1"}
    found = load_examples(write(tmp_path / "x.json", story))
    assert found["answers"][:] == [
        {"text": ["serra"], "answer_start": [15]},
        {"text": [], "answer_start": []},
    ]
    table[0]["answer_token_ranges"] = "4:9"
    (tmp_path / "x.jsonl").write_text(lines(table))
    with pytest.raises(InputError, match="a range beyond the 6 tokens"):
        load_examples(tmp_path / "x.jsonl")


@pytest.mark.parametrize("name", ["answer", "answer_text"])
def test_a_text_beside_its_start_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    """Start and text as two columns, of all kinds of files; an absent text is no answer."""
    for seed in range(5):
        rows = [row for row in made_rows(seed) if len(row["answers"]["text"]) == 1]
        table = [
            {key: row[key] for key in ("id", "context", "question")}
            | {name: row["answers"]["text"][0], "answer_start": row["answers"]["answer_start"][0]}
            for row in rows
        ] + [{"id": "none", "context": "Lima", "question": "?", name: None, "answer_start": None}]
        pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
        pd.DataFrame(table).to_parquet(tmp_path / "x.parquet")
        pd.DataFrame(table).to_json(tmp_path / "x.json", orient="records")
        (tmp_path / "x.jsonl").write_text(lines(table))
        expected = [row["answers"] for row in rows] + [{"text": [], "answer_start": []}]
        for kind in ("csv", "parquet", "json", "jsonl"):
            assert load_examples(tmp_path / f"x.{kind}")["answers"][:] == expected


BESIDE: dict[str, Callable[[Row], Row]] = {
    "a text": lambda one: one,
    "an object without a place": lambda one: {**one, "answers": {"text": one["answers"]}},
    "an object with a place of its own": lambda one: {
        "answers": {"text": one["answers"], "answer_start": one["answer_start"]},
        "answer_start": 1,
    },
    "a list": lambda one: {"answers": [one["answers"]], "answer_start": [one["answer_start"]]},
    "a list and a number": lambda one: {**one, "answers": [one["answers"]]},
    "a list of objects": lambda one: {**one, "answers": [{"text": one["answers"]}]},
    "a text and a list": lambda one: {**one, "answer_start": [one["answer_start"]]},
    "lists of objects and of places": lambda one: {
        "answers": [{"text": one["answers"]}], "answer_start": [one["answer_start"]]
    },
}  # fmt: skip


@pytest.mark.parametrize("form", BESIDE)
@pytest.mark.parametrize("name", ["answers", "answer", "answer_text"])
def test_a_place_beside_answers_of_any_form(tmp_path: Path, form: str, name: str) -> None:
    rows = [row for seed in range(5) for row in made_rows(seed) if len(records(row)) == 1]
    flat = []
    for row in rows:
        own = {"answers": records(row)[0]["text"], "answer_start": records(row)[0]["answer_start"]}
        beside = BESIDE[form](own)
        shared = {key: row[key] for key in ("context", "question")}
        flat.append({**shared, name: beside.pop("answers"), **beside})
    expected = [row["answers"] for row in rows]
    (tmp_path / "x.jsonl").write_text(lines(flat))
    pq.write_table(pa.Table.from_pylist(flat), tmp_path / "x.parquet")
    pd.DataFrame(flat).to_csv(tmp_path / "x.csv", index=False)
    for kind in ("jsonl", "parquet", "csv"):
        assert load_examples(tmp_path / f"x.{kind}")["answers"][:] == expected
    renamed = [{"answers.x" if key == name else key: row[key] for key in row} for row in flat]
    (tmp_path / "x.jsonl").write_text(lines(renamed))
    for canonical in ("answers", "answer_text"):
        columns = {canonical: "answers.x", "answer_start": "answer_start"}
        assert load_examples(tmp_path / "x.jsonl", columns=columns)["answers"][:] == expected


@pytest.mark.parametrize("answer", ["1535", "8,25", "[sic] Lima", "{x}", "None", "nan"])
def test_an_answer_is_a_text_whatever_it_looks_like(tmp_path: Path, answer: str) -> None:
    context = f"Foi {answer} em Lima"
    row = {"context": context, "question": "?", "answers": answer}
    for start in ({}, {"answer_start": 4}):
        (tmp_path / "x.jsonl").write_text(lines([row | start]))
        pd.DataFrame([row | start]).to_csv(tmp_path / "x.csv", index=False)
        for kind in ("jsonl", "csv"):
            found = load_examples(tmp_path / f"x.{kind}")["answers"][0]
            assert found == {"text": [answer], "answer_start": [4]}


@pytest.mark.parametrize("token", ["NaN", "nan", "None", "null", "NULL", "NA", "<NA>", "N/A", ""])
def test_what_tables_of_text_write_for_nothing_is_no_answer(tmp_path: Path, token: str) -> None:
    """In CSV; where JSON says "None" that is a text, since there null says that there is none."""
    flat = [
        {"id": "1", "context": "Lima, Peru", "question": "?", "title": "t", "is_impossible": 0.0,
         "answer_text": "Peru", "answer_start": 6.0},
        dict.fromkeys(("title", "is_impossible", "answer_text", "answer_start"), math.nan)
        | {"id": "NA", "context": "Lima, Peru", "question": token or "?"},
    ]  # fmt: skip
    pd.DataFrame(flat).to_csv(tmp_path / "x.csv", index=False, na_rep=token)
    rows = load_examples(tmp_path / "x.csv").to_list()
    assert [row["answers"]["text"] for row in rows] == [["Peru"], []]
    assert [rows[1][name] for name in ("id", "title", "question")] == ["NA", "", token or "?"]
    said = {"context": "Lima", "question": "?", "answer_text": token, "answer_start": 0}
    (tmp_path / "x.jsonl").write_text(lines([said]))
    found = load_examples(tmp_path / "x.jsonl")["answers"][0]["text"]
    assert found == ([token] if token else [])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("style", ["", "sep", "capitals", "blanks", "empty rows", "local"])
def test_spreadsheets(tmp_path: Path, delimiter: str, style: str) -> None:
    rows = [row for row in made_rows(5, contexts=8) if len(records(row)) == 1]
    flat = [
        {"id": row["id"], "context": row["context"], "question": row["question"]}
        | {"answer": records(row)[0]["text"], "answer_start": records(row)[0]["answer_start"]}
        for row in rows
    ]
    frame = pd.DataFrame(flat)
    if style in ("capitals", "blanks"):
        frame.columns = [n.title() if style == "capitals" else f" {n}" for n in frame.columns]
    if style == "local":
        frame["is_impossible"] = "FALSO"
        frame["answer_start"] = [f"{start},0" for start in frame["answer_start"]]
    text = frame.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
    text = f"sep={delimiter}\r\n{text}" if style == "sep" else text
    text += (delimiter * 4 + "\r\n") * 3 if style == "empty rows" else ""
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be"):
        (tmp_path / "x.csv").write_bytes(text.encode(encoding))
        found = load_examples(tmp_path / "x.csv")
        assert found["answers"][:] == [row["answers"] for row in rows]
        assert found["id"][:] == [row["id"] for row in rows]
    broken = text.rstrip() + delimiter + "x\r\n"
    (tmp_path / "x.csv").write_text(broken, newline="")
    if style != "empty rows":
        last = text.count("\r\n")
        with pytest.raises(InputError, match=f"line {last}: has "):
            load_examples(tmp_path / "x.csv")


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("style", [str.title, str.upper, lambda name: f" {name} "])
def test_names_in_capitals_are_read_wherever_they_stand(
    tmp_path: Path, style: Callable[[str], str], nested: bool
) -> None:
    """As people type them into sheets, which come as frames, Parquet and JSON as well."""
    rows = [row for row in made_rows(3, contexts=8) if nested or len(records(row)) == 1]
    plain = rows
    if not nested:
        plain = [{k: v for k, v in r.items() if k != "answers"} | records(r)[0] for r in rows]
        plain = [{"answer" if k == "text" else k: v for k, v in row.items()} for row in plain]
    typed = [{style(name): value for name, value in row.items()} for row in plain]
    frame = pd.DataFrame(typed)
    frame.to_parquet(tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text(lines(typed))
    (tmp_path / "x.json").write_text(json.dumps(typed))
    datasets.Dataset.from_list(typed).save_to_disk(tmp_path / "saved")
    memory = [frame, typed, datasets.Dataset.from_list(typed), pa.Table.from_pylist(typed)]
    files = [tmp_path / name for name in ("x.parquet", "x.jsonl", "x.json", "saved")]
    found = [load_examples(path) for path in files]
    found += [load_examples(MemorySource({"train": data})) for data in memory]
    for examples in found:
        assert examples.to_list() == rows


def test_a_name_as_it_is_meant_goes_before_one_in_capitals_or_blanks(tmp_path: Path) -> None:
    rows = made_rows(4)
    others = {"QUESTION": "another?", "question ": "another?", " context": "another"}
    both = [{"Context": "another", **row, **others} for row in rows]
    (tmp_path / "x.jsonl").write_text(lines(both))
    pd.DataFrame(both).to_parquet(tmp_path / "x.parquet")
    for name in ("x.jsonl", "x.parquet"):
        assert load_examples(tmp_path / name).to_list() == rows


def test_a_consensus_that_is_no_place_is_not_read(tmp_path: Path) -> None:
    rows = [{**row, "consensus": 0.8} for row in made_rows(0)]
    (tmp_path / "x.jsonl").write_text(lines(rows))
    assert load_examples(tmp_path / "x.jsonl")["answers"][:] == [row["answers"] for row in rows]


@pytest.mark.parametrize("start", [0, -1, "0", "-1", 0.0, -1.0, None, math.nan])
def test_an_empty_text_is_no_answer(tmp_path: Path, start: Any) -> None:
    """As the script of SQuAD 2.0 has it, in every form and kind of file."""
    row = {"id": "1", "context": "Lima, Peru", "question": "?"}
    forms = [
        {"answers": [{"text": "", "answer_start": start}]},
        {"answers": {"text": [""], "answer_start": [start]}},
        {"answers": {"text": "", "answer_start": start}},
        {"answer_text": "", "answer_start": start},
        {"answer_text": None, "answer_start": start},
        {"answer": None, "answer_start": start},
    ]
    for form in forms:
        (tmp_path / "x.jsonl").write_text(json.dumps({**row, **form}))
        pq.write_table(pa.Table.from_pylist([{**row, **form}]), tmp_path / "x.parquet")
        pd.DataFrame([{**row, **form}]).to_csv(tmp_path / "x.csv", index=False)
        names = (
            ("x.jsonl", "x.parquet", "x.csv") if "answer_text" in form else ("x.jsonl", "x.parquet")
        )
        for name in names:
            assert load_examples(tmp_path / name)["answers"][0] == {"text": [], "answer_start": []}


def test_an_empty_text_beside_others_leaves_them(tmp_path: Path) -> None:
    gold = [{"text": "", "answer_start": 0}, {"text": "Peru", "answer_start": 6}]
    row = {"id": "1", "context": "Lima, Peru", "question": "?", "answers": gold}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    assert load_examples(tmp_path / "x.jsonl")["answers"][0] == {
        "text": ["Peru"],
        "answer_start": [6],
    }


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_tables_as_pandas_makes_them(tmp_path: Path, kind: str) -> None:
    """One absent value turns a column of integers into 22.0 and NaN."""
    for seed in range(5):
        rng = random.Random(seed)
        rows = [
            {**row, "answers": {name: values[:1] for name, values in row["answers"].items()}}
            for row in made_rows(seed, answered=0.6)
        ]
        flat = [
            {
                "id": number,
                "title": row["title"] if rng.random() < 0.5 else math.nan,
                "context": row["context"],
                "question": row["question"],
                "answer_text": (row["answers"]["text"] or [math.nan])[0],
                "answer_start": (row["answers"]["answer_start"] or [math.nan])[0],
                "is_impossible": float(not row["answers"]["text"])
                if rng.random() < 0.5
                else math.nan,
            }
            for number, row in enumerate(rows)
        ]
        frame = pd.DataFrame(flat)
        path = tmp_path / f"x.{kind}"
        options = {"json": {}, "jsonl": {"orient": "records", "lines": True}}.get(kind, {})
        getattr(frame, f"to_{kind.removesuffix('l')}")(path, **options)
        titles = [row["title"] if isinstance(row["title"], str) else "" for row in flat]
        expected = [
            {**row, "id": str(number), "title": title}
            for number, (row, title) in enumerate(zip(rows, titles, strict=True))
        ]
        assert load_examples(path).to_list() == expected


@pytest.mark.parametrize("write_start", [str, float, "{}.0".format, " {} ".format])
def test_starts_written_otherwise(tmp_path: Path, write_start: Callable[[int], Any]) -> None:
    rows = made_rows(2)
    written = [
        {
            **row,
            "answers": [
                {**a, "answer_start": write_start(a["answer_start"])} for a in records(row)
            ],
        }
        for row in rows
    ]
    assert load_examples(write(tmp_path / "x.json", written)).to_list() == rows
    pq.write_table(pa.Table.from_pylist(written), tmp_path / "x.parquet")
    assert load_examples(tmp_path / "x.parquet").to_list() == rows


def test_tables_of_paragraphs(tmp_path: Path) -> None:
    rows = made_rows(4)
    dataset = datasets.Dataset.from_list(paragraphs(rows))
    dataset.to_parquet(tmp_path / "x.parquet")
    dataset.save_to_disk(tmp_path / "saved")
    assert load_examples(tmp_path / "x.parquet").to_list() == rows
    assert load_examples(tmp_path / "saved").to_list() == rows


def test_an_unknown_shape_is_shown(tmp_path: Path) -> None:
    unknown = {
        "corpus": [{"titulo": "t", "secoes": [{"texto": "c", "perguntas": [{"p": "?", "r": "c"}]}]}]
    }
    for content, told in (
        (unknown, "{corpus: [{titulo, secoes: [{texto, perguntas: [{p, r}]}]}]}"),
        (unknown["corpus"], "the columns titulo, secoes: [{texto, perguntas: [{p, r}]}]"),
        (
            {"data": [{"story": "c", "questions": [{"input_text": "?"}], "answers": []}]},
            "input_text, in a file of the shape {data: [{story, questions: [{input_text}], answers",
        ),
        ({"train": paragraphs(made_rows(0)), "dev": paragraphs(made_rows(1))}, "found dev, train"),
        ([{"pergunta": "?", "trecho": {"corpo": "c"}}], "the columns pergunta, trecho: {corpo}"),
    ):
        with pytest.raises(InputError) as caught:
            load_examples(write(tmp_path / "x.json", content))
        assert told in str(caught.value)
        assert "question: context" not in str(caught.value)


@pytest.mark.parametrize("opening", ["[", '{"data":', '{"a":', '[{"paragraphs":'])
@pytest.mark.parametrize("depth", [150, 400, 5_000])
def test_nests_without_end_are_refused(tmp_path: Path, opening: str, depth: int) -> None:
    closing = "".join({"[": "]", "{": "}"}.get(letter, "") for letter in reversed(opening))
    text = opening * depth + "1" + closing * depth
    for name in ("x.json", "x.jsonl"):
        with pytest.raises(InputError):
            load_examples(write(tmp_path / name, text))


def test_a_name_that_the_user_gives_stands_alone(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "passage": "not this", "corpo": "Lima", "question": "?", "answers": ["Lima"]}
    ]
    path = write(tmp_path / "x.json", rows)
    assert load_examples(path)["context"][0] == "not this"
    assert load_examples(path, columns={"context": "corpo"})["context"][0] == "Lima"


def test_newsqa_where_nobody_saw_an_answer(tmp_path: Path) -> None:
    for seed in range(4):
        rows = made_rows(seed, answered=0.5)
        table = newsqa(rows)
        for row, told in zip(table, rows, strict=True):
            row["answer_char_ranges"] = row["answer_char_ranges"].removesuffix("|None")
            assert (row["answer_char_ranges"] == "None") == (not told["answers"]["text"])
        pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
        (tmp_path / "x.jsonl").write_text(lines(table))
        absent = [{**row, "answer_char_ranges": None} for row in table]
        (tmp_path / "null.jsonl").write_text(lines(absent))
        for name in ("x.csv", "x.jsonl"):
            found = load_examples(tmp_path / name)["answers"]
            assert [set(one["text"]) for one in found] == [set(r["answers"]["text"]) for r in rows]
        assert not any(one["text"] for one in load_examples(tmp_path / "null.jsonl")["answers"])


ABSENT = [None, math.nan]


def answered_with(answers: Any, context: str, **flags: Any) -> Any:
    question = {"id": "q", "question": "?", "answers": answers, **flags}
    return {"data": [{"title": "t", "paragraphs": [{"context": context, "qas": [question]}]}]}


@pytest.mark.parametrize("nothing", ABSENT)
@pytest.mark.parametrize("start", [None, math.nan, 0, -1])
def test_nothing_in_nested_json_is_no_answer(tmp_path: Path, nothing: Any, start: Any) -> None:
    for answers in (
        nothing,
        {"text": nothing, "answer_start": start},
        {"text": [nothing], "answer_start": [start]},
        [{"text": nothing, "answer_start": start}],
    ):
        path = write(tmp_path / "x.json", answered_with(answers, "Em Lima."))
        assert load_examples(path)["answers"][0]["text"] == []
    path = write(tmp_path / "x.json", answered_with(nothing, "Em Lima.", is_impossible=False))
    with pytest.raises(InputError, match="`answers` is missing"):
        load_examples(path)
    path = write(tmp_path / "x.json", answered_with([{"text": nothing, "answer_start": 3}], "Em L"))
    with pytest.raises(InputError, match="has a text that is"):
        load_examples(path)


@pytest.mark.parametrize("number", [0, 7, 1992, 12345, 1992.0])
def test_a_number_in_nested_json_is_the_text_that_stands_there(
    tmp_path: Path, number: float
) -> None:
    context = f"Foi em {number:.0f}, no rio."
    for answers in (
        {"text": number, "answer_start": 7},
        {"text": [number], "answer_start": [7]},
        [{"text": number, "answer_start": 7}],
    ):
        found = load_examples(write(tmp_path / "x.json", answered_with(answers, context)))
        assert found["answers"][0] == {"text": [f"{number:.0f}"], "answer_start": [7]}
    path = write(
        tmp_path / "x.json", answered_with({"text": [number], "answer_start": [2]}, context)
    )
    with pytest.raises(InputError, match="has a text that is"):
        load_examples(path)


def test_numbers_of_a_column_with_gaps_are_those_of_the_context(tmp_path: Path) -> None:
    rng = random.Random(3)
    numbers = [rng.choice([rng.randint(0, 9), rng.randint(1000, 2100)]) for _ in range(30)]
    contexts = [f"Foi em {number}, no rio." for number in numbers]
    frame = pd.DataFrame({"context": [*contexts, "Nunca."], "question": "?"})
    frame["answer"], frame["answer_start"] = (
        [*map(float, numbers), math.nan],
        [7.0] * 30 + [math.nan],
    )
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = load_examples(tmp_path / "x.csv")["answers"]
    assert [one["text"] for one in found] == [*([str(number)] for number in numbers), []]
    frame["context"] = [f"{number}.0 e {number}" for number in numbers] + ["Nunca."]
    frame["answer_start"] = [0.0] * 30 + [math.nan]
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = load_examples(tmp_path / "x.csv")["answers"][:30]
    assert [one["text"] for one in found] == [[f"{number}.0"] for number in numbers]
    others = [f"Foi em 1{number}5, {number}.5 ou 1,{number}." for number in numbers]
    frame["context"] = [*others, "Nunca."]
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = load_examples(tmp_path / "x.csv")["answers"][:30]
    assert [one["text"] for one in found] == [[f"{number}.0"] for number in numbers]
