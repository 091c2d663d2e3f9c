"""Questions and documents → windows, each distinct document tokenized once."""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.answerer.long_texts import OVERLAP, PIECE, Tokens, tokenize_long
from qa_lightning.features import WindowSettings
from qa_lightning.features.blanks import offsets_at_window_start
from qa_lightning.features.layout import layout_of
from qa_lightning.features.storage import window_batches
from qa_lightning.features.tokens import TokenTable, borders_of, tokenize_distinct
from qa_lightning.features.windows import (
    WindowAssembler,
    WindowPlan,
    check_room,
    place_parts,
    plan_windows,
)
from qa_lightning.screening import Screen, Stretch, WordPlaces, worth_reading

log = logging.getLogger(__name__)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TOLD = 10  # portions with cut questions that are told: millions of questions have many
_SHOWN = 60  # characters of a question in an error message


@dataclass(frozen=True)
class Document:
    """Hold a text and its tokens; made by ``QuestionAnswerer.read``, used for any question.

    Attributes:
        text: the raw text.
        ids_n: token ids.
        offsets_n2: each token's characters in the text, half-open.
        borders_n: whether words begin and end with each token.
    """

    text: str = field(repr=False)
    ids_n: NDArray[np.int32] = field(repr=False)
    offsets_n2: NDArray[np.int32] = field(repr=False)
    borders_n: NDArray[np.uint8] = field(repr=False)

    @cached_property
    def places(self) -> WordPlaces:
        """Where its words stand among its tokens; found when they are first asked for."""
        return WordPlaces.of(self.text, self.offsets_n2)


@dataclass(frozen=True)
class Cut:
    """Hold the windows of some rows that are to be read.

    Attributes:
        rows: in portions of bounded size, with the columns of ``features.build_features``;
            ``example_index`` is the row.
        windows_r: how many windows each row has.
        read_r: how many of them are among these.
    """

    rows: Iterator["WindowRows"] = field(repr=False)
    windows_r: NDArray[np.int64]
    read_r: NDArray[np.int64]


@dataclass(frozen=True)
class WindowRows:
    """Hold windows in memory: as much of ``datasets.Dataset`` as reading them takes.

    A data set of its own for every question would cost more than a small network.

    Attributes:
        table: the columns of ``features.build_features``.
    """

    table: pa.Table = field(repr=False)

    @property
    def column_names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, rows: slice) -> pa.Table:
        start, end, _ = rows.indices(len(self))
        return self.table.slice(start, end - start)

    def select_columns(self, names: object) -> "WindowRows":
        """Return the same: readers look at the columns they want."""
        return self

    def with_format(self, kind: str) -> "WindowRows":
        """Return the same: it is read as Arrow."""
        return self


Choose = Callable[[Sequence[str], Sequence[Stretch]], NDArray[np.bool_]]


def screened(screen: Screen, language: str | None, *, jointly: bool = False) -> Choose | None:
    """Return what chooses the windows that are worth reading; None where all are read.

    Args:
        screen: how many windows of a row are read; see ``screening.worth_reading``.
        language: ISO code, for what words tell windows apart; None: of no known language.
        jointly: so many of all rows together, which ask the same question.
    """
    if screen == "all":
        return None

    def choose(questions: Sequence[str], stretches: Sequence[Stretch]) -> NDArray[np.bool_]:
        if jointly:
            return worth_reading(questions[0], stretches, screen=screen, language=language)
        chosen = [
            worth_reading(question, [stretch], screen=screen, language=language)
            for question, stretch in zip(questions, stretches, strict=True)
        ]
        return np.concatenate([np.empty(0, np.bool_), *chosen])

    return choose


class WindowCutter:
    """Cut documents into windows as training does; safe to share between threads.

    Args:
        tokenizer: a fast tokenizer.
        settings: window length, overlap and question cut.
        lock: held while the tokenizer works; cutters of one tokenizer must share it.

    Raises:
        InputError: the tokenizer is slow, or lacks special tokens.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        settings: WindowSettings,
        *,
        lock: "threading.Lock | None" = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        # The Rust tokenizer raises "Already borrowed" when a thread sets its state while another
        # encodes, which every call may do.
        self._lock = lock or threading.Lock()
        self._told = 0
        with self._lock:
            self._layout = layout_of(tokenizer, settings.separators)

    def documents(self, texts: Sequence[str]) -> list[Document]:
        """Tokenize distinct texts."""
        short = [text for text in texts if len(text) <= PIECE + OVERLAP]
        tokens = dict(zip(short, self._tokens(short), strict=True))
        for text in texts:
            if text not in tokens:
                tokens[text] = tokenize_long(text, lambda piece: self._tokens([piece])[0])
        return [
            Document(text, *tokens[text], borders_of(text, tokens[text].offsets_n2))
            for text in texts
        ]

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        table = self._tokenize(texts, with_offsets=True)
        bounds = zip(table.start_r.tolist(), table.length_r.tolist(), strict=True)
        return [
            Tokens(table.ids_n[start : start + length], table.offsets_n2[start : start + length])
            for start, length in bounds
        ]

    def cut(
        self,
        questions: Sequence[str],
        documents: Sequence[Document],
        *,
        choose: Choose | None = None,
    ) -> Cut:
        """Cut the documents of some rows into windows, and choose those to read.

        Args:
            questions: one a row.
            documents: one a row; rows with the same object share its tokens.
            choose: marks the windows to read, given the questions and each row's windows; None:
                all of them.
        """
        asked = self._tokenize([text.lstrip() for text in questions], with_offsets=False)
        contexts = _token_table(documents)
        length_r = np.minimum(asked.length_r, self._settings.max_question_length)
        self._tell_cut(questions, asked.length_r)
        check_room(length_r, [text[:_SHOWN] for text in questions], self._settings, self._layout)
        from_the_end = self._tokenizer.truncation_side == "left"
        plan = plan_windows(
            asked, contexts, self._settings, self._layout, from_the_end=from_the_end
        )
        windows_r = np.bincount(plan.example_w, minlength=len(questions))
        if choose is not None:
            local_w = plan.context_source_w - contexts.start_r[plan.example_w]
            stretches = _stretches(documents, plan, local_w, windows_r)
            plan = plan.take(choose(questions, stretches))
        read_r = np.bincount(plan.example_w, minlength=len(questions))
        return Cut(self._rows(plan, asked, contexts), windows_r, read_r)

    def _rows(
        self, plan: WindowPlan, asked: TokenTable, contexts: TokenTable
    ) -> Iterator[WindowRows]:
        with self._lock:
            first_offsets_n2 = offsets_at_window_start(contexts, self._tokenizer)
        assembler = WindowAssembler(
            asked, contexts, self._layout, first_offsets_n2=first_offsets_n2
        )
        places = place_parts(plan, self._layout)
        for batch in window_batches(plan, places, None, assembler):
            yield WindowRows(pa.Table.from_batches([batch]))

    def _tell_cut(self, questions: Sequence[str], length_r: NDArray[np.int64]) -> None:
        most = self._settings.max_question_length
        cut = np.flatnonzero(length_r > most).tolist()
        if not cut or self._told >= _TOLD:
            return
        self._told += 1
        log.warning(
            "%d of %d questions have more than %d tokens and are cut there, the first %r: raise "
            "`max_question_length`, or ask shorter ones%s",
            *(len(cut), len(questions), most, questions[cut[0]][:_SHOWN]),
            "; others are not told" if self._told == _TOLD else "",
        )

    def _tokenize(self, texts: Sequence[str], *, with_offsets: bool) -> TokenTable:
        with self._lock:
            return tokenize_distinct(
                [[sound_text(text) for text in texts]], self._tokenizer, with_offsets=with_offsets
            )


def sound_text(text: str) -> str:
    """Return a text that has a UTF-8 form, with the same places.

    Half of a surrogate pair has none; what takes its place is one character as well.
    """
    return _LONE_SURROGATE.sub("\ufffd", text)


def _stretches(
    documents: Sequence[Document],
    plan: WindowPlan,
    start_w: NDArray[np.int64],
    windows_r: NDArray[np.int64],
) -> list[Stretch]:
    """Return each row's windows; ``start_w`` counts within it."""
    end_w = start_w + plan.context_length_w
    bounds = np.cumsum(windows_r)[:-1]
    parts = zip(documents, np.split(start_w, bounds), np.split(end_w, bounds), strict=True)
    return [Stretch(*part) for part in parts]


def _token_table(documents: Sequence[Document]) -> TokenTable:
    """Join the tokens of distinct documents."""
    number_of = {id(document): 0 for document in documents}
    number_of = {key: number for number, key in enumerate(number_of)}
    distinct = list({id(document): document for document in documents}.values())
    lengths = [0, *(len(document.ids_n) for document in distinct)]
    return TokenTable(
        text_r=np.array([number_of[id(document)] for document in documents], np.int64),
        bounds_t=np.cumsum(lengths, dtype=np.int64),
        ids_n=np.concatenate([np.empty(0, np.int32), *(d.ids_n for d in distinct)]),
        offsets_n2=np.concatenate([np.empty((0, 2), np.int32), *(d.offsets_n2 for d in distinct)]),
        borders_n=np.concatenate([np.empty(0, np.uint8), *(d.borders_n for d in distinct)]),
    )
