"""Export to ONNX: the folder answers as the checkpoint without torch, or is not written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from answerer_support import write_checkpoint
from matrix_support import FAMILIES, parameters, write_published
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.loading import Reader, load_reader, settings_of
from qa_lightning.attention import for_a_graph
from qa_lightning.backbones import span_logits
from qa_lightning.cli import export as command
from qa_lightning.documents import read_document
from qa_lightning.errors import InputError
from qa_lightning.exporting import export_checkpoint, graph, onnx_folder, quantizing
from qa_lightning.exporting.onnx_folder import write_beside, write_onnx
from qa_lightning.exporting.runner import Answerer
from running import rows_of

LENGTH = 600  # above it is cut into blocks, of few tokens on either side
FITTED = {"threshold": -0.5, "temperature": 1.75, "no_answer": True}
LONG = "\n\n".join(row["context"] for row in rows_of(160)[::4])
DOCUMENTS = {
    "long": LONG,
    "short": LONG[:300],
    "empty": "",
    "blank": " \n \t ",
    "without spaces": "北京大學位於中國北京市海淀區。" * 30,
    "special tokens": f"<s> {LONG[:400]} </s></s><pad> Alba {LONG[400:4000]}",
    "half a character": f"{LONG[:500]} \ud83d {LONG[500:700]} 👩‍🚀",
    "blanks around": f"   {LONG[:2000].replace(' ', '   ')}\u00a0\u2003\n",
}
QUESTIONS = ("Onde nasceu Alba?", "  Quem fundou a empresa, e quando foi isso? " * 4)
# Runs in a process that can import nothing of ours, nor torch, nor transformers.
ALONE = """
import json, sys
from pathlib import Path
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "qa_lightning", "datasets"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
from answer import Answerer
answerer = Answerer(Path(sys.argv[1]))
print(json.dumps([answerer.answer(*row) for row in json.load(sys.stdin)]))
"""


ALONE_ENV = {"PYTHONPATH": "", "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return write_checkpoint(folder / "checkpoints" / "best.ckpt", fitted=FITTED, max_length=LENGTH)


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    run("--checkpoint", checkpoint, "--output", folder, "--format", "onnx")
    return folder


def run(*arguments: Any) -> None:
    command.run(command.build_parser().parse_args(list(map(str, arguments))))


def assert_alike(found: dict[str, Any], expected: Any) -> None:
    """Compare a runner's answers with ``QuestionAnswerer``'s, to the n-th best."""
    assert (found["answer"] is not None) == expected.is_answerable
    none = expected.to_dict()["no_answer_probability"]
    assert found["no_answer_probability"] == (
        None if none is None else pytest.approx(none, abs=1e-4)
    )
    scores = [answer["score"] for answer in found["n_best"]]
    assert scores == pytest.approx([answer.score for answer in expected], rel=1e-4, abs=1e-4)
    for n in range(max(1, len(scores) - 1) if scores else 0):  # the last may tie with one left out
        others = scores[:n] + scores[n + 1 :]
        if any(abs(scores[n] - other) < 1e-3 for other in others):
            continue  # of equal scores either may be the first
        ours, theirs = expected[n], found["n_best"][n]
        assert (theirs["text"], theirs["start_char"]) == (ours.text, ours.start_char)
        assert theirs["end_char"] == ours.end_char
        assert theirs["confidence"] == pytest.approx(ours.confidence, abs=1e-4)


def test_the_runner_answers_alike_without_torch(exported: Path, checkpoint: Path) -> None:
    answerer = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu")
    rows = [(question, text) for question in QUESTIONS for text in DOCUMENTS.values()]
    told = subprocess.run(
        [sys.executable, "-B", "-c", ALONE, str(exported)],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ALONE_ENV},
    )
    assert told.returncode == 0, told.stderr
    for (question, text), found in zip(rows, json.loads(told.stdout), strict=True):
        expected = answerer.answer(question, text, 20, screen="all")
        assert_alike(found, expected)
        assert expected.windows > 3 or text is not LONG


def test_the_runner_is_a_command(exported: Path, tmp_path: Path) -> None:
    """It reads a file as `qa-lightning answer` does: ends of lines stay, a mark before it goes."""
    document, text = tmp_path / "document.txt", LONG[:900].replace(". ", ".\r\n") + "é"
    document.write_bytes(text.encode("utf-8-sig"))
    assert read_document(document).text == text

    def told(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, exported / "answer.py", *arguments],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **ALONE_ENV, "PYTHONIOENCODING": "ascii"},
        )

    found = Answerer(exported).answer(QUESTIONS[0], text)
    assert json.loads(told(QUESTIONS[0], "document.txt").stdout) == found
    document.write_bytes("São Tomé".encode("latin-1"))
    text = tmp_path / "text.txt"
    text.touch()
    absent = (QUESTIONS[0], "absent.txt")
    for wrong in ((), (QUESTIONS[0],), absent, (QUESTIONS[0], document), (" \n", text)):
        refused = told(*wrong)
        assert refused.returncode
        assert refused.stderr.startswith(b"Expected")
        assert not refused.stdout


@pytest.mark.parametrize("question", ["", " ", "\n\t", "\u00a0\u2003", "\x1c", None, 7, b"Onde?"])
@pytest.mark.parametrize("text", ["", " ", "Alba nasceu em Faro.", None, ["Alba"]])
def test_who_asks_nothing_is_told_so_by_both(
    question: Any, text: Any, exported: Path, checkpoint: Path
) -> None:
    runner, answerer = Answerer(exported), QuestionAnswerer.from_checkpoint(checkpoint)
    for asked in (question, "Onde?" if text is None or isinstance(text, list) else question):
        with pytest.raises(InputError, match="Expected"):
            answerer.answer(asked, text)
        with pytest.raises(ValueError, match="Expected a question that is not blank, and the text"):
            runner.answer(asked, text)


def test_any_batch_has_the_networks_logits(exported: Path, checkpoint: Path) -> None:
    """Rows of random lengths, padded to any, with any global tokens up to the question's most."""
    reader = load_reader(checkpoint)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    generator = torch.Generator().manual_seed(0)
    for rows, length in [
        (1, 1),
        (3, 2),
        (2, 127),
        (1, 128),
        (2, 129),
        (5, 300),
        (2, 513),
        (1, 600),
    ]:
        batch = random_batch(reader, rows, length, generator)
        with torch.inference_mode():
            expected = span_logits(reader.network, batch)
        found = session.run(
            ["start_logits", "end_logits"], {k: v.numpy() for k, v in batch.items()}
        )
        is_real = batch["attention_mask"].numpy() > 0
        for ours, theirs in zip(expected, found, strict=True):
            np.testing.assert_allclose(theirs[is_real], ours.numpy()[is_real], atol=1e-4, rtol=1e-4)


def random_batch(
    reader: Reader, rows: int, length: int, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    most = reader.network.config.vocab_size
    ids = torch.randint(5, most, (rows, length), generator=generator)
    real_b = torch.randint(1, length + 1, (rows, 1), generator=generator)
    real_b[0] = length
    mask_bl = (torch.arange(length) < real_b).long()
    # Up to 25 are promised: 24 of a question, and CLS.
    rank_bl = torch.rand(rows, length, generator=generator).argsort(1)
    most_b = torch.randint(0, 26, (rows, 1), generator=generator)
    return {
        "input_ids": ids,
        "attention_mask": mask_bl,
        "global_attention_mask": (rank_bl < most_b).long() * mask_bl,
    }


def test_who_names_the_folder_as_a_checkpoint_is_told_what_runs_it(exported: Path) -> None:
    with pytest.raises(InputError, match=r"which its own `answer\.py` runs"):
        QuestionAnswerer.from_checkpoint(exported)


def test_the_folder_holds_what_its_card_says(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names == {
        *("model.onnx", "model.onnx.data", "tokenizer.json", "qa_lightning.json"),
        *("answer.py", "borders.py", "README.md"),
    }
    settings = json.loads((exported / "qa_lightning.json").read_text("utf-8"))
    assert settings["decision"]["temperature"] == 1.75
    assert settings["decision"]["null_score_threshold"] == -0.5
    assert settings["windows"]["max_length"] == LENGTH
    assert settings["windows"]["doc_stride"] == 16
    card = (exported / "README.md").read_text("utf-8")
    for told in (
        "python answer.py",
        "global_attention_mask",
        "library_name: onnx",
        f"{LENGTH} tok",
    ):
        assert told in card
    assert "qa_lightning" not in (exported / "answer.py").read_text("utf-8").partition("class")[0]


def variations(reader: Reader) -> Iterator[Reader]:
    """Yield the reader as other checkpoints of the same network would have it."""
    for scoring in ("raw", "log_probability"):
        yield replace(reader, decision=replace(reader.decision, window_scoring=scoring))
    yield replace(reader, decision=replace(reader.decision, no_answer=False, n_best=3))
    decision = replace(reader.decision, word_borders=True, max_answer_length=3)
    yield replace(reader, decision=decision)
    for threshold in (-1e9, 1e9):
        yield replace(reader, decision=replace(reader.decision, null_score_threshold=threshold))
    windows = {"max_length": 90, "doc_stride": 40, "max_question_length": 5, "separators": 3}
    yield replace(reader, windows=replace(reader.windows, **windows))
    for chosen in ("question_only", "cls", [0, 3, 700]):
        yield replace(reader, global_attention=chosen)
    for side in ("padding_side", "truncation_side", "split_special_tokens"):
        tokenizer = deepcopy(reader.tokenizer)
        setattr(tokenizer, side, True if side == "split_special_tokens" else "left")
        yield replace(reader, tokenizer=tokenizer)


def test_every_setting_means_what_it_does_elsewhere(
    exported: Path, checkpoint: Path, tmp_path: Path
) -> None:
    reader = load_reader(checkpoint)
    for number, other in enumerate(variations(reader)):
        folder = tmp_path / str(number)
        folder.mkdir()
        copy_graph(exported, folder)
        write_beside(other, settings_of(other), folder)
        runner, answerer = Answerer(folder), QuestionAnswerer(other, device="cpu")
        for text in (LONG[:4000], DOCUMENTS["special tokens"], DOCUMENTS["blanks around"]):
            expected = answerer.answer(QUESTIONS[1], text, other.decision.n_best, screen="all")
            assert_alike(runner.answer(QUESTIONS[1], text), expected)


def test_a_graph_that_differs_is_not_written(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of other weights, as an exporter's fault would have it."""
    other = write_checkpoint(tmp_path / "other.ckpt", seed=1, max_length=LENGTH)
    monkeypatch.setattr(graph, "write_graph", lambda _, file: copy_graph(exported, file.parent))
    folder = tmp_path / "written"
    with pytest.raises(InputError, match=r"logits differ .* more than 1e-04.*Nothing was written"):
        export_checkpoint(other, folder, file_format="onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.ckpt"]


@pytest.mark.parametrize("least", [0.3, 1.01])
def test_int8_is_written_where_answers_stay(
    least: float,
    exported: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An untrained network's answers do not stand firm: what counts as staying is set here."""
    monkeypatch.setattr(graph, "write_graph", lambda _, file: copy_graph(exported, file.parent))
    monkeypatch.setattr(quantizing, "AGREEING", least)
    monkeypatch.setattr(quantizing, "_QUESTIONS", 8)
    folder = tmp_path / "small"
    options = ("--output", folder, "--format", "onnx", "--quantize", "int8")
    if least > 1:
        with pytest.raises(InputError, match=r"int8 to give .* of 8 generated .*Nothing was wr"):
            run("--checkpoint", checkpoint, *options)
        assert not list(tmp_path.iterdir())
        return
    run("--checkpoint", checkpoint, *options)
    assert {path.name for path in folder.iterdir()} == {path.name for path in exported.iterdir()}
    sizes = [(path / "model.onnx.data").stat().st_size for path in (folder, exported)]
    assert sizes[0] < 0.8 * sizes[1]  # of so small a network biases and norms are much
    assert "weights are in int8" in (folder / "README.md").read_text("utf-8")
    found = Answerer(folder).answer(QUESTIONS[0], LONG)["n_best"][0]
    whole = Answerer(exported).answer(QUESTIONS[0], LONG)["n_best"][0]
    assert found["score"] == pytest.approx(whole["score"], rel=0.2)


def copy_graph(exported: Path, folder: Path) -> None:
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copy(exported / name, folder)  # onnx refuses hard links


def test_a_runner_that_answers_otherwise_is_not_written(
    exported: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "write_graph", lambda _, file: copy_graph(exported, file.parent))
    settings = onnx_folder._runner_settings
    monkeypatch.setattr(
        onnx_folder, "_runner_settings", lambda reader: settings(reader) | {"cls": [2, 0]}
    )
    with pytest.raises(InputError, match=r"the answers to .* differ from the checkpoint's"):
        export_checkpoint(checkpoint, tmp_path / "written", file_format="onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_says_so(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"`--format` .*transformers.*onnx.*got 'tflite'"):
        run("--checkpoint", checkpoint, "--output", tmp_path / "a", "--format", "tflite")
    with pytest.raises(InputError, match=r"`--format onnx` with `--quantize int8`; got transf"):
        run("--checkpoint", checkpoint, "--output", tmp_path / "a", "--quantize", "int8")
    searched = tmp_path / "searched.ckpt"
    write_checkpoint(searched, fitted={"search": "top_k"})
    with pytest.raises(InputError, match=r"`evaluation\.search` exact .* got 'top_k'"):
        run("--checkpoint", searched, "--output", tmp_path / "b", "--format", "onnx")
    monkeypatch.setattr(onnx_folder, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(InputError, match=r"onnx is not installed: pip install 'qa-lightning\[onnx"):
        run("--checkpoint", checkpoint, "--output", tmp_path / "c", "--format", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["searched.ckpt"]


@pytest.mark.parametrize("kind", ["longformer", "modernbert"])
@pytest.mark.parametrize(
    ("length", "longest"), [(1, 500), (40, 500), (1, 700), (9, 700), (40, 700), (513, 700)]
)
def test_attention_for_a_graph_is_that_of_batches(
    kind: str, length: int, longest: int, checkpoint: Path, tmp_path: Path
) -> None:
    """Whether the graph is made for short windows or for long ones, in eager mode."""
    source = checkpoint if kind == "longformer" else write_published(FAMILIES[kind], tmp_path)
    reader = load_reader(source)
    batch = random_batch(reader, 3, length, torch.Generator().manual_seed(length))
    with torch.inference_mode():
        expected = span_logits(reader.network, batch)
        with for_a_graph(length=longest, global_tokens=25 if reader.is_longformer else 0):
            found = span_logits(reader.network, batch)
    is_real = batch["attention_mask"].bool()
    for ours, theirs in zip(expected, found, strict=True):
        torch.testing.assert_close(theirs[is_real], ours[is_real], atol=1e-4, rtol=1e-4)


# Longformers are all of the above, ModernBERT below; `make matrix` has the others.
IN_TEST = ("bert",)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(*one.values, marks=[*one.marks, *others])
        for one in parameters()
        for others in [[] if one.values[0] in IN_TEST else [pytest.mark.matrix]]
    ],
)
def test_a_family_answers_alike_or_is_refused(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    reader = load_reader(write_published(family, tmp_path / "published"))
    folder = tmp_path / "folder"
    folder.mkdir()
    if not family.onnx:
        with pytest.raises(InputError, match=r"network that ONNX can hold.*without `--format onnx"):
            write_onnx(reader, settings_of(reader), folder)
        return
    write_onnx(reader, settings_of(reader), folder)
    runner, answerer = Answerer(folder), QuestionAnswerer(reader, device="cpu")
    for text in (LONG[:1500], LONG[:200], DOCUMENTS["special tokens"]):
        expected = answerer.answer(QUESTIONS[0], text, 20, screen="all")
        assert_alike(runner.answer(QUESTIONS[0], text), expected)


@pytest.mark.matrix
def test_sliding_layers_are_cut_into_blocks(tmp_path: Path) -> None:
    """A ModernBERT of windows that are too long for a masked square."""
    reader = load_reader(write_published(FAMILIES["modernbert"], tmp_path / "published"))
    windows = replace(reader.windows, max_length=LENGTH, doc_stride=64)
    reader = replace(reader, windows=windows)
    (tmp_path / "folder").mkdir()
    write_onnx(reader, settings_of(reader), tmp_path / "folder")
    expected = QuestionAnswerer(reader, device="cpu").answer(QUESTIONS[0], LONG, 20, screen="all")
    assert_alike(Answerer(tmp_path / "folder").answer(QUESTIONS[0], LONG), expected)
