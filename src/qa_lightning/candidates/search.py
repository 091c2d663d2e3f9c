"""The search for the best spans of a window, exact or as the classic scripts do it.

Axes: ``b`` windows in the batch, ``l`` tokens, ``m`` columns of a search, ``d`` answer lengths less
one, ``k`` chosen positions, ``n`` best spans of a window, ``w`` windows of the whole data set.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from qa_lightning.candidates.band import band_spans
from qa_lightning.ranges import Rule, check, whole

IMPOSSIBLE = float("-inf")
"""The score of a span that does not exist."""

MAX_N_BEST = 10_000
"""Every window has a place for each of them: a billion would take all memory there is."""
RULES: dict[str, Rule] = {"n_best": whole(1, MAX_N_BEST), "max_answer_length": whole(1)}


SpanMasks = tuple[Tensor, Tensor]
"""Where an answer may begin, and where it may end: [b, l] each."""


class BestSpans(NamedTuple):
    """Hold the best spans of each window, best first.

    Attributes:
        start_token_bn: first token, int64.
        last_token_bn: last token, inclusive, int64.
        score_bn: start plus end logit, float32; ``-inf`` where there are fewer than ``n`` spans.
    """

    start_token_bn: Tensor
    last_token_bn: Tensor
    score_bn: Tensor


def best_spans(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    context_mask_bl: Tensor,
    *,
    n_best: int,
    max_answer_length: int,
    end_mask_bl: Tensor | None = None,
) -> BestSpans:
    """Find the exact best spans: of all pairs start ≤ last < start + ``max_answer_length``.

    Both tokens lie in the context. Equal scores are ordered by start, then by length, the lowest
    first, so that the result is the same on every device. A span's score is ``start + end`` in
    float32, as in BERT's ``run_squad.py``, which searches 20 starts × 20 ends instead.

    The ``n`` best spans have at most ``n`` starts, and these are the first ``n`` in the order of
    the best span that each start has: a sliding maximum picks the starts, and the band is opened
    for them alone. Memory is O(b l + b n d).

    Args:
        start_logits_bl: any floating type.
        end_logits_bl: any floating type.
        context_mask_bl: true where an answer may begin.
        n_best: spans to return of each window.
        max_answer_length: in tokens.
        end_mask_bl: true where an answer may end; None is where it may begin.

    >>> logits = torch.tensor([[9.0, 1.0, 3.0, 2.0]])
    >>> context = torch.tensor([[False, True, True, True]])
    >>> best_spans(logits, logits, context, n_best=2, max_answer_length=2)[:2]
    (tensor([[2, 2]]), tensor([[2, 3]]))
    """
    logits_2bl = clean_logits(start_logits_bl, end_logits_bl)
    masks = context_mask_bl, context_mask_bl if end_mask_bl is None else end_mask_bl
    return exact_search(logits_2bl, masks, n_best=n_best, max_answer_length=max_answer_length)


def top_k_spans(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    context_mask_bl: Tensor,
    *,
    n_best: int,
    max_answer_length: int,
    end_mask_bl: Tensor | None = None,
    top_k: int = 20,
) -> BestSpans:
    """Find spans as BERT's ``run_squad.py`` and transformers' ``run_qa.py`` do.

    The ``top_k`` starts and ends of *all* tokens are paired, and only then the pairs outside the
    context or too long are left out: good spans can be missed, and a window whose largest logits
    all lie in the question has none. For comparison with published figures. Arguments and result
    as in :func:`best_spans`; set the logits of padding to ``-inf``.
    """
    logits_2bl = clean_logits(start_logits_bl, end_logits_bl)
    return top_k_search(
        logits_2bl,
        (context_mask_bl, context_mask_bl if end_mask_bl is None else end_mask_bl),
        n_best=n_best,
        max_answer_length=max_answer_length,
        top_k=top_k,
    )


def clean_logits(start_logits_bl: Tensor, end_logits_bl: Tensor) -> Tensor:
    """Return start and end logits in one float32 copy, which halves the number of operations.

    NaN, the mark of a diverged network, becomes ``-inf``: it is never chosen.
    """
    logits_2bl = torch.stack((start_logits_bl.detach().float(), end_logits_bl.detach().float()))
    if not logits_2bl.sum().isfinite():
        largest = torch.finfo(torch.float32).max
        logits_2bl.nan_to_num_(IMPOSSIBLE, posinf=largest, neginf=IMPOSSIBLE)
    return logits_2bl


def exact_search(
    logits_2bl: Tensor, masks: SpanMasks, *, n_best: int, max_answer_length: int
) -> BestSpans:
    """Find what :func:`best_spans` describes in clean logits."""
    check_sizes(n_best, max_answer_length)
    if logits_2bl.numel() == 0:
        scores = logits_2bl.new_empty((logits_2bl.shape[1], 0))
        return padded(scores.long(), scores.long(), scores, n_best)
    n_lengths = min(max_answer_length, logits_2bl.shape[2])
    if logits_2bl.is_cpu:
        start_bl, end_bl = logits_2bl.numpy()
        start_mask_bl = masks[0].numpy()
        end_mask_bl = start_mask_bl if masks[1] is masks[0] else masks[1].numpy()
        arrays = start_mask_bl, end_mask_bl
        found = band_spans(start_bl, end_bl, arrays, n_best, n_lengths)
        return BestSpans(*map(torch.from_numpy, found))
    return search_on_device(logits_2bl, masks, n_best=n_best, n_lengths=n_lengths)


def search_on_device(
    logits_2bl: Tensor, masks: SpanMasks, *, n_best: int, n_lengths: int
) -> BestSpans:
    """Do with torch what :func:`qa_lightning.candidates.band.band_spans` does with numpy."""
    start_bl, end_bl = (
        logits_bl.masked_fill(mask_bl == 0, IMPOSSIBLE)
        for logits_bl, mask_bl in zip(logits_2bl, masks, strict=True)
    )
    ends_bm = F.pad(end_bl, (0, n_lengths - 1), value=IMPOSSIBLE)
    best_of_start_bl = start_bl + F.max_pool1d(ends_bm[:, None], n_lengths, stride=1)[:, 0]
    starts_bk = _first_largest(best_of_start_bl, n_best)
    rows_b1 = torch.arange(len(starts_bk), device=start_bl.device)[:, None]
    ends_bkd = ends_bm.unfold(1, n_lengths, 1)[rows_b1, starts_bk]
    scores_bm = (start_bl.gather(1, starts_bk)[:, :, None] + ends_bkd).flatten(1)
    order_bn = _first_largest(scores_bm, n_best)
    scores_bn, place_bn = scores_bm.gather(1, order_bn).sort(dim=1, descending=True, stable=True)
    order_bn = order_bn.gather(1, place_bn)
    starts_bn = starts_bk.gather(1, order_bn // n_lengths)
    return padded(starts_bn, starts_bn + order_bn % n_lengths, scores_bn, n_best)


def top_k_search(
    logits_2bl: Tensor,
    masks: SpanMasks,
    *,
    n_best: int,
    max_answer_length: int,
    top_k: int = 20,
) -> BestSpans:
    """Find what :func:`top_k_spans` describes in clean logits."""
    check_sizes(n_best, max_answer_length)
    if logits_2bl.numel() == 0:
        return exact_search(logits_2bl, masks, n_best=n_best, max_answer_length=1)
    start_bl, end_bl = logits_2bl
    starts_bk, lasts_bk = _first_largest(start_bl, top_k), _first_largest(end_bl, top_k)
    lengths_bkk = lasts_bk[:, None, :] - starts_bk[:, :, None]
    allowed_bkk = (lengths_bkk >= 0) & (lengths_bkk < max_answer_length)
    allowed_bkk &= masks[0].bool().gather(1, starts_bk)[:, :, None]
    allowed_bkk &= masks[1].bool().gather(1, lasts_bk)[:, None, :]
    scores_bkk = start_bl.gather(1, starts_bk)[:, :, None] + end_bl.gather(1, lasts_bk)[:, None, :]
    scores_bm = scores_bkk.masked_fill(~allowed_bkk, IMPOSSIBLE).flatten(1)
    order_bn = scores_bm.argsort(dim=1, descending=True, stable=True)[:, :n_best]
    return padded(
        starts_bk.gather(1, order_bn // lasts_bk.shape[1]),
        lasts_bk.gather(1, order_bn % lasts_bk.shape[1]),
        scores_bm.gather(1, order_bn),
        n_best,
    )


def check_sizes(n_best: int, max_answer_length: int) -> None:
    """Refuse sizes that leave nothing to search."""
    check(RULES, {"n_best": n_best, "max_answer_length": max_answer_length}, prefix="")


def _first_largest(values_bm: Tensor, count: int) -> Tensor:
    """Return the columns of each row's largest values, ascending; of equal values the first ones.

    ``topk`` alone leaves the choice among equal values to the device.
    """
    rows, count = len(values_bm), min(count, values_bm.shape[1])
    least_b1 = values_bm.topk(count, dim=1).values[:, -1:]
    above_bm, equal_bm = values_bm > least_b1, values_bm == least_b1
    wanted_b1 = count - above_bm.sum(dim=1, keepdim=True)
    chosen_bm = above_bm | (equal_bm & (equal_bm.cumsum(dim=1) <= wanted_b1))
    return chosen_bm.nonzero()[:, 1].view(rows, count)


def padded(start_bn: Tensor, last_bn: Tensor, score_bn: Tensor, n_best: int) -> BestSpans:
    """Fill up to ``n_best`` columns; impossible spans stand at token 0 with a score of -inf."""
    found_bn = score_bn > IMPOSSIBLE
    start_bn, last_bn = start_bn * found_bn, last_bn * found_bn
    missing = n_best - score_bn.shape[1]
    if missing == 0:
        return BestSpans(start_bn, last_bn, score_bn)
    return BestSpans(
        F.pad(start_bn, (0, missing)),
        F.pad(last_bn, (0, missing)),
        F.pad(score_bn, (0, missing), value=IMPOSSIBLE),
    )
