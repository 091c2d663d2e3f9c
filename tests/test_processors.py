"""What processors multiply fast, and that it is said where they do not."""

import pytest
import torch

from qa_lightning.model.attending import warn_of_slow_precision
from qa_lightning.processors import has_fast_bfloat16

CPU = torch.device("cpu")


def with_capabilities(monkeypatch, **capabilities):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_processors_that_multiply_bfloat16(monkeypatch, name):
    with_capabilities(monkeypatch, avx2=True, **{name: True})
    assert has_fast_bfloat16() is True


def test_processors_that_do_not_multiply_bfloat16(monkeypatch):
    with_capabilities(monkeypatch, avx2=True, avx512_bf16=False, amx_bf16=False)
    assert has_fast_bfloat16() is False


def test_a_torch_that_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_fast_bfloat16() is None


@pytest.mark.parametrize(
    ("precision", "device", "fast", "said"),
    [
        ("bf16-mixed", CPU, False, True),
        ("bf16-true", CPU, False, True),
        ("bf16-mixed", CPU, True, False),
        ("bf16-mixed", torch.device("cuda"), False, False),
        ("32-true", CPU, False, False),
    ],
)
def test_one_line_where_bfloat16_gains_nothing(monkeypatch, caplog, precision, device, fast, said):
    with_capabilities(monkeypatch, avx512_bf16=fast)
    warn_of_slow_precision(precision, device)
    assert ["do not multiply bfloat16" in line for line in caplog.messages] == [True] * said
