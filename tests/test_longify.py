"""A longified checkpoint says of short inputs what the original says."""

import copy
import logging
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    LongformerForQuestionAnswering,
)

from longify_support import CHECKPOINTS, POSITIONS, inputs_of, write_checkpoint
from qa_lightning.attention import use_windowed_attention
from qa_lightning.longify import longify

WINDOW = 48
GLOBAL = {"none": [], "first": [0], "question": [0, 1, 2, 3], "scattered": [0, 7, 20], "all": None}


class Pair(NamedTuple):
    """Hold the folders of a checkpoint and of the Longformer made of it, and both models."""

    original_folder: Path
    folder: Path
    original: Any
    longformer: LongformerForQuestionAnswering


@pytest.fixture(scope="module", params=CHECKPOINTS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("longify")
    original = write_checkpoint(folder / "original", request.param)
    output = longify(original, folder / "long", max_length=200, attention_window=WINDOW)
    longformer = LongformerForQuestionAnswering.from_pretrained(output)
    return Pair(original, output, original_of(original), longformer)


def original_of(folder: Path) -> Any:
    return AutoModelForQuestionAnswering.from_pretrained(folder)


def typed(inputs: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Leave out token types where the model has one only."""
    if model.config.type_vocab_size > 1:
        return inputs
    return {name: tensor for name, tensor in inputs.items() if name != "token_type_ids"}


@torch.no_grad()
def outputs_of(model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Return all layers' hidden states and the logits at the tokens that are no padding."""
    outputs = model(**typed(inputs, model), output_hidden_states=True)
    tensors = (*outputs.hidden_states, outputs.start_logits, outputs.end_logits)
    here = inputs["attention_mask"].bool()
    return tuple(tensor[:, : here.shape[1]][here] for tensor in tensors)


def with_global(inputs: dict[str, Tensor], columns: list[int] | None) -> dict[str, Tensor]:
    mask = torch.zeros_like(inputs["input_ids"])
    mask[:, slice(None) if columns is None else columns] = 1
    return {**inputs, "global_attention_mask": mask * inputs["attention_mask"]}


def furthest(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("windowed", [False, True], ids=["reference", "windowed"])
def test_hidden_states_and_logits_equal_the_originals(pair: Pair, windowed: bool) -> None:
    longformer = copy.deepcopy(pair.longformer)
    if windowed:
        use_windowed_attention(longformer)
    inputs = inputs_of(pair.original_folder, WINDOW // 2)
    expected = outputs_of(pair.original, inputs)
    for name, columns in GLOBAL.items():
        found = outputs_of(longformer, with_global(inputs, columns))
        assert furthest(found, expected) < 1e-4, name
    # These weights make places matter, and so the comparison sharp.
    moved = {**inputs, "input_ids": inputs["input_ids"].flip(1)}
    assert furthest(outputs_of(pair.original, moved), expected) > 0.1


def test_token_types_are_kept(pair: Pair) -> None:
    table = pair.longformer.longformer.embeddings.token_type_embeddings.weight
    assert torch.equal(table, pair.original.base_model.embeddings.token_type_embeddings.weight)


def test_full_attention_ends_at_half_the_window(pair: Pair) -> None:
    longer = inputs_of(pair.original_folder, WINDOW)
    expected = outputs_of(pair.original, longer)
    assert furthest(outputs_of(pair.longformer, with_global(longer, [])), expected) > 1e-2
    assert furthest(outputs_of(pair.longformer, with_global(longer, None)), expected) < 1e-4


def test_positions_repeat_behind_the_paddings(pair: Pair) -> None:
    config = pair.longformer.config
    table = pair.longformer.longformer.embeddings.position_embeddings.weight
    used = pair.original.base_model.embeddings.position_embeddings.weight[-POSITIONS:]
    assert config.max_position_embeddings == len(table) == config.pad_token_id + 1 + 200
    assert torch.equal(table[config.pad_token_id + 1 :], torch.cat([used] * 4)[:200])
    ids = torch.full((1, 200), 9)
    with torch.no_grad():
        outputs = pair.longformer(ids, global_attention_mask=torch.zeros_like(ids))
    assert outputs.start_logits.shape == (1, 200)
    assert outputs.start_logits.isfinite().all()


def test_the_global_projections_are_copies_of_the_local_ones(pair: Pair) -> None:
    state = pair.longformer.state_dict()
    twins = [name for name in state if "_global." in name]
    assert len(twins) == 3 * 3 * 2
    assert all(torch.equal(state[name], state[name.replace("_global", "")]) for name in twins)
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


def test_the_tokenizer_goes_with_it(pair: Pair) -> None:
    ours, theirs = (AutoTokenizer.from_pretrained(f) for f in (pair.folder, pair.original_folder))
    assert ours.model_max_length == 200
    text = ("Quem fica na foz do Tejo?", "A cidade de Lisboa fica na foz do Tejo.")
    assert ours(*text)["input_ids"] == theirs(*text)["input_ids"]
    config = pair.longformer.config
    assert config.sep_token_id == theirs.sep_token_id
    assert (config.bos_token_id, config.eos_token_id) == (theirs.cls_token_id, theirs.sep_token_id)


def test_bert_counts_from_the_tokenizers_padding(tmp_path: Path) -> None:
    original = write_checkpoint(tmp_path / "original", "bert-other-padding")
    assert AutoConfig.from_pretrained(original).pad_token_id == 0
    output = longify(original, tmp_path / "long", max_length=16, attention_window=8)
    assert AutoConfig.from_pretrained(output).pad_token_id == 1


def test_a_length_below_the_originals_keeps_its_first_positions(tmp_path: Path) -> None:
    original = write_checkpoint(tmp_path / "original", "bert")
    output = longify(original, tmp_path / "long", max_length=10, attention_window=8)
    table = LongformerForQuestionAnswering.from_pretrained(output).longformer.embeddings
    source = original_of(original).bert.embeddings.position_embeddings.weight
    assert torch.equal(table.position_embeddings.weight[1:], source[:10])


def test_a_missing_head_is_made_from_a_seed_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = write_checkpoint(tmp_path / "original", "roberta", auto=AutoModelForMaskedLM)
    heads = []
    for number, seed in enumerate((7, 7, 8)):
        with caplog.at_level(logging.WARNING, logger="qa_lightning"):
            output = longify(original, tmp_path / f"long{number}", max_length=9, seed=seed)
        model = LongformerForQuestionAnswering.from_pretrained(output)
        heads.append(model.qa_outputs.weight.detach())
        assert float(heads[-1].std()) == pytest.approx(0.02, rel=0.5)
        assert not model.qa_outputs.bias.any()
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    told = [each for each in caplog.records if each.name.startswith("qa_lightning.longify")]
    assert [("seed 7" in each.getMessage()) for each in told] == [True, True, False]


def test_a_head_that_is_there_is_kept_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = write_checkpoint(tmp_path / "original", "camembert")
    output = longify(original, tmp_path / "long", max_length=9, attention_window=4)
    ours = LongformerForQuestionAnswering.from_pretrained(output).qa_outputs
    assert torch.equal(ours.weight, original_of(original).qa_outputs.weight)
    assert torch.equal(ours.bias, original_of(original).qa_outputs.bias)
    assert not [each for each in caplog.records if each.name.startswith("qa_lightning")]


def test_half_precision_and_pickled_weights_load(tmp_path: Path) -> None:
    original = write_checkpoint(tmp_path / "original", "bert")
    model = original_of(original).half()
    torch.save(model.state_dict(), original / "pytorch_model.bin")
    (original / "model.safetensors").unlink()
    output = longify(original, tmp_path / "long", max_length=9, attention_window=4)
    ours = LongformerForQuestionAnswering.from_pretrained(output)
    assert ours.dtype == torch.float32
    assert torch.equal(ours.qa_outputs.weight, model.qa_outputs.weight.float())
    assert [file.name for file in output.glob("*.bin")] == []
