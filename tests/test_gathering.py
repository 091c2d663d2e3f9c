"""The store of windows keeps every window, however many batches it came in."""

import torch

from qa_lightning.callbacks.gathering import WindowStore
from qa_lightning.candidates import TokenCandidates


def batch(first: int, size: int, n_best: int) -> TokenCandidates:
    index_b = torch.arange(first, first + size)
    spans_bn = index_b[:, None].int().expand(size, n_best)
    return TokenCandidates(
        feature_index_b=index_b,
        start_token_bn=spans_bn,
        last_token_bn=spans_bn + 1,
        score_bn=spans_bn.float(),
        null_score_b=-index_b.float(),
        log_normalizer_b=index_b.float() / 2,
    )


def test_many_batches_are_joined_in_order_and_memory_holds_few_tensors() -> None:
    store = WindowStore(n_best=3)
    store.begin(torch.device("cpu"))
    for number in range(250):
        windows = batch(2 * number, 2, 3)
        store.update(windows, windows.null_score_b)
    assert len(store.feature_index_b) < 100
    gathered = store.gathered()
    expected = batch(0, 500, 3)
    for found, wanted in zip(gathered.candidates, expected, strict=True):
        assert torch.equal(found, wanted)
        assert found.dtype == wanted.dtype
    assert torch.equal(gathered.loss_b, expected.null_score_b)


def test_a_new_pass_forgets_the_one_before() -> None:
    store = WindowStore(n_best=3)
    for _ in range(2):
        store.begin(torch.device("cpu"))
        store.update(batch(0, 4, 3), torch.zeros(4))
        assert len(store.gathered().loss_b) == 4
    store.begin(torch.device("cpu"))
    gathered = store.gathered()
    assert gathered.candidates.start_token_bn.shape == (0, 3)
    assert gathered.candidates.start_token_bn.dtype == torch.int32
