"""One encoder's whole way, in one process and without the command line."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from qa_lightning import AnswerEvaluation, QADataModule, QAModule, QuestionAnswerer
from qa_lightning.backbones import build_network, network_config
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.exporting import export_checkpoint
from running import read_checkpoint, read_json, rows_of, small_tokenizer, write_rows

STEPS, MAX_LENGTH = 2, 64
ROWS = rows_of(4, first=100)
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 80,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DEBERTA = {**SMALL, "relative_attention": True, "position_biased_input": False}
DEBERTA |= {"type_vocab_size": 0, "max_relative_positions": -1, "pooler_dropout": 0.0}


@dataclass(frozen=True)
class Family:
    """Hold a small member of a family of encoders.

    Attributes:
        model_type: as transformers calls it.
        values: of its config, with those that the published checkpoints have beyond its class.
    """

    model_type: str
    values: dict[str, Any] = field(default_factory=dict)


FAMILIES = {
    "deberta": Family("deberta", {**DEBERTA, "pos_att_type": "c2p|p2c", "talking_head": True}),
    "deberta-v3": Family(  # as microsoft/mdeberta-v3-base
        "deberta-v2",
        {
            **DEBERTA,
            "pos_att_type": "p2c|c2p",
            "position_buckets": 8,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
    ),
    "deberta-v2": Family(  # as microsoft/deberta-v2-xlarge, Albertina
        "deberta-v2",
        {
            **DEBERTA,
            "pos_att_type": "p2c|c2p",
            "position_buckets": 8,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "attention_head_size": 8,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
    ),
}


class KeepFirst(Callback):
    """Keep the checkpoint of the first epoch, from which the run is resumed."""

    def __init__(self, first: Path) -> None:
        self.first = first

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 1:
            shutil.copy(Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt", self.first)


def write_published(family: Family, folder: Path, *, padding_side: str = "right") -> Path:
    """Write a small checkpoint with its tokenizer, as the Hub has them."""
    tokenizer = small_tokenizer()
    tokenizer.padding_side = padding_side
    torch.manual_seed(0)
    values = {"model_type": family.model_type, "vocab_size": len(tokenizer), "pad_token_id": 1}
    network = build_network(network_config({**values, **family.values}))
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and len(parameter) == 2:  # the head's: clear differences
            parameter.data.mul_(40)
        elif "rel_embeddings" in name:
            parameter.data.normal_()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Way:
    """Do with one network all that users do, each step on what the one before it wrote."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self.folder, self.arguments = folder, arguments
        self.published = folder / "published"
        self.last = folder / "run" / "checkpoints" / "last.ckpt"
        self.first = folder / "first.ckpt"

    def data(self) -> QADataModule:
        files = {"train": rows_of(6), "validation": ROWS}
        written = {k: str(write_rows(self.folder / f"{k}.json", v)) for k, v in files.items()}
        tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
        return QADataModule(
            data_files=written,
            tokenizer=tokenizer,
            max_length=MAX_LENGTH,
            doc_stride=16,
            max_question_length=24,
            batch_size=4,
            cache_dir=str(self.folder / "cache"),
        )

    def trainer(self, *callbacks: Callback) -> Trainer:
        place = {"default_root_dir": str(self.folder / "run"), "limit_val_batches": 1.0}
        place["limit_train_batches"] = 1  # epochs of one step
        if callbacks:
            place["limit_val_batches"] = 0
        return Trainer(
            max_steps=STEPS, callbacks=[AnswerEvaluation(), *callbacks], **QUIET, **place
        )

    def fit(self) -> dict[str, str]:
        """Train two steps; return what the network in memory then predicts."""
        shutil.copytree(self.published, self.folder / "tokenizer")
        module = QAModule(str(self.published), learning_rate=1e-2, **self.arguments)
        self.trainer(LastCheckpoint(), KeepFirst(self.first)).fit(module, self.data())
        shutil.rmtree(self.published)  # the checkpoint has to do without
        self.trainer().validate(module, self.data(), verbose=False)
        return self.predictions()

    def rebuilt(self, checkpoint: Path) -> QAModule:
        return QAModule(**read_checkpoint(checkpoint)["hyper_parameters"])

    def validate(self) -> dict[str, str]:
        module = self.rebuilt(self.last)
        self.trainer().validate(module, self.data(), ckpt_path=str(self.last), verbose=False)
        return self.predictions()

    def predictions(self) -> dict[str, str]:
        return read_json(self.folder / "run" / "answers" / "val" / "predictions.json")

    def answers(self, source: Path) -> dict[str, str]:
        answerer = QuestionAnswerer.from_checkpoint(source, device="cpu")
        rows = {row["id"]: answerer.answer(row["question"], row["context"])[0] for row in ROWS}
        return {name: answer.text for name, answer in rows.items()}

    def export(self) -> Path:
        return export_checkpoint(self.last, self.folder / "exported")

    def resume(self) -> dict[str, torch.Tensor]:
        """Go on from the first step in another run; return the weights that it ends with."""
        module = self.rebuilt(self.first)
        self.trainer(LastCheckpoint()).fit(module, self.data(), ckpt_path=str(self.first))
        return read_checkpoint(self.last)["state_dict"]


def assert_transformers_reads_alike(exported: Path, checkpoint: Path) -> None:
    """Compare logits of plain transformers on the exported folder with the checkpoint's."""
    ours = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu").reader.network
    theirs = AutoModelForQuestionAnswering.from_pretrained(exported)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    rows = [(row["question"], row["context"]) for row in ROWS]
    settings = {"truncation": "only_second", "max_length": MAX_LENGTH, "return_tensors": "pt"}
    inputs = dict(tokenizer(*zip(*rows, strict=True), padding=True, **settings))
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        expected, found = ours(**inputs), theirs.eval()(**inputs)
    assert torch.equal(found.start_logits, expected.start_logits)
    assert torch.equal(found.end_logits, expected.end_logits)


def go_the_whole_way(family: Family, folder: Path, *, padding_side: str, **arguments: Any) -> None:
    """Fit, validate, answer, export, load by transformers, and resume, all alike."""
    way = Way(folder, **arguments)
    write_published(family, way.published, padding_side=padding_side)
    predicted = way.fit()
    trained = read_checkpoint(way.last)["state_dict"]
    assert way.validate() == predicted
    assert way.answers(way.last) == predicted
    exported = way.export()
    assert_transformers_reads_alike(exported, way.last)
    assert way.answers(exported) == predicted
    resumed = way.resume()
    assert resumed.keys() == trained.keys()
    assert [name for name in trained if not trained[name].equal(resumed[name])] == []
    before = read_checkpoint(way.first)["state_dict"]
    assert any(not before[name].equal(trained[name]) for name in trained)
