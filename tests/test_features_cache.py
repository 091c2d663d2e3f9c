"""The cache of windows: its key, whole files, memory mapping."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import qa_lightning.features.settings as settings_module
from features_support import byte_level, make_examples, tokenizer_of, word_piece
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings, build_features, features_fingerprint, storage

SETTINGS = WindowSettings(max_length=48, doc_stride=8)
EXAMPLES = make_examples([("Onde?", "A cidade de Lisboa fica na foz do Tejo. " * 4)], [[(12, 18)]])


def fingerprint(tokenizer: Any = None, settings: WindowSettings = SETTINGS, **options: Any) -> str:
    flags = {"training": True, "labels": True} | options
    examples = flags.pop("examples", "data")
    return features_fingerprint(examples, tokenizer or tokenizer_of("bert"), settings, **flags)


def test_everything_that_decides_the_windows_is_in_the_key(monkeypatch: Any) -> None:
    changes: dict[str, Any] = {
        "max_length": 50,
        "doc_stride": 9,
        "max_question_length": 9,
        "separators": 2,
        "negative_windows": 0.5,
        "all_gold_spans": True,
        "unaligned": "no_answer",
        "seed": 1,
    }
    assert set(changes) == set(WindowSettings.__dataclass_fields__)
    left, no_cls = word_piece(), word_piece()
    left.padding_side = "left"
    no_cls.cls_token = "[MASK]"
    keys = [
        fingerprint(),
        *(fingerprint(settings=replace(SETTINGS, **{k: v})) for k, v in changes.items()),
        fingerprint(examples="other data"),
        fingerprint(training=False),
        fingerprint(labels=False),
        fingerprint(byte_level()),
        fingerprint(left),
        fingerprint(no_cls),
    ]
    monkeypatch.setattr(settings_module, "FEATURES_VERSION", 999)
    keys.append(fingerprint())
    assert len(set(keys)) == len(keys)


def test_key_does_not_change_with_use() -> None:
    tokenizer = word_piece()
    before = fingerprint(tokenizer)
    tokenizer(["a b c"], truncation=True, max_length=4, padding="max_length")
    assert fingerprint(tokenizer) == before
    saved = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    specials = {name: getattr(tokenizer, name) for name in ("cls_token", "sep_token", "pad_token")}
    assert fingerprint(PreTrainedTokenizerFast(tokenizer_object=saved, **specials)) == before


def test_slow_tokenizer_has_no_key() -> None:
    with pytest.raises(InputError, match="fast tokenizer"):
        fingerprint(object())


def test_cached_windows_are_read_and_not_made(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "new folder" / "windows.arrow"
    made = build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=file)
    assert [Path(entry["filename"]) for entry in made.cache_files] == [file]
    assert made[:] == build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS)[:]
    assert [path.name for path in file.parent.iterdir()] == ["windows.arrow"]

    monkeypatch.setattr("qa_lightning.features.building.tokenize_distinct", None)
    read = build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=str(file))
    assert read[:] == made[:]
    assert read.features == made.features


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    original = storage.window_batches

    def breaking(*parts: Any) -> Iterator[Any]:
        yield from original(*parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "window_batches", breaking)
    with pytest.raises(KeyboardInterrupt):
        build_features(
            EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=tmp_path / "windows.arrow"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no arrow at all", None])
def test_unreadable_file_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    file = tmp_path / "windows.arrow"
    made = build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=file)[:]
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with caplog.at_level(logging.WARNING):
        again = build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=file)
    assert again[:] == made
    assert "preparing anew" in caplog.text
    assert file.read_bytes() == whole


def test_file_with_other_columns_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "windows.arrow"
    build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, labels=False, cache_file=file)
    labelled = build_features(EXAMPLES, tokenizer_of("bert"), SETTINGS, cache_file=file)
    assert "start_token" in labelled.column_names
