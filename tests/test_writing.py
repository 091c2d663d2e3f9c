"""Files that appear whole or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from qa_lightning.errors import InputError
from qa_lightning.reports.writing import write_whole


def test_several_commands_may_write_the_same_file(tmp_path):
    path = tmp_path / "reports" / "validate.json"
    texts = [f"{number}\n" * 2_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(path, (text,)), texts))
    assert path.read_text(encoding="utf-8") in texts
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failure_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_whole(path, ("before\n",))

    def parts():
        yield "half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_whole(path, parts())
    assert path.read_text(encoding="utf-8") == "before\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_lone_surrogate_stays_readable(tmp_path):
    path = tmp_path / "answers.json"
    write_whole(path, (json.dumps({"text": "a\ud800b"}, ensure_ascii=False),))
    assert json.loads(path.read_text(encoding="utf-8")) == {"text": "a\ud800b"}


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"Expected a file that can be written; got '.*answers"):
        write_whole(tmp_path / "file" / "answers.json", ("",))
