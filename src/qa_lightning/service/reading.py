"""The reader's side of a service: a process that answers the questions of all waiting requests."""

import faulthandler
import logging
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from litserve import LitAPI
from litserve.loops.simple_loops import BatchedLoop
from litserve.utils import LitAPIStatus, LoopResponseType
from starlette.responses import JSONResponse

from qa_lightning.documents import SUFFIXES, Document, DocumentError, read_document, text_document
from qa_lightning.errors import InputError, placed
from qa_lightning.service.gate import problem
from qa_lightning.service.limits import Limits
from qa_lightning.service.schemas import PredictRequest, PredictResponse, SentDocument

if TYPE_CHECKING:
    from qa_lightning.answerer import Answers, QuestionAnswerer

log = logging.getLogger(__name__)


# What a client can do, where a person at the terminal does something else.
_ADVICE = {
    **dict.fromkeys(("locked", "wrong_password"), "Send it without a password."),
    "too_large": "Send its parts.",
    "archive": "Send the documents in it.",
    "package": "Its operator can add it: pip install 'qa-lightning[documents]'",
}
_GRACE = 5  # seconds after which nobody waits any more
_LONG = 200_000  # characters of a document whose questions are asked one by one


class LateError(Exception):
    """Tell that nobody waits for a request's other answers."""


class WaitingLoop(BatchedLoop):  # type: ignore[misc]
    """Sleep until something is asked (LitServe's own looks a thousand times a second)."""

    def get_batch_requests(
        self, lit_api: LitAPI, request_queue: Any, transport: Any
    ) -> tuple[list[Any], list[Any]]:
        """Return the requests that wait, and those that waited too long."""
        batch: list[Any] = []
        late: list[Any] = []
        until = None
        while len(batch) < lit_api.max_batch_size:
            try:
                wait = 1.0 if until is None else until - time.monotonic()
                asked = request_queue.get(wait > 0, max(wait, 0.0))
            except Empty:
                break
            until = until or time.monotonic() + lit_api.batch_timeout
            place, uid, came, request = asked
            self.put_response(
                transport, place, uid, (), LitAPIStatus.START, LoopResponseType.REGULAR
            )
            if time.monotonic() - came > lit_api.request_timeout:
                late.append((place, uid))
            else:
                request.until = came + lit_api.request_timeout
                batch.append((place, uid, request))
        return batch, late


class ReaderAPI(LitAPI):  # type: ignore[misc]
    """Answer requests with one reader.

    Args:
        checkpoint: as ``QuestionAnswerer.from_checkpoint`` takes it.
        limits: of the service.
        revision: of a model on the Hub.
        precision: of the network's products.
        trouble: a file for the message if the reader cannot be loaded.
    """

    def __init__(
        self,
        checkpoint: str,
        limits: Limits,
        *,
        revision: str | None = None,
        precision: str = "float32",
        trouble: Path,
    ) -> None:
        super().__init__(
            max_batch_size=limits.batch, batch_timeout=limits.batch_seconds, loop=WaitingLoop()
        )
        self.checkpoint, self.limits, self.revision = checkpoint, limits, revision
        self.precision = precision
        self.trouble = trouble
        self.answerer: QuestionAnswerer  # of the reader's process alone

    def setup(self, device: str) -> None:
        """Load the reader; stop signals are for the server, which ends this process last."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        from qa_lightning.answerer import QuestionAnswerer

        # Warnings tell what is odd by its first words: those are users'.
        logging.getLogger("qa_lightning").setLevel(logging.ERROR)
        try:
            self.answerer = QuestionAnswerer.from_checkpoint(
                self.checkpoint, revision=self.revision, device=device, precision=self.precision
            )
        except InputError as error:  # the server tells it, without LitServe's traceback
            self.trouble.write_text(str(error), encoding="utf-8")
            logging.getLogger("litserve").setLevel(logging.CRITICAL)
            raise

    def decode_request(self, request: PredictRequest) -> PredictRequest:
        """Return a request as it is: the server has checked it."""
        return request

    def encode_response(self, output: PredictResponse) -> PredictResponse:
        """Return answers as they are."""
        return output

    def batch(self, inputs: list[PredictRequest]) -> list[PredictRequest]:
        """Keep requests in a list."""
        return inputs

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Keep answers in a list."""
        return output

    def predict(self, inputs: list[PredictRequest]) -> list[Any]:
        """Return answers of each request, or the error that it has; none costs another its own."""
        sources: list[list[Document]] = []
        results: list[Any] = []
        for request in inputs:
            documents, error = self._documents(request)
            sources.append(documents)
            results.append(error)
        asked = [number for number, error in enumerate(results) if error is None]
        try:
            found = self._answers([inputs[n] for n in asked], [sources[n] for n in asked])
        except Exception as error:  # of one of them: each by itself, then
            if len(asked) == 1:
                return [result or _failure(error) for result in results]
            return [
                results[n] if n not in asked else self.predict([inputs[n]])[0]
                for n in range(len(inputs))
            ]
        for number, answers in zip(asked, found, strict=True):
            entries = [_entry(each, sources[number], inputs[number]) for each in answers]
            notes = [*self._notes(inputs[number], sources[number])]
            results[number] = {"answers": entries, "notes": notes}
        return results

    def _notes(self, request: PredictRequest, sources: list[Document]) -> Iterator[str]:
        """Yield what a person should know of how a request was answered."""
        for source in sources:
            yield from (f"{source.name}: {note}" for note in source.notes)
        reader = self.answerer.reader
        most = reader.windows.max_question_length
        for number, question in enumerate(request.questions):
            if len(reader.tokenizer(question, add_special_tokens=False)["input_ids"]) > most:
                yield f"question {number} has more than {most} tokens, and is cut there"
        if request.threshold is not None and not reader.decision.no_answer:
            yield "`threshold` has no effect: this reader has seen no question without an answer"

    def _documents(self, request: PredictRequest) -> tuple[list[Document], JSONResponse | None]:
        if request.context is not None:
            return [text_document(request.context, "context")], None
        # A file may be made to hold its reader in C, where nothing else ends it: this process does
        # then, and the server starts another.
        faulthandler.dump_traceback_later(self.limits.seconds + _GRACE, exit=True)
        documents, faults = [], []
        try:
            for number, sent in enumerate(request.documents or []):
                try:
                    documents.append(_read(sent, number))
                except DocumentError as error:
                    faults.append(error.told(advice=_ADVICE.get(error.reason)))
        except Exception as error:  # a file that a reader of files stumbles over
            return [], _failure(error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        if faults:
            return [], problem(422, "; ".join(faults))
        chars, most = sum(len(document.text) for document in documents), self.limits.document_chars
        if chars > most:
            message = f"expected at most {most:,} characters of documents; got {chars:,}"
            return [], problem(422, message)
        return documents, None

    def _answers(
        self, requests: list[PredictRequest], sources: list[list[Document]]
    ) -> "list[list[Answers]]":
        """Answer all requests; questions on one document each run together, whosever they are."""
        kept = self.answerer.reader.decision.n_best
        found: list[list[Answers]] = [[] for _ in requests]
        alike = defaultdict(list)
        for number, (request, documents) in enumerate(zip(requests, sources, strict=True)):
            n_best = max(kept, request.n_best)
            long = len(documents) > 1 or len(documents[0].text) > _LONG
            for question in request.questions if long else ():
                if time.monotonic() > request.until:
                    raise LateError
                texts = [document.text for document in documents]
                found[number].append(
                    self.answerer.answer_documents(question, texts, n_best, screen=request.screen)
                )
            if not long:
                alike[request.screen, n_best].append(number)
        for (screen, n_best), numbers in alike.items():
            rows = [
                (n, question, sources[n][0].text)
                for n in numbers
                for question in requests[n].questions
            ]
            answered = self.answerer.answer_batch([row[1:] for row in rows], n_best, screen=screen)
            for (number, *_), answers in zip(rows, answered, strict=True):
                found[number].append(answers)
        return found


def _read(sent: SentDocument, number: int) -> Document:
    name = Path(sent.name).name or f"document {number}"
    if sent.text is not None:
        return text_document(sent.text, name)
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"document{suffix if suffix in SUFFIXES else ''}"
        file.write_bytes(sent.data or b"")
        try:
            document = read_document(file)
        except DocumentError as error:
            told = {
                key: value.replace(str(file), name) if isinstance(value, str) else value
                for key, value in error.details.items()
            }
            raise type(error)(error.reason, **{**told, "name": name}) from None
    return replace(document, name=name)


def _entry(answers: "Answers", sources: list[Document], request: PredictRequest) -> dict[str, Any]:
    given = answers.is_answerable
    if request.threshold is not None and answers.n_best and answers.knows_no_answer:
        given = answers.null_score - answers[0].score <= request.threshold
    entry = replace(answers, n_best=answers.n_best[: request.n_best], is_answerable=given).to_dict()
    for answer in entry["n_best"]:
        source = sources[answer["document"]]
        span = (answer["start_char"], answer["end_char"])
        answer["document"] = source.name
        answer["place"] = source.place(*span)
        if pages := source.pages_of(*span):
            answer["pages"] = list(pages)
            answer["rectangles"] = [place._asdict() for place in source.rectangles(*span)]
    return entry


def _failure(error: Exception) -> JSONResponse:
    """Return an error that is ours."""
    if isinstance(error, LateError):
        return problem(504, "No answer in time.")
    if isinstance(error, InputError):
        return problem(422, str(error))
    log.error("a request failed: %s", placed(error))
    return problem(500, "The reader failed on this request.")
