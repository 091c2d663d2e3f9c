"""Networks that multiply faster compute the same; windows in any company are read alike."""

import os
import random
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

import matrix_support as matrix
from answerer_support import small_network, tokenizer_once, write_checkpoint
from qa_lightning.answerer import QuestionAnswerer
from qa_lightning.answerer.devices import Portions, numbers_multiplied, usable_device
from qa_lightning.answerer.loading import DecisionSettings, Reader
from qa_lightning.attention import pin_bigbird_attention
from qa_lightning.backbones import (
    FLOAT32_ALONE,
    FollowedNetwork,
    add_adapters,
    build_network,
    fast_network,
    model_inputs,
    network_config,
    products,
    span_logits,
)
from qa_lightning.errors import InputError
from qa_lightning.features import WindowSettings
from tokenizers_support import tokenizer_of


def network_of(family: matrix.Family) -> Any:
    torch.manual_seed(0)
    values = matrix.plain_values(family, tokenizer_of(family.tokenizer))
    return build_network(network_config(values)).eval()


def autocast_to(numbers: torch.dtype) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=numbers == torch.bfloat16)


def batch_of(network: Any) -> dict[str, torch.Tensor]:
    """Return windows of several lengths, the question's tokens global."""
    ids = torch.randint(5, 60, (3, 40))
    mask = torch.ones_like(ids)
    mask[1, 33:] = 0
    mask[2, 20:] = 0
    question = (torch.arange(40) < 8).long().expand_as(ids)
    batch = {"input_ids": ids, "attention_mask": mask, "global_attention_mask": question}
    return batch | {"token_type_ids": (1 - question) * mask}


@pytest.mark.parametrize("name", matrix.parameters())
def test_a_faster_network_computes_the_same_and_shares_all_tensors(name: str) -> None:
    network = network_of(matrix.FAMILIES[name])
    fast = fast_network(network)
    assert (fast is not network) == products.multiplies_by_onednn()
    batch = batch_of(network)
    assert model_inputs(fast) == model_inputs(network)
    real = batch["attention_mask"].bool()
    with torch.inference_mode():
        expected, found = span_logits(network, batch), span_logits(fast, batch)
    for theirs, ours in zip(expected, found, strict=True):
        torch.testing.assert_close(ours[real], theirs[real], rtol=1e-4, atol=1e-5)
    assert [p.data_ptr() for p in fast.parameters()] == [p.data_ptr() for p in network.parameters()]
    assert not any("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize("name", matrix.parameters())
def test_in_bf16_a_network_says_nearly_the_same_in_float32(name: str) -> None:
    network = network_of(matrix.FAMILIES[name])
    kind = network.config.model_type
    if kind in FLOAT32_ALONE:
        with pytest.raises(InputError, match="Take float32"):
            numbers_multiplied("bf16", torch.device("cpu"), model_type=kind)
        found = numbers_multiplied("auto", torch.device("cpu"), model_type=kind)
        assert found == torch.float32
        return
    batch = batch_of(network)
    real = batch["attention_mask"].bool()
    with torch.inference_mode():
        expected = span_logits(network, batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = span_logits(fast_network(network, numbers=torch.bfloat16), batch)
    for theirs, ours in zip(expected, found, strict=True):
        assert ours.dtype == torch.float32
        error = (ours[real] - theirs[real]).norm() / theirs[real].norm()
        assert error < 0.05
    assert {p.dtype for p in network.parameters()} <= {torch.float32}


@pytest.mark.parametrize("name", matrix.parameters())
def test_in_int8_a_network_says_nearly_the_same_in_float32(name: str) -> None:
    network = network_of(matrix.FAMILIES[name])
    batch = batch_of(network)
    real = batch["attention_mask"].bool()
    with torch.inference_mode():
        expected = span_logits(network, batch)
        found = span_logits(fast_network(network, numbers=torch.int8), batch)
    for theirs, ours in zip(expected, found, strict=True):
        assert ours.dtype == torch.float32
        assert (ours[real] - theirs[real]).norm() / theirs[real].norm() < 0.1
    assert {p.dtype for p in network.parameters()} <= {torch.float32}


@pytest.mark.parametrize("seed", range(20))
def test_a_product_in_int8_errs_by_half_a_step_a_number_and_row_by_row(seed: int) -> None:
    """The bound is of the arithmetic: either factor is off by half a step at most."""
    draw = torch.Generator().manual_seed(seed)
    many, wide, out = (int(torch.randint(1, 90, (1,), generator=draw)) for _ in range(3))
    wide = 1 if seed < 4 else wide  # an adapter of rank 1
    layer = nn.Linear(wide, out, bias=seed % 3 > 0)
    layer.weight.data = torch.randn(out, wide, generator=draw) * torch.rand(out, 1, generator=draw)
    layer.weight.data[0] = 0
    states = torch.randn(2, many, wide, generator=draw) * 10 ** (seed % 5 - 2)
    states[0, 0] = 0
    fast = fast_network(nn.Sequential(layer).eval(), numbers=torch.int8)
    with torch.inference_mode():
        expected, found = layer(states), fast(states)
        alone = torch.stack([torch.cat([fast(row[None]) for row in half]) for half in states])
        assert fast(states[:, :0]).shape == (2, 0, out)
    step_o, step_n1 = layer.weight.abs().amax(1) / 127, states.abs().amax(2, keepdim=True) / 127
    weight_o, state_n1 = layer.weight.abs().sum(1), states.abs().sum(2, keepdim=True)
    bound = weight_o * step_n1 / 2 + state_n1 * step_o / 2 + wide * step_n1 * step_o / 4
    assert ((found - expected).abs() <= bound + 1e-5 * expected.abs() + 1e-7).all()
    assert torch.equal(alone, found)  # whoever stands beside it
    assert not torch.equal(found, expected) or not expected.any()


def test_a_layer_that_others_listen_to_computes_as_it_was_written() -> None:
    heard = []
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[0].register_forward_hook(lambda *_: heard.append(1))
    fast_network(network)(torch.ones(1, 4))
    assert heard
    replaced = nn.Sequential(nn.Linear(4, 4))
    replaced[0].forward = lambda states: 0 * states
    assert not fast_network(replaced)(torch.ones(1, 4)).any()
    half = nn.Sequential(nn.Linear(4, 4)).to(torch.bfloat16).eval()
    assert fast_network(half) is half


def written(linear: nn.Linear) -> None:
    linear.weight.data.mul_(-30)


def written_by_numpy(linear: nn.Linear) -> None:
    linear.weight.detach().numpy()[1::3] += 2


def written_in_inference(linear: nn.Linear) -> None:
    with torch.inference_mode():
        linear.weight[::2].sub_(2)


def turned_round(linear: nn.Linear) -> None:
    linear.weight.data.copy_(linear.weight.flip(0).roll(1, 1))


def pointed_elsewhere(linear: nn.Linear) -> None:
    linear.weight.data = torch.randn(linear.weight.shape[::-1]).T


def replaced(linear: nn.Linear) -> None:
    linear.weight = nn.Parameter(torch.randn(linear.weight.shape))


def listened_to(linear: nn.Linear) -> None:
    linear.register_forward_hook(lambda _, __, found: -found)


HIDDEN = [written, written_by_numpy, turned_round]  # from torch's versions
WAYS = [*HIDDEN, written_in_inference, pointed_elsewhere, replaced, listened_to]


@pytest.mark.parametrize("numbers", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("name", ["longformer", "bert", "modernbert"])
@pytest.mark.parametrize("own", [False, True])
def test_a_network_that_is_changed_in_any_way_is_followed_whole(
    name: str, numbers: torch.dtype, own: bool
) -> None:
    """Nothing of it may be of another time: by whom and how its weights are changed is not seen."""
    network = network_of(matrix.FAMILIES[name])
    batch, draw = batch_of(network), random.Random(name)
    followed = FollowedNetwork(network, numbers=numbers, own=own)
    earlier = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.05)
    sum(tensor.sum() for tensor in span_logits(network, batch)).backward()
    linears = [m for name, m in network.named_modules() if re.search(r"\d.output.dense|Wo", name)]

    def logits(read: Any) -> torch.Tensor:
        with torch.inference_mode(), autocast_to(numbers):
            return torch.stack(span_logits(read, batch))[:, batch["attention_mask"].bool()]

    def another_head() -> None:
        name = "classifier" if hasattr(network, "classifier") else "qa_outputs"
        setattr(network, name, nn.Linear(getattr(network, name).in_features, 2))

    ways = [way for way in WAYS if not (own and way == written_by_numpy)]  # no first row in it
    changes = [partial(way, draw.choice(linears)) for way in ways]
    draw.shuffle(changes)
    changes += [optimizer.step, another_head, lambda: network.load_state_dict(earlier, assign=True)]
    found = [logits(followed.now())]
    for change in changes:
        change()
        found.append(logits(followed.now()))
        torch.testing.assert_close(found[-1], logits(fast_network(network, numbers=numbers)))
        if numbers == torch.float32:
            torch.testing.assert_close(found[-1], logits(network), rtol=1e-3, atol=1e-4)
        assert not torch.allclose(found[-1], found[-2], atol=1e-3), change
    assert followed.now() is followed.now()


@pytest.mark.parametrize("own", [False, True])
def test_an_adapter_is_followed_when_it_is_switched(own: bool) -> None:
    """That changes no tensor, but a mark of the layer."""
    network = small_network()
    add_adapters(network, {"r": 1, "lora_alpha": 300})
    network.eval()
    for name, tensor in network.named_parameters():
        tensor.data += 0.1 if "lora_B" in name else 0.0
    batch = batch_of(network)
    for numbers in (torch.float32, torch.int8):
        followed, found = FollowedNetwork(network, numbers=numbers, own=own), []
        for is_on in (True, False, True):
            for module in network.modules():
                if isinstance(module, LoraLayer):
                    module.enable_adapters(is_on)
            with torch.inference_mode():
                found.append(span_logits(followed.now(), batch)[0])
                expected = span_logits(network, batch)[0]
            near = 1e-4 if numbers == torch.float32 else 0.05
            torch.testing.assert_close(found[-1], expected, rtol=near, atol=near)
        assert torch.equal(found[0], found[2])
        assert not torch.allclose(found[0], found[1], atol=0.06)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_network_in_training_is_read_without_dropout_and_left_in_training(
    elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "multiplies_by_onednn", lambda _: not elsewhere)
    network = small_network().train()
    answerer = answerer_with(network, Portions(9_999, 0))
    answers = [answerer.answer("Que foz é essa?", "Lima fica na foz do Tejo.") for _ in range(3)]
    assert network.training
    network.eval()
    answers.append(answerer.answer("Que foz é essa?", "Lima fica na foz do Tejo."))
    network.train()
    answers.append(answerer.answer("Que foz é essa?", "Lima fica na foz do Tejo."))
    assert len({answer.text for answer in answers}) == 1
    assert [a.score for a in answers] == pytest.approx([answers[0].score] * len(answers), abs=1e-4)


def test_only_a_network_that_was_loaded_is_its_answerers_own(tmp_path: Path) -> None:
    loaded = QuestionAnswerer.from_checkpoint(write_checkpoint(tmp_path / "a.ckpt"), device="cpu")
    assert loaded.reader.own
    assert loaded.with_settings(temperature=2.0).reader.own
    network = small_network()
    answerer = answerer_with(network, Portions(9_999, 0))
    row = "Que foz é essa?", "Lima fica na foz do Tejo."
    before = answerer.answer(*row)
    network.longformer.encoder.layer[0].output.dense.weight.data[1::2] += 3
    found, expected = answerer.answer(*row), answerer_with(network, Portions(9_999, 0)).answer(*row)
    assert found.score == pytest.approx(expected.score, abs=1e-5)
    assert found.score != pytest.approx(before.score, abs=1e-3)


@pytest.mark.slow  # oneDNN reads its limit once a process
@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE_VNNI"])
def test_processors_without_bfloat16_read_in_it_all_the_same(limit: str) -> None:
    program = """
import torch
from qa_lightning.backbones import fast_network
layer = torch.nn.Sequential(torch.nn.Linear(64, 64)).eval()
states = torch.randn(9, 64)
with torch.inference_mode():
    expected = layer(states)
    torch.testing.assert_close(fast_network(layer)(states), expected)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = fast_network(layer, numbers=torch.bfloat16)(states)
    torch.testing.assert_close(rounded.float(), expected, rtol=0.05, atol=0.05)
"""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": limit}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_elsewhere_a_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products.platform, "machine", lambda: "aarch64")
    network = nn.Sequential(nn.Linear(4, 4)).eval()
    assert fast_network(network) is network


def rows_of_seed(seed: int) -> list[tuple[str, str]]:
    """Return questions and documents, none to some twenty windows long, some of them shared."""
    draw = random.Random(seed)
    words = ["Lima", "Tejo", "1497", "cidade", "foz", "Gama", "partiu", "rio.", "é,", "nave"]
    documents = [
        " ".join(draw.choices(words, k=draw.choice([0, 1, 7, 30, 31, 60, 200]))) for _ in range(9)
    ]
    return [
        (" ".join(draw.choices(words, k=draw.randint(1, 9))), draw.choice(documents))
        for _ in range(14)
    ]


def answerer_with(network: Any, portions: Portions, precision: str = "float32") -> QuestionAnswerer:
    reader = Reader(
        network=network,
        tokenizer=tokenizer_once(),
        windows=WindowSettings(max_length=64, doc_stride=16, max_question_length=24),
        decision=DecisionSettings(no_answer=True),
        token_types=True,
        global_attention="question",
        language="pt",
        origin="made here",
    )
    answerer = QuestionAnswerer(reader, device="cpu", precision=precision)
    answerer._runner._portions = portions
    return answerer


@pytest.mark.parametrize("kind", ["longformer", "bert", "big_bird"])
def test_answers_are_those_of_the_plain_network_and_of_windows_read_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network as it was, one window at a time and unpadded, says what any other way must."""
    if kind == "longformer":
        network: Any = small_network()
    else:
        values = matrix.plain_values(matrix.FAMILIES[kind], tokenizer_once())
        torch.manual_seed(0)
        network = pin_bigbird_attention(build_network(network_config(values)).eval())
        for parameter in network.parameters():
            if parameter.ndim == 2 and len(parameter) == 2:  # the head's: clear differences
                parameter.data.mul_(40)
    with monkeypatch.context() as patched:
        patched.setattr(products, "fast_network", lambda network, **_: network)
        plain = answerer_with(network, Portions(tokens=1, padding=0))
    ways = [Portions(tokens, padding) for tokens in (200, 9_999) for padding in (0, 9_999)]
    ways.append(Portions.for_device(torch.device("cpu")))
    for seed, way in enumerate(ways):
        rows = rows_of_seed(seed)
        expected = plain.answer_batch(rows, n_best=3)
        found = answerer_with(network, way).answer_batch(rows, n_best=3)
        for theirs, ours in zip(expected, found, strict=True):
            assert [a[:3] for a in theirs] == [a[:3] for a in ours], (seed, way, theirs.question)
            assert [a.score for a in ours] == pytest.approx([a.score for a in theirs], abs=1e-3)
            assert ours.is_answerable == theirs.is_answerable
            assert ours.null_score == pytest.approx(theirs.null_score, abs=1e-3)
            assert ours.windows == theirs.windows


def test_batches_hold_each_window_once_and_no_more_padding_than_is_allowed() -> None:
    draw = np.random.default_rng(0)
    for _ in range(300):
        length_w = draw.integers(1, draw.integers(2, 400), size=draw.integers(0, 60))
        portions = Portions(int(draw.integers(1, 2_000)), int(draw.integers(0, 300)))
        batches = list(portions.of(length_w))
        assert sorted(np.concatenate([[], *batches]).astype(int).tolist()) == list(
            range(len(length_w))
        )
        longest = [int(length_w[batch].max()) for batch in batches]
        assert longest == sorted(longest, reverse=True)
        for batch, most in zip(batches, longest, strict=True):
            assert len(batch) == 1 or len(batch) * most <= portions.tokens
            assert most - int(length_w[batch].min()) <= portions.padding
        # No two that follow each other could have been one.
        for batch, after, most in zip(batches, batches[1:], longest, strict=False):
            too_many = (len(batch) + 1) * most > portions.tokens
            assert too_many or most - int(length_w[after].max()) > portions.padding


def test_in_bf16_answers_are_nearly_those_of_float32_whoever_asks_beside_them() -> None:
    network, few = small_network(), Portions(tokens=1, padding=0)
    exact, rounded = (answerer_with(network, few, p) for p in ("float32", "bf16"))
    together = answerer_with(network, Portions(9_999, 9_999), "bf16")
    same, differences = [], []
    for seed in range(3):
        rows = rows_of_seed(seed)
        for theirs, ours, others in zip(
            exact.answer_batch(rows), rounded.answer_batch(rows), together.answer_batch(rows),
            strict=True,
        ):  # fmt: skip
            same.append([a[:3] for a in theirs] == [a[:3] for a in ours])
            differences.append(abs(theirs.confidence - ours.confidence))
            assert ours.confidence == pytest.approx(others.confidence, abs=0.05)
    assert np.mean(same) > 0.9
    assert max(differences) < 0.05


@pytest.mark.parametrize(("fast", "bf16"), [(True, True), (False, False), (None, False)])
def test_auto_is_bf16_where_the_processor_multiplies_it(
    fast: bool | None, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qa_lightning.processors.has_fast_bfloat16", lambda: fast)
    answerer = answerer_with(small_network(), Portions(64, 0), "auto")
    assert answerer._runner._bf16 == bf16
    assert answerer.with_settings(temperature=2.0)._runner._bf16 == bf16


def test_weights_in_float16_are_not_read_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qa_lightning.processors.has_fast_bfloat16", lambda: True)
    network = small_network().to(torch.float16)
    assert not answerer_with(network, Portions(64, 0), "auto")._runner._bf16
    with pytest.raises(InputError, match="leave out `dtype`"):
        answerer_with(network, Portions(64, 0), "bf16")


@pytest.mark.parametrize("device", ["meta", "cuda:99", "nonsense"])
def test_a_device_that_holds_no_numbers_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="`device` to be one that is here"):
        usable_device(device)


def test_bf16_without_gain_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("qa_lightning.processors.has_fast_bfloat16", lambda: False)
    assert answerer_with(small_network(), Portions(64, 0), "bf16")._runner._bf16
    assert "does not multiply bfloat16" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("int4", "float32, bf16, int8, auto"),
        ("bf-16", "float32, bf16, int8, auto"),
        (None, "got a NoneType"),
    ],
)
def test_other_precisions_are_refused_before_anything_is_loaded(wrong: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        QuestionAnswerer.from_checkpoint("there is none", precision=wrong)


def test_int8_is_for_processors_that_multiply_it_and_for_weights_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = small_network()
    capabilities = {"avx512_vnni": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert answerer_with(network, Portions(64, 0), "int8").answer("Quem?", "O rio Tejo.").n_best
    with pytest.raises(InputError, match=r"weights in torch\.bfloat16.*got 'int8'"):
        answerer_with(small_network().to(torch.bfloat16), Portions(64, 0), "int8")
    capabilities["avx512_vnni"] = False
    with pytest.raises(InputError, match="int8 is for processors that multiply it"):
        answerer_with(network, Portions(64, 0), "int8")
