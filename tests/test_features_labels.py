"""Gold tokens: the notebook's labels, the round trip to characters, what stays unlabelled."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from features_support import (
    MAKERS,
    byte_level,
    make_examples,
    read_squad,
    spans_column,
    tokenizer_of,
)
from qa_lightning.errors import InputError
from qa_lightning.features import IGNORED, WindowSettings, WindowTable, build_features

CONTEXT = "A cidade de Lisboa fica na foz do Tejo. Vasco da Gama partiu de Lisboa em 1497. " * 3
SMALL = {"max_length": 40, "doc_stride": 10}


def notebook_labels(
    tokenizer: PreTrainedTokenizerFast, rows: list[dict[str, Any]]
) -> Iterator[tuple[int, int]]:
    """Label windows as run_qa.py's `prepare_train_features` does, written anew."""
    encoding = tokenizer(
        [row["question"].lstrip() for row in rows],
        [row["context"] for row in rows],
        truncation="only_second",
        max_length=384,
        stride=128,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )
    for window, offsets in enumerate(encoding["offset_mapping"]):
        row = rows[encoding["overflow_to_sample_mapping"][window]]
        owners = encoding.sequence_ids(window)
        cls_token = encoding["input_ids"][window].index(tokenizer.cls_token_id)
        start_char, end_char = row["start"], row["start"] + len(row["text"])
        first = owners.index(1)
        last = len(owners) - 1 - owners[::-1].index(1)
        if not (offsets[first][0] <= start_char and offsets[last][1] >= end_char):
            yield cls_token, cls_token
            continue
        while first < len(offsets) and offsets[first][0] <= start_char:
            first += 1
        while offsets[last][1] >= end_char:
            last -= 1
        yield first - 1, last + 1


def is_smallest_cover(offsets: np.ndarray, first: int, last: int, start: int, end: int) -> bool:
    """Tell whether tokens first..last cover [start, end) and none can be left out at the ends."""
    covers = offsets[first][0] <= start and offsets[last][1] >= end
    if first == last:
        return bool(covers)
    without_first = offsets[first + 1][0] <= start and offsets[first + 1][1] > offsets[first][1]
    without_last = offsets[last - 1][1] >= end and offsets[last - 1][0] < offsets[last][0]
    return bool(covers and not without_first and not without_last)


@pytest.mark.realdata
def test_sample_has_the_notebooks_labels(realdata: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(realdata / "longformer_bpe")
    rows = list(read_squad(realdata / "squad_v1_pt_sample.json"))
    spans = [[(row["start"], row["start"] + len(row["text"]))] for row in rows]
    examples = make_examples([(row["question"], row["context"]) for row in rows], spans)
    windows = build_features(examples, tokenizer, WindowSettings(max_question_length=128))
    expected = list(notebook_labels(tokenizer, rows))
    assert len(expected) == 4315
    assert list(zip(windows["start_token"], windows["last_token"], strict=True)) == expected


@pytest.mark.realdata
def test_sample_round_trip(realdata: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(realdata / "longformer_bpe")
    rows = list(read_squad(realdata / "squad_v1_pt_sample.json"))
    spans = [(row["start"], row["start"] + len(row["text"])) for row in rows]
    trusted = [
        span if row["context"][slice(*span)] == row["text"] else None
        for row, span in zip(rows, spans, strict=True)
    ]
    examples = make_examples(
        [(row["question"], row["context"]) for row in rows], [[span] for span in trusted]
    )
    windows = build_features(examples, tokenizer, WindowSettings())
    table = WindowTable(windows)
    equal, labelled = 0, set()
    for row, window in enumerate(windows.remove_columns(["input_ids", "context_offsets"])):
        span = trusted[window["example_index"]]
        if span is None:
            assert window["start_token"] == window["last_token"] == IGNORED
        elif window["start_token"] != window["cls_token"]:
            offsets = table.context_offsets(row)
            first = window["start_token"] - window["context_start_token"]
            last = window["last_token"] - window["context_start_token"]
            assert is_smallest_cover(offsets, first, last, *span)
            equal += (offsets[first][0], offsets[last][1]) == span
            labelled.add(window["example_index"])
    aligned = {number for number, span in enumerate(trusted) if span}
    assert labelled == aligned
    assert len(aligned) == 3286 - 1176
    assert equal > 0.99 * len(aligned)


WORDS = st.lists(
    st.sampled_from(["Lisboa", "água", "é", "你好", "👩‍👩‍👧", "1498", "d'Ávila", "(rio)", "x"]),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("padding_side", ["right", "left"])
@pytest.mark.parametrize("family", sorted(MAKERS))
@settings(max_examples=20, deadline=None)
@given(words=WORDS, data=st.data())
def test_round_trip(family: str, padding_side: str, words: list[str], data: st.DataObject) -> None:
    context = " ".join(words)
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    span = int(starts[first]), int(starts[last] + len(words[last]))
    windows = build_features(
        make_examples([("Onde?", context)], [[span]]),
        tokenizer_of(family, padding_side),
        WindowSettings(**SMALL),
    )
    all_offsets = [np.array(row["context_offsets"]).reshape(-1, 2) for row in windows]
    holds = [bool(o[0][0] <= span[0] and o[-1][1] >= span[1]) for o in all_offsets]
    for row, offsets, inside in zip(windows, all_offsets, holds, strict=True):
        if not inside:
            expected = row["cls_token"] if any(holds) else IGNORED
            assert row["start_token"] == row["last_token"] == expected
            assert row["gold_start_tokens"] == []
            continue
        start = row["start_token"] - row["context_start_token"]
        end = row["last_token"] - row["context_start_token"]
        assert 0 <= start <= end < len(offsets)
        assert is_smallest_cover(offsets, start, end, *span)
        assert context[offsets[start][0] : offsets[end][1]].strip() == context[slice(*span)]
        assert row["gold_start_tokens"] == [row["start_token"]]
        assert row["gold_last_tokens"] == [row["last_token"]]


def test_answer_of_one_character_in_several_tokens() -> None:
    tokenizer = byte_level()
    context = "Um 你 dois"
    assert len(tokenizer("你", add_special_tokens=False).input_ids) == 3
    (row,) = build_features(
        make_examples([("Onde?", context)], [[(3, 4)]]), tokenizer, WindowSettings()
    )
    assert row["last_token"] - row["start_token"] == 2
    offsets = np.array(row["context_offsets"]).reshape(-1, 2)
    labelled = offsets[row["start_token"] - row["context_start_token"] :][:3].tolist()
    assert labelled == [[3, 4]] * 3


def windows_of(spans: list[tuple[int, int] | None], **options: Any) -> list[dict[str, Any]]:
    examples = make_examples([("Onde?", CONTEXT)], [spans])
    training = options.pop("training", False)
    settings = WindowSettings(**SMALL, **options)
    return list(build_features(examples, tokenizer_of("bert"), settings, training=training))


def test_unanswerable_example_is_labelled_at_cls() -> None:
    for row in windows_of([]):
        assert row["start_token"] == row["last_token"] == row["cls_token"]


def test_untrusted_answers_are_ignored_or_no_answer() -> None:
    assert {row["start_token"] for row in windows_of([None, None])} == {IGNORED}
    for row in windows_of([None], unaligned="no_answer"):
        assert row["start_token"] == row["last_token"] == row["cls_token"]


def test_first_trusted_span_is_the_label_and_all_are_gold() -> None:
    first, second = CONTEXT.index("Lisboa"), CONTEXT.index("Vasco")
    spans = [None, (second, second + 5), (first, first + 6), (second, second + 5)]
    rows = windows_of(spans)
    alone = windows_of([(second, second + 5)])
    assert [row["start_token"] for row in rows] == [row["start_token"] for row in alone]
    both = rows[0]
    assert len(both["gold_start_tokens"]) == 2  # the repeated span counts once
    assert both["start_token"] in both["gold_start_tokens"]
    offsets = np.array(both["context_offsets"]).reshape(-1, 2)
    places = np.array(both["gold_start_tokens"]) - both["context_start_token"]
    assert sorted(offsets[places][:, 0].tolist()) == [first, second]


def test_span_beyond_the_text_is_no_label() -> None:
    for row in windows_of([(len(CONTEXT) - 3, len(CONTEXT) + 40)]):
        assert row["start_token"] == IGNORED


def test_windows_weigh_what_their_first_trusted_span_does() -> None:
    first, second = CONTEXT.index("Lisboa"), CONTEXT.index("Vasco")
    spans: list[list[tuple[int, int] | None]] = [
        [(first, first + 6)],
        [None, (second, second + 5), (first, first + 6)],
        [],
        [None],
    ]
    columns = [spans_column(of_example) for of_example in spans]
    columns[0] |= {"status": ["exact"], "confidence": [0.93]}
    columns[1] |= {"status": ["unaligned", "fuzzy", "exact"], "confidence": [0.0, 0.625, 1.0]}
    examples = make_examples([("Onde?", CONTEXT)] * 4, spans).remove_columns("spans")
    spans_type = make_examples([("Onde?", CONTEXT)], [[]]).features["spans"]
    examples = examples.add_column("spans", columns, feature=datasets.Features(spans_type))
    windows = build_features(
        examples, tokenizer_of("bert"), WindowSettings(**SMALL, unaligned="no_answer")
    )
    assert len(windows) > 4  # those without the span weigh as those with it
    weights = set(zip(windows["example_index"], windows["label_weight"], strict=True))
    assert weights == {(0, 1.0), (1, 0.625), (2, 1.0), (3, 1.0)}


def test_no_labels_without_spans_or_when_not_asked() -> None:
    tokenizer, settings = tokenizer_of("bert"), WindowSettings()
    without = build_features(make_examples([("Onde?", CONTEXT)]), tokenizer, settings)
    examples = make_examples([("Onde?", CONTEXT)], [[(0, 1)]])
    not_asked = build_features(examples, tokenizer, settings, labels=False)
    assert without.column_names == not_asked.column_names
    assert not {"start_token", "gold_start_tokens"} & set(without.column_names)


def sampled(share: float, *, seed: int = 0) -> set[tuple[int, int]]:
    start = CONTEXT.index("Tejo")
    spans = [[(start, start + 4)], [], [None]] * 20
    examples = make_examples([(f"Onde {n}?", CONTEXT) for n in range(60)], spans)
    settings = WindowSettings(
        **SMALL, negative_windows=share, seed=seed, unaligned="no_answer", max_question_length=4
    )
    windows = build_features(examples, tokenizer_of("bert"), settings, training=True)
    for row in windows:
        assert row["start_token"] == row["cls_token"] or row["example_index"] % 3 == 0
    return set(zip(windows["example_index"], windows["window_index"], strict=True))


def test_negative_windows_are_sampled_by_the_seed() -> None:
    everything, none = sampled(1.0), sampled(0.0)
    assert {example for example, _ in none} == set(range(0, 60, 3))
    shares = [none, sampled(0.25), sampled(0.5), sampled(0.75), everything]
    for smaller, larger in pairwise(shares):
        assert smaller < larger
    kept = (len(shares[2]) - len(none)) / (len(everything) - len(none))
    assert 0.4 < kept < 0.6
    assert sampled(0.5) == shares[2]
    assert sampled(0.5, seed=1) != shares[2]


def test_windows_with_any_gold_span_are_kept_where_all_are_learnt() -> None:
    # The label is the first trusted span's, which stands last in the text.
    last, first = CONTEXT.rindex("1497"), CONTEXT.index("Tejo")
    spans = [(last, last + 4), (first, first + 4)]
    one = windows_of(spans, training=True, negative_windows=0.0)
    both = windows_of(spans, training=True, negative_windows=0.0, all_gold_spans=True)
    assert [row["window_index"] for row in one] == [2]
    assert [row["window_index"] for row in both] == [0, 2]  # of three
    assert both[0]["start_token"] == both[0]["cls_token"]
    assert len(both[0]["gold_start_tokens"]) == 1


def test_only_training_leaves_windows_out() -> None:
    examples = make_examples([("Onde?", CONTEXT)], [[(2, 8)]])
    settings = WindowSettings(**SMALL, negative_windows=0.0)
    assert len(build_features(examples, tokenizer_of("bert"), settings)) > 1
    (row,) = build_features(examples, tokenizer_of("bert"), settings, training=True)
    assert row["gold_start_tokens"] == [row["start_token"]]


def test_no_window_left_is_told() -> None:
    with pytest.raises(InputError, match="at least one training window with an answer"):
        windows_of([], negative_windows=0.0, training=True)
