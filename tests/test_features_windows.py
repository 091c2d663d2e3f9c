"""Windows equal the tokenizer's own pair encoding: token, offset and window."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from features_support import MAKERS, make_examples, read_squad, tokenizer_of
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings, WindowTable, build_features

# What breaks tokenizers: their own special tokens, runs of blanks, several bytes or code points a
# character, direction marks, control characters.
PIECES = (
    "Lisboa", " rio", "  ", "\n", "\t", " ", "</s>", "<s>", "<mask>", "<pad>", "[SEP]", "[CLS]",
    "[MASK]", "é", "e\u0301", "ç", "ß", "İ", "ﬁ", "½", "你好", "שלום", "👩‍👩‍👧", "🇵🇹", "\u200b",
    "\u200f", "\x00", "\x85", "\ufeff", "\ufffd", "1498", "?", "'s", "▁", "Ġ", "##a",
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), min_size=0, max_size=25
).map("".join)
SIDES = st.sampled_from(["right", "left"])


def pair_encodings(
    tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]], *, length: int, stride: int
) -> Iterator[dict[str, Any]]:
    """Yield the windows that the tokenizer makes by itself, as run_qa.py asks for them."""
    question_first = tokenizer.padding_side == "right"
    texts = [question.lstrip() for question, _ in pairs], [context for _, context in pairs]
    encoding = tokenizer(
        *(texts if question_first else texts[::-1]),
        truncation="only_second" if question_first else "only_first",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    examples = encoding["overflow_to_sample_mapping"]
    for window, ids in enumerate(encoding["input_ids"]):
        owners = encoding.sequence_ids(window)
        context_at = [i for i, o in enumerate(owners) if o == int(question_first)]
        question_at = [i for i, o in enumerate(owners) if o == 1 - int(question_first)]
        offsets = encoding["offset_mapping"][window]
        yield {
            "example_index": examples[window],
            "window_index": window - examples.index(examples[window]),
            "input_ids": ids,
            "context_offsets": [value for i in context_at for value in offsets[i]],
            "context": context_at,
            "question": question_at,
        }


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name in ("example_index", "window_index", "input_ids", "context_offsets"):
        assert ours[name] == theirs[name]
    for part in ("context", "question"):
        places = range(ours[f"{part}_start_token"], ours[f"{part}_end_token"])
        assert list(places) == theirs[part]


@pytest.mark.parametrize("family", sorted(MAKERS))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6),
    stride=st.integers(0, 5),
    spare=st.integers(1, 9),
    padding_side=SIDES,
    truncation_side=SIDES,
)
def test_random_text(
    family: str,
    pairs: list[tuple[str, str]],
    stride: int,
    spare: int,
    padding_side: str,
    truncation_side: str,
) -> None:
    tokenizer = tokenizer_of(family, padding_side, truncation_side)
    longest = max(len(tokenizer(q.lstrip(), add_special_tokens=False).input_ids) for q, _ in pairs)
    length = longest + tokenizer.num_special_tokens_to_add(pair=True) + stride + spare
    windows = build_features(
        make_examples(pairs),
        tokenizer,
        WindowSettings(max_length=length, doc_stride=stride, max_question_length=999),
    )
    expected = list(pair_encodings(tokenizer, pairs, length=length, stride=stride))
    assert len(windows) == len(expected)
    for ours, theirs in zip(windows, expected, strict=True):
        assert_same(ours, theirs)
        assert ours["input_ids"][ours["cls_token"]] == tokenizer.cls_token_id


@pytest.mark.parametrize("family", sorted(MAKERS))
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_separators(family: str, padding_side: str) -> None:
    tokenizer = tokenizer_of(family, padding_side)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    question, context = "Quem é?", "Vasco da Gama, em 1498!"
    texts = [
        tokenizer(text, add_special_tokens=False).input_ids
        for text in ((question, context) if padding_side == "right" else (context, question))
    ]
    for separators in (2, 3):
        (window,) = build_features(
            make_examples([(question, context)]),
            tokenizer,
            WindowSettings(separators=separators),  # type: ignore[arg-type]
        )
        between = [sep] * (separators - 1)
        assert window["input_ids"] == [cls, *texts[0], *between, *texts[1], sep]
        start, end = window["context_start_token"], window["context_end_token"]
        assert window["input_ids"][start:end] == texts[padding_side == "right"]
        assert window["cls_token"] == 0


def test_question_is_cut_and_told(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tokenizer_of("roberta")
    questions = ["Quem descobriu o caminho marítimo para a Índia?", "Quem?", "Onde?"]
    context = "A cidade de Lisboa fica na foz do Tejo. " * 5
    examples = make_examples([(question, context) for question in questions])
    windows = build_features(
        examples, tokenizer, WindowSettings(max_length=40, doc_stride=8, max_question_length=6)
    )
    assert "1 of 3 questions have more than 6 tokens" in caplog.text
    assert "'id-0'" in caplog.text
    whole = tokenizer(questions[0], add_special_tokens=False).input_ids
    for row in windows:
        if row["example_index"] == 0:
            assert row["input_ids"][1 : row["question_end_token"]] == whole[:6]
            assert len(row["input_ids"]) <= 40


@pytest.mark.parametrize("context", ["", "   "])
def test_example_without_context_tokens_keeps_a_window(context: str) -> None:
    tokenizer = tokenizer_of("bert")
    windows = build_features(make_examples([("Quem?", context)] * 2), tokenizer, WindowSettings())
    assert windows["example_index"][:] == [0, 1]
    assert windows["context_start_token"][:] == windows["context_end_token"][:]
    assert windows["context_offsets"][:] == [[], []]


def test_no_examples() -> None:
    windows = build_features(make_examples([], []), tokenizer_of("bert"), WindowSettings())
    assert len(windows) == 0
    assert "start_token" in windows.column_names


def test_no_room_names_the_example() -> None:
    tokenizer = tokenizer_of("roberta")
    question = "Quem descobriu o caminho marítimo para a Índia?"
    length = len(tokenizer(question, add_special_tokens=False).input_ids)
    examples = make_examples([("Quem?", "Lisboa"), (question, "Lisboa")])
    smallest = length + 4 + 8 + 1
    build_features(examples, tokenizer, WindowSettings(max_length=smallest, doc_stride=8))
    with pytest.raises(InputError, match=rf"{length} question tokens \(example 'id-1'\)") as error:
        build_features(examples, tokenizer, WindowSettings(max_length=smallest - 1, doc_stride=8))
    assert "Raise `data.max_length`" in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_length": 0},
        {"doc_stride": -1},
        {"max_question_length": 0},
        {"separators": 4},
        {"negative_windows": 1.5},
        {"unaligned": "keep"},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"`data.{next(iter(wrong))}`"):
        WindowSettings(**wrong)


def test_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="fast tokenizer"):
        build_features(make_examples([("a", "b")]), Slow(), WindowSettings())  # type: ignore[arg-type]


def test_tokenizer_that_loses_letters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_of("bert")
    original = type(tokenizer).__call__

    def losing(self: Any, *texts: Any, **options: Any) -> Any:
        encoding = original(self, *texts, **options)
        if options.get("return_offsets_mapping"):
            encoding["offset_mapping"] = [
                [(start + 1, end) for start, end in row] for row in encoding["offset_mapping"]
            ]
        return encoding

    monkeypatch.setattr(type(tokenizer), "__call__", losing)
    with pytest.raises(InputError, match="letters and digits"):
        build_features(
            make_examples([("a", "Lisboa fica na foz do Tejo")]), tokenizer, WindowSettings()
        )


def test_each_text_is_tokenized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_of("bert")
    original, seen = type(tokenizer).__call__, []

    def counting(self: Any, texts: Any, *rest: Any, **options: Any) -> Any:
        seen.extend([texts] if isinstance(texts, str) else texts)
        return original(self, texts, *rest, **options)

    monkeypatch.setattr(type(tokenizer), "__call__", counting)
    pairs = [("Quem?", "Lisboa"), ("Onde?", "Lisboa"), ("Quem?", "Porto"), ("Onde?", "Lisboa")]
    build_features(make_examples(pairs), tokenizer, WindowSettings())
    texts = {text for pair in pairs for text in pair}
    assert sorted(text for text in seen if text in texts) == sorted(texts)


def test_many_record_batches_hold_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_of("roberta")
    pairs = [(f"Quem fez {n}?", f"A ponte {n} foi feita em {1400 + n}. " * 4) for n in range(30)]
    examples = make_examples(pairs, [[(8, 9), (18, 23)]] * 30)
    settings = WindowSettings(max_length=48, doc_stride=8)
    whole = build_features(examples, tokenizer, settings)
    monkeypatch.setattr("qa_lightning.features.storage._TOKENS_A_BATCH", 100)
    parts = build_features(examples, tokenizer, settings)
    assert len(parts.data.to_batches()) > 10
    assert parts[:] == whole[:]
    table = WindowTable(parts)
    assert [table.lists("input_ids")[row].tolist() for row in range(len(parts))] == parts[
        "input_ids"
    ][:]
    assert table.context_offsets(5).ravel().tolist() == parts[5]["context_offsets"]
    assert table.lengths().tolist() == [len(ids) for ids in parts["input_ids"]]


def test_selected_rows_are_read_right() -> None:
    tokenizer = tokenizer_of("roberta")
    pairs = [(f"Quem fez {n}?", f"A ponte {n} foi feita em {1400 + n}. " * 4) for n in range(6)]
    examples = make_examples(pairs).select([4, 1, 3])
    windows = build_features(examples, tokenizer, WindowSettings())
    contexts = examples["context"][:]
    for row in windows:
        context = contexts[row["example_index"]]
        assert (
            row["input_ids"][row["context_start_token"] : row["context_end_token"]]
            == tokenizer(context, add_special_tokens=False).input_ids
        )
    picked = WindowTable(windows.select([2, 0]))
    assert picked.numbers("example_index").tolist() == [2, 0]
    np.testing.assert_array_equal(picked.lists("input_ids")[0], windows[2]["input_ids"])


@pytest.mark.realdata
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_sample_equals_the_pair_encoding(realdata: Any, padding_side: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(
        realdata / "longformer_bpe", padding_side=padding_side
    )
    rows = list(read_squad(realdata / "squad_v1_pt_sample.json"))
    if padding_side == "left":
        rows = rows[::6]
    pairs = [(row["question"], row["context"]) for row in rows]
    windows = build_features(
        make_examples(pairs), tokenizer, WindowSettings(max_question_length=128)
    )
    if padding_side == "right":
        assert len(windows) == 4315
    expected = list(pair_encodings(tokenizer, pairs, length=384, stride=128))
    assert len(windows) == len(expected)
    columns = windows[:]
    for row, theirs in enumerate(expected):
        assert_same({name: column[row] for name, column in columns.items()}, theirs)


@pytest.mark.realdata
def test_sample_windows_with_the_default_question_cut(realdata: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(realdata / "longformer_bpe")
    rows = list(read_squad(realdata / "squad_v1_pt_sample.json"))
    pairs = [(row["question"], row["context"]) for row in rows]
    windows = build_features(make_examples(pairs), tokenizer, WindowSettings())
    lengths = WindowTable(windows).lengths()
    assert len(windows) == 4315
    assert round(float(lengths.mean())) == 285
    assert int((lengths == 384).mean() * 100) == 24
