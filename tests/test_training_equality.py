"""Twenty steps of ours against HF's `Trainer` and its formulas, written out in plain PyTorch."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from transformers import LongformerConfig, LongformerForQuestionAnswering, TrainingArguments
from transformers import Trainer as HFTrainer

from qa_lightning import QAModule
from qa_lightning.objectives import windows

STEPS, ROWS, LENGTH, VOCABULARY = 20, 2, 48, 60
CONFIG: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "attention_window": 16,
    "max_position_embeddings": 80,
    "type_vocab_size": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 1,
}
LEARNING_RATE = 1e-3


def batches(padding: int) -> list[dict[str, Tensor]]:
    """Return batches of one fixed length, the last tokens of every second row padding."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(STEPS):
        ids = torch.randint(5, VOCABULARY, (ROWS, LENGTH), generator=generator)
        mask = torch.ones_like(ids)
        if padding:
            ids[0, -padding:], mask[0, -padding:] = 1, 0
        global_mask = torch.zeros_like(ids)
        global_mask[:, :8] = 1
        starts = torch.randint(9, LENGTH - 20, (ROWS,), generator=generator)
        made.append(
            {
                "input_ids": ids,
                "attention_mask": mask,
                "global_attention_mask": global_mask,
                "start_positions": starts,
                "end_positions": starts + 2,
            }
        )
    return made


def plain_curve(
    network: LongformerForQuestionAnswering, data: list[dict[str, Tensor]]
) -> list[float]:
    """Train as HF's `Trainer` does by default: AdamW, linear decay, clipping at 1.0."""
    decayed = [p for p in network.parameters() if p.ndim >= 2]
    kept = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=False)
    losses = []
    for step, batch in enumerate(data):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / STEPS)
        loss = network.train()(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


class InOrder(HFTrainer):
    """HF's `Trainer`, on the rows as they come, noting each step's loss."""

    losses: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset)

    def compute_loss(self, *arguments: Any, **named: Any) -> Any:
        loss = super().compute_loss(*arguments, **named)
        self.losses.append(loss.item())
        return loss


def hf_curve(
    network: LongformerForQuestionAnswering, data: list[dict[str, Tensor]], folder: Path
) -> list[float]:
    """Train by HF's own `Trainer` with what the notebook leaves at its default."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=ROWS,
        learning_rate=LEARNING_RATE,
        weight_decay=0.01,
        num_train_epochs=1,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    rows = [{key: batch[key][row] for key in batch} for batch in data for row in range(ROWS)]
    trainer = InOrder(model=network, args=arguments, train_dataset=rows)
    trainer.losses = []
    trainer.train()
    return trainer.losses


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, *_: Any) -> None:
        self.values.append(outputs["loss"].item())


def our_curve(
    network: LongformerForQuestionAnswering, data: list[dict[str, Tensor]]
) -> list[float]:
    module = QAModule(config=CONFIG, learning_rate=LEARNING_RATE, weight_decay=0.01)
    module.configure_model()
    assert module.network is not None
    module.network.load_state_dict(network.state_dict())
    losses = Losses()
    trainer = Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[losses],
    )
    trainer.fit(module, train_dataloaders=torch.utils.data.DataLoader(data, batch_size=None))
    return losses.values


@pytest.mark.parametrize("padding", [0, 17])
def test_the_loss_curve_is_the_notebooks(
    padding: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # In transformers' head the softmax runs over padding too: for this comparison ours does so.
    monkeypatch.setattr(windows, "mask_padding", lambda logits_bl, _: logits_bl.float())
    torch.manual_seed(1)
    network = LongformerForQuestionAnswering(LongformerConfig(**CONFIG))
    data = batches(padding)
    ours = our_curve(network, data)
    assert len(ours) == STEPS
    assert ours == pytest.approx(plain_curve(copy.deepcopy(network), data), rel=0, abs=1e-4)
    assert ours == pytest.approx(hf_curve(copy.deepcopy(network), data, tmp_path), rel=0, abs=1e-4)
    assert ours[0] != pytest.approx(ours[-1], abs=1e-3)  # the weights did move


def test_the_length_of_the_padding_does_not_change_our_loss() -> None:
    torch.manual_seed(1)
    module = QAModule(config=CONFIG)
    module.configure_model()
    short = batches(17)[0]
    longer = {
        key: torch.nn.functional.pad(value, (0, 9), value=1 if key == "input_ids" else 0)
        if value.ndim == 2
        else value
        for key, value in short.items()
    }
    losses = [module.training_step(batch, 0).item() for batch in (short, longer)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
