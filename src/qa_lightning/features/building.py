"""The order of the steps: examples → tokens → plan → labels → rows."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from qa_lightning.bars import Progress, untold
from qa_lightning.errors import InputError
from qa_lightning.features import storage
from qa_lightning.features.blanks import offsets_at_window_start
from qa_lightning.features.labels import IGNORED, WindowLabels, label_windows, read_spans
from qa_lightning.features.layout import PairLayout, layout_of
from qa_lightning.features.settings import WindowSettings
from qa_lightning.features.tokens import TokenTable, tokenize_distinct
from qa_lightning.features.windows import (
    WindowAssembler,
    WindowPlaces,
    WindowPlan,
    check_room,
    place_parts,
    plan_windows,
)

logger = logging.getLogger(__name__)

_ROWS_A_PORTION = 1_000


def build_features(
    examples: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    settings: WindowSettings,
    *,
    labels: bool = True,
    training: bool = False,
    cache_file: str | Path | None = None,
    progress: Progress = untold,
) -> datasets.Dataset:
    """Cut examples into windows; the row number of a window is its ``feature_index``.

    Equal to ``tokenizer(question.lstrip(), context, truncation="only_second", max_length=…,
    stride=…, return_overflowing_tokens=True)``, with the texts the other way round and
    ``only_first`` where the tokenizer pads on the left.

    Args:
        examples: rows with the canonical columns, and ``spans`` where labels are wanted.
        tokenizer: a fast tokenizer.
        settings: length, overlap, separators, sampling.
        labels: write the label columns, if there are ``spans``.
        training: leave out windows without a label, and of those without the answer as many as
            ``settings.negative_windows`` says; otherwise every window is kept.
        cache_file: read the windows from this file if it is there, else write it. Its name has to
            hold the key (``features_fingerprint``): nothing else is compared.
        progress: called with ``tokens``, of examples whose contexts have theirs, and ``windows``.

    Returns:
        One row a window: ``example_index``, ``window_index``, ``input_ids`` (no padding),
        ``question_start_token``, ``question_end_token``, ``context_start_token``,
        ``context_end_token`` (half-open places in ``input_ids``), ``cls_token``,
        ``context_offsets`` (flat start, end, start, … characters), ``context_borders`` (1 where a
        word begins with the token, 2 where one ends, 3 both), and with labels ``start_token``,
        ``last_token`` (inclusive, -100: not to be learnt), ``gold_start_tokens``,
        ``gold_last_tokens`` (all trusted spans in the window), ``label_weight`` (0 to 1: 1 where
        the example's answer stands exactly or it has none, else alignment's confidence in its
        place). An example without context tokens has one window without any.

    Raises:
        InputError: a slow tokenizer, no room for the longest question, no window left.
    """
    with_labels = labels and "spans" in examples.column_names
    path = None if cache_file is None else Path(cache_file)
    if path is not None and (cached := storage.load(path, with_labels=with_labels)) is not None:
        return cached
    columns = ["id", "question", "context", *(["spans"] if with_labels else [])]
    table = examples.with_format("arrow", columns=columns)[:]
    batches = _prepare(table, tokenizer, settings, training=training, progress=progress)
    if path is None:
        return storage.in_memory(batches, with_labels=with_labels)
    storage.save(batches, path, with_labels=with_labels)
    return datasets.Dataset.from_file(str(path))


def _prepare(
    examples: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    settings: WindowSettings,
    *,
    training: bool,
    progress: Progress,
) -> Iterable[pa.RecordBatch]:
    layout, questions, contexts, plan = plan_examples(examples, tokenizer, settings, progress)
    _tell_cut_questions(examples, questions, settings)
    with_labels = "spans" in examples.column_names
    found = _label(plan, examples, contexts, settings, layout) if with_labels else None
    if found is not None and training:
        plan = plan.take(_kept_windows(plan, found, place_parts(plan, layout), settings))
        found = _label(plan, examples, contexts, settings, layout)
    _log_sizes(plan, examples, contexts)
    first_offsets_n2 = offsets_at_window_start(contexts, tokenizer)
    assembler = WindowAssembler(questions, contexts, layout, first_offsets_n2=first_offsets_n2)
    return _told(
        storage.window_batches(plan, place_parts(plan, layout), found, assembler),
        lambda windows: progress("windows", windows, len(plan)),
    )


def _told(
    batches: Iterable[pa.RecordBatch], tell: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        tell(batch.num_rows)


def plan_examples(
    examples: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    settings: WindowSettings,
    progress: Progress = untold,
) -> tuple[PairLayout, TokenTable, TokenTable, WindowPlan]:
    """Return special tokens, questions' and contexts' tokens, and where windows lie in them.

    Raises:
        InputError: no room for the longest question, or another tokenizer is needed.
    """
    layout = layout_of(tokenizer, settings.separators)
    questions = tokenize_distinct(
        ([text.lstrip() for text in texts] for texts in _texts(examples, "question")),
        tokenizer,
        with_offsets=False,
    )
    contexts = tokenize_distinct(
        _texts(examples, "context"),
        tokenizer,
        with_offsets=True,
        tell=lambda rows: progress("tokens", rows, len(examples)),
    )
    length_r = np.minimum(questions.length_r, settings.max_question_length)
    check_room(length_r, examples.column("id").to_pylist(), settings, layout)
    from_the_end = tokenizer.truncation_side == "left"
    plan = plan_windows(questions, contexts, settings, layout, from_the_end=from_the_end)
    return layout, questions, contexts, plan


def _texts(examples: pa.Table, column: str) -> Iterator[list[str]]:
    for batch in examples.select([column]).to_batches(max_chunksize=_ROWS_A_PORTION):
        yield batch.column(0).to_pylist()


def _tell_cut_questions(
    examples: pa.Table, questions: TokenTable, settings: WindowSettings
) -> None:
    limit = settings.max_question_length
    length_r = questions.length_r
    cut = int((length_r > limit).sum())
    if cut:
        ids: list[str] = examples.column("id").to_pylist()
        logger.warning(
            "%d of %d questions have more than %d tokens and are cut (the longest has %d, example "
            "%r). Raise `data.max_question_length` to keep them whole.",
            cut,
            len(ids),
            limit,
            int(length_r.max()),
            ids[int(length_r.argmax())],
        )


def _label(
    plan: WindowPlan,
    examples: pa.Table,
    contexts: TokenTable,
    settings: WindowSettings,
    layout: PairLayout,
) -> WindowLabels:
    return label_windows(
        plan,
        place_parts(plan, layout),
        read_spans(examples.column("spans")),
        contexts,
        unaligned_is_no_answer=settings.unaligned == "no_answer",
    )


def _kept_windows(
    plan: WindowPlan, labels: WindowLabels, places: WindowPlaces, settings: WindowSettings
) -> NDArray[np.bool_]:
    """Draw which windows without the answer stay.

    Every window draws its number, with or without the answer, in the order of the examples: the
    same seed keeps the same windows whatever the labels, and a larger share keeps more of them.
    The answer is the first trusted span, or any of them if all are learnt.
    """
    drawn_w = np.random.default_rng(settings.seed).random(len(plan))
    with_answer_w = labels.start_token_w != places.cls_token_w
    with_answer_w &= labels.start_token_w != IGNORED
    if settings.all_gold_spans:
        with_answer_w |= labels.gold_count_w > 0
    kept_w: NDArray[np.bool_] = with_answer_w | (drawn_w < settings.negative_windows)
    kept_w &= (labels.start_token_w != IGNORED) | (labels.gold_count_w > 0)
    if len(plan) and not kept_w.any():
        raise InputError(
            "Expected at least one training window with an answer, since "
            f"`data.negative_windows` is {settings.negative_windows}. None of the {len(plan)} "
            "windows has one. Raise `data.negative_windows`, or see `qa-lightning audit`; longer "
            "windows (`data.max_length`) or a longer overlap (`data.doc_stride`) hold longer "
            "answers."
        )
    return kept_w


def _log_sizes(plan: WindowPlan, examples: pa.Table, contexts: TokenTable) -> None:
    logger.info(
        "%d windows of %d examples (%d distinct contexts).",
        len(plan),
        len(examples),
        len(contexts.bounds_t) - 1,
    )
