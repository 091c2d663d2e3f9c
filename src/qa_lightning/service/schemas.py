"""What ``POST /predict`` takes and gives, as OpenAPI tells it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from qa_lightning.service.limits import Limits

MOST_ANSWERS = 20

_LONGEST_QUESTION = 10_000


class SentDocument(BaseModel):
    """A document to answer from: its text, or a file's bytes."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=255, description="shown with the answers; says a file's kind")
    text: str | None = Field(None, description="its text")
    data: Base64Bytes | None = Field(
        None, description="a file in Base64: PDF, DOCX, HTML, Markdown or text"
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("expected one of `text` and `data`")
        return self


class PredictRequest(BaseModel):
    """Questions, and what they are answered from."""

    model_config = ConfigDict(extra="forbid")

    question: str | list[str] = Field(description="one question, or several")
    context: str | None = Field(None, description="a document's text")
    documents: list[SentDocument] | None = Field(
        None, min_length=1, description="in place of `context`: the best answer over all of them"
    )
    n_best: int = Field(
        1, strict=True, ge=1, le=MOST_ANSWERS, description="answers to each question"
    )
    threshold: float | None = Field(
        None,
        strict=True,
        allow_inf_nan=False,
        description="no answer where its score is higher by more than this; null: the reader's own",
    )
    screen: Literal["auto", "all"] | Annotated[int, Field(strict=True, ge=1)] = Field(
        "auto", description="windows to read: a number, as many as serve, or all"
    )

    _until: float = PrivateAttr(float("inf"))

    @property
    def until(self) -> float:
        """Return when nobody waits for the answers any more, by the monotonic clock."""
        return self._until

    @until.setter
    def until(self, seconds: float) -> None:
        self._until = seconds

    @property
    def questions(self) -> list[str]:
        """Return the questions as a list."""
        return [self.question] if isinstance(self.question, str) else self.question

    @model_validator(mode="after")
    def _has_something_to_read(self) -> Self:
        if (self.context is None) == (self.documents is None):
            raise ValueError("expected one of `context` and `documents`")
        if not self.questions or not all(question.strip() for question in self.questions):
            raise ValueError("expected a question; it is empty")
        if (longest := max(map(len, self.questions))) > _LONGEST_QUESTION:
            raise ValueError(
                f"expected questions of at most {_LONGEST_QUESTION:,} characters; got {longest:,}"
            )
        return self


def bounded(limits: Limits) -> type[PredictRequest]:
    """Return requests that also keep a service's limits."""

    class BoundedRequest(PredictRequest):
        __doc__ = PredictRequest.__doc__

        @model_validator(mode="after")
        def _is_within_limits(self) -> Self:
            documents = self.documents or []
            texts = [self.context or "", *(document.text or "" for document in documents)]
            for what, found, most in (
                ("questions", len(self.questions), limits.questions),
                ("documents", len(documents), limits.documents),
                ("characters of documents", sum(map(len, texts)), limits.document_chars),
            ):
                if found > most:
                    raise ValueError(f"expected at most {most:,} {what}; got {found:,}")
            return self

        def __reduce__(self) -> tuple[Any, ...]:  # it goes to the reader's process
            return _as_checked, (dict(self.__dict__),)

    BoundedRequest.__name__ = PredictRequest.__name__
    BoundedRequest.__qualname__ = PredictRequest.__qualname__
    return BoundedRequest


def _as_checked(values: dict[str, Any]) -> PredictRequest:
    return PredictRequest.model_construct(**values)


class Place(BaseModel):
    """The surroundings of an answer."""

    text: str
    start_char: int
    end_char: int


class FoundAnswer(BaseModel):
    """A span of a document, word for word."""

    text: str
    start_char: int
    end_char: int
    score: float
    confidence: float = Field(description="0 to 1, among the best spans and the no-answer")
    snippet: Place
    document: str | int = Field(description="its name, or its number, from 0")
    place: str | None = Field(None, description="page, line or element, in words")
    pages: list[int] | None = None
    rectangles: list[dict[str, Any]] | None = Field(None, description="on the pages of a PDF")


class Answered(BaseModel):
    """What is answered to one question."""

    question: str
    answer: str | None = Field(description="null: there is none")
    start_char: int | None
    end_char: int | None
    confidence: float
    is_answerable: bool
    no_answer_probability: float | None
    windows: int
    windows_read: int
    n_best: list[FoundAnswer]


class PredictResponse(BaseModel):
    """The answers, in the order of the questions."""

    answers: list[Answered]
    notes: list[str] = Field(description="what was left out, or had no effect, in words")


class Problem(BaseModel):
    """What was wrong, in words."""

    status: int
    message: str


class ErrorResponse(BaseModel):
    """What is given in place of answers."""

    error: Problem
