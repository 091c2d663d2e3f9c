"""Batches: padding, masks and labels against transformers' own, and the orders of the samplers."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler
from transformers import AutoTokenizer
from transformers.models.longformer.modeling_longformer import _compute_global_attention_mask
from transformers.trainer_pt_utils import get_length_grouped_indices

from features_support import make_examples, read_squad, tokenizer_of
from qa_lightning.batches import (
    EvaluationSampler,
    LengthGroupedSampler,
    WindowCollator,
    WindowDataset,
    padding_share,
)
from qa_lightning.errors import InputError
from qa_lightning.features import IGNORED, WindowSettings, build_features

CONTEXTS = [
    "A cidade de Lisboa fica na foz do Tejo. " * 4,
    "O rio nasce na serra. Vasco da Gama partiu de Lisboa.",
    "Praça.",
]
PAIRS = list(zip(["Onde fica Lisboa?", "Quem partiu de lá?", "Onde?"], CONTEXTS, strict=True))
SPANS: list[list[tuple[int, int] | None]] = [[(12, 18), (34, 38)], [(22, 35)], [None]]
SETTINGS = WindowSettings(max_length=40, doc_stride=8)


def windows_of(family: str, padding_side: str = "right", *, labels: bool = True) -> WindowDataset:
    tokenizer = tokenizer_of(family, padding_side)
    return WindowDataset(
        build_features(make_examples(PAIRS, SPANS), tokenizer, SETTINGS, labels=labels)
    )


def batch_of(family: str, padding_side: str = "right", **options: Any) -> dict[str, torch.Tensor]:
    windows = windows_of(family, padding_side, labels=options.pop("labels", True))
    collate = WindowCollator.for_tokenizer(tokenizer_of(family, padding_side), **options)
    return collate(windows.__getitems__(list(range(len(windows)))))


def reference_of(family: str, padding_side: str, padding: str) -> Any:
    tokenizer = tokenizer_of(family, padding_side)
    texts = [question for question, _ in PAIRS], CONTEXTS
    return tokenizer(
        *(texts if padding_side == "right" else texts[::-1]),
        truncation="only_second" if padding_side == "right" else "only_first",
        max_length=SETTINGS.max_length,
        stride=SETTINGS.doc_stride,
        return_overflowing_tokens=True,
        return_token_type_ids=True,
        padding=padding,
        return_tensors="pt",
    )


@pytest.mark.parametrize("family", ["roberta", "bert", "unigram"])
@pytest.mark.parametrize("padding_side", ["right", "left"])
@pytest.mark.parametrize("pad_to", ["longest", "max_length"])
def test_padding_equals_the_tokenizers(family: str, padding_side: str, pad_to: Any) -> None:
    batch = batch_of(family, padding_side, pad_to=pad_to, max_length=40, token_types=True)
    padding = "max_length" if pad_to == "max_length" else "longest"
    reference = reference_of(family, padding_side, padding)
    assert torch.equal(batch["input_ids"], reference["input_ids"])
    assert torch.equal(batch["attention_mask"], reference["attention_mask"])
    if family == "bert":  # the other families' templates give the type 0 throughout
        assert torch.equal(batch["token_type_ids"], reference["token_type_ids"])
    context_owner = int(padding_side == "right")
    for row, mask in enumerate(batch["context_mask"]):
        owners = reference.sequence_ids(row)
        assert mask.tolist() == [owner == context_owner for owner in owners]
    cls = tokenizer_of(family).cls_token_id
    assert (batch["input_ids"].gather(1, batch["cls_positions"][:, None]) == cls).all()


@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_types_and_shapes(padding_side: str) -> None:
    batch = batch_of("bert", padding_side, token_types=True, all_gold_spans=True)
    count, length = batch["input_ids"].shape
    for name in ("input_ids", "attention_mask", "global_attention_mask", "token_type_ids"):
        assert batch[name].shape == (count, length)
        assert batch[name].dtype == torch.int64
    assert batch["context_mask"].dtype == torch.bool
    for name in ("feature_index", "cls_positions", "start_positions", "end_positions"):
        assert batch[name].shape == (count,)
        assert batch[name].dtype == torch.int64
    assert batch["gold_start_positions"].shape == batch["gold_end_positions"].shape
    assert batch["label_weights"].shape == (count,)
    assert batch["label_weights"].dtype == torch.float32
    assert "document_index" not in batch  # these are not whole documents
    assert batch["feature_index"].tolist() == list(range(count))


@pytest.mark.parametrize("family", ["roberta", "bert"])
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_labels_point_at_the_answer(family: str, padding_side: str) -> None:
    tokenizer = tokenizer_of(family, padding_side)
    batch = batch_of(family, padding_side, all_gold_spans=True)
    windows = windows_of(family, padding_side)
    table = build_features(make_examples(PAIRS, SPANS), tokenizer, SETTINGS)
    answers = ["Lisboa", "Vasco da Gama"]
    seen = set()
    for row in range(len(windows)):
        example = table[row]["example_index"]
        start, end = batch["start_positions"][row], batch["end_positions"][row]
        if example == 2:
            assert start == end == IGNORED
        elif start == batch["cls_positions"][row]:
            assert end == start
        else:
            text = tokenizer.decode(batch["input_ids"][row, start : end + 1])
            assert text.strip().lower() == answers[example].lower()
            assert batch["context_mask"][row, start : end + 1].all()
            assert start in batch["gold_start_positions"][row]
            seen.add(example)
        gold = batch["gold_start_positions"][row]
        assert (gold != IGNORED).sum() == len(table[row]["gold_start_tokens"])
    assert seen == {0, 1}


def test_no_labels_no_label_keys() -> None:
    batch = batch_of("roberta", labels=False)
    labels = {"start_positions", "end_positions", "gold_start_positions", "label_weights"}
    assert not labels & set(batch)


def test_question_attends_globally_as_in_transformers() -> None:
    batch = batch_of("roberta")
    expected = _compute_global_attention_mask(
        batch["input_ids"], tokenizer_of("roberta").sep_token_id
    )
    assert torch.equal(batch["global_attention_mask"].bool(), expected)
    assert torch.equal(
        batch_of("roberta", global_attention="question+cls")["global_attention_mask"],
        batch["global_attention_mask"],
    )


@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_choices_of_global_attention(padding_side: str) -> None:
    def mask(choice: Any) -> torch.Tensor:
        return batch_of("roberta", padding_side, global_attention=choice)[
            "global_attention_mask"
        ].bool()

    batch = batch_of("roberta", padding_side, global_attention=None)
    assert "global_attention_mask" not in batch
    at_cls = torch.zeros_like(batch["context_mask"])
    at_cls.scatter_(1, batch["cls_positions"][:, None], True)
    question = mask("question_only")
    owners = reference_of("roberta", padding_side, "longest")
    for row, of_row in enumerate(question):
        question_owner = int(padding_side == "left")
        assert of_row.tolist() == [owner == question_owner for owner in owners.sequence_ids(row)]
    assert torch.equal(mask("question"), question | at_cls)
    assert torch.equal(mask("cls"), at_cls)
    assert not mask([]).any()
    columns = mask([0, 3, 39])
    assert (columns & ~batch["attention_mask"].bool()).sum() == 0
    lengths = batch["attention_mask"].sum(1)
    assert columns.sum(1).tolist() == (2 + (lengths > 39).int()).tolist()
    assert columns[at_cls].all()


def test_separator_in_the_text_does_not_move_the_global_tokens() -> None:
    tokenizer = tokenizer_of("roberta")
    windows = WindowDataset(
        build_features(make_examples([("Onde </s> fica?", "Em </s> Lisboa")]), tokenizer, SETTINGS)
    )
    batch = WindowCollator.for_tokenizer(tokenizer)([windows[0]])
    length = len(tokenizer("Onde </s> fica?", add_special_tokens=False).input_ids)
    assert batch["global_attention_mask"][0].nonzero().ravel().tolist() == list(range(length + 1))


def test_collator_takes_rows_of_plain_lists() -> None:
    tokenizer = tokenizer_of("bert")
    features = build_features(make_examples(PAIRS, SPANS), tokenizer, SETTINGS)
    rows = [features[row] | {"feature_index": row} for row in range(len(features))]
    collate = WindowCollator.for_tokenizer(tokenizer, all_gold_spans=True)
    windows = WindowDataset(features, borders=True)
    expected = collate([windows[row] for row in range(len(windows))])
    found = collate(rows)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def test_wrong_options_are_told() -> None:
    with pytest.raises(InputError, match="longest or max_length"):
        WindowCollator(pad_token_id=0, pad_to="shortest")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a `max_length`"):
        WindowCollator(pad_token_id=0, pad_to="max_length")
    for wrong in ("everything", [-1], [0.5]):
        with pytest.raises(InputError, match="global_attention"):
            WindowCollator(pad_token_id=0, global_attention=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at most max_length=20"):
        batch_of("bert", pad_to="max_length", max_length=20)


def test_tokenizer_without_padding_is_told() -> None:
    class NoPadding:
        pad_token_id = None

    with pytest.raises(InputError, match="padding token"):
        WindowCollator.for_tokenizer(NoPadding())  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_serves_mapped_windows(tmp_path: Path, workers: int) -> None:
    tokenizer = tokenizer_of("bert")
    features = build_features(
        make_examples(PAIRS * 5, SPANS * 5), tokenizer, SETTINGS, cache_file=tmp_path / "w.arrow"
    )
    windows = WindowDataset(features)
    assert windows[0]["input_ids"].tolist() == features[0]["input_ids"]
    # As a started worker receives it; reading first must not put the whole table in the pickle.
    assert len(pickle.dumps(windows)) < 20_000
    loader = DataLoader(
        pickle.loads(pickle.dumps(windows)),
        batch_size=4,
        sampler=EvaluationSampler(windows.lengths(), batch_size=4),
        collate_fn=WindowCollator.for_tokenizer(tokenizer),
        num_workers=workers,
    )
    served = torch.cat([batch["feature_index"] for batch in loader])
    assert sorted(served.tolist()) == list(range(len(features)))
    for batch in loader:
        for row, index in enumerate(batch["feature_index"].tolist()):
            ids = batch["input_ids"][row][batch["attention_mask"][row].bool()]
            assert ids.tolist() == features[index]["input_ids"]


LENGTHS = np.random.default_rng(0).integers(20, 385, 1_003).tolist()


def deal(kind: Any, lengths: list[int], ranks: int, **options: Any) -> list[list[int]]:
    epoch = options.pop("epoch", 0)
    dealt = []
    for rank in range(ranks):
        sampler = kind(lengths, num_replicas=ranks, rank=rank, **options)
        sampler.set_epoch(epoch)
        assert isinstance(sampler, DistributedSampler)
        dealt.append(list(sampler))
        assert len(sampler) == len(dealt[-1])
    return dealt


def padding_of(dealt: list[list[int]], lengths: list[int], batch_size: int) -> float:
    real = computed = 0
    for rank in dealt:
        for start in range(0, len(rank), batch_size):
            rows = [lengths[index] for index in rank[start : start + batch_size]]
            real += sum(rows)
            computed += max(rows) * len(rows)
    return 1 - real / computed


@pytest.mark.parametrize("kind", [LengthGroupedSampler, EvaluationSampler])
@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1003])
def test_ranks_serve_everything_and_the_same_number(kind: Any, ranks: int, count: int) -> None:
    dealt = deal(kind, LENGTHS[:count], ranks, batch_size=4)
    assert {index for rank in dealt for index in rank} == set(range(count))
    assert {len(rank) for rank in dealt} == {math.ceil(count / ranks)}


@pytest.mark.parametrize("ranks", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [2, 8])
def test_like_lengths_are_together(ranks: int, batch_size: int) -> None:
    for kind in (LengthGroupedSampler, EvaluationSampler):
        dealt = deal(kind, LENGTHS, ranks, batch_size=batch_size)
        assert padding_of(dealt, LENGTHS, batch_size) < 0.07
    longest = max(LENGTHS)
    assert any(LENGTHS[rank[0]] == longest for rank in dealt)


def batches_of(order: list[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(order[start : start + size]) for start in range(0, len(order), size)]


def test_one_rank_serves_transformers_batches_in_an_order_of_its_own() -> None:
    ours = batches_of(list(LengthGroupedSampler(LENGTHS, batch_size=4, seed=3)), 4)
    state = np.random.SeedSequence([3, 0]).generate_state(1)
    generator = torch.Generator().manual_seed(int(state[0]))
    theirs = batches_of(get_length_grouped_indices(LENGTHS, 4, generator=generator), 4)
    assert sorted(ours) == sorted(theirs)
    assert (ours[0], ours[-1]) == (theirs[0], theirs[-1])
    # Theirs fall in length, batch after batch; in ours a batch tells nothing of the next.
    longest = np.array([max(LENGTHS[index] for index in batch) for batch in ours])
    falls = (np.diff(longest) <= 0).mean()
    assert 0.4 < falls < 0.6
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2


def test_seed_and_epoch_change_the_order() -> None:
    orders = {
        (seed, epoch): tuple(deal(LengthGroupedSampler, LENGTHS, 1, batch_size=4, **options)[0])
        for seed in (0, 1)
        for epoch in (0, 1)
        for options in [{"seed": seed, "epoch": epoch}]
    }
    assert len(set(orders.values())) == 4
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = deal(LengthGroupedSampler, LENGTHS, 1, batch_size=4, seed=1, epoch=1)
    assert tuple(again[0]) == orders[1, 1]
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone


def test_ranks_form_the_global_batch_of_one_rank() -> None:
    alone = deal(LengthGroupedSampler, LENGTHS, 1, batch_size=8)[0]
    dealt = deal(LengthGroupedSampler, LENGTHS, 2, batch_size=4)
    for step in range(len(alone) // 8):
        together = [index for rank in dealt for index in rank[4 * step : 4 * step + 4]]
        assert together == alone[8 * step : 8 * step + 8]


def test_evaluation_begins_with_the_longest() -> None:
    (order,) = deal(EvaluationSampler, LENGTHS, 1, batch_size=4)
    assert [LENGTHS[index] for index in order] == sorted(LENGTHS, reverse=True)


def test_sampler_asks_the_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = LengthGroupedSampler(LENGTHS, batch_size=4)
    assert (alone.num_replicas, alone.rank) == (1, 0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    joined = LengthGroupedSampler(LENGTHS, batch_size=4)
    assert (joined.num_replicas, joined.rank) == (3, 2)


def test_padding_share() -> None:
    assert padding_share(torch.tensor([10, 10]), 10) == 0.0
    assert padding_share(torch.tensor([5, 10, 0]), 10) == 0.5
    assert padding_share(torch.tensor([], dtype=torch.int64), 10) == 0.0


@pytest.mark.realdata
def test_sample_is_hardly_padded(realdata: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(realdata / "longformer_bpe")
    rows = list(read_squad(realdata / "squad_v1_pt_sample.json"))
    examples = make_examples([(row["question"], row["context"]) for row in rows])
    windows = WindowDataset(build_features(examples, tokenizer, WindowSettings()))
    lengths = windows.lengths().tolist()
    assert round(1 - sum(lengths) / (384 * len(lengths)), 3) == 0.258
    for batch_size in (2, 8, 16):
        for ranks in (1, 8):
            for kind in (LengthGroupedSampler, EvaluationSampler):
                dealt = deal(kind, lengths, ranks, batch_size=batch_size)
                assert padding_of(dealt, lengths, batch_size) < 0.02
