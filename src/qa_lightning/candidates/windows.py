"""What is kept of each window of a batch.

Axes: ``b`` windows in the batch, ``l`` tokens, ``m`` columns of a search, ``d`` answer lengths less
one, ``k`` chosen positions, ``n`` best spans of a window, ``w`` windows of the whole data set.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from qa_lightning.candidates.band import band_spans, masked
from qa_lightning.candidates.search import (
    IMPOSSIBLE,
    SpanMasks,
    check_sizes,
    clean_logits,
    exact_search,
    top_k_search,
)
from qa_lightning.errors import InputError

SEARCHES = ("exact", "top_k")


class TokenCandidates(NamedTuple):
    """Hold what is kept of some windows: ``12 n + 16`` bytes each, whatever their length.

    Attributes:
        feature_index_b: the window's row in the features, int64.
        start_token_bn: first token, counted from the window's first context token, int32.
        last_token_bn: last token, inclusive, counted alike, int32.
        score_bn: start plus end logit, float32, best first; ``-inf`` fills up.
        null_score_b: start plus end logit at the CLS token, float32.
        log_normalizer_b: log-sum-exp of the start plus that of the end logits over the tokens
            that are no padding, float32: ``score - log_normalizer`` is a log-probability.
    """

    feature_index_b: Tensor
    start_token_bn: Tensor
    last_token_bn: Tensor
    score_bn: Tensor
    null_score_b: Tensor
    log_normalizer_b: Tensor

    @classmethod
    def empty(cls, n_best: int, device: torch.device | str | None = None) -> Self:
        """Return the candidates of no windows, typed and shaped as those of some."""
        spans = torch.empty((0, n_best), dtype=torch.int32, device=device)
        scores = torch.empty(0, dtype=torch.float32, device=device)
        return cls(
            feature_index_b=torch.empty(0, dtype=torch.int64, device=device),
            start_token_bn=spans,
            last_token_bn=spans.clone(),
            score_bn=spans.float(),
            null_score_b=scores,
            log_normalizer_b=scores.clone(),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the windows of all parts, in their order.

        Thousands of small tensors kept between the large ones of each batch leave the heap in
        pieces (600 MB after 20,000 windows of 4,096 tokens): join them every hundred batches.
        """
        return cls(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def window_candidates(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    *,
    context_mask_bl: Tensor,
    attention_mask_bl: Tensor,
    cls_positions_b: Tensor,
    feature_index_b: Tensor,
    n_best: int,
    max_answer_length: int,
    search: str = "exact",
    word_masks: SpanMasks | None = None,
) -> TokenCandidates:
    """Reduce a batch's logits to what answers and scores need of them, on the logits' device.

    Args:
        start_logits_bl: any floating type.
        end_logits_bl: any floating type.
        context_mask_bl: true at the context's tokens.
        attention_mask_bl: 1 for text, 0 for padding.
        cls_positions_b: where each window's CLS token is.
        feature_index_b: each window's row in the features.
        n_best: spans to keep of each window.
        max_answer_length: in tokens.
        search: ``exact`` (:func:`~.search.best_spans`) or ``top_k`` (:func:`~.search.top_k_spans`).
        word_masks: true at the context's tokens with which an answer may begin, and end; None:
            with any of them.

    Raises:
        InputError: the search is unknown, or a size is not positive.
    """
    if search not in SEARCHES:
        raise InputError(f"Expected `search` out of {', '.join(SEARCHES)}; got {search!r}.")
    if start_logits_bl.numel() == 0:
        return TokenCandidates.empty(n_best, start_logits_bl.device)
    spans = word_masks or (context_mask_bl, context_mask_bl)
    masks = Masks(context_mask_bl, attention_mask_bl, cls_positions_b, spans)
    sizes = {"n_best": n_best, "max_answer_length": max_answer_length}
    if start_logits_bl.is_cpu and search == "exact":
        found = _reduce_on_cpu(start_logits_bl, end_logits_bl, masks, **sizes)
    else:
        found = _reduce(start_logits_bl, end_logits_bl, masks, search=search, **sizes)
    return TokenCandidates(feature_index_b.long(), *found)


class Masks(NamedTuple):
    """Hold what says where things are in a batch; see :func:`window_candidates`."""

    context_mask_bl: Tensor
    attention_mask_bl: Tensor
    cls_positions_b: Tensor
    spans: SpanMasks


Reduced = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""All of :class:`TokenCandidates` but ``feature_index_b``."""


def _reduce(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    masks: Masks,
    *,
    n_best: int,
    max_answer_length: int,
    search: str = "exact",
) -> Reduced:
    """Reduce logits with torch, on their device."""
    logits_2bl = clean_logits(start_logits_bl, end_logits_bl)
    logits_2bl.masked_fill_(masks.attention_mask_bl == 0, IMPOSSIBLE)
    null_2b1 = logits_2bl.gather(2, masks.cls_positions_b.expand(2, -1)[:, :, None])
    find = exact_search if search == "exact" else top_k_search
    start_bn, last_bn, score_bn = find(
        logits_2bl, masks.spans, n_best=n_best, max_answer_length=max_answer_length
    )
    # Tokens count from the first context token; what is no span stands at 0.
    first_b1 = masks.context_mask_bl.int().argmax(dim=1, keepdim=True)
    first_bn = first_b1 * (score_bn > IMPOSSIBLE)
    return (
        (start_bn - first_bn).int(),
        (last_bn - first_bn).int(),
        score_bn,
        null_2b1.sum(dim=0).squeeze(1),
        logits_2bl.logsumexp(dim=2).sum(dim=0),
    )


def _reduce_on_cpu(
    start_logits_bl: Tensor,
    end_logits_bl: Tensor,
    masks: Masks,
    *,
    n_best: int,
    max_answer_length: int,
) -> Reduced:
    """Reduce logits with numpy: two thirds of the time of :func:`_reduce` on the CPU."""
    check_sizes(n_best, max_answer_length)
    attention_bl, context_bl = masks.attention_mask_bl.numpy(), masks.context_mask_bl.numpy()
    logits = [start_logits_bl.detach().float(), end_logits_bl.detach().float()]
    if not attention_bl.all():
        padding_bl = attention_bl == 0
        logits = [torch.from_numpy(masked(x.numpy(), padding_bl)) for x in logits]
    total_b = logits[0].logsumexp(dim=1) + logits[1].logsumexp(dim=1)
    if not np.isfinite(total_b.numpy()).all():  # only NaN and infinity make it so
        logits = list(clean_logits(*logits))
        total_b = logits[0].logsumexp(dim=1) + logits[1].logsumexp(dim=1)
    start_bl, end_bl = (x.numpy() for x in logits)
    n_lengths = min(max_answer_length, start_bl.shape[1])
    spans = (context_bl, context_bl)
    if masks.spans[0] is not masks.context_mask_bl:
        spans = masks.spans[0].numpy(), masks.spans[1].numpy()
    start_bn, last_bn, score_bn = band_spans(start_bl, end_bl, spans, n_best, n_lengths)
    first_b1 = (context_bl if context_bl.dtype == bool else context_bl != 0).argmax(1)[:, None]
    first_bn = np.where(score_bn > IMPOSSIBLE, first_b1, 0).astype(np.int32)
    at_cls = np.arange(len(start_bl)), masks.cls_positions_b.numpy()
    return (
        torch.from_numpy(start_bn.astype(np.int32) - first_bn),
        torch.from_numpy(last_bn.astype(np.int32) - first_bn),
        torch.from_numpy(score_bn),
        torch.from_numpy(start_bl[at_cls] + end_bl[at_cls]),
        total_b,
    )
