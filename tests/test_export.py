"""Export: what others load answers alike, and the card says how."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoTokenizer, LongformerForQuestionAnswering

from answerer_support import MAX_LENGTH, small_network, write_checkpoint
from qa_lightning import exporting
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.checkpoints import read_checkpoint
from qa_lightning.answerer.loading import reader_from_checkpoint, settings_of
from qa_lightning.cli import export as command
from qa_lightning.errors import InputError
from qa_lightning.exporting import export_checkpoint
from qa_lightning.exporting.card import dataset_name, model_card
from running import rows_of

ROW = rows_of(1)[0]
FITTED = {"threshold": -1.25, "temperature": 1.75, "no_answer": True}
SCORES = {"exact_match": 41.0, "f1": 55.5, "f1_low": 50.25, "f1_high": 60.75, "global_step": 60}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_checkpoint(folder / "checkpoints" / "best.ckpt", fitted=FITTED)
    scores = folder / "answers" / "val" / "scores.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps({**SCORES, "loss": None}))
    return folder


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_checkpoint(run_folder, tmp_path_factory.mktemp("export") / "model")


def test_transformers_loads_it_with_equal_logits(exported: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported)
    model = LongformerForQuestionAnswering.from_pretrained(exported)
    assert list(exported.glob("*.safetensors"))
    assert not list(exported.glob("*.bin"))
    inputs = tokenizer(
        ROW["question"], ROW["context"], truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
    )
    with torch.no_grad():
        loaded, original = model(**inputs), small_network()(**inputs)
    assert torch.equal(loaded.start_logits, original.start_logits)
    assert torch.equal(loaded.end_logits, original.end_logits)


def test_the_folder_answers_as_the_checkpoint(exported: Path, run_folder: Path) -> None:
    ours, theirs = (
        QuestionAnswerer.from_checkpoint(f, device="cpu") for f in (run_folder, exported)
    )
    assert theirs.reader.decision == ours.reader.decision
    assert theirs.reader.decision.temperature == 1.75
    assert theirs.reader.decision.null_score_threshold == -1.25
    assert theirs.reader.windows == ours.reader.windows
    assert theirs.reader.language == "pt"
    assert theirs.answer(ROW["question"], ROW["context"], 5) == ours.answer(
        ROW["question"], ROW["context"], 5
    )
    for context in ("", "北京大學位於中國北京市海淀區。" * 9):
        assert theirs.answer("Onde?", context) == ours.answer("Onde?", context)


def test_the_card_tells_data_scores_and_settings(exported: Path) -> None:
    card = (exported / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front["pipeline_tag"] == "question-answering"
    assert front["language"] == "pt"
    assert front["datasets"] == ["squad_v1_pt"]
    (result,) = front["model-index"][0]["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"exact_match": 41.0, "f1": 55.5}
    assert "50.25 to 60.75" in card
    for shown in ("-1.25", "1.75", "squad_v1_pt", "attention_window", f"`{MAX_LENGTH}`"):
        assert shown in card
    assert str(exported.parent) not in card


@pytest.mark.parametrize(
    ("base", "linked", "told"),
    [
        ("allenai/longformer-base-4096", True, "from `allenai/longformer-base-4096`"),
        ("bert-base-cased", True, "from `bert-base-cased`"),
        ("/home/somebody/models/own", False, "from `own`"),
        (None, False, "from random weights"),
    ],
)
@pytest.mark.parametrize("licence", ["apache-2.0", None])
def test_the_card_names_base_model_licence_seed_and_batch(
    base: str | None, linked: bool, told: str, licence: str | None, run_folder: Path, tmp_path: Path
) -> None:
    file = run_folder / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(file, weights_only=True) | {"base_model": base}
    checkpoint["datamodule_hyper_parameters"] |= {"seed": 13, "batch_size": 6}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(checkpoint, tmp_path / "run" / "checkpoints" / "best.ckpt")
    scores = tmp_path / "scores.json"
    by_the_way = {"windows_without_label": 3.0, "total": 9.0, "HasAns_total": 5, "examples": 9}
    scores.write_text(json.dumps({**SCORES, **by_the_way, "temperature": 1.75}))
    options = () if licence is None else ("--license", licence)
    output = tmp_path / "model"
    run("--checkpoint", tmp_path / "run", "--output", output, "--scores", scores, *options)
    card = (output / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert front.get("base_model") == (base if linked else None)
    assert front.get("license") == licence
    assert told in card
    assert (f"Licence: `{licence}`" if licence else "Its licence is not stated") in card
    assert "/home/somebody" not in card
    assert "| seed | `13` |" in card
    assert "| batch_size | `6` |" in card
    table = card.split("## Scores")[1].split("##")[0]
    assert "f1" in table
    for name in ("temperature", "global_step", *by_the_way):
        assert name not in table
    assert "temperature" in card.split("## How it answers")[1]


def test_the_cards_own_example_runs(exported: Path) -> None:
    card = (exported / "README.md").read_text("utf-8")
    ours, theirs = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    context = ROW["context"][:120]
    texts = {
        "THIS_REPOSITORY_OR_FOLDER": str(exported),
        "QUESTION": ROW["question"],
        "DOCUMENT OF ANY LENGTH": context,
        "DOCUMENT": context,
    }
    for word, text in texts.items():
        ours, theirs = (code.replace(f'"{word}"', repr(text)) for code in (ours, theirs))
    ours = ours.replace("from qa_lightning import", "from qa_lightning.answerer import")
    names: dict[str, Any] = {}
    exec(ours, names)
    exec(theirs, names)
    assert names["answer"] in context


def test_scores_of_another_checkpoint_do_not_reach_the_card(
    run_folder: Path, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")
    scores = tmp_path / "run" / "answers" / "val" / "scores.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps({**SCORES, "global_step": 90}))
    folder = export_checkpoint(path, tmp_path / "monitored")
    card = (folder / "README.md").read_text("utf-8")
    assert "61.5" in card
    assert "55.5" not in card
    assert "Measured on the validation split." in card
    named = export_checkpoint(path, tmp_path / "named", scores_file=scores)
    assert "55.5" in (named / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("stage", "told"),
    [("val", "the validation split"), ("test", "the test split"), ("elsewhere", None)],
)
def test_the_card_says_what_scores_of_a_file_are_of(
    stage: str, told: str | None, run_folder: Path, tmp_path: Path
) -> None:
    scores = tmp_path / stage / "scores.json"
    scores.parent.mkdir()
    scores.write_text(json.dumps(SCORES))
    folder = export_checkpoint(run_folder, tmp_path / "model", scores_file=scores)
    found = re.findall(r"Measured on (.*)\.", (folder / "README.md").read_text("utf-8"))
    assert found == ([told] if told else [])


@pytest.mark.parametrize(
    ("data", "listed"),
    [
        ({"dataset": "eraldoluis/faquad"}, ["eraldoluis/faquad"]),
        ({"dataset": "demo"}, None),
        ({"dataset": "/home/somebody/data"}, None),
        ({"dataset": "demo", "data_files": {"train": "a.json"}}, None),
    ],
)
def test_only_a_data_set_of_the_hub_is_linked(
    data: dict[str, Any], listed: list[str] | None, run_folder: Path
) -> None:
    contents = replace(read_checkpoint(run_folder / "checkpoints" / "best.ckpt"), data=data)
    reader = reader_from_checkpoint(contents)
    settings = settings_of(reader) | {"scores": SCORES, "measured_on": "validation"}
    front = yaml.safe_load(model_card(contents, settings).split("---")[1])
    assert front.get("datasets") == listed


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"dataset": "/home/somebody/data"}, "data"),
        ({"dataset": "demo", "data_files": {"train": "/home/somebody/a.json"}}, "local files"),
        ({"dataset": "eraldoluis/faquad"}, "eraldoluis/faquad"),
    ],
)
def test_no_path_of_a_machine_reaches_the_card(data: dict[str, Any], name: str) -> None:
    assert dataset_name(data) == name


def test_what_a_killed_export_left_in_an_empty_folder_is_swept(
    run_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mounted"
    (folder / ".new.killed").mkdir(parents=True)
    (folder / ".new.killed" / "model.safetensors").write_text("half")
    export_checkpoint(run_folder, folder)
    assert (folder / "config.json").is_file()
    assert not [path for path in folder.iterdir() if path.name.startswith(".new.")]


def test_mistakes_leave_nothing_behind(run_folder: Path, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("mine")
    with pytest.raises(InputError, match="holds something"):
        export_checkpoint(run_folder, used)
    with pytest.raises(InputError, match="is neither"):
        export_checkpoint("some/model", tmp_path / "new")
    with pytest.raises(InputError, match="no such file"):
        export_checkpoint(tmp_path / "absent.ckpt", tmp_path / "new")
    with pytest.raises(InputError, match=r"`scores.json`"):
        export_checkpoint(run_folder, tmp_path / "new", scores_file=used / "file")
    with pytest.raises(InputError, match="can be written"):
        export_checkpoint(run_folder, used / "file" / "new")
    with pytest.raises(InputError, match="such as user/name; got 'a/b/c'"):
        run("--checkpoint", run_folder, "--output", tmp_path / "new", "--push_to_hub", "a/b/c")
    assert [path.name for path in tmp_path.iterdir()] == ["used"]
    assert (used / "file").read_text() == "mine"


def run(*arguments: object) -> None:
    parser = command.build_parser()
    parser.exit_on_error = False
    command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_a_refused_upload_leaves_the_folder(run_folder: Path, tmp_path: Path) -> None:
    upload = ("--push_to_hub", "me/model")  # offline, as all tests are
    with pytest.raises(InputError, match=f"{tmp_path / 'new'} is written, but"):
        run("--checkpoint", run_folder, "--output", tmp_path / "new", *upload)
    assert (tmp_path / "new" / "model.safetensors").is_file()


def test_nothing_is_uploaded_unless_asked_for(
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    class Hub:
        def create_repo(self, repository: str, **keys: Any) -> None:
            calls.append((repository, keys))

        def upload_folder(self, **keys: Any) -> None:
            calls.append((keys["repo_id"], keys))

    monkeypatch.setattr(exporting, "HfApi", Hub)
    (tmp_path / "empty").mkdir()
    run("--checkpoint", run_folder, "--output", tmp_path / "empty")
    assert calls == []
    assert (tmp_path / "empty" / "model.safetensors").is_file()
    pushed = ("--push_to_hub", "me/model", "--private")
    run("--checkpoint", run_folder, "--output", tmp_path / "b", *pushed)
    assert [name for name, _ in calls] == ["me/model", "me/model"]
    assert calls[0][1]["private"] is True
    assert calls[1][1]["folder_path"] == tmp_path / "b"
    assert "https://huggingface.co/me/model" in capsys.readouterr().out
