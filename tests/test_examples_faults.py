"""What cannot be read is told once, with file, row, id and what to do."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples
from qa_lightning.examples.rows import rows_table
from qa_lightning.examples.schema import CANONICAL_FEATURES, CANONICAL_SCHEMA, ColumnNames
from qa_lightning.examples.tables import canonical_table, row_dicts

GOOD: dict[str, Any] = {
    "id": "q",
    "title": "t",
    "context": "Lima, Peru",
    "question": "?",
    "answers": {"text": ["Lima"], "answer_start": [0]},
}


def rows_with(*faulty: dict[str, Any]) -> list[dict[str, Any]]:
    """Return good rows with, between them, rows that differ in one value each."""
    rows = [{**GOOD, "id": "first"}]
    for number, fault in enumerate(faulty):
        row = {**GOOD, "id": f"bad{number}", **fault}
        rows.append({name: value for name, value in row.items() if value is not ...})
    return [*rows, {**GOOD, "id": "last"}]


def message_of(source: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_examples(source, **options)
    return str(caught.value)


FAULTS = [
    ({"context": ...}, "`context` is missing"),
    ({"context": None}, "`context` is missing"),
    ({"question": 7}, "`question` is an integer, not a text"),
    ({"question": ["a"]}, "`question` is a list, not a text"),
    ({"id": 1.5}, "`id` is a number, not a text"),
    ({"id": True}, "`id` is a boolean, not a text"),
    ({"title": 3}, "`title` is an integer, not a text"),
    ({"question": "a\ud800b"}, r"`question` holds the lone surrogate \ud800 at character 1"),
    ({"answers": ...}, "`answers` is missing"),
    ({"answers": None, "is_impossible": False}, "`answers` is missing"),
    ({"answers": 5}, "`answers` is an integer, not {text, answer_start}"),
    ({"answers": '{"text": ["Li'}, """`answers` is the text '{"text": ["Li', which is not JSON"""),
    ({"answers": {"said": "Lima"}}, "`answers` has the keys ['said'], not text and answer_start"),
    ({"answers": [7]}, "`answers` holds an integer that is not {text, answer_start}"),
    ({"answers": [{"said": "Lima"}]}, "`answers` holds an object that is not {text, answer_start}"),
    (
        {"answers": {"text": ["a", "b"], "answer_start": [0]}},
        "`answers` has 2 text and 1 answer_start",
    ),
    (
        {"answers": {"text": ["a"], "answer_start": ["O"]}},
        "`answers` has the answer_start 'O', not an integer",
    ),
    ({"answers": {"text": ["a"], "answer_start": [1.5]}}, "the answer_start 1.5, not an integer"),
    ({"answers": {"text": ["a"], "answer_start": [True]}}, "the answer_start True, not an int"),
    ({"answers": {"text": ["a"], "answer_start": [-2]}}, "the answer_start -2; positions count"),
    ({"answers": {"text": ["a"], "answer_start": [2**31]}}, "the answer_start 2147483648;"),
    ({"answers": {"text": [None], "answer_start": [7]}}, "`answers` has a text that is null"),
    ({"answers": {"text": ["\udc80"], "answer_start": [0]}}, "has a text that holds the lone"),
    ({"answers": {"text": ["a", "b"], "answer_start": 0}}, "pairs a list of text with an integer"),
    ({"answers": ["a", "b"], "answer_start": [0]}, "`answers` has 2 text and 1 answer_start"),
    ({"answers": 7, "answer_start": 0}, "`answers` has a text that is an integer"),
    ({"answers": ["a", "b"], "answer_start": 0}, "pairs a list of text with an integer"),
    ({"is_impossible": "maybe"}, "`is_impossible` is 'maybe', not true or false"),
]


@pytest.mark.parametrize(("fault", "told"), FAULTS)
def test_a_faulty_row_is_told_with_file_row_and_id(
    tmp_path: Path, fault: dict[str, Any], told: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows_with(fault))))
    message = message_of(path)
    assert "1 of 3 cannot be read" in message
    name = "" if "id" in fault else ", id 'bad0'"
    assert f"{path}, line 2{name}: `" in message
    assert told in message


def test_the_first_faults_and_their_number_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows_with(*[{"question": None, "context": 1}] * 30)))
    message = message_of(path)
    assert "30 of 32 cannot be read" in message
    assert (
        f"{path}, row 2 ([1]), id 'bad0': `context` is an integer, not a text; `question`"
        in message
    )
    assert message.count("id 'bad") == 8
    assert "and 22 more" in message


def test_only_selected_rows_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows_with({"question": None})))
    assert load_examples(path, split="train[:1]+train[2:]")["id"] == ["first", "last"]
    assert "1 of 2 cannot be read" in message_of(path, split="train[:2]")


def test_places_in_nested_files(tmp_path: Path) -> None:
    def article(*paragraphs: Any) -> dict[str, Any]:
        return {"title": "t", "paragraphs": list(paragraphs)}

    def paragraph(*questions: Any) -> dict[str, Any]:
        return {"context": "c", "qas": list(questions)}

    good = {"id": "g", "question": "?", "answers": []}
    bad = {"id": "b", "question": "?", "answers": [{"said": "x"}]}
    data = [
        article(paragraph(good, bad), {"context": "c"}),
        article(paragraph(), paragraph("?", {"question": "?", "answers": []})),
        {"title": "t", "paragraphs": 3},
        "article",
    ]
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"data": data}))
    message = message_of(path)
    for told in (
        "row 2 (data[0].paragraphs[0].qas[1]), id 'b': `answers` holds an object that is not",
        "row 3 (data[0].paragraphs[1]): is no paragraph {context, qas: [...]}, but {context}",
        "row 4 (data[1].paragraphs[1].qas[0]): is no object",
        "row 5 (data[1].paragraphs[1].qas[1]): `id` is missing, which other rows have",
        "row 6 (data[2]): has `paragraphs` that are no list",
        "row 7 (data[3]): is no object",
    ):
        assert f"{path}, {told}" in message


def test_broken_lines_and_records(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in rows_with()]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join([lines[0], '{"id": "cut', "", "[1]", lines[1]]))
    message = message_of(path)
    assert "and answers {text, answer_start}; 2 of 4 cannot be read" in message
    assert f"{path}, line 2: is no JSON: Unterminated string" in message
    assert f"{path}, line 4: is JSON, but no object" in message
    table = tmp_path / "x.csv"
    table.write_text('context,question\n"two\nlines",q\nc,q,extra\n')
    told = f"{table}, line 4, id 'row-1': has 3 cells where the header has 2"
    message = message_of(table, with_answers=False)
    assert told in message
    assert "Expected rows with id, context and question; 1 of 2 cannot" in message
    table.write_text('context,question\n"c,q\n')
    assert f"Expected CSV in {table}; it breaks near line" in message_of(table)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"data": [\n{"id": 1,}]}', "it breaks at line 2, column 10"),
        ('{"id": {"0": "a"}}', "got an object with 'id'"),
        ("3", "got a single int"),
        ("", "it breaks at line 1, column 1"),
        ("[]", "selects none (train has 0)"),
        ('{"data": []}', "selects none (train has 0)"),
    ],
)
def test_documents_of_no_known_shape(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert told in message_of(path)


def test_damaged_and_unknown_files(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps([GOOD]).encode())
    (tmp_path / "x.json.gz").write_bytes(whole[:-9])
    assert "Expected a whole gzip file" in message_of(tmp_path / "x.json.gz")
    (tmp_path / "x.parquet").write_bytes(b"PAR1, or not")
    assert f"Expected a readable .parquet source; {tmp_path}" in message_of(tmp_path / "x.parquet")
    (tmp_path / "x.docx").write_bytes(b"")
    assert "Expected a file of the kind .json, .jsonl" in message_of(tmp_path / "x.docx")
    datasets.Dataset.from_list([GOOD]).save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob("*.arrow")).unlink()
    assert str(tmp_path / "saved") in message_of(tmp_path / "saved")
    (tmp_path / "empty").mkdir()
    assert "found none of them" in message_of(tmp_path / "empty")


def test_a_missing_column_blames_the_file_and_not_its_rows(tmp_path: Path) -> None:
    rows = [{"id": "1", "texto": "c", "question": "?", "answer_text": "c"}] * 3
    path = tmp_path / "x.json"
    path.write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    for source in (path, tmp_path / "x.parquet"):
        message = message_of(source)
        assert f"Expected in {source} a column for each of: context (context); answers" in message
        assert "Found the columns id, texto, question, answer_text." in message
        assert "{context: ITS NAME IN THE FILE, answers: ITS NAME IN THE FILE}" in message
    assert "title (titulo)" in message_of(path, columns={"title": "titulo"})
    assert "got pergunta" in message_of(path, columns={"pergunta": "question"})


def test_a_missing_path_is_named_with_the_path_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train-v1.json").write_text("[]")
    monkeypatch.chdir(tmp_path)
    message = message_of("train-v2.json")
    assert f"tried {tmp_path / 'train-v2.json'} and found nothing" in message
    assert "Did you mean train-v1.json?" in message
    entries = {"train": ["train-v1.json", "a.json", "b.csv"], "test": "c.json"}
    message = message_of(entries, split="train")
    assert "a.json" in message
    assert "b.csv" in message
    assert "c.json" not in message
    for source in (Path("squad"), "./squad", "a/b/c", 3, [], {"train": []}, {"train": 3}):
        assert "Expected" in message_of(source)


def test_ids_that_occur_twice_are_named_with_their_places(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.json"
    first.write_text("\n".join(json.dumps({**GOOD, "id": name}) for name in "xyzx"))
    second.write_text(json.dumps([{**GOOD, "id": name} for name in "zw"]))
    message = message_of([first, second])
    assert "2 occur more than once" in message
    assert f"'x': {first}, line 1; {first}, line 4" in message
    assert f"'z': {first}, line 3; {second}, row 1 ([0])" in message
    assert load_examples([first, second], split="train[1:3]+train[5:]")["id"] == ["y", "z", "w"]
    overlap = message_of(second, split="train+train[:1]")
    assert f"'z': {second}, row 1 ([0]); {second}, row 1 ([0])" in overlap


def test_bytes_that_are_no_utf8_in_parquet(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0\5\0\0\0"), pa.py_buffer(b"caf\xe9a")]
    )
    columns = {"id": ["1", "2"], "context": ["c", "c"], "question": broken}
    gold = pa.array([GOOD["answers"]] * 2, CANONICAL_SCHEMA.field("answers").type)
    pq.write_table(pa.table({**columns, "answers": gold}), tmp_path / "x.parquet")
    told = "row 1, id '1': `question` is not UTF-8 (byte 3 is 0xe9)"
    assert told in message_of(tmp_path / "x.parquet")


def _maybe(strategy: st.SearchStrategy[Any], rare: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(*[strategy] * 9, st.just(rare))


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=3)
_GOLD = st.integers(0, 2).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            "text": st.lists(_maybe(_TEXTS), min_size=size, max_size=size),
            "answer_start": _maybe(
                st.lists(
                    st.sampled_from([0, 0, 7, 2**31 - 1, -1, 2**31]), min_size=size, max_size=size
                ),
                [1],
            ),
        }
    )
)
_ROW = st.fixed_dictionaries(
    {
        "id": _maybe(_TEXTS),
        "title": _maybe(_TEXTS),
        "context": _maybe(_TEXTS),
        "question": _maybe(_TEXTS),
        "answers": _maybe(_GOLD),
        "is_impossible": st.sampled_from([False, False, False, None, True]),
    }
)
_TYPES = pa.schema(
    [
        ("id", pa.string()),
        ("title", pa.string()),
        ("context", pa.large_string()),
        ("question", pa.string()),
        (
            "answers",
            pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))]),
        ),
        ("is_impossible", pa.bool_()),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(_ROW, max_size=4),
    kept=st.sets(st.sampled_from(_TYPES.names)),
    cut=st.integers(0, 2),
    required=st.booleans(),
)
def test_whole_tables_are_read_as_their_rows_are(
    rows: list[dict[str, Any]], kept: set[str], cut: int, required: bool
) -> None:
    kept |= {"context", "question"} | ({"answers"} if required else set())
    names = [name for name in _TYPES.names if name in kept]
    table = pa.Table.from_pylist(rows, schema=_TYPES).select(names)
    table = pa.concat_tables([table, table.slice(1)]).slice(cut)
    fast = canonical_table(table, ColumnNames(), answers_required=required)
    slow = rows_table(row_dicts(table), ColumnNames(), answers_required=required)
    if fast is not None:
        assert not slow.faults
        assert fast.equals(slow.table)
    elif not slow.faults:
        # Only a flag, or what may mean that there is no answer, sends good rows the long way.
        assert any(
            row["is_impossible"]
            or row["answers"] is None
            or any(not (text or "").strip() for text in row["answers"]["text"])
            for row in rows
        )


def test_common_tables_take_the_fast_way() -> None:
    rows = [GOOD, {**GOOD, "answers": {"text": [], "answer_start": []}}]
    table = datasets.Dataset.from_list(rows, features=CANONICAL_FEATURES).data.table
    assert canonical_table(table, ColumnNames(), answers_required=True) is not None


LONG = "O rio Douro nasce na serra. " * 400


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (LONG, {}),
        (Path(LONG), {}),
        ([f"{LONG}.json"], {}),
        ({"train": LONG}, {}),
        ("demo", {"split": LONG}),
        ("demo", {"split": "train[:5" * 900}),
        (pd.DataFrame({"context": [LONG] * 30}), {}),
        ("demo", {"columns": {LONG: "x"}}),
    ],
)
def test_what_is_long_is_told_shortly(source: Any, options: dict[str, Any]) -> None:
    """Whoever gives a document, or a table, for its name has to be able to read the message."""
    message = message_of(source, **options)
    assert message.startswith("Expected ")
    assert len(message) < 500


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_column_that_stands_there_twice_is_refused(ending: str, tmp_path: Path) -> None:
    """Which of them is meant nobody knows; the last was taken. Others may be there as often."""
    names = ["id", "question", "context", "context", "note", "note"]
    for twice in (True, False):
        chosen = names if twice else [*names[:3], *names[4:]]
        file = tmp_path / f"{twice}.{ending}"
        if ending == "parquet":
            pq.write_table(pa.table([["a"]] * len(chosen), chosen), file)
        else:
            mark = {"csv": ",", "tsv": "\t"}[ending]
            file.write_text("\n".join(mark.join(line) for line in (chosen, ["a"] * len(chosen))))
    found = load_examples(tmp_path / f"False.{ending}", with_answers=False)
    assert found["context"] == ["a"]
    told = message_of(tmp_path / f"True.{ending}", with_answers=False)
    assert "each column" in told
    assert "'context' stands there 2 times" in told
