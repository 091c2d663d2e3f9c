"""Bad input through the front door: status 2, one message, nothing half written."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bad_inputs
from answerer_support import write_checkpoint
from bad_inputs import BadFile
from qa_lightning import QuestionAnswerer
from qa_lightning.cli import main
from qa_lightning.errors import InputError
from running import fail, rows_of, write_rows, write_yaml

pytestmark = [pytest.mark.front_door]

Capture = pytest.CaptureFixture[str]
Settings = dict[str, dict[str, Any]]


def files_of(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("bad") / "run" / "best.ckpt")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to work in, with a file and a link that leads in a circle."""
    (tmp_path / "FILE").touch()
    (tmp_path / "LOOP").symlink_to("LOOP")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_is_long() -> None:
    tables = (
        *(bad_inputs.BROKEN_FILES, bad_inputs.FAULTY_ROWS, bad_inputs.WRONG_VALUES),
        *(bad_inputs.BAD_YAML, bad_inputs.BAD_OPTIONS),
    )
    assert sum(map(len, tables)) >= 200


@pytest.mark.parametrize("file", bad_inputs.BROKEN_FILES, ids=lambda file: file.name)
def test_broken_files(file: BadFile, place: Path, capsys: Capture) -> None:
    path = place / file.name
    path.write_bytes(file.content)
    before = files_of(place)
    message = fail(capsys, "audit", path, "--output", place / "out.jsonl")
    for word in file.told:
        assert word in message
    assert "Expected" in message
    assert len(message) < 3_000
    assert files_of(place) == before


@pytest.mark.parametrize("number", range(len(bad_inputs.FAULTY_ROWS)))
def test_faulty_rows(number: int, place: Path, capsys: Capture) -> None:
    content, told = bad_inputs.FAULTY_ROWS[number]
    path = place / "rows.jsonl"
    path.write_bytes(content)
    before = files_of(place)
    message = fail(capsys, "audit", path, "--output", place / "out.jsonl")
    assert told in message
    assert f"{path}, line 2, id 'q7'" in message
    assert "Mend or remove them" in message
    assert files_of(place) == before


def test_an_id_that_stands_twice(small_settings: Settings, place: Path, capsys: Capture) -> None:
    rows = rows_of(3)
    rows[2]["id"] = rows[0]["id"]
    path = write_rows(place / "twice.json", rows)
    small_settings["data"]["data_files"]["validation"] = str(path)
    message = fail(capsys, "fit", "--config", write_yaml(place / "rows.yaml", small_settings))
    assert "occur more than once" in message
    assert f"{path}, row 1" in message
    assert f"{path}, row 3" in message


def settings_with(settings: Settings, key: str, value: object, folder: Path) -> Settings:
    """Return a run's settings with one value put in."""
    settings["data"]["cache_dir"] = str(folder / "cache")
    *path, name = key.split(".")
    place: Any = settings
    for part in path:
        place = place.setdefault(part, {})
    place[name] = value
    return settings


def every_third(rows: list[tuple[str, object, str]]) -> list[Any]:
    """Leave two of three rows, which take a command each, to `make survival`."""
    marks = ((), pytest.mark.slow, pytest.mark.slow)
    return [pytest.param(*row, marks=marks[n % 3]) for n, row in enumerate(rows)]


@pytest.mark.parametrize(("key", "value", "told"), every_third(bad_inputs.WRONG_VALUES))
def test_wrong_values(
    key: str, value: object, told: str, small_settings: Settings, place: Path, capsys: Capture
) -> None:
    config = write_yaml(place / "wrong.yaml", settings_with(small_settings, key, value, place))
    before = files_of(place)
    message = fail(capsys, "fit", "--config", config)
    assert told in message
    # What only the data can tell comes when it is prepared: that is kept, whole.
    new = {path for path in files_of(place) - before if path.is_file()}
    assert {path.relative_to(place).parts[0] for path in new} <= {"cache", "run"}
    assert not [path for path in new if path.suffix in (".ckpt", ".yaml")]
    assert not list((place / "cache").rglob(".*"))


@pytest.mark.parametrize(("content", "told"), bad_inputs.BAD_YAML, ids=range(13))
def test_bad_configurations(content: bytes, told: str, place: Path, capsys: Capture) -> None:
    path = place / "bad.yaml"
    path.write_bytes(content)
    message = fail(capsys, "fit", "--config", path)
    assert told in message
    assert str(path) in message
    assert len(message) < 3_000


@pytest.mark.parametrize("number", range(len(bad_inputs.BAD_OPTIONS)))
def test_bad_options(number: int, checkpoint: Path, place: Path, capsys: Capture) -> None:
    options, told = bad_inputs.BAD_OPTIONS[number]
    (place / "run").symlink_to(checkpoint.parent)
    before = files_of(place)
    message = fail(capsys, *options(place))
    assert told.replace("DIR", str(place)) in message
    assert files_of(place) == before


@pytest.fixture(scope="module")
def answerer(checkpoint: Path) -> QuestionAnswerer:
    return QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")


CALLS = [
    lambda a: a.answer_batch(None),
    lambda a: a.answer_batch(5),
    lambda a: a.answer_batch("text"),
    lambda a: a.answer_batch([None]),
    lambda a: a.answer_batch([("q",)]),
    lambda a: a.answer_batch([("q", None)]),
    lambda a: a.answer_batch([{"question": "q"}]),
    lambda a: a.answer_batch([("q", "c")], n_best=10**12),
    lambda a: a.answer_batch([("q", "c")], n_best="3"),
    lambda a: a.answer_documents("q", None),
    lambda a: a.answer_documents("q", "one"),
    lambda a: a.answer_documents(None, ["c"]),
    lambda a: a.answer_documents("q", [None]),
    lambda a: a.answer_documents("q", ["c"], n_best=None),
    lambda a: a.answer_questions(None, "c"),
    lambda a: a.answer_questions(["q"], None),
    lambda a: a.answer(None, "c"),
    lambda a: a.answer("q", 5),
    lambda a: a.answer("", "c"),
    lambda a: a.answer("q", "c", 0),
    lambda a: a.answer("q", "c", True),
    lambda a: a.read(None),
    lambda a: a.with_settings(max_length=0),
    lambda a: a.with_settings(doc_stride=-1),
    lambda a: a.with_settings(temperature=0.0),
    lambda a: a.with_settings(max_answer_length=0),
    lambda a: QuestionAnswerer.from_checkpoint(None),
    lambda a: QuestionAnswerer.from_checkpoint(5),
    lambda a: QuestionAnswerer.from_checkpoint(""),
    lambda a: QuestionAnswerer.from_checkpoint("x", tokens_per_batch=0),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_bad_calls_from_python(number: int, answerer: QuestionAnswerer) -> None:
    with pytest.raises(InputError, match="Expected"):
        CALLS[number](answerer)


@pytest.mark.parametrize("policy", ["drop", "repair"])
def test_nothing_left_to_train_on_is_told(
    policy: str, small_settings: Settings, place: Path, capsys: Capture
) -> None:
    rows = rows_of(4)
    for row in rows:
        row["answers"]["text"] = ["nowhere at all 0815"]
    small_settings["data"]["data_files"]["train"] = str(write_rows(place / "none.json", rows))
    small_settings["data"] |= {"alignment": policy, "cache_dir": str(place / "cache")}
    message = fail(capsys, "fit", "--config", write_yaml(place / "none.yaml", small_settings))
    assert "Expected something to train on; of 4 answers" in message
    assert "qa-lightning audit" in message
    assert not list((place / "cache").rglob(".*"))


def fuzzed() -> Iterator[tuple[str, Any]]:
    values = [0, -1, 10**12, float("inf"), float("nan"), "", " ", [], {}, None, "x", True, 1.5]
    groups = ("data.", "model.", "evaluation.", "checkpoint.", "prediction.", "tracking.")
    from qa_lightning.cli.referencing import reference

    found = reference()
    for number in found["commands"]["fit"]:
        key = found["keys"][number]["name"]
        if key.startswith(groups) and not key.endswith(".help"):
            for value in values:
                yield key, value


def _status(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@pytest.mark.slow
def test_every_key_of_the_parser_takes_or_tells_every_value(
    small_settings: Settings, place: Path, capsys: Capture
) -> None:
    small_settings["data"]["cache_dir"] = str(place / "cache")
    tried = told = 0
    for key, value in fuzzed():
        if key == "model.config" and value == {}:
            continue  # a network of the full size, which works
        settings = copy.deepcopy(small_settings)
        *path, name = key.split(".")
        inner: Any = settings
        for part in path:
            inner = inner.setdefault(part, {})
        inner[name] = value
        status = _status(["fit", "--config", str(write_yaml(place / "fuzz.yaml", settings))])
        assert status in (0, 2), (key, value)
        assert "Traceback" not in capsys.readouterr().err, (key, value)
        told += status == 2
        tried += 1
    assert tried > 800
    assert told > 500
