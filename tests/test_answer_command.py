"""``qa-lightning answer``: what a person and what a program sees."""

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from answerer_support import write_checkpoint
from documents_support import write_pdf
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.cli import answer as command
from qa_lightning.errors import InputError
from running import fail, rows_of

ROWS = rows_of(3)
QUESTION, CONTEXT = ROWS[0]["question"], ROWS[0]["context"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoints" / "best.ckpt")


@pytest.fixture
def ask(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: object) -> str:
        parser = command.build_parser()
        parser.exit_on_error = False
        words = ["--checkpoint", str(checkpoint), "--device", "cpu", *map(str, arguments)]
        capsys.readouterr()
        command.run(parser.parse_args(words))
        return capsys.readouterr().out

    return run


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(text: str) -> None:
        stream = io.StringIO(text)
        stream.buffer = io.BytesIO(text.encode())  # type: ignore[misc]
        monkeypatch.setattr("sys.stdin", stream)

    return give


def test_an_answer_is_shown_in_its_place(ask: Any, checkpoint: Path) -> None:
    expected = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu").answer(QUESTION, CONTEXT)
    shown = ask("--question", QUESTION, "--context", CONTEXT)
    assert QUESTION in shown
    assert f"[[{expected.text}]]" in shown
    assert f"characters {expected.start_char}-{expected.end_char}" in shown


def test_of_a_long_document_it_is_told_once_how_to_read_less(
    ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def told(context: str, *options: object) -> list[str]:
        caplog.clear()
        ask("--question", QUESTION, "Onde?", "--context", context, *options)
        return [record.getMessage() for record in caplog.records if "--screen" in record.msg]

    (message,) = told(CONTEXT * 200)
    assert int(re.search(r"all (\d+) windows", message)[1]) >= 200  # type: ignore[index]
    assert not told(CONTEXT)
    assert not told(CONTEXT * 200, "--screen", "all")
    assert not told(CONTEXT * 200, "--screen", "auto")


def test_an_answer_over_several_lines_is_shown_in_one(ask: Any, checkpoint: Path) -> None:
    context = CONTEXT.replace(" ", "\r\n")
    answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    expected = answerer.answer(QUESTION, context, 8)
    assert any("\n" in answer.text for answer in expected)
    shown = ask("--question", QUESTION, "--context", context, "--n_best", 8).splitlines()
    assert len(shown) == 1 + 2 * len(expected)
    assert [line.split("  ")[1].split(" (")[0] for line in shown[1::2]] == [
        " ".join(answer.text.split()) for answer in expected
    ]


def test_a_precision_that_is_not_offered_is_refused_with_its_reason(ask: Any) -> None:
    with pytest.raises(InputError, match="float32, bf16, int8, auto"):
        ask("--question", QUESTION, "--context", CONTEXT, "--precision", "int4")
    assert "characters" in ask("--question", QUESTION, "--context", CONTEXT, "--precision", "auto")


def test_json_is_utf8_whatever_the_terminal_takes(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    text = "北京在哪裡？ São Тула ığdır 😀"
    words = ["--checkpoint", str(checkpoint), "--device", "cpu", "--json", "--question"]
    asked = [text, "half \udc80", "--context", f"{CONTEXT} {text}"]
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    command.run(command.build_parser().parse_args([*words, *asked]))
    whole, half = out.buffer.getvalue().splitlines()  # type: ignore[attr-defined]
    assert json.dumps(text, ensure_ascii=False).encode() in whole
    assert json.loads(half)["question"] == "half \udc80"


@pytest.mark.parametrize("seen", [True, False])
def test_a_model_that_never_saw_no_answer_gives_it_no_probability(
    seen: bool, checkpoint: Path, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "best.ckpt", fitted={"no_answer": seen, "threshold": 1e9})
    answerer = QuestionAnswerer.from_checkpoint(path, device="cpu")
    for answers in (
        answerer.answer(QUESTION, CONTEXT),
        answerer.answer(QUESTION, " "),
        answerer.answer_documents(QUESTION, [CONTEXT, ROWS[1]["context"]]),
    ):
        told = answers.to_dict()
        assert told["no_answer_probability"] == (answers.no_answer_probability if seen else None)
        assert told["confidence"] is not None


def test_a_cut_question_is_told(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ask("--question", QUESTION, "--context", CONTEXT)
        assert "are cut there" not in caplog.text
        long = f"{QUESTION} " * 20
        ask("--question", QUESTION, long, "--context", CONTEXT)
    assert (
        f"1 of 1 questions have more than 24 tokens and are cut there, the first {long[:60]!r}"
        in (caplog.text)
    )


def test_a_record_tells_itself_in_a_line(checkpoint: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    answers = answerer.answer(QUESTION * 50, CONTEXT * 20, n_best=20)
    assert len(answers) == 20
    assert f"text={answers.text!r}, start_char={answers.start_char}" in repr(answers)
    assert len(repr(answers)) < 300


def test_json_lines_of_several_questions(ask: Any, tmp_path: Path) -> None:
    path = tmp_path / "documento.txt"
    # Line ends, a byte-order mark and all: places count the characters of the text.
    path.write_bytes(b"\xef\xbb\xbf" + f"Título\r\n{CONTEXT}".encode())
    questions = [row["question"] for row in ROWS]
    output = ask("--question", *questions, "--document", path, "--json", "--n_best", 3)
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["question"] for line in lines] == questions
    text = f"Título\r\n{CONTEXT}"
    for line in lines:
        assert line["answer"] == text[line["start_char"] : line["end_char"]]
        assert len(line["n_best"]) == 3
        assert {answer["document"] for answer in line["n_best"]} == {str(path)}


def test_the_best_over_several_documents(ask: Any, tmp_path: Path) -> None:
    paths = []
    for row in ROWS:
        paths.append(tmp_path / f"{row['id']}.txt")
        paths[-1].write_text(row["context"], encoding="utf-8")
    output = ask("--question", QUESTION, "--document", *paths, "--json")
    (answer,) = json.loads(output)["n_best"]
    text = Path(answer["document"]).read_text("utf-8")
    assert text[answer["start_char"] : answer["end_char"]] == answer["text"]
    shown = ask("--question", QUESTION, "--document", *paths)
    assert f"{answer['document']}, line 1, characters {answer['start_char']}" in shown


def test_a_document_from_standard_input(ask: Any, stdin: Any) -> None:
    stdin(CONTEXT)
    output = ask("--question", QUESTION, "--document", "-", "--json")
    assert json.loads(output) == json.loads(
        ask("--question", QUESTION, "--context", CONTEXT, "--json")
    ) | {"n_best": json.loads(output)["n_best"]}


def test_a_document_named_twice_is_read_once(ask: Any, stdin: Any) -> None:
    stdin(CONTEXT)
    output = json.loads(ask("--question", QUESTION, "--document", "-", "-", "--json"))
    assert output["answer"] == CONTEXT[output["start_char"] : output["end_char"]]


def test_an_interrupt_ends_the_questions(
    ask: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert QUESTION in ask("--question", QUESTION, "--context", CONTEXT, "--interactive")


def test_what_a_terminal_cannot_show_is_no_crash(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr("sys.stdout", shown)
    words = ["--checkpoint", str(checkpoint), "--device", "cpu", "--question", "Onde \udcff 北京?"]
    parsed = command.build_parser().parse_args([*words, "--context", "北京 fica em \ud83d Faro."])
    command.run(parsed)
    shown.seek(0)
    assert "Onde ? ??" in shown.read()


def test_stray_bytes_of_a_question_are_shown_as_such(ask: Any) -> None:
    assert "Quem? ?" in ask("--question", "Quem? \udcff", "--context", CONTEXT)


def test_interactive_asks_until_the_end_of_input(
    ask: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    original = QuestionAnswerer.from_checkpoint
    monkeypatch.setattr(
        QuestionAnswerer,
        "from_checkpoint",
        lambda *rest, **keys: loads.append(1) or original(*rest, **keys),
    )
    stdin(f"{ROWS[1]['question']}\n\n{ROWS[2]['question']}\n")
    output = ask("--question", QUESTION, "--context", CONTEXT, "--interactive", "--json")
    asked = [json.loads(line)["question"] for line in output.splitlines()]
    assert asked == [row["question"] for row in ROWS]
    assert len(loads) == 1


@pytest.mark.parametrize("context", ["", " \n "])
def test_nothing_is_found_in_an_empty_document(ask: Any, context: str) -> None:
    assert "no answer\n" in ask("--question", QUESTION, "--context", context)
    output = json.loads(ask("--question", QUESTION, "--context", context, "--json"))
    assert (output["answer"], output["is_answerable"], output["n_best"]) == (None, False, [])


def test_another_script(ask: Any) -> None:
    text = "北京大學位於中國北京市海淀區，創辦於一八九八年。\n" * 20
    output = json.loads(ask("--question", "北京在哪裡？", "--context", text, "--json"))
    assert output["answer"] == text[output["start_char"] : output["end_char"]]
    assert "[[" in ask("--question", "北京在哪裡？", "--context", text)


@pytest.mark.realdata
def test_a_document_of_hundreds_of_pages(ask: Any, realdata: Path, tmp_path: Path) -> None:
    articles = json.loads((realdata / "squad_v1_pt_sample.json").read_text("utf-8"))["data"]
    contexts = [p["context"] for article in articles for p in article["paragraphs"]]
    path = tmp_path / "manual.txt"
    path.write_text("\n".join(contexts), encoding="utf-8")
    wide = write_checkpoint(tmp_path / "wide.ckpt", max_length=96)
    asked = ("--question", "Quem venceu?", "--document", path, "--json", "--checkpoint", wide)
    output = json.loads(ask(*asked))
    text = path.read_text("utf-8")
    assert output["answer"] == text[output["start_char"] : output["end_char"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "`--context` and `--document`; got neither"),
        (("--context", "a", "--document", "b"), "got both"),
        (("--context", "a"), "`--question`"),
        (("--document", "absent.txt", "--question", "a?"), "absent.txt; found nothing"),
        (("--document", "-", "--interactive"), "Name a file"),
        (("--context", "a", "--question", " "), "got an empty one"),
        (("--context", "a", "--question", "b?", "--device", "gpu"), "`device`"),
    ],
)
def test_mistakes_are_told(ask: Any, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(*arguments)


@pytest.mark.parametrize("option", ["--document", "--index", "--checkpoint", "--html"])
def test_a_text_where_a_name_belongs_is_told(
    option: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--checkpoint": str(checkpoint), "--context": CONTEXT, "--question": QUESTION}
    given[option] = " ".join([CONTEXT] * 20)
    if option in ("--document", "--index"):
        del given["--context"]
    words = [word for name, value in given.items() for word in (name, value)]
    assert CONTEXT[:40] in fail(capsys, "answer", *words)


def test_a_file_that_is_no_document_is_refused(ask: Any, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(b"%PDF-1.7\n\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a PDF in .*scan\.pdf; it is damaged"):
        ask("--question", "a?", "--document", path)


def test_an_answer_from_a_pdf_has_its_page_and_its_place_on_it(ask: Any, tmp_path: Path) -> None:
    first, second = ("A ponte é do rio Ave.", "Helena nasceu em 1901, na cidade do Porto.")
    path = write_pdf(tmp_path / "x.pdf", [[first], [second]])
    text = f"{first}\n\n{second}"
    asked = ("--question", "Quando nasceu Helena?", "--document", path, "--n_best", "9")
    found = json.loads(ask(*asked, "--json"))["n_best"]
    for one in found:
        pages = [1] * (one["start_char"] < len(first)) + [2] * (one["end_char"] > len(first) + 2)
        assert one["pages"] == pages
        assert one["text"] == text[one["start_char"] : one["end_char"]]
        assert [place["page"] for place in one["rectangles"]] == pages
    place = found[0]["place"]
    assert place.startswith("page")
    assert f"{path}, {place}, characters" in ask(*asked)


def test_importing_the_command_is_light() -> None:
    source = Path(command.__file__).read_text("utf-8")
    assert "import jsonargparse" in source
    names = {name for name in vars(command) if not name.startswith("_")}
    assert not names & {"torch", "rich", "transformers"}
    assert isinstance(command.build_parser(), command.jsonargparse.ArgumentParser)
