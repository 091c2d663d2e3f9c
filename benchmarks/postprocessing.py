"""From logits to answers: ours against the notebook's function, and a long evaluation's memory.

    python benchmarks/postprocessing.py            # speed, then memory
    python benchmarks/postprocessing.py speed --rounds 5
    python benchmarks/postprocessing.py memory

Logits are drawn at random, with places that stand out. Both sides get the same windows. The classic
function runs on a share of them (told in the output), ours on all; rounds are interleaved, the
first does not count, and the figures are medians of processor time per window, on one thread.
"""

import argparse
import collections
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch

from _timing import again_keeping_memory, allocator
from qa_lightning.answers import select_answers
from qa_lightning.candidates import TokenCandidates, to_characters, window_candidates

QUESTION_TOKENS = 16  # CLS, question and separator, before the context
CHARACTERS_A_TOKEN = 5
N_BEST, MAX_ANSWER_LENGTH = 20, 30


class Case(NamedTuple):
    """Hold windows of one length, two for every fourth example."""

    windows: int
    tokens: int
    batch: int
    classic_windows: int


CASES = (Case(10_000, 384, 256, 600), Case(1_000, 4_096, 32, 60))


def make_examples(case: Case) -> tuple[datasets.Dataset, np.ndarray]:
    """Return examples and each window's example."""
    example_index_w = np.repeat(np.arange(case.windows), np.arange(case.windows) % 4 // 3 + 1)
    example_index_w = example_index_w[: case.windows]
    words = np.random.default_rng(0).integers(97, 123, size=case.tokens * CHARACTERS_A_TOKEN)
    words[::CHARACTERS_A_TOKEN] = 32
    context = "".join(map(chr, words))
    count = int(example_index_w[-1]) + 1
    return (
        datasets.Dataset.from_dict(
            {"id": [f"question {row}" for row in range(count)], "context": [context] * count}
        ),
        example_index_w,
    )


def make_features(case: Case) -> datasets.Dataset:
    """Return our features: the flat offsets of the context tokens, blanks left out."""
    starts = np.arange(case.tokens - QUESTION_TOKENS, dtype=np.int32) * CHARACTERS_A_TOKEN + 1
    offsets = np.stack([starts, starts + CHARACTERS_A_TOKEN - 1], axis=1).ravel()
    schema = datasets.Features({"context_offsets": datasets.List(datasets.Value("int32"))})
    return datasets.Dataset.from_dict({"context_offsets": [offsets] * case.windows}, schema)


def make_classic_features(case: Case, example_index_w: np.ndarray) -> datasets.Dataset:
    """Return the notebook's features: nested offsets, None for the question's tokens."""
    starts = (np.arange(case.tokens - QUESTION_TOKENS) * CHARACTERS_A_TOKEN + 1).tolist()
    offsets: list[Any] = [None] * QUESTION_TOKENS
    offsets += [[start, start + CHARACTERS_A_TOKEN - 1] for start in starts]
    rows = range(case.classic_windows)
    return datasets.Dataset.from_dict(
        {
            "example_id": [f"question {example_index_w[row]}" for row in rows],
            "input_ids": [list(range(case.tokens)) for _ in rows],
            "attention_mask": [[1] * case.tokens for _ in rows],
            "offset_mapping": [offsets for _ in rows],
        }
    )


def classic(
    examples: datasets.Dataset,
    features: datasets.Dataset,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    *,
    cls_token_id: int = 0,
) -> dict[str, str]:
    """Answer as the notebook's post-processing does, written anew from its description."""
    row_of = {name: row for row, name in enumerate(examples["id"])}
    features_of = collections.defaultdict(list)
    for place, feature in enumerate(features):
        features_of[row_of[feature["example_id"]]].append(place)
    predictions = {}
    for row, example in enumerate(examples):
        found = []
        for place in features_of[row]:
            start_l, end_l = start_logits[place], end_logits[place]
            offsets = features[place]["offset_mapping"]
            features[place]["input_ids"].index(cls_token_id)  # the null score's position
            starts = np.argsort(start_l)[-1 : -N_BEST - 1 : -1].tolist()
            lasts = np.argsort(end_l)[-1 : -N_BEST - 1 : -1].tolist()
            for start in starts:
                for last in lasts:
                    if offsets[start] is None or offsets[last] is None:
                        continue
                    if last < start or last - start + 1 > MAX_ANSWER_LENGTH:
                        continue
                    first, end = offsets[start][0], offsets[last][1]
                    score = start_l[start] + end_l[last]
                    found.append({"score": score, "text": example["context"][first:end]})
        best = sorted(found, key=lambda answer: answer["score"], reverse=True)[:1]
        predictions[example["id"]] = best[0]["text"] if best else ""
    return predictions


def make_logits(windows: int, tokens: int, seed: int = 0) -> torch.Tensor:
    """Return start and end logits (2, windows, tokens) as of a trained network.

    Noise, and five places of some ten tokens that stand out in both: of the 20 x 20 pairs of the
    largest logits about a fifth are spans, where of noise alone hardly one is.
    """
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, windows, tokens, generator=generator)
    places = torch.randint(QUESTION_TOKENS, tokens - 12, (windows, 5), generator=generator)
    heights = 2 + 4 * torch.rand(windows, 5, generator=generator)
    for offset in range(10):
        logits.scatter_add_(2, (places + offset).expand(2, -1, -1), heights.expand(2, -1, -1))
    return logits


class Masks(NamedTuple):
    """Hold what a collator puts beside the ids of a batch."""

    context_bl: torch.Tensor
    attention_bl: torch.Tensor
    cls_b: torch.Tensor


def make_masks(batch: int, tokens: int) -> Masks:
    """Return the masks of windows without padding."""
    context_bl = torch.ones(batch, tokens, dtype=torch.bool)
    context_bl[:, :QUESTION_TOKENS] = False
    attention_bl = torch.ones(batch, tokens, dtype=torch.long)
    return Masks(context_bl, attention_bl, torch.zeros(batch, dtype=torch.long))


def candidates_of(
    start_bl: torch.Tensor, end_bl: torch.Tensor, first: int, masks: Masks
) -> TokenCandidates:
    """Return the candidates of one batch."""
    rows = len(start_bl)
    return window_candidates(
        start_bl,
        end_bl,
        context_mask_bl=masks.context_bl[:rows],
        attention_mask_bl=masks.attention_bl[:rows],
        cls_positions_b=masks.cls_b[:rows],
        feature_index_b=torch.arange(first, first + rows),
        n_best=N_BEST,
        max_answer_length=MAX_ANSWER_LENGTH,
    )


def ours(
    case: Case,
    examples: datasets.Dataset,
    features: datasets.Dataset,
    example_index_w: np.ndarray,
    logits: torch.Tensor,
) -> dict[str, str]:
    """Answer with the package, batch by batch."""
    masks = make_masks(case.batch, case.tokens)
    batches = [
        candidates_of(*logits[:, first : first + case.batch], first, masks)
        for first in range(0, case.windows, case.batch)
    ]
    windows = to_characters(TokenCandidates.concatenate(batches), features)
    answers = select_answers(
        windows,
        example_index_w=example_index_w[windows.feature_index_w],
        examples=examples,
        n_best=N_BEST,
        window_scoring="raw",
    )
    return answers.predictions()


def speed(case: Case, rounds: int) -> None:
    """Print the times of one case."""
    examples, example_index_w = make_examples(case)
    features = make_features(case)
    logits = make_logits(case.windows, case.tokens)
    some = int(example_index_w[case.classic_windows - 1]) + 1
    classic_features = make_classic_features(case, example_index_w)
    arguments = (examples.select(range(some)), classic_features, *logits.numpy())
    times: dict[str, list[float]] = {"classic": [], "ours": []}
    for _ in range(rounds + 1):
        began = time.process_time()
        theirs = classic(*arguments)
        times["classic"].append((time.process_time() - began) / case.classic_windows)
        began = time.process_time()
        found = ours(case, examples, features, example_index_w, logits)
        times["ours"].append((time.process_time() - began) / case.windows)
    times = {way: values[1:] for way, values in times.items()}
    equal = sum(theirs[name] == found[name] for name in theirs)
    ratios = [slow / fast for slow, fast in zip(times["classic"], times["ours"], strict=True)]
    print(
        f"{case.windows} windows of {case.tokens} tokens, batch {case.batch}, {rounds} rounds, "
        f"{allocator()}: "
        f"classic {1e6 * statistics.median(times['classic']):,.0f} us a window "
        f"(on {case.classic_windows} of them), "
        f"ours {1e6 * statistics.median(times['ours']):,.0f} us; "
        f"{statistics.median(ratios):.3g} times faster ({min(ratios):.3g} to {max(ratios):.3g}); "
        f"{equal} of {len(theirs)} answers equal\n"
    )


def memory(windows: int = 20_000, tokens: int = 4_096, batch: int = 8) -> None:
    """Print how far an evaluation raises the peak; the features are on disk, as in a run."""
    case = Case(windows, tokens, batch, 0)
    examples, example_index_w = make_examples(case)
    masks = make_masks(batch, tokens)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features"
        make_features(case._replace(windows=500)).save_to_disk(path)  # one shard, used 40 times
        shard = datasets.load_from_disk(path)
        features = datasets.concatenate_datasets([shard] * (windows // 500))
        candidates_of(*torch.randn(2, batch, tokens), 0, masks)  # libraries warm up
        before = anonymous_memory()
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began, peak, batches = time.perf_counter(), before, []
        for first in range(0, windows, batch):
            batches.append(candidates_of(*torch.randn(2, batch, tokens), first, masks))
            if len(batches) == 100:  # else the heap falls to pieces; see `concatenate`
                batches = [TokenCandidates.concatenate(batches)]
            peak = max(peak, anonymous_memory())
        kept = to_characters(TokenCandidates.concatenate(batches), features)
        peak = max(peak, anonymous_memory())
        answers = select_answers(kept, example_index_w=example_index_w, examples=examples)
        peak = max(peak, anonymous_memory())
        total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{windows} windows of {tokens} tokens, {len(answers)} questions: peak of the process' own "
        f"memory {peak - before:.0f} MB above the {before:.0f} MB before (high-water mark of all "
        f"memory: {peak_before:.0f} to {total:.0f} MB), {time.perf_counter() - began:.0f} s"
    )


def anonymous_memory() -> float:
    """Return the process' memory without mapped files, in MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc/self/status")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("all", "speed", "memory"), default="all")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "all":  # each in a process of its own
        for what in ("speed", "memory"):
            command = [sys.executable, sys.argv[0], what, "--rounds", str(arguments.rounds)]
            subprocess.run(command, check=True)
    if arguments.what == "memory":
        memory()
    if arguments.what == "speed":
        for case in CASES:
            speed(case, arguments.rounds)
        if arguments.what == "speed":
            again_keeping_memory()


if __name__ == "__main__":
    main()
