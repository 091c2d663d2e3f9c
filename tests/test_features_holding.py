"""Answers that no window holds: what is labelled, and what fit and audit count."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features_support import make_examples, tokenizer_of
from qa_lightning.cli.audit import build_parser, run
from qa_lightning.datamodule import QADataModule
from qa_lightning.errors import InputError
from qa_lightning.features import (
    IGNORED,
    WindowSettings,
    build_features,
    context_windows,
    unheld_examples,
)

WORDS = "Lisboa rio água mar 1498 serra foz cidade ponte".split()  # noqa: SIM905


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Draw examples with answers of any length, and windows of any length and overlap."""
    examples = []
    for number in range(draw(st.integers(1, 4))):
        words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
        spans: list[tuple[int, int] | None] = []
        for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
            first = draw(st.integers(0, len(words) - 1))
            last = draw(st.integers(first, min(len(words) - 1, first + draw(st.integers(0, 60)))))
            start = len(" ".join([*words[:first], ""]))
            end = len(" ".join(words[: last + 1]))
            spans.append(draw(st.sampled_from([(start, end)] * 5 + [None])))
        examples.append((f"Onde {number}?", " ".join(words), spans))
    doc_stride = draw(st.integers(0, 24))
    return {
        "family": draw(st.sampled_from(["bert", "roberta", "unigram"])),
        "padding_side": draw(st.sampled_from(["right", "left"])),
        "examples": examples,
        "windows": {"max_length": doc_stride + draw(st.integers(20, 40)), "doc_stride": doc_stride},
        "unaligned": draw(st.sampled_from(["ignore", "no_answer"])),
    }


def reference(case: dict[str, Any], tokenizer: Any) -> tuple[list[list[tuple[int, Any]]], set[int]]:
    """Label windows that the tokenizer itself cuts, span by span; return the unheld examples too.

    A label is a window's span of characters, ``"none"`` for no answer, or None to leave it out.
    """
    held: dict[int, list[list[str]]] = {}
    for number, (question, context, spans) in enumerate(case["examples"]):
        right = case["padding_side"] == "right"
        encoding = tokenizer(
            *((question, context) if right else (context, question)),
            truncation="only_second" if right else "only_first",
            max_length=case["windows"]["max_length"],
            stride=case["windows"]["doc_stride"],
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        held[number] = []
        for window in range(len(encoding["input_ids"])):
            owners = encoding.sequence_ids(window)
            tokens = [
                offsets
                for offsets, owner in zip(encoding["offset_mapping"][window], owners, strict=True)
                if owner == (1 if right else 0)
            ]
            low, high = tokens[0][0], tokens[-1][1]
            held[number].append(
                [
                    "untrusted"
                    if span is None
                    else "whole"
                    if low <= span[0] and span[1] <= high
                    else "part"
                    if span[0] < high and span[1] > low
                    else "absent"
                    for span in spans
                ]
            )
    answers = {number: spans for number, (_, _, spans) in enumerate(case["examples"])}
    untrusted = {n for n, spans in answers.items() if spans and not any(spans)}
    as_none = case["unaligned"] == "no_answer"
    learns_none = not all(answers.values()) or bool(as_none and untrusted)
    unheld = {
        number
        for number, windows in held.items()
        if any(answers[number]) and not any("whole" in states for states in windows)
    }
    labels = []
    for number, windows in held.items():
        first = next(
            (k for k in range(9) if any(k < len(w) and w[k] == "whole" for w in windows)), 0
        )
        of_example: list[tuple[int, Any]] = []
        for states in windows:
            label: Any = "none"
            if (number in untrusted and not as_none) or (
                number in unheld and (not learns_none or "part" in states)
            ):
                label = None
            elif states and states[first] == "whole":
                label = answers[number][first]
            of_example.append((number, label))
        labels.append(of_example)
    return labels, unheld


@settings(max_examples=40, deadline=None)
@given(cases())
def test_labels_and_counts_equal_a_search_through_every_window(case: dict[str, Any]) -> None:
    tokenizer = tokenizer_of(case["family"], case["padding_side"])
    pairs = [(question, context) for question, context, _ in case["examples"]]
    examples = make_examples(pairs, [spans for _, _, spans in case["examples"]])
    options = WindowSettings(**case["windows"], unaligned=case["unaligned"])
    labels, unheld = reference(case, tokenizer)

    features = build_features(examples, tokenizer, options)
    found = []
    for row in features:
        offsets = row["context_offsets"]
        if row["start_token"] == IGNORED:
            label: Any = None
        elif row["start_token"] == row["cls_token"]:
            label = "none"
        else:
            first = row["start_token"] - row["context_start_token"]
            last = row["last_token"] - row["context_start_token"]
            text = pairs[row["example_index"]][1][offsets[2 * first] : offsets[2 * last + 1]]
            start = offsets[2 * first] + len(text) - len(text.lstrip())
            label = (start, offsets[2 * last + 1])
        found.append((row["example_index"], label))
    assert found == [label for of_example in labels for label in of_example]

    # What fit counts, in training windows too, and what an audit counts without making windows.
    assert set(unheld_examples(features, examples)) == unheld
    planned = list(context_windows(examples, tokenizer, options))
    assert {row for row, windows in enumerate(planned) if windows.is_unheld} == unheld
    assert [len(windows.windows_w2) for windows in planned] == [len(rows) for rows in labels]
    learnt = [label for label in found if label[1] is not None]
    if not learnt:
        with pytest.raises(InputError, match="doc_stride"):
            build_features(examples, tokenizer, options, training=True)
        return
    training = build_features(examples, tokenizer, options, training=True)
    assert len(training) == len(learnt)
    assert IGNORED not in training["start_token"]
    assert set(unheld_examples(training, examples)) == unheld


@pytest.mark.parametrize("family", ["bert", "roberta", "unigram"])
def test_windows_planned_are_windows_made(family: str) -> None:
    tokenizer = tokenizer_of(family)
    contexts = [" ".join(WORDS * count) for count in (1, 4, 9)]
    pairs = [("Onde fica?", contexts[row % 3]) for row in range(1_100)]  # several portions
    examples = make_examples(pairs, [[(0, 6)]] * len(pairs))
    options = WindowSettings(max_length=30, doc_stride=8)
    features = build_features(examples.select(range(3)), tokenizer, options)
    made = list(zip(features["example_index"], features["context_offsets"], strict=True))
    planned = list(context_windows(examples, tokenizer, options))
    assert len(planned) == len(examples)
    assert planned[0].offsets_n2 is planned[3].offsets_n2  # of one context
    for first in (0, 510, 1_095):  # the second is at a portion's edge
        shift = first % 3
        got = [
            (row, windows.offsets_n2[start:end].ravel().tolist())
            for row, windows in enumerate(planned[first - shift : first - shift + 3])
            for start, end in windows.windows_w2.tolist()
        ]
        assert [row for row, _ in got] == [row for row, _ in made]
        for (_, one), (_, other) in zip(got, made, strict=True):
            assert one[1:] == other[1:]  # a window's first token may bring its blank along


def test_fit_and_audit_tell_how_many_and_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = " ".join(f"{WORDS[n % len(WORDS)]}" for n in range(90))
    rows = [
        {
            "id": f"q{number}",
            "context": words,
            "question": "O quê?",
            "answers": {"text": [words[:length]], "answer_start": [0]},
        }
        for number, length in enumerate([6, len(words), 10, words.rindex(" ", 0, 400)])
    ]
    tokenizer_of("bert").save_pretrained(tmp_path / "tokenizer")
    arguments: dict[str, Any] = {
        "train": rows,
        "validation": rows,
        "tokenizer": str(tmp_path / "tokenizer"),
        "language": "pt",
        "max_length": 40,
        "doc_stride": 8,
        "cache_dir": str(tmp_path),
    }
    for _ in range(2):  # prepared, and read from the cache
        data = QADataModule(**arguments)
        with pytest.warns(UserWarning, match="no window of 40 tokens") as caught:
            data.setup("fit")
        told = [str(w.message) for w in caught if "holds the whole answer" in str(w.message)]
        assert [text.split(":")[0] for text in told] == ["`data.train_split`", "`data.val_split`"]
        assert "of 2 of 4 questions (q1, q3)" in told[0]
        assert "`data.doc_stride`" in told[0]
        assert set(data.train_features["example_index"]) == {0, 2}
        assert set(data.val_features["example_index"]) == {0, 1, 2, 3}

    # The audit says the same, and what that costs.
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = ["--tokenizer", str(tmp_path / "tokenizer"), "--max_length=40", "--doc_stride=8"]
    monkeypatch.setenv("COLUMNS", "140")
    run(build_parser().parse_args([str(path), "--language", "pt", *options]))
    lines = capsys.readouterr().out.splitlines()
    (unheld,) = (line for line in lines if "whose answer no window holds" in line)
    assert unheld.replace("│", " ").split()[-3:] == ["2", "q1,", "q3"]
    ceilings = {
        name: next(line for line in lines if name in line).replace("│", " ").split()[-2]
        for name in ("a span of the text", "whole words, punctuation apart", "in one window")
    }
    assert list(ceilings.values()) == ["100.0", "100.0", "50.0"]
