"""The answerer as a batch function of engines: what predict writes, whatever a batch is."""

import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import running
from conftest import ROOT
from documents_support import write_pdf
from engines_support import KilledOnce
from page_running import blocks_of
from qa_lightning import AnswerQuestions
from qa_lightning.errors import InputError

ROWS = [
    {key: row[key] for key in ("id", "question", "context")}
    for row in running.rows_of(40, unanswerable=True)
]
ROWS[3]["context"] = ""
ROWS[4]["context"] = "北京大學位於中國北京市海淀區，創辦於一八九八年。" * 6
ROWS[5]["context"] = ROWS[6]["context"]
ROWS[7]["question"] = " "
BATCH = 7
QUIET = ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV")

KINDS: dict[str, Callable[[pa.Table], Any]] = {
    "pandas": lambda table: table.to_pandas(),
    "pandas' own Arrow types": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "numpy": lambda table: {
        n: c.to_numpy() for n, c in zip(table.column_names, table, strict=True)
    },
    "lists": lambda table: table.to_pydict(),
    "table": lambda table: table,
    "record batch": lambda table: table.combine_chunks().to_batches()[0],
    "polars": polars.from_arrow,
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, small_files: dict[str, Path]) -> dict[str, Path]:
    """Train on questions of which some have no answer; let predict answer ``ROWS``."""
    folder = tmp_path_factory.mktemp("engines")
    train = running.write_rows(folder / "train.json", running.rows_of(16, unanswerable=True))
    asked = folder / "asked.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), asked, row_group_size=5)
    settings = {
        "data": {
            "data_files": {"train": str(train), "validation": str(train), "predict": str(asked)},
            "predict_split": "predict",
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
        },
        "model": {"config": dict(running.NETWORK), "learning_rate": 1e-2},
        "trainer": {
            **{"accelerator": "cpu", "max_epochs": 1, "logger": False},
            **{"enable_progress_bar": False, "enable_model_summary": False},
            "default_root_dir": str(folder / "run"),
        },
    }
    config = running.write_yaml(folder / "config.yaml", settings)
    running.run("fit", "--config", config)
    prediction = ("--prediction.n_best=2", "--prediction.file_format=parquet")
    running.run("predict", "--config", config, "--ckpt_path", "last", *prediction)
    answers = folder / "run" / "answers" / "predict" / "answers.parquet"
    return {"run": folder / "run" / "checkpoints" / "last.ckpt", "asked": asked, "answers": answers}


def check(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare rows but for what differs by rounding: a window's neighbours in its batch."""
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert list(row) == list(other)
        for key in ("answer", "start_char", "end_char"):
            assert row[key] == other[key], (row, other)
        for key in ("confidence", "no_answer_probability"):
            assert row[key] == pytest.approx(other[key], abs=1e-4)
        assert len(row["n_best"]) == len(other["n_best"])
        for span, its in zip(row["n_best"], other["n_best"], strict=True):
            assert span == pytest.approx(its, abs=1e-4)


def answered(answer: AnswerQuestions, table: pa.Table, kind: str) -> Iterator[Any]:
    for start in range(0, table.num_rows, BATCH):
        yield answer(KINDS[kind](table.slice(start, BATCH)))


@pytest.fixture(scope="module")
def answer(work: dict[str, Path]) -> AnswerQuestions:
    return AnswerQuestions(work["run"], n_best=2, device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_every_kind_are_answered_as_predict_does(
    work: dict[str, Path], answer: AnswerQuestions, kind: str
) -> None:
    expected = pq.read_table(work["answers"])
    assert any(row["answer"] is None for row in expected.to_pylist())
    assert any(row["answer"] is not None for row in expected.to_pylist())
    parts = list(answered(answer, pq.read_table(work["asked"]), kind))
    wanted = {"record batch": pa.RecordBatch}.get(kind, pa.Table)
    if kind.startswith("pandas"):
        assert all(isinstance(part, pd.DataFrame) for part in parts)
        parts = [pa.Table.from_pandas(part, schema=expected.schema) for part in parts]
    assert all(isinstance(part, wanted) for part in parts if not kind.startswith("pandas"))
    tables = [pa.Table.from_batches([p]) if kind == "record batch" else p for p in parts]
    assert all(table.schema.equals(expected.schema) for table in tables)
    check(pa.concat_tables(tables).to_pylist(), expected.to_pylist())


def test_numbers_as_ids_and_names_of_ones_own_are_read_as_in_files(answer: AnswerQuestions) -> None:
    named = {
        "number": np.arange(2),
        "pergunta": np.array(["Onde?", "Quando?"], object),
        "texto": np.array(["Em Faro, em 1900."] * 2, object),
    }
    columns = {"id": "number", "question": "pergunta", "context": "texto"}
    other = AnswerQuestions(answer._answerer.reader.origin, columns=columns, device="cpu")
    assert other(named)["id"].to_pylist() == ["0", "1"]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"id": ["a"], "question": ["Onde?"]}, r"`batch` in memory a column for each of: context"),
        ({"question": ["Onde?"], "context": ["Em Faro."]}, r"row 1: `id` is missing\n"),
        ({"id": ["a", None], "question": ["?"] * 2, "context": ["Em Faro."] * 2}, r"row 2: `id`"),
        ({"id": ["a"], "question": ["Onde?"], "context": [None]}, r"id 'a': `context` is missing"),
        ({"id": ["a", "a"], "question": ["?"] * 2, "context": ["b"] * 2}, "every id once"),
        (
            {"id": ["a", "b"], "question": np.array(["Onde?"]), "context": ["Em Faro."] * 2},
            r"one length in `batch`; got id 2, question 1, context 2 values",
        ),
        ({"id": ["a", "b"], "question": ["Onde?", 7], "context": ["b"] * 2}, r"id 'b': `question`"),
        ({"id": ["a"], "question": ["\ud83d?"], "context": ["b"]}, "holds the lone surrogate"),
        (pa.table([["a"]] * 4, ["id", "question", "context", "context"]), "'context' stands there"),
        (pd.DataFrame([["a"] * 3], columns=["id", "id", "question"]), "'id' stands there"),
        (dict.fromkeys(("id", "question", "context"), np.array("a")), "Expected a batch of rows"),
        (polars.LazyFrame({"id": ["a"]}), "Expected a batch of rows"),
        (["questions.json"], "Expected a batch of rows"),
        ({"id": "a", "question": "Onde?", "context": "Em Faro."}, "map batches and not rows"),
    ],
)
def test_rows_that_cannot_be_read_are_told(
    answer: AnswerQuestions, batch: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        answer(batch)


ARRAYS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    np.array,
    lambda values: np.array(values, object),
    pa.array,
    lambda values: pa.chunked_array([values[:1], [], values[1:]], pa.string()),
    lambda values: pa.array(values).dictionary_encode(),
    lambda values: pa.array(values, pa.large_string()),
    lambda values: pd.Series(values, index=range(9, 9 + len(values))),
    lambda values: pd.Series(values).astype("category"),
    polars.Series,
]
BESIDE = [None, 2**64 - 1, "x", 1.5, object(), [], {"a": 1}, b"\xff", "\ud83d"]
BAD = [None, 7, float("nan"), ["Onde?"], b"\xff", "\ud83d"]


@pytest.mark.parametrize("seed", range(60))
def test_columns_in_any_company_are_answered_alike_or_told(
    answer: AnswerQuestions, seed: int
) -> None:
    """Of all kinds, beside others that nobody asks for; a fault is told by its column."""
    draw, rows = random.Random(seed), ROWS[8 : 8 + seed % 4 + 1]
    expected = answer({key: [row[key] for row in rows] for key in rows[0]}).to_pylist()
    made = {key: draw.choice(ARRAYS)([row[key] for row in rows]) for key in rows[0]}
    beside = {f"x{n}": [draw.choice(BESIDE) for _ in rows] for n in range(draw.randint(0, 2))}
    names = draw.sample([*made, *beside], len(made) + len(beside))
    batch = {name: (made | beside)[name] for name in names}
    check(answer(batch).to_pylist(), expected)
    fault = draw.choice(list(made))
    values = [row[fault] for row in rows]
    if draw.random() < 0.3:
        values.append(values[-1])
    else:
        values[-1] = draw.choice([value for value in BAD if fault != "id" or value != 7])
    with pytest.raises(InputError, match=fault):
        answer({**batch, fault: values})


@pytest.mark.parametrize(
    "empty", [{}, {"id": []}, pd.DataFrame(), pa.table({}), polars.DataFrame()]
)
def test_an_empty_block_has_no_answers_and_all_columns(
    answer: AnswerQuestions, empty: Any, work: dict[str, Path]
) -> None:
    found = answer(empty)
    assert len(found) == 0
    assert list(getattr(found, "column_names", found)) == pq.read_schema(work["answers"]).names


def test_questions_of_files_are_answered_in_their_text(
    work: dict[str, Path], answer: AnswerQuestions, tmp_path: Path
) -> None:
    pdf = write_pdf(tmp_path / "a.pdf", [["A pintora Alba nasceu em Faro."], ["Morreu em Beja."]])
    (tmp_path / "b.md").write_text("# Flora\n\nA pintora *Flora* nasceu em Braga.", "utf-8")
    paths = [str(pdf), str(tmp_path / "b.md"), str(pdf)]
    batch = {"id": [1, 2, 3], "question": ["Onde nasceu?"] * 3, "file": paths}
    rows = AnswerQuestions(work["run"], documents="file", device="cpu")(batch).to_pylist()
    assert rows[0] == {**rows[2], "id": "1"}
    from qa_lightning.documents import read_document

    for row, path in zip(rows, paths, strict=True):
        best = row["n_best"][0]
        text = read_document(path).text
        assert best["text"] == text[best["start_char"] : best["end_char"]]
    with pytest.raises(InputError, match=r"nothing there"):
        AnswerQuestions(work["run"], documents="file")({**batch, "file": ["/none.pdf"] * 3})
    with pytest.raises(InputError, match=r"A pintora.*could not be read: File name too long"):
        AnswerQuestions(work["run"], documents="file")({**batch, "file": ["A pintora " * 500] * 3})
    with pytest.raises(InputError, match="Expected `columns` as"):
        AnswerQuestions(work["run"], columns=["text"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one column of contexts"):
        AnswerQuestions(work["run"], documents="file", columns={"context": "text"})


def test_it_goes_to_other_processes_by_its_arguments(
    answer: AnswerQuestions, work: dict[str, Path]
) -> None:
    sent = pickle.dumps(answer)
    assert len(sent) < 2_000
    batch = pq.read_table(work["asked"]).slice(0, 3)
    assert pickle.loads(sent)(batch).equals(answer(batch))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Ray on this machine, with room for two workers and who reads for them, and end it."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra `ray`)")
    with pytest.MonkeyPatch.context() as environment:
        for name in QUIET:
            environment.setenv(name, "0")
        environment.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
        try:
            yield ray.data
        finally:
            ray.shutdown()


def test_two_workers_of_ray_answer_as_predict_and_a_killed_one_loses_and_doubles_nothing(
    engine: Any, work: dict[str, Path], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    told.mkdir()
    engine.DataContext.get_current().wait_for_min_actors_s = 120  # both, from the first batch on
    answers = (
        engine.read_parquet(str(work["asked"]))
        .repartition(8)
        .map_batches(
            KilledOnce,
            fn_constructor_args=[str(work["run"])],
            fn_constructor_kwargs={"victim": ROWS[20]["id"], "told": str(told)},
            batch_size=BATCH - 2,
            compute=engine.ActorPoolStrategy(size=2),
        )
    )
    answers.write_parquet(str(tmp_path / "answers"))
    dead = (told / "dead").read_text(encoding="utf-8")
    assert {path.name for path in told.iterdir()} > {dead, "dead"}
    expected = pq.read_table(work["answers"])
    found = pq.read_table(tmp_path / "answers")
    assert found.schema.equals(expected.schema)
    place = {row["id"]: number for number, row in enumerate(ROWS)}
    check(sorted(found.to_pylist(), key=lambda row: place[row["id"]]), expected.to_pylist())


def recipe(word: str) -> str:
    """Return the guide's block of code with a word in it."""
    blocks = blocks_of(ROOT / "docs" / "guides" / "prediction.md")
    return next(block.code for block in blocks if block.kind == "python" and word in block.code)


def lacks_spark() -> str | None:
    if shutil.which("java") is None:
        return "there is no Java, which Spark runs on"
    return None if find_spec("pyspark") else "pyspark is not installed: pip install pyspark"


@pytest.mark.slow
@pytest.mark.parametrize("word", ["ray.data", "mapInPandas"])
def test_the_guides_recipes_answer_as_predict_does(
    word: str, work: dict[str, Path], tmp_path: Path
) -> None:
    if word == "mapInPandas" and (reason := lacks_spark()):
        pytest.skip(reason)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(work["run"].parents[1])
    shutil.copy(work["asked"], tmp_path / "questions.parquet")
    told = dict.fromkeys(QUIET, "0") | {"PYSPARK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", recipe(word)],
        cwd=tmp_path, env={**os.environ, **told}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [
        {**row, "n_best": row["n_best"][:1]} for row in pq.read_table(work["answers"]).to_pylist()
    ]
    found = {row["id"]: row for row in pq.read_table(tmp_path / "answers").to_pylist()}
    assert len(found) == len(expected)
    check([found[row["id"]] for row in expected], expected)
