"""What the tests of predict share: a data module as bare as can be, and a run of it."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import datasets
from lightning.pytorch import Callback, LightningDataModule, Trainer

import running
from answerer_support import DOC_STRIDE, MAX_LENGTH, small_network, tokenizer_once
from qa_lightning.answerer import prediction_loader
from qa_lightning.batches import WindowCollator
from qa_lightning.callbacks.predictions import PredictionWriter
from qa_lightning.features import WindowSettings
from qa_lightning.model import QAModule

SETTINGS = WindowSettings(
    max_length=MAX_LENGTH, doc_stride=DOC_STRIDE, max_question_length=24, separators="auto"
)


class Split(NamedTuple):
    """What the callback reads of a split."""

    examples: datasets.Dataset
    fingerprint: str


class Questions(LightningDataModule):
    """Serve rows without answers, as the data module of the package does."""

    def __init__(
        self,
        rows: list[running.Row],
        *,
        num_workers: int = 0,
        batch_size: int = 5,
        max_length: int = MAX_LENGTH,
    ) -> None:
        super().__init__()
        columns = [{key: row[key] for key in ("id", "question", "context")} for row in rows]
        examples = datasets.Dataset.from_list(columns)
        self._split = Split(examples, f"{len(rows)} rows")
        self._num_workers = num_workers
        self._batch_size = batch_size
        self.max_length = max_length
        self.prediction_plan: Any = None
        self.prediction_screen: Any = "all"

    def split(self, name: str) -> Split:
        """Return the only split."""
        return self._split

    def predict_dataloader(self) -> Any:
        """Return this rank's share."""
        tokenizer = tokenizer_once()
        return prediction_loader(
            self._split.examples,
            tokenizer,
            settings=replace(SETTINGS, max_length=self.max_length),
            collator=WindowCollator.for_tokenizer(tokenizer),
            plan=self.prediction_plan,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            screen=self.prediction_screen,
            language="pt",
        )


def small_module(seed: int = 0, **settings: Any) -> QAModule:
    """Return a module with the small network's weights."""
    network = small_network(seed, **settings)
    module = QAModule(config=network.config.to_diff_dict())
    module.configure_model()
    assert module.network is not None
    module.network.load_state_dict(network.state_dict())
    return module


def predict(data: Questions, *callbacks: Callback, seed: int = 0, **trainer: Any) -> None:
    """Run ``Trainer.predict``."""
    positions = data.max_length + 16
    Trainer(
        accelerator="cpu",
        logger=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=list(callbacks),
        **{"devices": 1, "enable_progress_bar": False, **trainer},
    ).predict(small_module(seed, max_position_embeddings=positions), data, return_predictions=False)


if __name__ == "__main__":  # two processes; forked, so that the libraries are imported once
    folder = Path(sys.argv[1])
    predict(
        Questions(json.loads((folder / "rows.json").read_text("utf-8"))),
        PredictionWriter(output_dir=str(folder / "answers"), n_best=2),
        devices=2,
        strategy="ddp_fork",
        default_root_dir=str(folder),
    )
