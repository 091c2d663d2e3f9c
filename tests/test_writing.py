"""Files that appear whole or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import running
from qa_lightning.errors import InputError
from qa_lightning.reports.writing import PAGE, place_problems, write_whole


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


@pytest.mark.parametrize(
    "command",
    [
        ("answer", "--checkpoint", "absent", "--question", "Quem?", "--document", "a.md", "--html"),
        ("audit", "a.json", "--html"),
        ("audit", "a.json", "--output"),
        ("compare", "absent", "absent", "--html"),
        ("compare", "absent", "absent", "--json"),
        ("report", "absent", "--output"),
    ],
)
@pytest.mark.parametrize("place", ["best.ckpt", "config.yaml", "a.md", "notes"])
def test_a_slip_of_names_costs_nobody_a_file(command, place, tmp_path, monkeypatch, capsys):
    """What is written for people takes the place of its kind, not of documents and checkpoints."""
    monkeypatch.chdir(tmp_path)
    for name in ("best.ckpt", "config.yaml", "a.md", "a.json", "notes"):
        (tmp_path / name).write_text("of hours")
    assert "is something else. Name another" in running.fail(capsys, *command, place)
    assert (tmp_path / place).read_text() == "of hours"


def test_a_page_does_not_take_the_place_of_its_document(tmp_path, capsys):
    document = tmp_path / "report.html"
    document.write_text("<p>O rio Douro.</p>")
    asked = ("answer", "--checkpoint", "absent", "--question", "Quem?", "--document", document)
    assert "is the document" in running.fail(capsys, *asked, "--html", document)
    (tmp_path / "link.html").symlink_to(document)
    assert "is the document" in running.fail(capsys, *asked, "--html", tmp_path / "link.html")
    assert document.read_text() == "<p>O rio Douro.</p>"


def test_of_its_kind_or_empty_a_file_is_replaced(tmp_path):
    for name in ("page.html", "PAGE.HTM", "empty.txt", "new.xyz"):
        target = tmp_path / name
        if not name.startswith("new"):
            target.write_text("" if name.startswith("empty") else "<p>")
        assert not list(place_problems(target, PAGE))
