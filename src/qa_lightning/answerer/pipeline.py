"""The calls and the results of transformers' removed question-answering pipeline."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from qa_lightning.answerer.answering import QuestionAnswerer
from qa_lightning.answerer.records import Answers
from qa_lightning.errors import InputError

log = logging.getLogger(__name__)

Result = dict[str, Any] | list[dict[str, Any]]
_MAX_ANSWER_LENGTH = 15  # the pipeline's own default


class QuestionAnsweringPipeline:
    """Take and return what ``pipeline("question-answering")`` of transformers 4 did.

    ``QuestionAnswerer.from_checkpoint("…").as_pipeline()`` takes its place. Each result is a dict
    with ``score``, ``start``, ``end`` and ``answer``; with ``top_k`` above 1 a list of them; with
    several inputs a list of these. ``answer`` is always ``context[start:end]``.

    The differences:

    - ``score`` is the answer's confidence among the best spans of *all* windows and the no-answer,
      with the checkpoint's temperature. The pipeline's was a softmax within the answer's own
      window, so that a window of nonsense could outbid the right one, and the scores of equal
      texts were added up, to more than 1 at times. Order and size differ; both lie between 0 and 1.
    - The search is exact. The pipeline dropped spans outside the context only after it had taken
      the ``top_k`` best, and could return fewer answers than exist.
    - Different places of one text are different answers (the pipeline joined them, whatever their
      case, under the first place).
    - ``align_to_words``: the best of the spans of whole words is searched, where the pipeline
      widened the best span. If it is not given, the checkpoint's ``word_borders`` decides.
    - ``max_seq_len``, ``doc_stride`` and ``max_question_len`` are, if not given, those that the
      checkpoint was trained with (the pipeline's: 384, 128, 64), the overlap at most half of a
      ``max_seq_len`` that is given, as the pipeline's. Questions are cut at
      ``max_question_len`` for every tokenizer (the pipeline: slow ones only).
    - ``handle_impossible_answer`` competes by the no-answer's probability; a checkpoint's
      threshold, which the pipeline did not know, is not used.
    - Mistakes raise ``InputError``, a ``ValueError``, also where the pipeline raised ``KeyError``.
      ``SquadExample`` inputs, ``X`` and ``data`` are not taken. ``padding``, ``batch_size`` and
      ``num_workers`` are accepted and have no effect: windows of like length are batched.

    Args:
        answerer: the question answerer to ask.
    """

    task = "question-answering"

    def __init__(self, answerer: QuestionAnswerer) -> None:
        self.answerer = answerer

    def __call__(
        self,
        *inputs: Any,
        question: str | Sequence[str] | None = None,
        context: str | Sequence[str] | None = None,
        top_k: int | None = None,
        topk: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool = False,
        align_to_words: bool | None = None,
        padding: Any = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
    ) -> Result | list[Result] | Iterator[Result]:
        """Answer one or several questions.

        Args:
            *inputs: a dict with ``question`` and ``context``, several of them, a list of them, a
                generator or a torch data set of them (then an iterator is returned), or a
                question and a context.
            question: one or several, in place of ``inputs``.
            context: one, or one for each question.
            top_k: answers wanted of each question.
            topk: its old name.
            doc_stride: tokens that neighbouring windows share.
            max_answer_len: longest answer, in tokens.
            max_seq_len: tokens of a window.
            max_question_len: tokens after which a question is cut.
            handle_impossible_answer: let no answer (``""``, from 0 to 0) compete.
            align_to_words: answers begin and end where words do.
            padding: no effect.
            batch_size: no effect.
            num_workers: no effect.

        Raises:
            InputError: a value out of range, an empty question or context.
        """
        wanted = next((k for k in (top_k, topk) if k is not None), 1)
        max_answer_len = _MAX_ANSWER_LENGTH if max_answer_len is None else max_answer_len
        for name, value in (("top_k", wanted), ("max_answer_len", max_answer_len)):
            if value < 1:
                raise InputError(f"Expected `{name}` to be at least 1; got {value}.")
        if max_seq_len is not None and doc_stride is None:
            doc_stride = min(self.answerer.reader.windows.doc_stride, max_seq_len // 2)
        answerer = self.answerer.with_settings(
            max_length=max_seq_len,
            doc_stride=doc_stride,
            max_question_length=max_question_len,
            max_answer_length=max_answer_len,
            word_borders=align_to_words,
        )
        result = partial(_result, top_k=wanted, with_no_answer=handle_impossible_answer)
        rows = _rows(inputs, question, context)
        answers = answerer.stream((_checked(row) for row in rows), n_best=wanted, screen="all")
        if isinstance(rows, Iterator):
            return map(result, answers)
        results = list(map(result, answers))
        return results[0] if len(results) == 1 else results


def _rows(
    inputs: tuple[Any, ...],
    question: str | Sequence[str] | None,
    context: str | Sequence[str] | None,
) -> list[Any] | Iterator[Any]:
    """Return rows with ``question`` and ``context``, of all the ways to give them."""
    if not inputs:
        return _paired(question, context)
    if len(inputs) == 2 and all(isinstance(text, str) for text in inputs):
        return _paired(*inputs)
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    if isinstance(given, Iterator):
        return given
    if isinstance(given, Dataset):
        return _each(given)
    if isinstance(given, Mapping):
        return _paired(given.get("question"), given.get("context"))
    if isinstance(given, Iterable) and not isinstance(given, str):
        return list(given)
    raise InputError(
        f"Expected `question` and `context`, or dicts that hold them; got {type(given).__name__}."
    )


def _each(dataset: Dataset[Any]) -> Iterator[Any]:
    """Yield the rows of a torch data set; those with a length need not iterate."""
    if isinstance(dataset, Iterable):
        return iter(dataset)
    return map(dataset.__getitem__, range(len(dataset)))  # type: ignore[arg-type]


def _paired(question: str | Sequence[str] | None, context: str | Sequence[str] | None) -> list[Any]:
    questions = _several(question, "question")
    contexts = _several(context, "context")
    if isinstance(context, str):
        contexts *= len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            "Expected as many contexts as questions, or one context for all; got "
            f"{len(questions)} questions and {len(contexts)} contexts."
        )
    return list(zip(questions, contexts, strict=True))


def _several(texts: str | Sequence[str] | None, name: str) -> list[str]:
    if texts is None:
        raise InputError(f"Expected `question` and `context`; got no `{name}`.")
    # Of a set, a mapping or bytes the order or the letters would be read.
    if isinstance(texts, Mapping | Set | bytes) or not isinstance(texts, Iterable):
        raise InputError(
            f"Expected `{name}` to be a text or a list of texts; got a {type(texts).__name__}. "
            "Rows of `question` and `context` are given alone: pipeline(rows)."
        )
    return [texts] if isinstance(texts, str) else list(texts)


def _checked(row: Any) -> Any:
    """Refuse an empty context, as the pipeline did."""
    if isinstance(row, Mapping):
        context = row.get("context")
    else:
        context = row[-1] if isinstance(row, tuple) and row else None
    if context == "":
        raise InputError("Expected a `context`; got an empty one.")
    return row


def _result(answers: Answers, *, top_k: int, with_no_answer: bool) -> Result:
    entries: list[dict[str, Any]] = [
        {
            "score": answer.confidence,
            "start": answer.start_char,
            "end": answer.end_char,
            "answer": answer.text,
        }
        for answer in answers
    ]
    if with_no_answer:
        none = {"score": answers.no_answer_probability, "start": 0, "end": 0, "answer": ""}
        entries = sorted([*entries, none], key=lambda entry: -entry["score"])[:top_k]
    if not entries:  # a blank context: the pipeline took its first token, which is no text
        return {"score": 0.0, "start": 0, "end": 0, "answer": ""}
    return entries[0] if len(entries) == 1 else entries
