"""``qa-lightning answer``: ask documents questions, and see where the answers stand."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from qa_lightning.errors import InputError

if TYPE_CHECKING:
    from qa_lightning.answerer import Answers, QuestionAnswerer

_STANDARD_INPUT = "-"


def build_parser() -> jsonargparse.ArgumentParser:
    """Return the command's parser."""
    parser = jsonargparse.ArgumentParser(
        description="Answer questions from documents of any length, word for word, with their"
        " place."
    )
    parser.add_argument(
        "--checkpoint",
        required=True,
        help="a .ckpt file, a run's folder, an exported folder, or the Hub id of any"
        " question-answering model",
    )
    parser.add_argument("--question", nargs="+", default=[], help="one or more questions")
    parser.add_argument("--context", type=str | None, default=None, help="the document's text")
    parser.add_argument(
        "--document",
        nargs="+",
        default=[],
        metavar="FILE",
        help="UTF-8 text files, - for standard input; of several, the best answer over all",
    )
    parser.add_argument("--n_best", type=int, default=1, help="answers to each question")
    parser.add_argument("--json", action="store_true", help="write a line of JSON a question")
    parser.add_argument(
        "--interactive", action="store_true", help="keep the model loaded and ask for questions"
    )
    parser.add_argument("--device", type=str | None, default=None, help="cpu, cuda, mps")
    parser.add_argument("--revision", type=str | None, default=None, help="of a model on the Hub")
    return parser


def run(cfg: jsonargparse.Namespace) -> None:
    """Answer the questions, then ask for more if that is wanted.

    Raises:
        InputError: a document cannot be read, or nothing was asked.
    """
    texts = _documents(cfg)
    if not cfg.question and not cfg.interactive:
        raise InputError("Expected `--question` (or `--interactive`); got none.")
    answerer = _load(cfg)
    names = list(texts)
    documents = [answerer.read(text) for text in texts.values()]
    show = _show_json if cfg.json else _show
    for question in _questions(cfg):
        if len(documents) == 1:
            answers = answerer.answer(question, documents[0], cfg.n_best)
        else:
            answers = answerer.answer_documents(question, documents, cfg.n_best)
        show(answers, names, list(texts.values()))


def _load(cfg: jsonargparse.Namespace) -> "QuestionAnswerer":
    from transformers.utils import logging

    from qa_lightning.answerer import QuestionAnswerer

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return QuestionAnswerer.from_checkpoint(
        cfg.checkpoint, revision=cfg.revision, device=cfg.device
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


def _documents(cfg: jsonargparse.Namespace) -> dict[str, str]:
    """Return the documents, by name."""
    if (cfg.context is None) == (not cfg.document):
        found = "neither" if cfg.context is None else "both"
        raise InputError(f"Expected one of `--context` and `--document`; got {found}.")
    if cfg.context is not None:
        return {"context": cfg.context}
    if cfg.interactive and _STANDARD_INPUT in cfg.document:
        raise InputError(
            "Expected questions on standard input (`--interactive`), so that a document cannot "
            "come from there; got `--document -`. Name a file."
        )
    return {name: _read(name) for name in dict.fromkeys(cfg.document)}  # input is there once


def _read(name: str) -> str:
    """Return a document as it is: line ends too are characters that places count."""
    try:
        if name == _STANDARD_INPUT:
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(name).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected a document of UTF-8 text; {name} is none (byte {error.start} is "
            f"{error.object[error.start]:#04x}). Convert it to a text file first."
        ) from error
    except OSError as error:
        raise InputError(
            f"Expected a document at {name}; it could not be read: {error.strerror}."
        ) from error


def _show_json(answers: "Answers", names: list[str], texts: list[str]) -> None:
    entry = answers.to_dict()
    for answer in entry["n_best"]:
        answer["document"] = names[answer["document"]]
    # ASCII alone: a lone surrogate of a question has no other form, and any terminal can show it.
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


def _show(answers: "Answers", names: list[str], texts: list[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True, highlight=False)
    question = answers.question.encode(errors="replace").decode()  # a terminal's stray bytes
    console.print(Text(question, style="bold"))
    if not answers.is_answerable:
        share = answers.no_answer_probability
        console.print(Text(f"  no answer ({share:.0%})", style="yellow"))
        return
    for answer in answers:
        line = texts[answer.document].count("\n", 0, answer.start_char) + 1
        place = (
            f"{names[answer.document]}, line {line}, "
            f"characters {answer.start_char}-{answer.end_char}"
        )
        console.print(Text(f"  {answer.text} ({answer.confidence:.0%})  {place}"))
        start, end = (c - answer.snippet.start_char for c in (answer.start_char, answer.end_char))
        around = answer.snippet.text
        # Colour marks the answer on a terminal, brackets in a file.
        marks = ("", "") if console.is_terminal else ("[[", "]]")
        pieces = [around[:start], marks[0], around[start:end], marks[1], around[end:]]
        shown = [" ".join(piece.splitlines()) for piece in pieces]
        plain, found = Text(f"    {shown[0]}"), Text("".join(shown[1:4]), style="black on yellow")
        console.print(plain + found + Text(shown[4]))
