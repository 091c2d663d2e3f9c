"""The datamodule without the command line: what it holds, its cache, its batches."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from qa_lightning import QADataModule
from qa_lightning.callbacks.scored import Gold
from qa_lightning.datamodule import load_tokenizer, tokenizer_files, tokenizer_from_files
from qa_lightning.errors import InputError
from running import rows_of, small_tokenizer, write_rows

Files = dict[str, Path]


@pytest.fixture
def make(small_files: Files, tmp_path: Path) -> Any:
    """Return a function that builds a datamodule on small files, with a cache of its own."""

    def build(**settings: Any) -> QADataModule:
        values = {
            "data_files": {name: str(small_files[name]) for name in ("train", "validation")},
            "tokenizer": str(small_files["tokenizer"]),
            "max_length": 64,
            "doc_stride": 16,
            "cache_dir": str(tmp_path / "cache"),
        }
        return QADataModule(**{**values, **settings})

    return build


def prepared(data: QADataModule, stage: str = "fit") -> QADataModule:
    data.prepare_data()
    data.setup(stage)
    return data


def preparations(caplog: pytest.LogCaptureFixture, data: QADataModule) -> int:
    """Return how many splits had to be prepared."""
    caplog.clear()
    with caplog.at_level("INFO", logger="qa_lightning"):
        prepared(data)
    return caplog.text.count("preparing split")


def test_what_it_holds_after_setup(make: Any) -> None:
    data = prepared(make())
    assert len(data.train_examples) == 16
    assert len(data.val_examples) == 6
    assert data.val_examples["id"] == [f"q{n}" for n in range(100, 106)]
    assert "spans" in data.train_examples.column_names
    assert len(data.train_features) > 16  # documents of several windows
    assert set(data.train_features["example_index"]) == set(range(16))
    assert data.alignment_audit.examples == 16
    assert data.alignment_audit.trusted == 16


@pytest.mark.parametrize("policy", ["repair", "drop", "no_answer", "keep"])
def test_figures_called_repaired_are_the_same_whatever_the_policy(
    policy: str, make: Any, small_files: Files, tmp_path: Path
) -> None:
    rows = rows_of(6, first=100)
    city = rows[0]["answers"]["text"][0]
    rows[0]["answers"] = {"text": [f"{city.upper()}."], "answer_start": [0]}
    files = {"train": str(small_files["train"])}
    files["validation"] = str(write_rows(tmp_path / "reworded.json", rows))
    data = prepared(make(data_files=files, alignment=policy, language="pt"))
    gold = Gold.of(data.val_examples, np.arange(6))
    assert gold.official["q100"] == [f"{city.upper()}."]
    assert gold.repaired["q100"] == [f"{city.upper()}.", city]


def test_labelled_tokens_are_the_answer(make: Any) -> None:
    data = prepared(make())
    windows_with_answer = 0
    for window in data.train_features:
        if window["start_token"] == window["cls_token"]:
            continue
        windows_with_answer += 1
        example = data.train_examples[window["example_index"]]
        first = window["start_token"] - window["context_start_token"]
        last = window["last_token"] - window["context_start_token"]
        offsets = window["context_offsets"]
        text = example["context"][offsets[2 * first] : offsets[2 * last + 1]]
        assert text.strip() == example["answers"]["text"][0]
    assert windows_with_answer >= 16


def test_a_second_run_prepares_nothing(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert preparations(caplog, make()) == 2
    assert preparations(caplog, make()) == 0
    # Neither batches nor the order are part of what is prepared.
    assert preparations(caplog, make(batch_size=7, num_workers=1, pad_to="max_length")) == 0
    assert preparations(caplog, make(group_by_length=False, global_attention="cls")) == 0
    assert preparations(caplog, make(all_gold_spans=True, group_by_document=True)) == 0


@pytest.mark.parametrize(
    ("changed", "splits"),
    [
        ({"max_length": 60}, 2),
        ({"doc_stride": 12}, 2),
        ({"max_question_length": 10}, 2),
        ({"separators": 2}, 2),
        ({"alignment": "drop"}, 2),
        ({"alignment_threshold": 0.99}, 2),
        ({"language": "pt"}, 2),
        ({"train_split": "train[:8]"}, 1),
        ({"val_split": "validation[:50%]"}, 1),
    ],
)
def test_what_matters_prepares_anew(
    changed: dict[str, Any], splits: int, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(make())
    assert preparations(caplog, make(**changed)) == splits
    assert preparations(caplog, make(**changed)) == 0


def test_a_frame_is_no_file() -> None:
    frame = pd.DataFrame({"context": ["Lima"]})
    with pytest.raises(InputError, match=r"`data.data_files` to hold a path .* got a DataFrame"):
        QADataModule(data_files=frame)  # type: ignore[arg-type]


def test_changed_data_and_tokenizers_prepare_anew_but_not_a_touched_file(
    make: Any, small_files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_rows(tmp_path / "train.json", rows_of(4))
    files = {"train": str(file), "validation": str(small_files["validation"])}
    assert preparations(caplog, make(data_files=files)) == 2
    os.utime(file, (0, 0))
    assert preparations(caplog, make(data_files=files)) == 0
    write_rows(file, rows_of(5))
    assert preparations(caplog, make(data_files=files)) == 1

    tokenizer = small_tokenizer()
    tokenizer.add_tokens(["Lisboa"])
    tokenizer.save_pretrained(tmp_path / "other")
    assert preparations(caplog, make(data_files=files, tokenizer=str(tmp_path / "other"))) == 2
    # The same tokenizer in another place is the same.
    small_tokenizer().save_pretrained(tmp_path / "copy")
    assert preparations(caplog, make(data_files=files, tokenizer=str(tmp_path / "copy"))) == 0


@pytest.mark.parametrize("damage", ["cut short", "a folder gone", "no audit"])
def test_damaged_entries_of_the_cache_are_prepared_anew(
    damage: str, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    windows = prepared(make()).train_features["input_ids"][:]
    for entry in (tmp_path / "cache" / "qa_lightning").iterdir():
        if damage == "cut short":
            (file,) = (entry / "features").glob("*.arrow")
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        elif damage == "a folder gone":
            shutil.rmtree(entry / "examples")
        else:
            (entry / "audit.json").write_text("{")
    data = make()
    assert preparations(caplog, data) == 2
    assert "preparing anew" in caplog.text
    assert data.train_features["input_ids"][:] == windows
    assert preparations(caplog, make()) == 0


@pytest.mark.parametrize("name", ["PREPARATION_VERSION", "ALIGNMENT_VERSION"])
def test_a_new_version_of_the_code_prepares_anew(
    name: str, make: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(make())
    monkeypatch.setattr(f"qa_lightning.datamodule.preparation.{name}", 999)
    assert preparations(caplog, make()) == 2


def test_an_interrupted_preparation_leaves_nothing(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("qa_lightning.datamodule.preparation.build_features", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make().prepare_data()
    assert not list((tmp_path / "cache" / "qa_lightning").iterdir())
    prepared(make())


def test_negative_windows_are_left_out_of_training_alone(make: Any) -> None:
    every, none = prepared(make()), prepared(make(negative_windows=0.0))
    positive = [row["start_token"] != row["cls_token"] for row in every.train_features]
    assert len(none.train_features) == sum(positive) < len(every.train_features)
    assert len(none.val_features) == len(every.val_features)


def unaligned(folder: Path) -> dict[str, str]:
    """Return files in which every fourth answer is nowhere in its context."""
    files = {}
    for name, first in (("train", 0), ("validation", 100)):
        rows = rows_of(8, first=first)
        for row in rows[::4]:
            row["answers"] = {"text": ["em parte nenhuma deste mundo"], "answer_start": [0]}
        files[name] = str(write_rows(folder / f"{name}.json", rows))
    return files


@pytest.mark.parametrize(
    ("policy", "kept"), [("repair", 6), ("drop", 6), ("no_answer", 8), ("keep", 8)]
)
def test_alignment_never_drops_from_evaluation(
    policy: str, kept: int, make: Any, tmp_path: Path
) -> None:
    data = prepared(make(data_files=unaligned(tmp_path), alignment=policy))
    assert len(data.train_examples) == kept
    assert len(data.val_examples) == 8
    labels = {
        example: {
            row["start_token"] for row in data.val_features if row["example_index"] == example
        }
        for example in (0, 4)
    }
    if policy in ("repair", "drop"):
        assert labels == {0: {-100}, 4: {-100}}
    elif policy == "no_answer":
        assert all(found == {0} for found in labels.values())
    else:
        assert all(max(found) > 0 for found in labels.values())


def test_strict_alignment_names_the_ids(make: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="q0"):
        prepared(make(data_files=unaligned(tmp_path), alignment="strict"))


def test_batches(make: Any) -> None:
    data = prepared(make(batch_size=3))
    batches = list(data.train_dataloader())
    windows = len(data.train_features)
    assert sorted(torch.cat([b["feature_index"] for b in batches]).tolist()) == list(range(windows))
    assert {len(batch["input_ids"]) for batch in batches[:-1]} == {3}
    evaluation = list(data.val_dataloader())
    assert {len(batch["input_ids"]) for batch in evaluation[:-1]} == {6}  # twice as many
    assert all(batch["input_ids"].shape[1] <= 64 for batch in evaluation)
    wide = prepared(make(batch_size=3, eval_batch_size=5, pad_to="max_length"))
    first = next(iter(wide.val_dataloader()))
    assert first["input_ids"].shape == (5, 64)


def test_batches_of_whole_documents(make: Any) -> None:
    data = prepared(make(batch_size=3, group_by_document=True, all_gold_spans=True))
    batches = list(data.train_dataloader())
    assert len(batches) == 6  # 16 documents; two are drawn twice
    examples = torch.tensor(data.train_features["example_index"])
    seen = set()
    for batch in batches:
        assert batch["document_index"].unique().tolist() == [0, 1, 2]
        for place in range(3):
            rows = batch["feature_index"][batch["document_index"] == place]
            (example,) = examples[rows].unique().tolist()
            assert rows.tolist() == (examples == example).nonzero().ravel().tolist()
            seen.add(example)
        assert (batch["gold_start_positions"] >= 0).any()
    assert seen == set(range(16))
    # Validation is by windows, with all gold spans too.
    (evaluation,) = {tuple(sorted(batch)) for batch in data.val_dataloader()}
    assert "gold_end_positions" in evaluation
    assert "document_index" not in evaluation
    cut = prepared(make(batch_size=3, group_by_document=True, windows_per_document=2))
    assert all(len(batch["input_ids"]) <= 6 for batch in cut.train_dataloader())


def test_documents_of_sampled_windows(make: Any) -> None:
    settings = {"group_by_document": True, "all_gold_spans": True, "batch_size": 4}
    data = prepared(make(negative_windows=0.0, **settings))
    with pytest.warns(UserWarning, match=r"`data.negative_windows` of 0.0 leaves some out"):
        batches = data.train_dataloader()
    for batch in batches:
        assert (batch["gold_start_positions"] >= 0).any(1).all()
        assert batch["document_index"].max() == 3


def test_the_order_follows_the_seed(make: Any) -> None:
    def order(**settings: Any) -> list[int]:
        loader = prepared(make(**settings)).train_dataloader()
        return torch.cat([batch["feature_index"] for batch in loader]).tolist()

    assert order(seed=1) == order(seed=1)
    assert order(seed=1) != order(seed=2)
    assert order(seed=1, group_by_length=False) != order(seed=1)
    assert order() == order(seed=0)


def test_collating_in_another_process_gives_the_same(make: Any) -> None:
    here = list(prepared(make()).val_dataloader())
    there = list(prepared(make(num_workers=1)).val_dataloader())
    for one, other in zip(here, there, strict=True):
        assert one.keys() == other.keys()
        assert all(one[key].equal(other[key]) for key in one)


def test_a_tokenizer_may_be_given_itself(make: Any, small_files: Files) -> None:
    tokenizer = load_tokenizer(str(small_files["tokenizer"]))
    data = prepared(make(tokenizer=tokenizer))
    assert data.tokenizer is tokenizer
    by_name = prepared(make())
    assert data.train_features["input_ids"] == by_name.train_features["input_ids"]


def test_a_tokenizer_survives_as_strings(small_files: Files) -> None:
    tokenizer = load_tokenizer(str(small_files["tokenizer"]))
    files = tokenizer_files(tokenizer)
    assert all(isinstance(text, str) for text in files.values())
    again = tokenizer_from_files(files)
    assert isinstance(again, PreTrainedTokenizerFast)
    text = rows_of(1)[0]["context"]
    assert again(text).input_ids == tokenizer(text).input_ids
    assert tokenizer_files(again) == files


def test_the_padding_side_survives_as_it_is_now(small_files: Files, tmp_path: Path) -> None:
    """``save_pretrained`` would write the one that the tokenizer was loaded with."""
    tokenizer = load_tokenizer(str(small_files["tokenizer"]))
    tokenizer.padding_side = "left"
    again = tokenizer_from_files(tokenizer_files(tokenizer))
    assert again.padding_side == "left"
    again.save_pretrained(tmp_path / "exported")
    assert load_tokenizer(str(tmp_path / "exported")).padding_side == "left"


def test_the_state_is_plain_and_tells_the_windows(make: Any) -> None:
    state = make(separators=2, language="pt").state_dict()
    assert (state["max_length"], state["doc_stride"], state["separators"]) == (64, 16, 2)
    assert state["language"] == "pt"
    assert "tokenizer.json" in state["tokenizer_files"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"alignment": "guess"}, "alignment"),
        ({"separators": 4}, "separators"),
        ({"pad_to": "shortest"}, "pad_to"),
        ({"negative_windows": 2.0}, "negative_windows"),
        ({"alignment_threshold": -1.0}, "alignment_threshold"),
        ({"batch_size": 0}, "batch_size"),
        ({"eval_batch_size": 0}, "eval_batch_size"),
        ({"windows_per_document": 0}, "windows_per_document"),
        ({"doc_stride": 64}, "doc_stride"),
        ({"num_workers": -1}, "num_workers"),
        ({"global_attention": "all"}, "global_attention"),
        ({"global_attention": [0, -1]}, "global_attention"),
        ({"global_attention": [0, 64]}, "global_attention` to be below `data.max_length"),
    ],
)
def test_arguments_that_cannot_work(settings: dict[str, Any], told: str, make: Any) -> None:
    with pytest.raises(InputError, match=rf"`data\.{told}`"):
        make(**settings)


def test_global_attention_on_given_columns(make: Any) -> None:
    data = make(global_attention=[0, 2])
    data.setup("fit")
    for batch in (next(iter(data.train_dataloader())), next(iter(data.val_dataloader()))):
        rows, columns = batch["global_attention_mask"].nonzero(as_tuple=True)
        assert len(rows) == 2 * len(batch["input_ids"])
        assert set(columns.tolist()) == {0, 2}
    assert data.state_dict()["global_attention"] == [0, 2]


def test_two_mistakes_are_one_error(make: Any) -> None:
    with pytest.raises(InputError) as caught:
        make(alignment="guess", batch_size=0)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("name", ["test", "predict"])
def test_a_split_that_was_not_named(name: str, make: Any) -> None:
    with pytest.raises(InputError, match=f"{name}_split"):
        make().setup(name)


def test_slow_tokenizers_and_absent_ones_are_told(make: Any) -> None:
    with pytest.raises(InputError, match=r"data\.tokenizer"):
        make(tokenizer="absent/tokenizer").prepare_data()
    with pytest.raises(InputError, match=r"data\.tokenizer"):
        make(tokenizer=None).prepare_data()


@pytest.mark.parametrize("split", ["dev", "test[:0%]", "train[:x]"])
def test_a_split_that_is_not_there_is_told_with_its_key(split: str, make: Any) -> None:
    with pytest.raises(InputError, match=r"^`data\.val_split`: Expected .*(got|selects none)"):
        make(val_split=split).setup("validate")


def test_questions_without_answers_can_be_predicted(make: Any, small_files: Files) -> None:
    data = make(data_files={"train": str(small_files["train"])}, predict_split="train[:3]")
    data.setup("predict")
    split = data.split("predict")
    assert split.audit is None
    assert split.examples["id"] == ["q0", "q1", "q2"]
    batch = next(iter(data.predict_dataloader()))
    assert "start_positions" not in batch
