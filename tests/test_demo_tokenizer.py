"""The demo's tokenizer."""

import statistics
from itertools import islice

import pytest

from qa_lightning.demo import demo_rows, demo_tokenizer
from qa_lightning.demo.documents import demo_documents


@pytest.fixture(scope="module")
def tokenizer():
    return demo_tokenizer()


def test_it_is_made_once(tokenizer):
    assert demo_tokenizer() is tokenizer
    assert demo_tokenizer(seed=1) is not tokenizer


def test_size_and_specials(tokenizer):
    assert len(tokenizer) == 1_500
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert tokenizer.convert_tokens_to_ids(specials) == [0, 1, 2, 3, 4]
    assert (tokenizer.cls_token, tokenizer.sep_token) == ("<s>", "</s>")
    assert tokenizer.padding_side == "right"
    assert tokenizer.model_max_length == 512
    assert len(tokenizer.backend_tokenizer.to_str()) < 300_000


def test_pairs_are_framed_as_roberta_frames_them(tokenizer):
    pair = tokenizer("Onde?", " Ali.")
    tokens = tokenizer.convert_ids_to_tokens(pair["input_ids"])
    assert tokens[0] == "<s>"
    assert tokens[-1] == "</s>"
    assert tokens.count("</s>") == 3
    assert tokenizer.decode(pair["input_ids"]) == "<s>Onde?</s></s> Ali.</s>"


@pytest.mark.parametrize(
    "text", ["São Tarcísio, 34,7% — “ótimo”", "日本語 🎉 ﬁ", "a\u0301\n\tb  c"]
)
def test_any_text_survives(tokenizer, text):
    """Byte-level: no text is unknown, offsets are characters, and decoding gives it back."""
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert tokenizer.unk_token_id not in encoding["input_ids"]
    decoded = tokenizer.decode(encoding["input_ids"], clean_up_tokenization_spaces=False)
    assert decoded == text
    assert max(end for _, end in encoding["offset_mapping"]) <= len(text)


def test_documents_take_several_windows(tokenizer):
    lengths = [
        len(tokenizer(document.context, add_special_tokens=False)["input_ids"])
        for split in ("validation", "test")
        for document in demo_documents(split)
    ]
    assert 370 < statistics.mean(lengths) < 440
    rows = demo_rows("validation")
    windows = tokenizer(
        [row["question"] for row in rows],
        [row["context"] for row in rows],
        max_length=128,
        stride=48,
        truncation="only_second",
        return_overflowing_tokens=True,
    )
    per_row = [windows["overflow_to_sample_mapping"].count(place) for place in range(len(rows))]
    assert min(per_row) >= 3
    assert 5 < statistics.mean(per_row) < 7


def test_answers_are_whole_tokens(tokenizer):
    for row in demo_rows("validation"):
        encoding = tokenizer(row["context"], return_offsets_mapping=True, truncation=False)
        starts, ends = zip(*encoding["offset_mapping"], strict=True)
        start_char = row["answers"]["answer_start"][0]
        assert start_char in starts
        assert start_char + len(row["answers"]["text"][0]) in ends


def test_held_out_words_were_never_seen(tokenizer):
    """No whole name that only validation or test uses is one token, and short ones are few."""
    names = {
        fact.entity.text.split()[-1]
        for split in ("validation", "test")
        for document in demo_documents(split)
        for fact in document.facts
    }
    whole = [name for name in names if len(tokenizer.tokenize(" " + name)) == 1]
    assert not [name for name in whole if len(name) > 4], whole


def test_names_are_read_in_as_many_pieces_in_training_as_later(tokenizer):
    """Else a model never had to find where a name of several tokens ends."""
    pieces = {
        split: statistics.mean(
            len(tokenizer.tokenize(" " + fact.answer))
            for document in islice(demo_documents(split), 25)
            for fact in document.facts
        )
        for split in ("train", "validation", "test")
    }
    assert pieces["validation"] / pieces["train"] < 1.15
    assert pieces["test"] / pieces["train"] < 1.15


def test_every_learned_token_stands_in_the_training_text(tokenizer):
    rows = demo_rows("train")
    text = "\n".join({row["context"] for row in rows} | {row["question"] for row in rows})
    pieces = [
        tokenizer.convert_tokens_to_string([token])
        for token in tokenizer.get_vocab()
        if token not in tokenizer.all_special_tokens
    ]
    whole = [piece for piece in pieces if len(piece) > 1 and "\ufffd" not in piece]
    assert len(whole) > 1_000
    assert not [piece for piece in whole if piece not in text]
