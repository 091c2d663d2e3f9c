"""From token spans to characters: the offsets of each window, replicas counted once."""

import datasets
import numpy as np
import pytest
import torch

from qa_lightning.candidates import TokenCandidates, to_characters

NEVER = float("-inf")


def random_features(rows, seed=0):
    generator = np.random.default_rng(seed)
    offsets = []
    for _ in range(rows):
        tokens = int(generator.integers(0, 9))
        edges = np.sort(generator.choice(1000, size=2 * tokens, replace=False))
        offsets.append(edges.tolist())
    features = datasets.Features({"context_offsets": datasets.List(datasets.Value("int32"))})
    return datasets.Dataset.from_dict({"context_offsets": offsets}, features=features)


def random_tokens(features, rows, seed=1):
    generator = np.random.default_rng(seed)
    offsets = features.with_format(None)["context_offsets"][:]
    start, last = np.zeros((len(rows), 4), np.int32), np.zeros((len(rows), 4), np.int32)
    score = np.full((len(rows), 4), NEVER, np.float32)
    for place, row in enumerate(rows):
        tokens = len(offsets[row]) // 2
        for rank in range(min(tokens, 4)):
            start[place, rank] = generator.integers(tokens)
            last[place, rank] = generator.integers(start[place, rank], tokens)
            score[place, rank] = -rank
    return TokenCandidates(
        torch.tensor(rows),
        torch.tensor(start),
        torch.tensor(last),
        torch.tensor(score),
        torch.arange(len(rows)).float(),
        torch.zeros(len(rows)),
    )


def as_stored(kind, tmp_path):
    """Return features in each form that datasets holds them in."""
    features = random_features(2_500)
    if kind == "indices":
        return features.select(np.random.default_rng(3).permutation(2_500))
    if kind == "chunks":
        parts = [features.select(range(at, at + 500)) for at in range(0, 2_500, 500)]
        return datasets.concatenate_datasets(parts)
    if kind == "slice":
        return features.select(range(100, 2_400))
    if kind == "disk":
        features.save_to_disk(tmp_path / "features", num_shards=3)
        return datasets.load_from_disk(tmp_path / "features").with_format("torch")
    return features


@pytest.mark.parametrize("kind", ["memory", "indices", "chunks", "slice", "disk"])
def test_characters_come_from_the_offsets(kind, tmp_path):
    features = as_stored(kind, tmp_path)
    rows = np.random.default_rng(2).permutation(len(features))[:1_700]
    tokens = random_tokens(features, rows)
    kept = to_characters(tokens, features)
    assert kept.feature_index_w.tolist() == sorted(rows.tolist())
    offsets_of = features.with_format(None)["context_offsets"][:]
    place = {int(row): at for at, row in enumerate(rows)}
    for window, row in enumerate(kept.feature_index_w.tolist()):
        at, offsets = place[row], offsets_of[row]
        assert kept.null_score_w[window] == at
        for rank in range(4):
            expected = (0, 0)
            if kept.score_wn[window, rank] > NEVER:
                start, last = tokens.start_token_bn[at, rank], tokens.last_token_bn[at, rank]
                expected = (offsets[2 * start], offsets[2 * last + 1])
            found = (kept.start_char_wn[window, rank], kept.end_char_wn[window, rank])
            assert found == expected


def test_replicas_of_the_sampler_count_once():
    features = random_features(30)
    tokens = random_tokens(features, [5, 2, 5, 9, 2])
    kept = to_characters(tokens, features)
    assert kept.feature_index_w.tolist() == [2, 5, 9]
    assert kept.null_score_w.tolist() == [1.0, 0.0, 3.0]  # as each came first


def test_no_windows_at_all():
    kept = to_characters(TokenCandidates.empty(4), random_features(3))
    assert kept.feature_index_w.shape == (0,)
    assert kept.start_char_wn.shape == kept.score_wn.shape == (0, 4)
    assert kept.start_char_wn.dtype == np.int32
