"""``qa-lightning answer``: ask documents questions, and see where the answers stand."""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import jsonargparse

from qa_lightning.cli.reader import add_reader, load_reader
from qa_lightning.errors import InputError
from qa_lightning.folders import stream_problems
from qa_lightning.reports.writing import PAGE, place_problems, write_whole

if TYPE_CHECKING:
    from qa_lightning.answerer import Answers, QuestionAnswerer
    from qa_lightning.documents import Document

log = logging.getLogger(__name__)

_STANDARD_INPUT = "-"
_LONG = 200  # windows, from which on it is told how to read fewer


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Answer questions from documents of any length, word for word, with their"
        " place."
    )
    add_reader(parser)
    parser.add_argument("--question", nargs="+", default=[], help="one or more questions")
    parser.add_argument("--context", type=str | None, default=None, help="the document's text")
    parser.add_argument(
        "--document",
        nargs="+",
        default=[],
        metavar="FILE",
        help="text, Markdown, HTML, DOCX or PDF files, - for text on standard input; of several,"
        " the best answer over all",
    )
    parser.add_argument(
        "--index",
        type=str | None,
        default=None,
        metavar="DIR",
        help="what `qa-lightning index` made of a folder of documents",
    )
    _add_answers(parser)
    return parser


def _add_answers(parser: jsonargparse.ArgumentParser) -> None:
    """Add what is read, and what is told of the answers."""
    parser.add_argument("--n_best", type=int, default=1, help="answers to each question")
    parser.add_argument(
        "--screen",
        type=int | Literal["auto", "all"] | None,
        default=None,
        help="windows to read of all documents, those that fit the question's words best: a number,"
        " auto (of long documents as many as serve) or all; of an index passages, a number",
    )
    parser.add_argument("--json", action="store_true", help="write a line of JSON a question")
    parser.add_argument(
        "--html",
        type=str | None,
        default=None,
        metavar="FILE",
        help="also write a page with the answers marked in the documents, for any browser",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="tell how likely an answer begins and ends with each token of its sentence (in --json"
        " and --html)",
    )
    parser.add_argument(
        "--interactive", action="store_true", help="keep the model loaded and ask for questions"
    )


def run(cfg: jsonargparse.Namespace) -> None:
    """Answer the questions, then ask for more if that is wanted.

    Raises:
        InputError: a document cannot be read, or nothing was asked.
    """
    sources = _documents(cfg)
    if not cfg.question and not cfg.interactive:
        raise InputError("Expected `--question` (or `--interactive`); got none.")
    for problem in _page_problems(cfg) if cfg.html else ():
        raise InputError(f"`--html`: {problem}")
    answerer = load_reader(cfg)
    ask = _asker(answerer, sources, cfg)
    show = _show_json if cfg.json else _show
    answered: list[Answers] = []
    for question in _questions(cfg):
        answers = ask(question)
        show(answers, sources)
        if cfg.screen is None and not answered and _LONG <= answers.windows == answers.windows_read:
            log.warning(
                "all %d windows were read: `--screen auto` reads those alone that fit the "
                "question's words best, in a fraction of the time",
                answers.windows,
            )
        answered.append(answers)
        if cfg.html:  # after each: a page is there whenever one stops asking
            _write_page(cfg.html, answered)


def _page_problems(cfg: jsonargparse.Namespace) -> Iterator[str]:
    """Yield a sentence if the page would take the place of a document, or of another file."""
    page = Path(cfg.html)
    yield from place_problems(page, PAGE)
    if page.exists():
        for name in cfg.document:
            if name != _STANDARD_INPUT and page.samefile(name):
                yield f"Expected a place of its own for the page; {page} is the document."


def _write_page(path: str, answered: "list[Answers]") -> None:
    from qa_lightning.answerer.pages import answers_page

    write_whole(path, [answers_page(answered)])


def _asker(
    answerer: "QuestionAnswerer", sources: "list[Document]", cfg: jsonargparse.Namespace
) -> "Callable[[str], Answers]":
    """Return what answers a question: from an index, a document, or several."""
    from qa_lightning.answerer.opening import placed_in

    options = {"explain": cfg.explain} | ({} if cfg.screen is None else {"screen": cfg.screen})
    if cfg.index is not None:
        folder = answerer.open_folder(Path(cfg.index).expanduser())
        return lambda question: folder.ask(question, cfg.n_best, **options)
    if len(sources) == 1:
        document = answerer.open(sources[0])
        return lambda question: document.ask(question, cfg.n_best, **options)
    read = [answerer.read(source.text) for source in sources]
    return lambda question: placed_in(
        answerer.answer_documents(question, read, cfg.n_best, **options), sources
    )


def _questions(cfg: jsonargparse.Namespace) -> Iterator[str]:
    yield from cfg.question
    while cfg.interactive:
        try:
            question = input("" if cfg.json else "question> ")
        except (EOFError, KeyboardInterrupt):
            return
        if question.strip():
            yield question


def _documents(cfg: jsonargparse.Namespace) -> "list[Document]":
    """Return the documents, named as they were given; none where an index has them."""
    from qa_lightning.documents import text_document

    given = (cfg.index is not None) + (cfg.context is not None) + bool(cfg.document)
    if given != 1:
        found = ("neither", "one", "both", "all")[given]
        raise InputError(f"Expected one of `--index`, `--context` and `--document`; got {found}.")
    if cfg.index is not None:
        _refuse_no_index(Path(cfg.index).expanduser())
        return []
    if cfg.context is not None:
        return [text_document(cfg.context, "context")]
    if cfg.interactive and _STANDARD_INPUT in cfg.document:
        raise InputError(
            "Expected questions on standard input (`--interactive`), so that a document cannot "
            "come from there; got `--document -`. Name a file."
        )
    documents, faults = [], []
    for name in dict.fromkeys(cfg.document):  # input is there once
        try:
            documents.append(_read(name))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return documents


def _refuse_no_index(folder: Path) -> None:
    """Refuse what is no index before a model is loaded."""
    from qa_lightning.screening.index import open_newest

    open_newest(folder)


def _read(name: str) -> "Document":
    from qa_lightning.documents import text_document

    if Path(name).is_dir():
        raise InputError(
            f"Expected a document; {name} is a folder. `qa-lightning index {name} --output DIR` "
            "reads what is in it, for `--index DIR`."
        )
    if name != _STANDARD_INPUT:
        for problem in stream_problems(Path(name)):
            raise InputError(f"Expected a document; {problem}")
        document = replace(_unlocked(name), name=name)
        for note in document.notes:
            log.warning("%s: %s", name, note)
        return document
    try:
        return text_document(sys.stdin.buffer.read().decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected UTF-8 text on standard input; it is none (byte {error.start} is "
            f"{error.object[error.start]:#04x}). Name the file: its kind and encoding are "
            "recognised."
        ) from error


def _unlocked(name: str) -> "Document":
    """Read a file; of an encrypted one the password is asked for, where somebody is there."""
    from qa_lightning.documents import PASSWORD, LockedError, read_document

    try:
        return read_document(name)
    except LockedError:
        if PASSWORD in os.environ or not sys.stdin.isatty():
            raise
        return read_document(name, password=getpass(f"password of {name}: "))


def _show_json(answers: "Answers", sources: "list[Document]") -> None:
    entry = answers.to_dict()
    for answer in entry["n_best"]:
        source = sources[answer["document"]] if sources else None
        span = (answer["start_char"], answer["end_char"])
        answer["document"] = answer.pop("source")
        if source is not None and source.pages_of(*span):
            answer["pages"] = source.pages_of(*span)
            answer["rectangles"] = [place._asdict() for place in source.rectangles(*span)]
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    # UTF-8 whatever the terminal's encoding is; a stray half of a character is escaped, as JSON is.
    sys.stdout.flush()
    sys.stdout.buffer.write(line.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def _show(answers: "Answers", sources: "list[Document]") -> None:
    from rich.console import Console
    from rich.text import Text

    if hasattr(sys.stdout, "reconfigure"):  # stray bytes, and what this terminal cannot show
        sys.stdout.reconfigure(errors="replace")
    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    console.print(Text(answers.question, style="bold"))
    if answers.windows_read < answers.windows:
        what = "windows" if sources else "passages"
        told = f"  {answers.windows_read:,} of {answers.windows:,} {what} read"
        console.print(Text(told, style="dim"))
    if not answers.is_answerable:
        share = f" ({answers.no_answer_probability:.0%})" if answers.knows_no_answer else ""
        told = share if answers.windows_read else ": no passage holds a word of the question"
        console.print(Text(f"  no answer{told}", style="yellow"))
        return
    for answer in answers:
        span = f"characters {answer.start_char}-{answer.end_char}"
        place = f"{answer.source}, {answer.place}, {span}"
        said = " ".join(answer.text.splitlines())
        console.print(Text(f"  {said} ({answer.confidence:.0%})  {place}"))
        start, end = (c - answer.snippet.start_char for c in (answer.start_char, answer.end_char))
        around = answer.snippet.text
        # Colour marks the answer on a terminal, brackets in a file.
        marks = ("", "") if console.is_terminal else ("[[", "]]")
        pieces = [around[:start], marks[0], around[start:end], marks[1], around[end:]]
        shown = [" ".join(piece.splitlines()) for piece in pieces]
        plain, found = Text(f"    {shown[0]}"), Text("".join(shown[1:4]), style="black on yellow")
        console.print(plain + found + Text(shown[4]))
