"""What happens on the page when somebody does something; what goes wrong is told in words."""

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from qa_lightning.app.corrections import Corrections
from qa_lightning.app.layout import Parts
from qa_lightning.app.samples import SAMPLES, Sample
from qa_lightning.app.session import Session, Told
from qa_lightning.app.words import WORDS, preferred, told
from qa_lightning.documents import DocumentError, LockedError
from qa_lightning.errors import placed

if TYPE_CHECKING:
    from qa_lightning.answerer import QuestionAnswerer

log = logging.getLogger(__name__)

_HIDDEN: Final[dict[str, Any]] = {"api_visibility": "private", "show_progress": "minimal"}
_TURN: Final = "(...data) => qaTurn(data)"  # of turns.js
_DONE: Final = "() => qaDone()"


def _visited(act: Callable[..., Any]) -> Callable[..., Any]:
    """Tell a visitor whose session is gone to load the page again; tell of faults without traces.

    Gradio would log what it does not know, with what was sent.
    """

    @wraps(act)
    def checked(session: Session | None, language: str, *rest: Any) -> Any:
        if session is None:
            raise _toast(language, "left")
        try:
            return act(session, language, *rest)
        except Exception as error:
            log.error("a visitor met a fault of ours: %s", placed(error))
            raise _toast(language, "failed") from None

    return checked


def _toast(language: str, sentence: str) -> gr.Error:
    return gr.Error(WORDS[language][sentence], duration=None, print_exception=False)


class Events:
    """Do what visitors ask for.

    Args:
        parts: what is seen.
        answerer: shared by all.
        corrections: where corrected answers are kept.
    """

    def __init__(
        self, parts: Parts, answerer: "QuestionAnswerer", corrections: Corrections
    ) -> None:
        self._parts = parts
        self._answerer = answerer
        self._corrections = corrections

    def connect(self, page: gr.Blocks) -> None:
        """Tie every event to what it does; none of it is an interface for programs."""
        parts, reader = self._parts, self._parts.reader
        shown, opening = [parts.message, reader], [parts.files, parts.locked, parts.password]
        visited = [parts.session, parts.language, *parts.named]
        page.load(self._visit, None, visited, **_HIDDEN).then(None, js=_DONE, **_HIDDEN)
        parts.language.input(parts.in_language, parts.language, parts.named, **_HIDDEN)
        self._tie(parts.files.upload, self._open_files, [parts.files], [*shown, *opening])
        for event in (parts.password.submit, parts.unlock.click):
            self._tie(event, self._unlock, [parts.password], [*shown, *opening])
        self._tie(parts.add.click, self._open_text, [parts.text], [*shown, parts.text])
        for event in (parts.question.submit, parts.ask.click):
            self._tie(event, self._ask, [parts.question], shown)
        for button, sample in zip(parts.samples, SAMPLES, strict=True):
            self._tie(button.click, self._sampler(sample), [], [*shown, parts.question])
        self._tie(reader.drop, self._drop, [], shown)
        self._tie(reader.recall, self._recall, [], [*shown, parts.question])
        self._tie(reader.mend, self._mend, [], [parts.message])
        self._tie(reader.refuse, self._refuse, [], [parts.message])
        self._tie(reader.export, self._export, [], [parts.saver])

    def _tie(
        self, event: Callable[..., Any], act: Callable[..., Any], given: list[Any], shown: list[Any]
    ) -> None:
        """Let an event do something when what the visitor did before is done, and is seen."""
        known = [self._parts.session, self._parts.language, *given]
        sent = event(_visited(act), known, shown, js=_TURN, **_HIDDEN)
        sent.then(None, js=_DONE, **_HIDDEN)

    def _visit(self, request: gr.Request) -> list[Any]:
        language = preferred(request.headers.get("accept-language"))
        session = Session(self._answerer, self._corrections)
        return [session, language, *self._parts.in_language(language)]

    def _open_files(self, session: Session, language: str, paths: Sequence[str]) -> list[Any]:
        session.locked = []
        messages = [self._opened(session, language, path, None) for path in paths or ()]
        return self._after_opening(session, language, messages)

    def _unlock(self, session: Session, language: str, password: str) -> list[Any]:
        waiting, session.locked = session.locked, []
        messages = [self._opened(session, language, path, password) for path in waiting]
        return self._after_opening(session, language, messages)

    def _opened(self, session: Session, language: str, path: str, password: str | None) -> str:
        name = Path(path).name

        def open_file() -> str:
            try:
                session.open_file(path, password=password)
            except DocumentError as error:
                if isinstance(error, LockedError):
                    session.locked.append(path)
                details = {**error.details, "name": name}
                raise Told(f"doc_{error.reason}", **details) from error
            return ""

        return _told(language, open_file)

    def _after_opening(self, session: Session, language: str, messages: Sequence[str]) -> list[Any]:
        is_locked = bool(session.locked)
        name = ", ".join(Path(path).name for path in session.locked)
        return [
            "".join(messages),
            _reader(session, documents=True),
            gr.File(value=None),
            gr.Row(visible=is_locked),
            gr.Textbox(value="", label=WORDS[language]["password"].format(name=name)),
        ]

    def _open_text(self, session: Session, language: str, text: str) -> list[Any]:
        message = _told(language, lambda: session.open_text(text, WORDS[language]["pasted"]))
        return [message, _reader(session, documents=True), text if message else ""]

    def _ask(self, session: Session, language: str, question: str) -> list[Any]:
        message = _told(language, lambda: session.ask(question))
        return [message, _reader(session)]

    def _sampler(self, sample: Sample) -> Callable[[Session, str], list[Any]]:
        def show(session: Session, language: str) -> list[Any]:
            def ask() -> None:
                session.open_alone(sample.text, sample.title)
                session.ask(sample.question)

            return [_told(language, ask), _reader(session, documents=True), sample.question]

        return show

    def _drop(self, session: Session, language: str, event: gr.EventData) -> list[Any]:
        message = _told(language, lambda: session.close(event.key))
        return [message, _reader(session, documents=True)]

    def _recall(self, session: Session, language: str, event: gr.EventData) -> list[Any]:
        message = _told(language, lambda: session.recall(int(event.number)))
        question = session.shown.question if session.shown else ""
        return [message, _reader(session, documents=True), question]

    def _mend(self, session: Session, language: str, event: gr.EventData) -> str:
        def correct() -> str:
            text, count = session.correct(event.key, int(event.start), int(event.end))
            return told(language, "saved", text=text, file=self._corrections.path.name, count=count)

        return _told(language, correct)

    def _refuse(self, session: Session, language: str, event: gr.EventData) -> str:
        def refuse() -> str:
            name, count = session.refuse(event.key)
            file = self._corrections.path.name
            return told(language, "saved_none", name=name, file=file, count=count)

        return _told(language, refuse)

    def _export(self, session: Session, language: str, event: gr.EventData) -> dict[str, str]:
        if event.kind == "csv":  # with its mark, by which spreadsheets know UTF-8
            text = "\ufeff" + session.as_csv()
            return {"name": "answers.csv", "type": "text/csv;charset=utf-8", "text": text}
        return {"name": "answers.json", "type": "application/json", "text": session.as_json()}


def _reader(session: Session, *, documents: bool = False) -> gr.HTML:
    """Return what is drawn anew; documents, which may be long, are sent where they changed."""
    changed = {"documents": session.documents_view()} if documents else {}
    return gr.HTML(result=session.answers_view(), history=session.history_view(), **changed)


def _told(language: str, act: Callable[[], str | None]) -> str:
    """Do something; return what to tell of it, nothing where it is seen."""
    try:
        return act() or ""
    except Told as error:
        return told(language, error.sentence, is_fault=True, **error.details)
    except Exception as error:
        log.error("a visitor met a fault of ours: %s", placed(error))
        return told(language, "failed", is_fault=True)
