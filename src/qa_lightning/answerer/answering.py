"""The question answerer: cut, run, decide, place."""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qa_lightning.answerer.checkpoints import contents_in_memory
from qa_lightning.answerer.cutting import Cut, Document, WindowCutter, screened
from qa_lightning.answerer.deciding import decide, join_candidates
from qa_lightning.answerer.devices import (
    PRECISION_RULE,
    Portions,
    best_device,
    numbers_multiplied,
    usable_device,
)
from qa_lightning.answerer.explaining import explained
from qa_lightning.answerer.loading import Reader, load_reader, reader_from_checkpoint
from qa_lightning.answerer.merging import merge_documents, placed
from qa_lightning.answerer.opening import OpenDocument, OpenFolder
from qa_lightning.answerer.records import Answers
from qa_lightning.answerer.rows import (
    Row,
    checked_question,
    checked_text,
    read_pairs,
    read_rows,
    refuse_one_text,
)
from qa_lightning.answerer.running import WindowRunner
from qa_lightning.answers import QuestionAnswers
from qa_lightning.candidates import MAX_N_BEST
from qa_lightning.documents import Document as SourceDocument
from qa_lightning.errors import InputError
from qa_lightning.ranges import Rule, check, whole
from qa_lightning.screening import DEFAULT_SCREEN, SCREEN_RULE, Screen

if TYPE_CHECKING:
    from qa_lightning.answerer.pipeline import QuestionAnsweringPipeline

RULES: dict[str, Rule] = {
    "n_best": whole(1, MAX_N_BEST),
    "precision": PRECISION_RULE,
    "tokens_per_batch": whole(1, optional=True),
    "screen": SCREEN_RULE,
}


class QuestionAnswerer:
    """Answer questions from documents of any length, word for word, with their place.

    It never changes after it is made, so threads may share it; where its network is changed, it
    answers as that then does, without dropout. Memory does not grow with the length of a document
    beyond its own tokens, nor with the number of questions of a stream.

    Args:
        reader: network, tokenizer and settings (see ``from_checkpoint``).
        device: where to run; None is CUDA, else MPS, else the CPU.
        tokens_per_batch: tokens the network reads at a time, padding included; None is what is
            fast on the device.
        precision: of the products; scores are in float32: ``float32``; ``bf16``; ``int8``, with
            ten times its error; ``auto``: bf16 where the device multiplies it, else float32.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        device: str | torch.device | None = None,
        tokens_per_batch: int | None = None,
        precision: str = "float32",
    ) -> None:
        given = {"tokens_per_batch": tokens_per_batch, "precision": precision}
        check(RULES, given, prefix="")
        self.reader = reader
        self.device = usable_device(device or best_device())
        reader.network.to(self.device)  # type: ignore[arg-type]
        self._cutter = WindowCutter(reader.tokenizer, reader.windows, lock=reader.lock)
        portions = Portions.for_device(self.device, tokens=tokens_per_batch)
        numbers = numbers_multiplied(
            precision,
            self.device,
            model_type=str(reader.network.config.model_type),
            dtype=reader.network.dtype,
        )
        self._runner = WindowRunner(reader, self.device, portions=portions, numbers=numbers)

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        tokens_per_batch: int | None = None,
        precision: str = "float32",
    ) -> "QuestionAnswerer":
        """Load a question answerer, without Lightning and, for files, without the network.

        Args:
            source: a checkpoint that ``lightning fit`` wrote, a run's folder, a folder that
                ``qa-lightning export`` wrote, or the folder or Hub id of any question-answering
                model of transformers.
            revision: branch, tag or commit on the Hub.
            device: where to run; None is CUDA, else MPS, else the CPU.
            dtype: of the weights.
            tokens_per_batch: tokens the network reads at a time, padding included; None is what
                is fast on the device.
            precision: of the products: ``float32``; ``bf16``, in which answers may differ a
                little; ``int8``, in which they differ more; ``auto``: bf16 where the device
                multiplies it, else float32.

        Raises:
            InputError: there is none, or it cannot answer questions.
        """
        check(RULES, {"precision": precision}, prefix="")
        reader = replace(load_reader(source, revision=revision, dtype=dtype), own=True)
        return cls(reader, device=device, tokens_per_batch=tokens_per_batch, precision=precision)

    @classmethod
    def from_module(
        cls,
        module: Any,
        datamodule: Any,
        *,
        evaluation: Any = None,
        device: str | torch.device | None = None,
        tokens_per_batch: int | None = None,
        precision: str = "float32",
    ) -> "QuestionAnswerer":
        """Answer with a module in memory, as its checkpoint would: the weights are copied.

        Args:
            module: a ``QAModule``, trained or with its network built.
            datamodule: the ``QADataModule`` it was trained with: tokenizer and windows.
            evaluation: the ``AnswerEvaluation`` that fitted threshold and temperature; None is
                the one of the trainer that the module is attached to, if there is one.
            device: where to run; None is CUDA, else MPS, else the CPU.
            tokens_per_batch: tokens the network reads at a time, padding included.
            precision: see ``from_checkpoint``.

        Raises:
            InputError: the network is not built yet.
        """
        if getattr(module, "network", None) is None:
            raise InputError(
                "Expected a module whose network is built; got one without. Train it, or call "
                "`module.configure_model()`."
            )
        contents = contents_in_memory(module, datamodule, evaluation)
        reader = replace(reader_from_checkpoint(contents), own=True)
        return cls(reader, device=device, tokens_per_batch=tokens_per_batch, precision=precision)

    def with_settings(
        self,
        *,
        max_length: int | None = None,
        doc_stride: int | None = None,
        max_question_length: int | None = None,
        max_answer_length: int | None = None,
        word_borders: bool | None = None,
        no_answer: bool | None = None,
        null_score_threshold: float | None = None,
        temperature: float | None = None,
    ) -> "QuestionAnswerer":
        """Return an answerer with other settings that shares the network; None leaves them."""
        windows = _given(
            max_length=max_length,
            doc_stride=doc_stride,
            max_question_length=max_question_length,
        )
        decision = _given(
            max_answer_length=max_answer_length,
            word_borders=word_borders,
            no_answer=no_answer,
            null_score_threshold=null_score_threshold,
            temperature=temperature,
        )
        reader = replace(
            self.reader,
            windows=replace(self.reader.windows, **windows),
            decision=replace(self.reader.decision, **decision),
        )
        other = copy.copy(self)
        other.reader = reader
        other._cutter = WindowCutter(reader.tokenizer, reader.windows, lock=reader.lock)
        other._runner = self._runner.with_decision(reader.decision)
        return other

    def read(self, context: str) -> Document:
        """Tokenize a document once, to ask it any number of questions."""
        return self._cutter.documents([checked_text(context, "a document", "")])[0]

    def open(self, document: str | SourceDocument | Document) -> OpenDocument:
        """Open a document to ask it any number of questions, which cost what is read of it alone.

        Args:
            document: its text, what ``read`` made of it, or a ``documents.read_document``, whose
                answers name file and page.
        """
        if isinstance(document, SourceDocument):
            return OpenDocument(self, self.read(document.text), document)
        read = document if isinstance(document, Document) else self.read(document)
        return OpenDocument(self, read, None)

    def open_folder(self, folder: str | Path, *, index: str | Path | None = None) -> OpenFolder:
        """Open a folder of documents, or the index that ``qa-lightning index`` made of it.

        Args:
            folder: of text, Markdown, HTML, DOCX, PDF and JSON Lines files; or an index.
            index: where the folder's index is kept, and brought up to date; None: nowhere.

        Raises:
            InputError: neither is there, or the index cannot be used.
        """
        return OpenFolder.of(self, Path(folder), None if index is None else Path(index))

    def answer(
        self,
        question: str,
        context: str | SourceDocument | Document,
        n_best: int = 1,
        *,
        screen: Screen = DEFAULT_SCREEN,
        explain: bool = False,
    ) -> Answers:
        """Answer one question on one document.

        Args:
            question: any text.
            context: the document's text, what ``read`` made of it, or a
                ``documents.read_document``, whose answers name file and page.
            n_best: answers wanted.
            screen: how many of its windows the network reads, those that fit the question's words
                best: a number, ``auto`` (of a long document as many as serve) or ``all``. The
                no-answer's score is that of the windows that are read.
            explain: add the probabilities of the tokens of each answer's sentence, which reads one
                window more for each answer.

        Returns:
            The n-best answers, at most ``n_best``, and the fields of the one that is given.
        """
        checked_question(question)
        if isinstance(context, SourceDocument):
            return self.open(context).ask(question, n_best, screen=screen, explain=explain)
        if not explain:
            return self.answer_batch([(question, context)], n_best=n_best, screen=screen)[0]
        context = context if isinstance(context, Document) else self.read(context)
        answers = self.answer_batch([(question, context)], n_best=n_best, screen=screen)[0]
        return self._explained(answers, [context])

    def answer_batch(
        self, rows: Iterable[Row], n_best: int = 1, *, screen: Screen = DEFAULT_SCREEN
    ) -> list[Answers]:
        """Answer many questions; windows of like length run together, whosever they are.

        Args:
            rows: mappings with ``question`` and ``context``, or pairs of the two. Rows with the
                same context have it tokenized once.
            n_best: answers wanted of each.
            screen: windows to read of each document; see ``answer``.
        """
        return list(self.stream(rows, n_best=n_best, screen=screen))

    def answer_questions(
        self,
        questions: Iterable[str],
        context: str | Document,
        n_best: int = 1,
        *,
        screen: Screen = DEFAULT_SCREEN,
    ) -> list[Answers]:
        """Answer many questions on one document, which is tokenized once."""
        refuse_one_text(questions, "questions")
        document = context if isinstance(context, Document) else self.read(context)
        rows = ((question, document) for question in questions)
        return self.answer_batch(rows, n_best=n_best, screen=screen)

    def answer_documents(
        self,
        question: str,
        documents: Iterable[str | Document],
        n_best: int = 1,
        *,
        screen: Screen = DEFAULT_SCREEN,
        explain: bool = False,
    ) -> Answers:
        """Answer one question from many documents: the best over all of them.

        ``PlacedAnswer.document`` tells which one it stands in. ``screen`` counts the windows that
        are read of all documents together; their tokens are in memory then, and with ``explain``.
        """
        check(RULES, {"n_best": n_best, "screen": screen}, prefix="")
        checked_question(question)
        refuse_one_text(documents, "documents")
        rows = ((question, document) for document in documents)
        kept = max(n_best, self.reader.decision.n_best)
        decision = self.reader.decision
        if screen == "all" and not explain:
            each = list(self.stream(rows, n_best=kept, screen=screen))
            return merge_documents(question, each, decision, n_best=n_best)
        read = [document for _, some in read_rows(rows, self._cutter) for document in some]
        each = list(self._answer([question] * len(read), read, kept, screen, jointly=True))
        answers = merge_documents(question, each, decision, n_best=n_best)
        return self._explained(answers, read) if explain else answers

    def stream(
        self, rows: Iterable[Row], *, n_best: int = 1, screen: Screen = DEFAULT_SCREEN
    ) -> Iterator[Answers]:
        """Yield the answers of rows in their order, as ``answer_batch``, some rows at a time."""
        check(RULES, {"n_best": n_best, "screen": screen}, prefix="")
        refuse_one_text(rows, "rows")
        for questions, documents in read_rows(rows, self._cutter):
            yield from self._answer(questions, documents, n_best, screen)

    def as_pipeline(self) -> "QuestionAnsweringPipeline":
        """Return a drop-in for transformers' removed ``pipeline("question-answering")``."""
        from qa_lightning.answerer.pipeline import QuestionAnsweringPipeline

        return QuestionAnsweringPipeline(self)

    def decided(
        self, pairs: Iterable[tuple[str, str | Document]], *, n_best: int, screen: Screen
    ) -> Iterator[QuestionAnswers]:
        """Yield what is decided of questions, blank ones too, without its surroundings."""
        for questions, documents in read_pairs(pairs, self._cutter):
            yield from self._decide(questions, documents, n_best, screen)[0]

    def _answer(
        self,
        questions: list[str],
        documents: list[Document],
        n_best: int,
        screen: Screen,
        *,
        jointly: bool = False,
    ) -> Iterator[Answers]:
        if not documents:
            return
        decided, cut = self._decide(questions, documents, n_best, screen, jointly=jointly)
        counts = zip(cut.windows_r.tolist(), cut.read_r.tolist(), strict=True)
        each = zip(questions, documents, decided, counts, strict=True)
        for question, document, answers, (windows, read) in each:
            yield placed(
                question,
                document.text,
                answers,
                n_best=n_best,
                knows_no_answer=self.reader.decision.no_answer,
                windows=windows,
                windows_read=read,
            )

    def _decide(
        self,
        questions: list[str],
        documents: list[Document],
        n_best: int,
        screen: Screen,
        *,
        jointly: bool = False,
    ) -> tuple[Iterator[QuestionAnswers], Cut]:
        kept = max(n_best, self.reader.decision.n_best)
        found, rows = [], []
        choose = screened(screen, self.reader.language, jointly=jointly)
        cut = self._cutter.cut(questions, documents, choose=choose)
        for features in cut.rows:
            found.append(self._runner.candidates(features, n_best=kept))
            rows.append(features.table["example_index"].to_numpy().astype(np.int64))
        decided = decide(
            join_candidates(found),
            np.concatenate(rows),
            [document.text for document in documents],
            decision=self.reader.decision,
            n_best=kept,
        )
        return decided, cut

    def _explained(self, answers: Answers, documents: list[Document]) -> Answers:
        found = explained(answers, documents, self._cutter, self._runner)
        return replace(answers, n_best=found)


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
