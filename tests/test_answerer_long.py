"""Documents of hundreds of pages: their tokens in pieces, and the memory they take."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from answerer_support import write_checkpoint
from features_support import CORPUS, tokenizer_of
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.cutting import WindowCutter
from qa_lightning.answerer.long_texts import OVERLAP, tokenize_long
from qa_lightning.features import WindowSettings

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
        write_checkpoint(tmp_path / "best.ckpt", max_length=512)
    )
    answers = answerer.answer("Quem venceu o Super Bowl 50?", manual, 10)
    assert len(answers) == 10
    assert all(a.text == manual[a.start_char : a.end_char] for a in answers)
    assert all(manual[a.snippet.start_char : a.snippet.end_char] == a.snippet.text for a in answers)


@pytest.mark.realdata
def test_a_million_characters_take_bounded_memory(manual: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "best.ckpt", max_length=512)
    (tmp_path / "manual.txt").write_text((manual * 3)[:1_000_000], encoding="utf-8")
    code = (
        "import resource\n"
        "from pathlib import Path\n"
        "from qa_lightning.answerer import QuestionAnswerer\n"
        f"answerer = QuestionAnswerer.from_checkpoint({str(checkpoint)!r}, device='cpu')\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        f"text = Path({str(tmp_path / 'manual.txt')!r}).read_text('utf-8')\n"
        "answerer.answer('Quem venceu?', text[:20_000])\n"
        "before = peak()\n"
        "answers = answerer.answer('Quem venceu o Super Bowl 50?', text, 3)\n"
        "assert [text[a.start_char:a.end_char] for a in answers] == [a.text for a in answers]\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 200, f"{done.stdout} MB more than a short document"
