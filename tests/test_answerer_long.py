"""Documents of hundreds of pages: their tokens in pieces, and the memory they take."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from answerer_support import write_checkpoint
from features_support import CORPUS, tokenizer_of
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.cutting import WindowCutter
from qa_lightning.answerer.long_texts import OVERLAP, tokenize_long
from qa_lightning.features import WindowSettings
from running import rows_of

TEXT = " ".join(CORPUS * 60)


@pytest.fixture(scope="module")
def manual(realdata: Path) -> str:
    articles = json.loads((realdata / "squad_v1_pt_sample.json").read_text("utf-8"))["data"]
    return "\n".join(p["context"] for article in articles for p in article["paragraphs"])


@pytest.mark.parametrize("family", ["roberta", "roberta-prefix", "bert", "unigram", "xlnet"])
@pytest.mark.parametrize("piece", [3_000, 5_001])
def test_pieces_give_the_tokens_of_the_whole(family: str, piece: int) -> None:
    cutter = WindowCutter(tokenizer_of(family), WindowSettings())
    pieces: list[int] = []

    def tokenize(text: str):  # type: ignore[no-untyped-def]
        pieces.append(len(text))
        return cutter._tokens([text])[0]

    joined = tokenize_long(TEXT, tokenize, piece=piece)
    assert len(pieces) > 3
    assert max(pieces) <= piece + OVERLAP
    whole = cutter._tokens([TEXT])[0]
    assert np.array_equal(joined.ids_n, whole.ids_n)
    assert np.array_equal(joined.offsets_n2, whole.offsets_n2)


@pytest.mark.parametrize("text", ["a" * 9_000, " " * 9_000, "ab " * 3_000])
def test_texts_without_a_seam_are_tokenized_all_the_same(text: str) -> None:
    cutter = WindowCutter(tokenizer_of("bert"), WindowSettings())
    whole = cutter._tokens([text])[0]
    joined = tokenize_long(text, lambda piece: cutter._tokens([piece])[0], piece=3_000)
    assert np.array_equal(joined.ids_n, whole.ids_n)
    assert np.array_equal(joined.offsets_n2, whole.offsets_n2)


@pytest.mark.realdata
def test_a_manual_of_hundreds_of_pages(manual: str, tmp_path: Path) -> None:
    assert len(manual) / 1_800 > 200  # pages
    answerer = QuestionAnswerer.from_checkpoint(
        write_checkpoint(tmp_path / "best.ckpt", max_length=96)
    )
    answers = answerer.answer("Quem venceu o Super Bowl 50?", manual, 10)
    assert len(answers) == 10
    assert all(a.text == manual[a.start_char : a.end_char] for a in answers)
    assert all(manual[a.snippet.start_char : a.snippet.end_char] == a.snippet.text for a in answers)


# Importing takes longer than all the rest: one process shows both.
FRESH = """
import json, re, sys
from pathlib import Path
from qa_lightning import QuestionAnswerer
folder = Path(sys.argv[1])
text = (folder / "text.txt").read_text("utf-8")
answerer = QuestionAnswerer.from_checkpoint(folder / "best.ckpt", device="cpu")
# Not of `resource`: its figure starts from the memory of the process that started this one.
status = Path("/proc/self/status")
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024
answerer.answer("Onde nasceu Clara?", text[:20_000])
before = peak()
answers = answerer.answer("Onde nasceu Clara?", text, 3)
print(json.dumps({
    "megabytes": peak() - before,
    "found": [[a.start_char, a.end_char, a.text] for a in answers],
    "loaded": sorted({"lightning", "pytorch_lightning", "wandb", "evaluate"} & set(sys.modules)),
}))
"""


@pytest.fixture(scope="module")
def million() -> str:
    return " ".join(row["context"] for row in rows_of(2_700))[:1_000_000]


@pytest.fixture(scope="module")
def fresh_process(million: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("fresh")
    write_checkpoint(folder / "best.ckpt", max_length=96)
    (folder / "text.txt").write_text(million, encoding="utf-8")
    command = [sys.executable, "-c", FRESH, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_it_starts_without_lightning(fresh_process: dict[str, Any]) -> None:
    assert fresh_process["loaded"] == []


def test_a_million_characters_take_bounded_memory(
    fresh_process: dict[str, Any], million: str
) -> None:
    assert len(million) == 1_000_000
    assert len(fresh_process["found"]) == 3
    assert all(million[start:end] == text for start, end, text in fresh_process["found"])
    # In pieces it is some 67 MB; in one call of the tokenizer, 173.
    assert fresh_process["megabytes"] < 120
