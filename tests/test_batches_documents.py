"""Batches of whole documents: their windows, the draw from long ones, the same number each."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from features_support import make_examples, tokenizer_of
from qa_lightning.batches import DocumentDataset, DocumentSampler, WindowCollator, WindowDataset
from qa_lightning.features import WindowSettings, build_features

SENTENCE = "A cidade de Lisboa fica na foz do Tejo. "
REPEATS = [1, 6, 2, 15, 3, 1, 4]
"""Lengths of the documents, in sentences; every third is without an answer."""


@pytest.fixture(scope="module")
def windows() -> WindowDataset:
    contexts = [SENTENCE * repeats for repeats in REPEATS]
    spans: list[list[tuple[int, int] | None]] = [
        [] if number % 3 == 2 else [(12, 18), (len(text) - 29, len(text) - 23)]
        for number, text in enumerate(contexts)
    ]
    examples = make_examples([("Onde?", text) for text in contexts], spans)
    settings = WindowSettings(max_length=40, doc_stride=8)
    return WindowDataset(build_features(examples, tokenizer_of("bert"), settings))


def rows_by_example(windows: WindowDataset) -> list[list[int]]:
    examples = windows.examples().tolist()
    return [[row for row, at in enumerate(examples) if at == n] for n in range(len(REPEATS))]


def test_all_windows_of_a_document_are_served(windows: WindowDataset) -> None:
    documents = DocumentDataset(windows, windows_per_document=100)
    expected = rows_by_example(windows)
    assert len(documents) == len(REPEATS)
    assert max(map(len, expected)) > 5
    rows = documents.__getitems__([(3, 0), (0, 0), (3, 1)])  # one of them twice
    assert [row["feature_index"] for row in rows] == [*expected[3], *expected[0], *expected[3]]
    places = [0] * len(expected[3]) + [1] * len(expected[0]) + [2] * len(expected[3])
    assert [row["document_index"] for row in rows] == places
    assert [row["feature_index"] for row in documents[1, 0]] == expected[1]
    assert [row["feature_index"] for row in documents[1]] == expected[1]
    batch = WindowCollator.for_tokenizer(tokenizer_of("bert"), all_gold_spans=True)(rows)
    assert batch["document_index"].tolist() == places
    assert batch["document_index"].dtype == torch.int64


def test_long_documents_keep_their_answers_and_draw_the_rest(windows: WindowDataset) -> None:
    documents = DocumentDataset(windows, windows_per_document=3, seed=5)
    everything, has_gold = rows_by_example(windows), windows.gold_counts() > 0
    draws = [documents.rows_of(3, epoch).tolist() for epoch in range(30)]
    golden = {row for row in everything[3] if has_gold[row]}
    assert len(golden) == 2
    assert all(len(rows) == 3 and golden < set(rows) and rows == sorted(rows) for rows in draws)
    assert {row for rows in draws for row in rows} == set(everything[3])  # anew in each epoch
    again = DocumentDataset(windows, windows_per_document=3, seed=5)
    assert [again.rows_of(3, epoch).tolist() for epoch in range(30)] == draws
    other = DocumentDataset(windows, windows_per_document=3, seed=6)
    assert [other.rows_of(3, epoch).tolist() for epoch in range(30)] != draws
    alone = DocumentDataset(windows, windows_per_document=1)
    assert {alone.rows_of(3, epoch).item() for epoch in range(30)} == golden
    assert documents.rows_of(0, 7).tolist() == everything[0]


def test_lengths_are_of_what_is_served(windows: WindowDataset) -> None:
    whole = DocumentDataset(windows, windows_per_document=100)
    tokens = windows.lengths()
    expected = [int(tokens[rows].sum()) for rows in rows_by_example(windows)]
    assert whole.lengths().tolist() == expected
    cut = DocumentDataset(windows, windows_per_document=2).lengths()
    assert 40 < cut.max() <= 80
    assert (cut <= whole.lengths()).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_serves_whole_documents(windows: WindowDataset, workers: int) -> None:
    documents = DocumentDataset(windows, windows_per_document=4)
    documents = pickle.loads(pickle.dumps(documents))
    sampler = DocumentSampler(documents.lengths(), batch_size=3)
    loader = DataLoader(
        documents,
        batch_size=3,
        sampler=sampler,
        collate_fn=WindowCollator.for_tokenizer(tokenizer_of("bert")),
        num_workers=workers,
    )
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    served = []
    for batch in batches:
        assert batch["document_index"].unique().tolist() == [0, 1, 2]
        for place in range(3):
            rows = batch["feature_index"][batch["document_index"] == place].tolist()
            (example,) = set(windows.examples()[rows].tolist())
            assert rows == documents.rows_of(example, 0).tolist()
            served.append(example)
    assert set(served) == set(range(len(REPEATS)))
    assert len(served) == 9  # two of them twice, to fill the last batch


LENGTHS = np.random.default_rng(0).integers(20, 3000, 1_003).tolist()


def deal(lengths: list[int], ranks: int, **options: Any) -> list[list[tuple[int, int]]]:
    epoch = options.pop("epoch", 0)
    dealt = []
    for rank in range(ranks):
        sampler = DocumentSampler(lengths, num_replicas=ranks, rank=rank, **options)
        sampler.set_epoch(epoch)
        assert isinstance(sampler, DistributedSampler)  # Lightning leaves it alone
        dealt.append(list(sampler))
        assert len(sampler) == len(dealt[-1])
    return dealt


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1003])
def test_every_batch_of_every_rank_has_the_same_number(
    count: int, ranks: int, grouped: bool
) -> None:
    options = {"batch_size": 4, "group_by_length": grouped, "epoch": 2}
    dealt = deal(LENGTHS[:count], ranks, **options)
    assert {document for rank in dealt for document, _ in rank} == set(range(count))
    assert {epoch for rank in dealt for _, epoch in rank} == ({2} if count else set())
    assert {len(rank) for rank in dealt} == {4 * math.ceil(count / (4 * ranks))}


def test_ranks_have_documents_of_like_length() -> None:
    def spread(grouped: bool) -> float:
        dealt = deal(LENGTHS, 2, batch_size=4, group_by_length=grouped)
        sums = [
            [sum(LENGTHS[d] for d, _ in rank[at : at + 4]) for at in range(0, len(rank), 4)]
            for rank in dealt
        ]
        return sum(abs(a - b) for a, b in zip(*sums, strict=True)) / sum(map(sum, sums))

    assert spread(True) < 0.1 < spread(False)


def test_seed_and_epoch_change_the_order() -> None:
    for grouped in (True, False):
        orders = {
            tuple(d for d, _ in deal(LENGTHS, 1, batch_size=4, group_by_length=grouped, **way)[0])
            for way in ({"seed": 0}, {"seed": 1}, {"epoch": 1}, {"seed": 1, "epoch": 1})
        }
        assert len(orders) == 4
