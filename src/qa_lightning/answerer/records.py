"""What a question answerer returns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, overload

from qa_lightning.answerer.sentences import sentence_around
from qa_lightning.answerer.showing import answers_html, passage_html

_ASKED = 80  # characters of a question in a record's own words
_AROUND = 120  # characters of the document on either side of an answer


class Snippet(NamedTuple):
    """Hold a part of a document, such as the surroundings of an answer.

    Attributes:
        text: ``context[start_char:end_char]``, cut between words.
        start_char: start in the raw context.
        end_char: end, exclusive.
    """

    text: str
    start_char: int
    end_char: int

    def moved(self, chars: int) -> Self:
        """Return it in a text in front of which so many characters stand."""
        return self._replace(start_char=self.start_char + chars, end_char=self.end_char + chars)


class TokenProbability(NamedTuple):
    """Hold how likely an answer begins, and ends, with a token, as the network saw it.

    Attributes:
        text: the token's characters.
        start_char: its first in the raw context.
        end_char: one past its last.
        start_probability: of an answer that begins with it, 0 to 1.
        end_probability: of one that ends with it.
    """

    text: str
    start_char: int
    end_char: int
    start_probability: float
    end_probability: float


class PlacedAnswer(NamedTuple):
    """Hold one answer: a span of a document, word for word.

    Attributes:
        text: ``context[start_char:end_char]``.
        start_char: start in the raw context.
        end_char: end, exclusive.
        score: the span's score under the window scoring.
        confidence: its probability among the n-best spans and the no-answer, 0 to 1.
        snippet: the text around it.
        document: which of several documents it stands in, from 0.
        source: the document's name, if it is a file or of an index.
        place: where it stands in it, in words: its page, paragraph, row or line.
        sentence: the sentence that it stands in.
        tokens: the sentence's tokens with their probabilities, where ``explain`` asked for them.
    """

    text: str
    start_char: int
    end_char: int
    score: float
    confidence: float
    snippet: Snippet
    document: int = 0
    source: str | None = None
    place: str | None = None
    sentence: Snippet = Snippet("", 0, 0)
    tokens: tuple[TokenProbability, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            **self._asdict(),
            "snippet": self.snippet._asdict(),
            "sentence": self.sentence._asdict(),
            "tokens": [token._asdict() for token in self.tokens],
        }

    def moved(self, chars: int) -> Self:
        """Return the answer in a text in front of which so many characters stand."""
        return self._replace(
            start_char=self.start_char + chars,
            end_char=self.end_char + chars,
            snippet=self.snippet.moved(chars),
            sentence=self.sentence.moved(chars),
            tokens=tuple(
                token._replace(start_char=token.start_char + chars, end_char=token.end_char + chars)
                for token in self.tokens
            ),
        )

    def _repr_html_(self) -> str:
        """Show the answer marked in its passage, in a notebook."""
        return passage_html(self)


@dataclass(frozen=True, repr=False)
class Answers(Sequence[PlacedAnswer]):
    """Hold what is answered to one question: the n-best spans, and whether the best is given.

    It is the sequence of its n-best answers, and has the fields of the answer that is given:
    ``answers.text`` is ``answers[0].text``, or None where there is no answer.

    Attributes:
        question: what was asked.
        n_best: distinct spans, best first, also where no answer is given; empty where no span
            exists (an empty document).
        is_answerable: whether the best span is given as the answer.
        no_answer_probability: of there being no answer, 0 to 1.
        null_score: score of the no-answer.
        knows_no_answer: whether the model saw questions without an answer; if not, the
            probability that there is none means nothing, and is null in ``to_dict``.
        windows: how many windows the documents have.
        windows_read: how many of them the network read; the no-answer's score is that of these.
        texts: the documents that the answers stand in, or the parts that were read, by
            ``PlacedAnswer.document``, for ``to_html``.
    """

    question: str
    n_best: tuple[PlacedAnswer, ...]
    is_answerable: bool
    no_answer_probability: float
    null_score: float
    knows_no_answer: bool = True
    windows: int = 0
    windows_read: int = 0
    texts: Mapping[int, Snippet] = field(default_factory=dict, compare=False)

    @property
    def answer(self) -> PlacedAnswer | None:
        """The answer given, or none."""
        return self.n_best[0] if self.is_answerable else None

    @property
    def text(self) -> str | None:
        """The given answer's text."""
        return self.n_best[0].text if self.is_answerable else None

    @property
    def start_char(self) -> int | None:
        """The given answer's start in the raw context."""
        return self.n_best[0].start_char if self.is_answerable else None

    @property
    def end_char(self) -> int | None:
        """The given answer's end, exclusive."""
        return self.n_best[0].end_char if self.is_answerable else None

    @property
    def sentence(self) -> Snippet | None:
        """The sentence of the given answer."""
        return self.n_best[0].sentence if self.is_answerable else None

    @property
    def snippet(self) -> Snippet | None:
        """The text around the given answer."""
        return self.n_best[0].snippet if self.is_answerable else None

    @property
    def score(self) -> float:
        """The score of what is given: of the answer, or of there being none."""
        return self.n_best[0].score if self.is_answerable else self.null_score

    @property
    def confidence(self) -> float:
        """The probability of what is given: of the answer, or of there being none."""
        return self.n_best[0].confidence if self.is_answerable else self.no_answer_probability

    @overload
    def __getitem__(self, index: int) -> PlacedAnswer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PlacedAnswer, ...]: ...
    def __getitem__(self, index: int | slice) -> PlacedAnswer | tuple[PlacedAnswer, ...]:
        return self.n_best[index]

    def __len__(self) -> int:
        return len(self.n_best)

    def __iter__(self) -> Iterator[PlacedAnswer]:
        return iter(self.n_best)

    def to_html(self) -> str:
        """Return a page with the answers marked in their documents: one file, for any browser."""
        from qa_lightning.answerer.pages import answers_page

        return answers_page([self])

    def _repr_html_(self) -> str:
        """Show the answers marked in their passages, in a notebook."""
        return answers_html(self)

    def __repr__(self) -> str:
        """Tell the question and what is given; the n-best with their surroundings fill pages."""
        given = f"text={self.text!r}, start_char={self.start_char}, end_char={self.end_char}"
        return (
            f"Answers(question={self.question[:_ASKED]!r}, {given}, "
            f"confidence={self.confidence:.4f}, n_best={len(self.n_best)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: the given answer's fields, null without one."""
        return {
            "question": self.question,
            "answer": self.text,
            "start_char": self.start_char,
            "end_char": self.end_char,
            "confidence": self.confidence,
            "is_answerable": self.is_answerable,
            "no_answer_probability": self.no_answer_probability if self.knows_no_answer else None,
            "windows": self.windows,
            "windows_read": self.windows_read,
            "n_best": [answer.to_dict() for answer in self.n_best],
        }


def sentence_of(context: str, start_char: int, end_char: int) -> Snippet:
    """Return the sentence of a span."""
    start, end = sentence_around(context, start_char, end_char)
    return Snippet(context[start:end], start, end)


def snippet_around(context: str, start_char: int, end_char: int) -> Snippet:
    """Return the words around a span, about 120 characters on either side.

    >>> snippet_around("one two three", 4, 7)
    Snippet(text='one two three', start_char=0, end_char=13)
    """
    start, end = max(0, start_char - _AROUND), min(len(context), end_char + _AROUND)
    if start > 0:
        start = _first_blank(context, start, start_char) or start
    if end < len(context):
        blank = max(context.rfind(blank, end_char, end) for blank in (" ", "\n"))
        end = blank if blank >= 0 else end
    while start < start_char and context[start].isspace():
        start += 1
    while end > end_char and context[end - 1].isspace():
        end -= 1
    return Snippet(context[start:end], start, end)


def _first_blank(context: str, start: int, end: int) -> int | None:
    found = (context.find(blank, start, end) for blank in (" ", "\n"))
    return min((place for place in found if place >= 0), default=None)
