"""What `qa-lightning audit` takes of 500 long contracts with 41 questions each.

    python benchmarks/contracts.py [--contracts 500 --characters 64000 --num_proc 2]

The contracts are made of a seed: English's small words and made-up ones, by Zipf's frequencies. An
answer is 1 to 100 words long. Of ten, six stand as the contract has them; one each has other line
breaks, an offset that is off, other words here and there, and no text at all (no answer). The file
is SQuAD 2.0 JSON. Told are the seconds of the whole command, by the clock and of the processor, and
the most memory of a process; `--work` keeps the file and what the command printed.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from _machine import machine
from _runs import CLI, ROOT, progress, run_process

_COMMON = "the of and to in or any by shall this agreement a for be as such with party that not on"
_SYLLABLES = "con tra par ty li a bil term no tice sec re a gree ment in dem ni fy war ran"
_WORDS, _QUESTIONS, _LONGEST = 8_000, 41, 100


def vocabulary(draw: random.Random) -> tuple[list[str], list[float]]:
    """Return words and their cumulated weights, the most frequent first."""
    words, syllables = dict.fromkeys(_COMMON.split()), _SYLLABLES.split()
    while len(words) < _WORDS:
        words["".join(draw.choices(syllables, k=draw.randint(2, 5)))] = None
    return list(words), list(accumulate(1 / rank for rank in range(1, len(words) + 1)))


def contract(draw: random.Random, letters: int, words: list[str], weights: list[float]) -> str:
    """Return a text of sections with numbered headings, in lines."""
    parts, size = [], 0
    while size < letters:
        sentence = draw.choices(words, cum_weights=weights, k=draw.randint(8, 40))
        sentence[0] = sentence[0].capitalize()
        if draw.random() < 0.2:
            sentence[3:3] = [f"${draw.randint(1, 900)},{draw.randint(100, 999)}.00"]
        heading = f"\n\n{len(parts)}. " if draw.random() < 0.1 else " "
        parts.append(heading + ", ".join([" ".join(sentence[:7]), " ".join(sentence[7:])]) + ".")
        size += len(parts[-1])
    return "".join(parts)[:letters]


def answer(draw: random.Random, text: str) -> list[dict[str, Any]]:
    """Return the answers of one question, right or disturbed."""
    bounds = [0, *(place for place, char in enumerate(text) if char == " "), len(text)]
    count = min(draw.choice((1, 2, 3, 5, 8, 20, 40, _LONGEST)), len(bounds) - 2)
    first = draw.randrange(len(bounds) - count)
    start, end = bounds[first] + 1, bounds[first + count]
    said, way = text[start:end].strip(" ,."), draw.randrange(10)
    start = text.find(said, start)
    if way == 6:
        said = said.replace(" ", " \n", 3)
    elif way == 7:
        start = max(0, start - draw.randint(1, 9))
    elif way == 8:
        said = " ".join(f"{word}s" if n % 7 == 3 else word for n, word in enumerate(said.split()))
    return [] if way == 9 or not said.strip() else [{"text": said, "answer_start": start}]


def articles(contracts: int, letters: int) -> Iterator[dict[str, Any]]:
    """Yield SQuAD articles, one contract each."""
    draw = random.Random(13)
    words, weights = vocabulary(draw)
    for number in range(contracts):
        text = contract(draw, letters, words, weights)
        questions = [
            {"id": f"{number}-{one}", "question": f"What does clause {one} say of the parties?",
             "answers": (given := answer(draw, text)), "is_impossible": not given}
            for one in range(_QUESTIONS)
        ]  # fmt: skip
        paragraph = {"context": text, "qas": questions}
        yield {"title": f"Contract {number}", "paragraphs": [paragraph]}


def main() -> None:
    """Write the contracts, audit them, tell what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contracts", type=int, default=500)
    parser.add_argument("--characters", type=int, default=64_000)
    parser.add_argument("--num_proc", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "contracts")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work.resolve() / f"contracts-{options.contracts}-{options.characters}.json"
    if not path.exists():
        document = {"data": list(articles(options.contracts, options.characters))}
        path.write_text(json.dumps(document), encoding="utf-8")
    progress(f"auditing {path} ({path.stat().st_size / 2**20:.0f} MB)")
    command = [*CLI, "audit", str(path), "--num_proc", str(options.num_proc)]
    log = path.with_suffix(".log")
    usage = run_process(command, log)
    sys.stdout.write(log.read_text(encoding="utf-8"))
    progress(
        f"{options.contracts} contracts of {options.characters:,} characters, {_QUESTIONS} "
        f"questions each: {usage.process_seconds:.0f} s, {usage.cpu_seconds:.0f} s of the "
        f"processor, at most {usage.peak_mb:,.0f} MB in one process ({machine()})"
    )


if __name__ == "__main__":
    main()
