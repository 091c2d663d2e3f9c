"""The audit command: table, panels, lines, repaired data and page."""

import json
import re
from html.parser import HTMLParser

import pytest
from datasets import load_dataset

from qa_lightning.cli.audit import build_parser, run
from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples
from qa_lightning.reports.audit import write_lines

CONTEXT = "Cerca de 89,4% são brancos &amp; <b>altos</b>. O século XX acabou."
QUESTIONS = [
    ("exact", "Como são?", "brancos", CONTEXT.index("brancos")),
    ("percent", "Quantos são brancos?", "89,4 por cento", 0),
    ("century", "Que século acabou?", "o século 20", 0),
    ("nowhere", "Quem <script>alert(1)</script>?", "telescópio", 0),
]


@pytest.fixture
def squad(tmp_path):
    qas = [
        {"id": name, "question": question, "answers": [{"text": text, "answer_start": start}]}
        for name, question, text, start in QUESTIONS
    ]
    qas.append({"id": "empty", "question": "E?", "answers": [], "is_impossible": True})
    data = [{"title": "Título", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return path


def audit(*arguments) -> None:
    run(build_parser().parse_args([str(argument) for argument in arguments]))


def test_the_summary_tells_everything(squad, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    audit(squad, "--language", "pt")
    told = capsys.readouterr().out
    for what, number in [
        ("questions", 5), ("without an answer", 1), ("answers", 4), ("exact", 1), ("surface", 2),
        ("unaligned", 1), ("repaired", 2), ("duplicated ids", 0), ("empty contexts", 0),
        ("with HTML entities", 1), ("answers longer than 30 words", 0), ("words in a context", 11),
        ("questions on a context", 5),
    ]:  # fmt: skip
        line = next(line for line in told.splitlines() if line.strip("│ ").startswith(what))
        assert str(number) in line
    assert "best official scores in reach" in told


def test_repeated_ids_are_counted_and_named_not_refused(squad, capsys, caplog):
    data = json.loads(squad.read_text(encoding="utf-8"))
    questions = data["data"][0]["paragraphs"][0]["qas"]
    questions.append(questions[0])
    squad.write_text(json.dumps(data), encoding="utf-8")
    audit(squad, "--language", "pt")
    told = capsys.readouterr().out
    for what in ("duplicated ids", "duplicated questions"):
        line = next(line for line in told.splitlines() if what in line)
        assert "1" in line
    assert "'exact': data.json, row 1" in caplog.text.replace(str(squad.parent) + "/", "")


def test_panels_show_answers_in_their_contexts(squad, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    audit(squad, "--show", 10, "--language", "pt")
    told = capsys.readouterr().out
    assert "'89,4 por cento' → '89,4%' (surface" in told
    assert "'telescópio' → no span (unaligned, 0.00)" in told


def test_of_long_contexts_what_is_around_the_answers_is_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    context = "".join(f"Frase {number} do contrato. " for number in range(9_000))
    places = [context.index(f"Frase {number} ") for number in (2, 5_000, 5_004, 8_000)]
    gold = {"text": [context[a : a + 7] for a in places] + ["nada"], "answer_start": [*places, 0]}
    rows = [
        {"id": "1", "context": context, "question": "?", "answers": gold},
        {
            "id": "2",
            "context": context,
            "question": "?",
            "answers": {"text": [], "answer_start": []},
        },
    ]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    audit(tmp_path / "x.json", "--show", 2, "--language", "pt")
    panels = re.sub(r"\W+", " ", capsys.readouterr().out.split("Audit")[0])
    for number in (0, 2, 5_000, 5_004, 8_000):
        assert f"Frase {number} do contrato" in panels
    assert "Frase 7000" not in panels
    assert len(panels) < 6_000


def test_wrapped_lines_keep_their_indentation(squad, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    audit(squad, "--language", "pt")
    lines = [line[1:-1] for line in capsys.readouterr().out.splitlines() if line[:1] == "│"]
    first = next(n for n, line in enumerate(lines) if "moved: stands" in line)
    assert [len(line) - len(line.lstrip()) for line in lines[first : first + 3]] == [3, 3, 3]


def test_lines_hold_one_answer_each(squad, tmp_path):
    output = tmp_path / "new folder" / "lines.jsonl"
    audit(squad, "--output", output, "--language", "pt")
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["exact", "percent", "century", "nowhere"]
    keys = ["id", "answer", "status", "start_char", "end_char", "text", "confidence"]
    assert all(list(line) == keys for line in lines)
    for line in lines[:3]:
        assert line["text"] == CONTEXT[line["start_char"] : line["end_char"]]
    assert lines[3] == {
        "id": "nowhere", "answer": "telescópio", "status": "unaligned",
        "start_char": None, "end_char": None, "text": None, "confidence": 0.0,
    }  # fmt: skip


def test_repaired_data_passes_its_own_audit(squad, tmp_path):
    repaired, output = tmp_path / "repaired.json", tmp_path / "lines.jsonl"
    audit(squad, "--repaired", repaired, "--language", "pt")
    audit(repaired, "--output", output, "--language", "pt")
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(line["id"], line["answer"], line["status"]) for line in lines] == [
        ("exact", "brancos", "exact"),
        ("percent", "89,4%", "exact"),
        ("century", "O século XX", "exact"),
    ]
    questions = json.loads(repaired.read_text(encoding="utf-8"))["data"][0]["paragraphs"][0]["qas"]
    assert questions[-1] == {
        "id": "empty", "question": "E?", "answers": [], "is_impossible": True,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_repaired_rows_are_what_run_qa_takes(squad, tmp_path, kind):
    """`run_qa.py --dataset_name FOLDER` loads the folder and reads these columns of each row."""
    folder = tmp_path / "folder"
    audit(squad, "--repaired", folder / f"train.{kind}", "--language", "pt")
    rows = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert rows.column_names == ["id", "title", "context", "question", "answers"]
    found = {row["id"]: row for row in rows}
    assert list(found) == ["exact", "percent", "century", "empty"]
    assert found["empty"]["answers"] == {"text": [], "answer_start": []}
    for row in rows:
        answers = row["answers"]
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
    assert found["percent"]["answers"]["text"] == ["89,4%"]
    assert load_examples(folder / f"train.{kind}").to_list() == rows.to_list()
    assert [path.name for path in folder.iterdir()] == [f"train.{kind}"]


class _Page(HTMLParser):
    """Collect tags, marked texts and the statuses of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.marked, self.statuses, self.inside = [], [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "article":
            self.statuses.append(dict(attrs)["data-status"])

    def handle_data(self, data):
        if self.inside == "mark":
            self.marked.append(data)

    def handle_endtag(self, tag):
        self.inside = None


def test_the_page_is_self_contained_escaped_and_filtered(squad, tmp_path):
    path = tmp_path / "page.html"
    audit(squad, "--html", path, "--language", "pt")
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    names = [tag for tag, _ in page.tags]
    assert names.count("script") == 1
    assert "b" not in names
    assert not any("src" in attrs or "href" in attrs for _, attrs in page.tags)
    # HTML would drop the blanks that set the summary's lines in.
    told = path.read_text(encoding="utf-8")
    assert '<td style="padding-left: 2em">without an answer</td>' in told
    assert re.search(r"\barticle p \{[^}]*white-space: pre-wrap", told)
    assert page.statuses == ["exact", "surface", "surface", "unaligned"]
    assert page.marked == ["brancos", "89,4%", "O século XX"]
    filters = [attrs["data-status"] for tag, attrs in page.tags if tag == "button"]
    assert filters == ["", "exact", "surface", "unaligned"]


def test_a_large_page_shows_a_choice_and_says_so(squad, tmp_path, monkeypatch):
    monkeypatch.setattr("qa_lightning.reports.audit.page.MAX_ENTRIES", 2)
    path = tmp_path / "page.html"
    audit(squad, "--html", path, "--language", "pt")
    text = path.read_text(encoding="utf-8")
    assert text.count("<article") == 2
    assert "2 of 4 answers" in text


def test_files_are_whole_or_not_there(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text("before", encoding="utf-8")

    def records():
        yield {"id": "one"}
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        write_lines(path, records())
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threshold", "2"), "--threshold.*from 0 to 1"),
        (("--repaired", "data.csv"), "ends in .json, .jsonl, .parquet"),
        (("--language", "xx"), "'xx'"),
        (("--show", "-1"), "--show"),
        (("--num_proc", "0"), "--num_proc"),
    ],
)
def test_mistakes_are_told(squad, arguments, message):
    with pytest.raises(InputError, match=message):
        audit(squad, *arguments)


@pytest.mark.parametrize("option", ["--output", "--repaired", "--html"])
def test_the_source_is_never_written_over(squad, tmp_path, option):
    before = squad.read_bytes()
    with pytest.raises(InputError, match=f"{option}.*is the source"):
        audit(squad, option, tmp_path / "elsewhere" / ".." / squad.name)
    assert squad.read_bytes() == before


def test_two_files_at_one_place_are_refused(squad, tmp_path):
    place = tmp_path / "both.json"
    with pytest.raises(InputError, match=r"--repaired.*that of `--output`"):
        audit(squad, "--output", place, "--repaired", place)
    assert not place.exists()


def test_a_place_that_cannot_be_written_is_told(squad, tmp_path):
    with pytest.raises(InputError, match="can be written"):
        audit(squad, "--output", squad / "lines.jsonl", "--language", "pt")
    with pytest.raises(InputError, match="can be written"):
        audit(squad, "--output", tmp_path, "--language", "pt")


@pytest.mark.realdata
def test_the_sample_is_described_as_counted(realdata):
    from qa_lightning.examples import load_examples
    from qa_lightning.reports.audit import dataset_facts

    facts = dataset_facts(load_examples(str(realdata / "squad_v1_pt_sample.json")))
    assert (facts.examples, facts.contexts) == (3286, 506)
    assert (facts.duplicate_ids, facts.duplicate_questions) == (0, 18)
    assert facts.entity_contexts == 259
