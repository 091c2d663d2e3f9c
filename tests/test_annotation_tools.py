"""What annotation tools export, in their real shapes, typed by hand; and the way back."""

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples
from qa_lightning.examples.annotation import label_studio_tasks
from running import fail, rows_of, run, write_rows

TEXT = "Helena 😀 nasceu em Évora. Casou em Évora com Rui, em 1987."
WHERE, WHEN = "Onde nasceu Helena?", "Quando casou?"


def written(folder: Path, value: Any, name: str = "export.json") -> Path:
    lines = isinstance(value, list) and name.endswith("l")
    text = "\n".join(map(json.dumps, value)) if lines else json.dumps(value)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def golds(path: Path, **settings: Any) -> dict[str, list[tuple[str, int]]]:
    """Return the answers to each question of a file, with their places."""
    rows = load_examples(path, **settings).to_list()
    assert {row["context"] for row in rows} == {TEXT}
    return {
        row["question"]: list(
            zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        )
        for row in rows
    }


def place(words: str, nth: int = 0) -> tuple[str, int]:
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(words, start + 1)
    return words, start


def result(words: str, nth: int = 0, **more: Any) -> dict[str, Any]:
    """Return a span as Label Studio's `Labels` tag gives it."""
    _, start = place(words, nth)
    value = {"start": start, "end": start + len(words), "text": words, "labels": ["Answer"]}
    return {
        "value": value | more,
        "id": f"r{start}",
        "from_name": "answer",
        "to_name": "text",
        "type": "labels",
        "origin": "manual",
    }


def task(number: int, question: str, *results: Any, **more: Any) -> dict[str, Any]:
    """Return a task as Label Studio's JSON export has it."""
    annotation = {
        "id": 10 + number,
        "completed_by": 1,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2024-02-09T10:00:00.000000Z",
        "lead_time": 8.4,
        "prediction": {},
        "result_count": len(results),
        "task": number,
        "project": 1,
    }
    return {
        "id": number,
        "annotations": [annotation],
        "file_upload": "tasks.json",
        "drafts": [],
        "predictions": [],
        "data": {"text": TEXT, "question": question},
        "meta": {},
        "inner_id": number,
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "project": 1,
        **more,
    }


def test_label_studio(tmp_path: Path) -> None:
    first = task(1, WHERE, result("Évora"))
    second = {"was_cancelled": False, "result": [result("Évora", 1), result("Évora")]}
    skipped = {"was_cancelled": True, "result": [result("Rui")]}
    first["annotations"] += [second, skipped]
    choice = {"type": "choices", "from_name": "c", "value": {"choices": ["Nenhuma"]}}
    tasks = [
        first,
        task(2, WHEN, result("1987", start=str(place("1987")[1]))),
        task(3, "E?", choice),
    ]
    assert golds(written(tmp_path, tasks)) == {
        WHERE: [place("Évora"), place("Évora", 1)],
        WHEN: [place("1987")],
        "E?": [],
    }


def test_label_studios_short_export(tmp_path: Path) -> None:
    """It has no key of an annotation without spans; a tag's name is the user's."""
    short = {"text": TEXT, "annotator": 1, "annotation_id": 4, "lead_time": 8.4}
    lines = [
        {**short, "id": 1, "question": WHEN, "answer": [result("1987")["value"]]},
        {**short, "id": 2, "question": WHERE, "marca": [result("Évora", 1)["value"]]},
        {**short, "id": 3, "question": "E?"},
        {**short, "id": 4, "question": "Há?", "choice": "Nenhuma"},
    ]
    expected = {WHEN: [place("1987")], WHERE: [place("Évora", 1)], "E?": [], "Há?": []}
    assert golds(written(tmp_path, lines)) == expected
    assert golds(written(tmp_path, lines, "lines.jsonl")) == expected


def test_label_studios_tables(tmp_path: Path) -> None:
    spans = json.dumps([result("1987")["value"]])
    rows = [["text", "question", "id", "answer", "annotator"], [TEXT, WHEN, 1, spans, 1]]
    rows.append([TEXT, "E?", 2, "", 1])
    for name, delimiter in (("x.csv", ","), ("x.tsv", "\t")):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=delimiter).writerows(rows)
        assert golds(tmp_path / name) == {WHEN: [place("1987")], "E?": []}


@pytest.mark.parametrize("seed", range(4))
def test_tasks_that_are_not_done_are_left_out_and_counted(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    kinds = {
        "done": lambda n: task(n, f"P{n}?", result("1987")),
        "says no answer": lambda n: task(n, f"P{n}?"),
        "open": lambda n: task(n, f"P{n}?") | {"annotations": []},
        "skipped": lambda n: task(n, f"P{n}?") | {"annotations": [{"was_cancelled": True}]},
        "old, skipped": lambda n: (
            task(n, f"P{n}?")
            | {"annotations": None, "completions": [{"skipped": True, "result": []}]}
        ),
    }
    chosen = [*kinds, *rng.choices(list(kinds), k=20)]
    rng.shuffle(chosen)
    path = written(tmp_path, [kinds[kind](n) for n, kind in enumerate(chosen)])
    kept = {f"P{n}?": kind == "done" for n, kind in enumerate(chosen) if kind in list(kinds)[:2]}
    assert {question: bool(answers) for question, answers in golds(path).items()} == kept
    (warning,) = (text for text in caplog.messages if "left out" in text)
    assert f"left out {len(chosen) - len(kept)} Label Studio tasks" in warning
    assert len(golds(path, with_answers=False)) == len(chosen)  # all of them can be asked


def test_label_studio_tasks_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, [task(7, WHERE) | {"annotations": []}])
    with pytest.raises(InputError, match="there are none, but 1 Label Studio tasks"):
        load_examples(path)
    no_question = task(1, WHEN) | {"data": {"body": TEXT}}
    with pytest.raises(InputError, match=r"Label Studio task whose data has \['body'\]"):
        load_examples(written(tmp_path, [no_question]))


@pytest.mark.parametrize("kind", ["label", "labels"])
def test_doccano_with_the_question_in_a_column(kind: str, tmp_path: Path) -> None:
    (_, one), (_, two) = place("Évora"), place("Évora", 1)
    lines = [
        {"id": 1, "text": TEXT, "question": WHERE, kind: [[one, one + 5, "A"], [two, two + 5, "A"]],
         "Comments": []},
        {"id": 2, "text": TEXT, "meta": {"question": "E?"}, kind: [], "Comments": []},
    ]  # fmt: skip
    path = written(tmp_path, lines, "all.jsonl")
    assert golds(path) == {WHERE: [place("Évora"), place("Évora", 1)], "E?": []}


def test_doccano_with_the_question_as_the_label(tmp_path: Path) -> None:
    spans = [(*place("Évora"), WHERE), (*place("1987"), WHEN), (*place("Évora", 1), WHERE)]
    entities = [
        {"id": n, "label": label, "start_offset": start, "end_offset": start + len(words)}
        for n, (words, start, label) in enumerate(spans)
    ]
    line = {"id": 9, "text": TEXT, "entities": entities, "relations": [], "Comments": []}
    path = written(tmp_path, [line], "all.jsonl")
    assert golds(path) == {WHERE: [place("Évora"), place("Évora", 1)], WHEN: [place("1987")]}
    assert load_examples(path)["id"][:] == ["9-1", "9-2"]


def test_haystacks_annotator(tmp_path: Path) -> None:
    text, start = place("1987")
    answer = {"answer_id": 53778, "document_id": 43958, "question_id": 51870, "text": text,
              "answer_start": start, "answer_category": "SHORT"}  # fmt: skip
    qas = [
        {"question": WHEN, "id": 51870, "answers": [answer], "is_impossible": False},
        {"question": "E?", "id": 51871, "answers": [], "is_impossible": True},
    ]
    document = {"data": [{"paragraphs": [{"qas": qas, "context": TEXT, "document_id": 43958}]}]}
    path = written(tmp_path, document)
    assert golds(path) == {WHEN: [place("1987")], "E?": []}
    assert load_examples(path)["id"][:] == ["51870", "51871"]


def test_cdqas_annotator(tmp_path: Path) -> None:
    """It has no ids, places by the first hit of a search, and says -1 where that finds nothing."""
    qas = [
        {"question": WHEN, "answers": [{"answer_start": place("1987")[1], "text": "1987"}]},
        {"question": WHERE, "answers": [{"answer_start": -1, "text": "em Beja"}]},
        {"question": "Com quem?", "answers": [{"answer_start": -1, "text": "Rui"}]},
    ]
    paragraphs = [{"context": TEXT, "qas": qas}]
    path = written(
        tmp_path, {"version": "v1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}
    )
    found = {WHEN: [place("1987")], WHERE: [("em Beja", 0)], "Com quem?": [place("Rui")]}
    assert golds(path) == found


def cas(*spans: dict[str, Any]) -> dict[str, Any]:
    """Return a UIMA CAS as INCEpTION's JSON export has it; places count UTF-16 units."""
    units = len(TEXT.encode("utf-16-le")) // 2
    about = {"%ID": 2, "@sofa": 1, "begin": 0, "end": units, "language": "pt"}
    return {
        "%TYPES": {"webanno.custom.Answer": {"%NAME": "webanno.custom.Answer"}},
        "%FEATURE_STRUCTURES": [
            {"%ID": 1, "%TYPE": "uima.cas.Sofa", "sofaNum": 1, "sofaID": "_InitialView",
             "mimeType": "text", "sofaString": TEXT},
            {"%TYPE": "de.tudarmstadt.ukp.dkpro.core.api.metadata.type.DocumentMetaData",
             "documentTitle": "vida.txt", **about},
            {"%ID": 3, "%TYPE": "de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Token",
             "@sofa": 1, "begin": 0, "end": 6},
            *spans,
        ],
        "%VIEWS": {"_InitialView": {"%SOFA": 1, "%MEMBERS": [2, 3]}},
    }  # fmt: skip


def span(words: str, nth: int = 0, mark: str = "", **features: Any) -> dict[str, Any]:
    _, start = place(words, nth)
    begin, end = (len(TEXT[:n].encode("utf-16-le")) // 2 for n in (start, start + len(words)))
    head = {"%ID": 10 + start, "%TYPE": "webanno.custom.Answer", "@sofa": 1}
    return {**head, f"{mark}begin": begin, f"{mark}end": end, **features}


@pytest.mark.parametrize("mark", ["", "^"])
@pytest.mark.parametrize("feature", ["question", "Question", "value"])
def test_inception(mark: str, feature: str, tmp_path: Path) -> None:
    spans = [
        span("Évora", mark=mark, **{feature: WHERE}),
        span("1987", mark=mark, **{feature: WHEN}),
        span("Évora", 1, mark=mark, **{feature: WHERE}),
        span("Rui", mark=mark, comment="nada"),
    ]
    path = written(tmp_path, cas(*spans))
    assert golds(path) == {WHERE: [place("Évora"), place("Évora", 1)], WHEN: [place("1987")]}
    assert load_examples(path)["title"][:] == ["vida.txt", "vida.txt"]


def test_inception_without_a_question_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no span has a question: give the answers' layer"):
        load_examples(written(tmp_path, cas(span("Rui"))))


LAYERS = """#FORMAT=WebAnno TSV 3.3
#T_CH=de.tudarmstadt.ukp.dkpro.core.api.coref.type.CoreferenceLink|referenceRelation|referenceType
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.segmentation.type.Sentence
#T_SP=webanno.custom.Answer|question|certainty
#T_RL=webanno.custom.Next|label|BT_webanno.custom.Answer


"""


def webanno(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Write what INCEpTION writes for a text of one sentence a line; its tokens are its words."""

    def units(place: int) -> int:
        return len(text[:place].encode("utf-16-le")) // 2

    def escaped(value: str) -> str:
        return re.sub(r"([\\\[\]|_*;])", r"\\\1", value)

    lines, begin = [LAYERS], 0
    for number, sentence in enumerate(text.split("\n"), start=1):
        lines.append(f"#Text={sentence}\n")
        for nth, token in enumerate(re.finditer(r"\S+", sentence), start=1):
            start, end = begin + token.start(), begin + token.end()
            here = [n for n, one in enumerate(spans) if one[0] < end and one[1] > start]
            values = "|".join(f"{escaped(spans[n][2])}[{n + 1}]" for n in here) or "_"
            sure = "|".join(f"*[{n + 1}]" for n in here) or "_"
            cells = [f"{number}-{nth}", f"{units(start)}-{units(end)}", token[0], "_", "_", "_"]
            lines.append("\t".join([*cells, values, sure, "_", "_"]) + "\t\n")
        lines.append("\n")
        begin += len(sentence) + 1
    return "".join(lines)


@pytest.mark.parametrize("seed", range(6))
def test_inceptions_webanno_tsv(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    words = ["Évora", "😀", "Rui", "1987", "a|b", "c[1]", "x_y", "*", "日本", "em"]
    text = "\n".join(" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(6))
    tokens = [found.span() for found in re.finditer(r"\S+", text)]
    spans = []
    for number in range(8):
        first = rng.randrange(len(tokens))
        last = min(first + rng.randint(0, 3), len(tokens) - 1)
        spans.append((tokens[first][0], tokens[last][1], f"P{number % 5}_a|b*[{number % 5}]?"))
    path = tmp_path / "x.tsv"
    path.write_text(webanno(text, spans), encoding="utf-8")
    rows = load_examples(path).to_list()
    assert {row["context"].replace("\n", " ") for row in rows} == {text.replace("\n", " ")}
    found = {
        (start, start + len(answer), row["question"])
        for row in rows
        for answer, start in zip(*row["answers"].values(), strict=True)
    }
    assert found == set(spans)


def test_webanno_of_one_token_and_of_a_part_of_one(tmp_path: Path) -> None:
    """A lone token's value has no number; a part of a token has a line of its own."""
    head = "#FORMAT=WebAnno TSV 3.2\n#T_SP=webanno.custom.Answer|value\n\n\n"
    lines = "#Text=Foi em 1987.\n1-1\t0-3\tFoi\t_\t\n1-2\t4-6\tem\t_\t\n"
    lines += "1-3\t7-12\t1987.\t_\t\n1-3.1\t7-11\t1987\tQuando foi?\t\n"
    lines += "\n#Text=Fim\n2-1\t14-17\tFim\tO que é?\t\n"
    (tmp_path / "x.tsv").write_text(head + lines, encoding="utf-8")
    rows = load_examples(tmp_path / "x.tsv").to_list()
    assert {row["context"] for row in rows} == {"Foi em 1987.\n\nFim"}
    assert [row["answers"] for row in rows] == [
        {"text": ["1987"], "answer_start": [7]},
        {"text": ["Fim"], "answer_start": [14]},
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("#FORMAT=WebAnno TSV 2\n", "3.3 or as UIMA CAS JSON"),
        (LAYERS + "#Text=a\n1-1\t0-1\ta\t_\n", "has 4 columns, and the header says 10"),
        (LAYERS + "#Text=a\nwords\n", "is no token"),
        (LAYERS, "no span has a question"),
    ],
)
def test_webanno_that_cannot_be_read_says_how_to_export(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "x.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        load_examples(tmp_path / "x.tsv")


def haystack_label(number: int, question: str, answer: Any, **more: Any) -> dict[str, Any]:
    """Return a label as Haystack 1.x keeps it, feedback and annotations alike."""
    return {
        "id": f"l{number}",
        "query": question,
        "document": {"id": "d1", "content": TEXT, "content_type": "text", "meta": {"name": "t"},
                     "id_hash_keys": ["content"], "score": None, "embedding": None},
        "is_correct_answer": True,
        "is_correct_document": True,
        "origin": "user-feedback",
        "answer": answer,
        "no_answer": False,
        "pipeline_id": None,
        "created_at": "2023-01-09 10:00:00",
        "updated_at": None,
        "meta": {},
        "filters": None,
        **more,
    }  # fmt: skip


def haystack_answer(words: str, nth: int = 0) -> dict[str, Any]:
    _, start = place(words, nth)
    offsets = [{"start": start, "end": start + len(words)}]
    return {"answer": words, "type": "extractive", "score": 0.9, "context": TEXT[:30],
            "offsets_in_document": offsets, "offsets_in_context": offsets,
            "document_ids": ["d1"], "meta": {}}  # fmt: skip


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_haystacks_feedback(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unplaced = haystack_answer("1987") | {"offsets_in_document": None}
    labels = [
        haystack_label(1, WHERE, haystack_answer("Évora", 1)),
        haystack_label(2, WHEN, unplaced),
        haystack_label(3, "E?", None, no_answer=True),
        haystack_label(4, "Quem?", haystack_answer("Rui"), is_correct_answer=False),
        {"labels": [haystack_label(5, "Com quem?", haystack_answer("Rui"))], "query": "Com quem?"},
    ]
    path = written(tmp_path, labels, name)
    assert golds(path) == {
        WHERE: [place("Évora", 1)],
        WHEN: [place("1987")],
        "E?": [],
        "Com quem?": [place("Rui")],
    }
    assert "left out 1 answers that somebody called wrong" in caplog.text
    assert load_examples(path)["title"][0] == "t"
    old = haystack_label(6, WHEN, "1987", document=None, document_id="d1")
    with pytest.raises(InputError, match="without the text of its document"):
        load_examples(written(tmp_path, [old]))


@pytest.mark.parametrize(("name", "told"), [("x.zip", "Unpack"), ("x.xmi", "UIMA CAS JSON")])
def test_other_exports_say_what_to_do(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(InputError, match=told):
        load_examples(tmp_path / name)


def random_rows(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for number in range(30):
        context = "".join(rng.choices('aé😀 \n\t"\\日', k=rng.randint(5, 80))) + "fim"
        starts = sorted(rng.sample(range(len(context)), rng.randint(0, 3)))
        texts = [context[start : rng.randint(start + 1, len(context))] for start in starts]
        kept = [pair for pair in zip(texts, starts, strict=True) if pair[0].strip()]
        rows.append(
            {
                "id": f"q{number}",
                "title": rng.choice(["", "título"]),
                "context": context,
                "question": f"P{number}?",
                "answers": {
                    "text": [text for text, _ in kept],
                    "answer_start": [start for _, start in kept],
                },
            }
        )
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_for_label_studio_is_read_back(seed: int, tmp_path: Path) -> None:
    rows = random_rows(seed)
    path = written(tmp_path, list(label_studio_tasks(rows)))
    assert load_examples(path).to_list() == rows


@pytest.mark.parametrize("name", ["out.json", "out.label_studio.json"])
def test_the_audit_writes_what_it_repaired_in_either_shape(name: str, tmp_path: Path) -> None:
    rows = rows_of(6, unanswerable=True)
    source = written(tmp_path, list(label_studio_tasks(rows)), "tasks.json")
    run("audit", source, "--repaired", tmp_path / name)
    assert load_examples(tmp_path / name).to_list() == rows
    run("audit", tmp_path / name, "--repaired", tmp_path / "again.jsonl")
    assert load_examples(tmp_path / "again.jsonl").to_list() == rows


def test_corrections_are_kept_in_label_studios_shape_too(tmp_path: Path) -> None:
    from qa_lightning.app import Corrections

    path = tmp_path / "mine.label_studio.json"
    rows = rows_of(3)
    write_rows(tmp_path / "mine.json", rows)
    for _ in range(2):
        for row in rows:
            (text,), (start,) = row["answers"].values()
            Corrections(path).keep(
                title=row["title"],
                context=row["context"],
                question=row["question"],
                span=(start, start + len(text)),
            )
    made = [{**row, "id": ""} for row in load_examples(path).to_list()]
    assert made == [{**row, "id": ""} for row in rows]
    assert "annotations" in json.loads(path.read_text("utf-8"))[0]


def test_an_export_that_lacks_what_a_question_needs_ends_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"id": 1, "label": [[0, 3, "Onde?"]], "Comments": []}
    message = fail(capsys, "audit", written(tmp_path, [line], "x.jsonl"))
    assert "no text" in message or "context" in message
