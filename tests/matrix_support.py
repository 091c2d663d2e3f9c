"""One encoder's whole way, in one process and without the command line."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    CONFIG_MAPPING,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForTextEncoding,
    AutoTokenizer,
)

from qa_lightning import AnswerEvaluation, QADataModule, QAModule, QuestionAnswerer
from qa_lightning.backbones import HALVES, OWN_HEADS, build_network, network_config, span_logits
from qa_lightning.backbones.families import SINCE
from qa_lightning.callbacks import LastCheckpoint
from qa_lightning.exporting import export_checkpoint
from running import read_checkpoint, read_json, rows_of, write_rows
from tokenizers_support import tokenizer_of

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
    "intermediate_size": 32,
    "max_position_embeddings": 80,
}
BERT = {**SMALL, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ROBERTA = {**BERT, "type_vocab_size": 1}
DEBERTA = {**BERT, "relative_attention": True, "position_biased_input": False}
DEBERTA |= {"type_vocab_size": 0, "max_relative_positions": -1, "pooler_dropout": 0.0}
DEBERTA_V3 = {
    **DEBERTA,
    "pos_att_type": "p2c|c2p",
    "position_buckets": 8,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
}
XLM = {
    "emb_dim": 16,
    "n_layers": 2,
    "n_heads": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "max_position_embeddings": 80,
}
LAYERS_OF_8 = {"attention_dropout": 0.0, "num_hidden_layers": 3, "local_attention": 8}
HALF = {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8}


@dataclass(frozen=True)
class Family:
    """Hold a small member of a family of encoders, and what is known of the family.

    Attributes:
        model_type: as transformers calls it.
        values: of its config, with those that the published checkpoints have beyond its class.
        context: tokens that the published checkpoints were trained with.
        positions: ``learned``, ``relative``, ``rotary`` or ``computed`` (a fixed table).
        attention: what a token sees.
        tokenizer: the kind of its published tokenizers (see ``tokenizers_support``).
        left: whether it reads windows padded on the left.
        checkpointing: whether activations can be recomputed.
        lora: whether the default projections are there.
        onnx: whether it can be exported to ONNX.
        representative: in ``make test``, as the first of its kinds.
    """

    model_type: str
    values: dict[str, Any]
    context: int = 512
    positions: str = "learned"
    attention: str = "full"
    tokenizer: str = "WordPiece"
    left: bool = True
    checkpointing: bool = True
    lora: bool = True
    onnx: bool = True
    representative: bool = False


FAMILIES = {
    "longformer": Family(
        "longformer",
        {**ROBERTA, "attention_window": 8},
        4096,
        attention="window and global",
        tokenizer="byte-level",
        representative=True,
    ),
    "big_bird": Family(
        "big_bird",
        {**BERT, "block_size": 4, "num_random_blocks": 1},
        4096,
        attention="blocks",
        tokenizer="SentencePiece",
        left=False,
        representative=True,
        onnx=False,
    ),
    "modernbert": Family(
        "modernbert",
        {**SMALL, **LAYERS_OF_8},
        8192,
        "rotary",
        "window and full layers",
        "byte-level",
        representative=True,
    ),
    "mmbert": Family(
        "modernbert",
        {**SMALL, **LAYERS_OF_8},
        8192,
        "rotary",
        "window and full layers",
        "Gemma",
        representative=True,
    ),
    "ultrabert": Family(
        "ultrabert",
        {**SMALL, "attention_dropout": 0.0, "num_key_value_heads": 2},
        32768,
        "rotary",
        "window and full layers",
        "Llama",
    ),
    "eurobert": Family(
        "eurobert",
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8},
        8192,
        "rotary",
        tokenizer="Llama",
        representative=True,
    ),
    "gte": Family("gte", ROBERTA, 8192, "rotary", tokenizer="SentencePiece, double"),
    "nomic_bert": Family("nomic_bert", {**BERT, "type_vocab_size": 2}, 2048, "rotary"),
    "t5gemma": Family(
        "t5gemma",
        {"encoder": HALF, "decoder": HALF},
        8192,
        "rotary",
        "window and full layers",
        "Gemma",
        representative=True,
    ),
    "jina_embeddings_v3": Family(
        "jina_embeddings_v3", ROBERTA, 8192, "rotary", tokenizer="SentencePiece, double"
    ),
    "deberta": Family(
        "deberta",
        {**DEBERTA, "pos_att_type": "c2p|p2c", "talking_head": True},
        positions="relative",
        tokenizer="byte-level",
    ),
    "deberta-v3": Family(  # as microsoft/mdeberta-v3-base
        "deberta-v2",
        DEBERTA_V3,
        positions="relative",
        tokenizer="SentencePiece",
        representative=True,
    ),
    "deberta-v2": Family(  # as microsoft/deberta-v2-xlarge, Albertina
        "deberta-v2",
        {**DEBERTA_V3, "attention_head_size": 8, "conv_kernel_size": 3, "conv_act": "gelu"},
        positions="relative",
        tokenizer="SentencePiece",
    ),
    "bert": Family("bert", BERT, representative=True),
    "roberta": Family("roberta", ROBERTA, tokenizer="byte-level"),
    "xlm-roberta": Family(
        "xlm-roberta", ROBERTA, tokenizer="SentencePiece, double", representative=True
    ),
    "xlm-roberta-xl": Family("xlm-roberta-xl", ROBERTA, tokenizer="SentencePiece, double"),
    "camembert": Family("camembert", ROBERTA, tokenizer="SentencePiece, double"),
    "data2vec-text": Family("data2vec-text", ROBERTA, tokenizer="byte-level"),
    "roberta-prelayernorm": Family("roberta-prelayernorm", ROBERTA, tokenizer="byte-level"),
    "xmod": Family("xmod", {**ROBERTA, "languages": ["pt_XX"]}, tokenizer="SentencePiece, double"),
    "ernie": Family("ernie", BERT),
    "electra": Family("electra", {**BERT, "embedding_size": 16}),
    "distilbert": Family(
        "distilbert",
        {
            **{"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
            **{"max_position_embeddings": 80, "dropout": 0.0, "attention_dropout": 0.0},
            "qa_dropout": 0.0,
        },
    ),
    "albert": Family(
        "albert",
        {**BERT, "embedding_size": 8},
        tokenizer="SentencePiece",
        checkpointing=False,
    ),
    "mobilebert": Family(
        "mobilebert",
        {**BERT, "embedding_size": 8, "true_hidden_size": 16, "intra_bottleneck_size": 16},
    ),
    "megatron-bert": Family("megatron-bert", BERT),
    "convbert": Family("convbert", {**BERT, "embedding_size": 16}, attention="full, convolutions"),
    "mpnet": Family("mpnet", BERT, tokenizer="byte-level", checkpointing=False),
    "rembert": Family(
        "rembert",
        {**BERT, "input_embedding_size": 8, "classifier_dropout_prob": 0.0},
        tokenizer="SentencePiece",
    ),
    "roc_bert": Family(
        "roc_bert",
        {
            **BERT,
            "enable_pronunciation": False,
            "enable_shape": False,
            "concat_input": False,
        },
    ),
    "roformer": Family("roformer", BERT, 1536, "rotary"),
    "luke": Family(
        "luke",
        {**ROBERTA, "entity_vocab_size": 8, "entity_emb_size": 8},
        tokenizer="byte-level",
    ),
    "ibert": Family("ibert", ROBERTA, tokenizer="byte-level", checkpointing=False, lora=False),
    "squeezebert": Family(
        "squeezebert",
        {**BERT, "embedding_size": 16, **dict.fromkeys(("q_groups", "k_groups"), 2)},
        checkpointing=False,
        lora=False,
    ),
    "splinter": Family("splinter", BERT),
    "funnel": Family(
        "funnel",
        {
            **{"block_sizes": [1, 1], "num_decoder_layers": 1, "d_model": 16, "n_head": 2},
            **{"d_head": 8, "d_inner": 32},
            **dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout"), 0.0),
        },
        positions="relative",
        attention="full, pooled",
        checkpointing=False,
        onnx=False,
    ),
    "fnet": Family(
        "fnet",
        {
            **{"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32},
            **{"max_position_embeddings": 80, "hidden_dropout_prob": 0.0},
        },
        attention="none: Fourier",
        tokenizer="SentencePiece",
        lora=False,
    ),
    "xlnet": Family(
        "xlnet",
        {
            **{"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "dropout": 0.0},
            "summary_last_dropout": 0.0,
        },
        positions="relative",
        tokenizer="SentencePiece",
        checkpointing=False,
        lora=False,
        onnx=False,
    ),
    "xlm": Family("xlm", XLM, tokenizer="WordPiece", checkpointing=False),
    "flaubert": Family("flaubert", XLM, tokenizer="WordPiece", checkpointing=False),
    "yoso": Family("yoso", BERT, 4096, attention="approximated", tokenizer="SentencePiece"),
}


class KeepFirst(Callback):
    """Keep the checkpoint of the first epoch, from which the run is resumed."""

    def __init__(self, first: Path) -> None:
        self.first = first

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 1:
            shutil.copy(Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt", self.first)


def parameters(*, whole_way: bool = False) -> list[Any]:
    """Return the families as a test's parameters; what the installed transformers lacks is skipped.

    Args:
        whole_way: mark those that `make test` leaves to `make matrix`.
    """
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(
                    family.model_type not in CONFIG_MAPPING,
                    reason=f"transformers has it since {SINCE.get(family.model_type)}",
                ),
                *([pytest.mark.matrix] if whole_way and not family.representative else []),
            ],
        )
        for name, family in FAMILIES.items()
    ]


def plain_values(family: Family, tokenizer: Any) -> dict[str, Any]:
    """Return what `model.config` takes, with the tokenizer's numbers."""
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    values = dict(family.values)
    for half in ("encoder", "decoder"):
        if half in values:
            values[half] = {**values[half], **ids}
    if family.model_type in ("big_bird", "longformer"):
        ids["sep_token_id"] = tokenizer.sep_token_id
    return {"model_type": family.model_type, **ids, **values}


def write_published(family: Family, folder: Path, *, padding_side: str = "right") -> Path:
    """Write a small checkpoint with its tokenizer, as the Hub has them."""
    tokenizer = tokenizer_of(family.tokenizer, padding_side=padding_side)
    torch.manual_seed(0)
    network = build_network(network_config(plain_values(family, tokenizer)))
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


def assert_transformers_reads_alike(exported: Path, checkpoint: Path, family: Family) -> None:
    """Compare logits of the exported folder, read by transformers alone, with the checkpoint's."""
    ours = QuestionAnswerer.from_checkpoint(checkpoint, device="cpu").reader.network
    tokenizer = AutoTokenizer.from_pretrained(exported)
    settings = {"truncation": "only_second", "max_length": MAX_LENGTH, "return_tensors": "pt"}
    for row in ROWS[:2]:
        inputs = dict(tokenizer(row["question"], row["context"], **settings))
        inputs.pop("token_type_ids", None)
        with torch.no_grad():
            expected = span_logits(ours, inputs)
            found = logits_by_transformers(exported, inputs, family.model_type)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def logits_by_transformers(
    exported: Path, inputs: dict[str, torch.Tensor], model_type: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do as the model card says."""
    if model_type not in OWN_HEADS:
        network = AutoModelForQuestionAnswering.from_pretrained(exported)
        outputs = network.eval()(**inputs)
        return outputs.start_logits, outputs.end_logits
    auto = AutoModelForTextEncoding if model_type in HALVES else AutoModel
    weights = load_file(exported / "model.safetensors")
    head = [weights[f"qa_outputs.{name}"] for name in ("weight", "bias")]
    states_ble = auto.from_pretrained(exported)(**inputs).last_hidden_state
    start_bl, end_bl = torch.nn.functional.linear(states_ble, *head).unbind(-1)
    return start_bl, end_bl


def go_the_whole_way(family: Family, folder: Path, *, padding_side: str, **arguments: Any) -> None:
    """Fit, validate, answer, export, load by transformers, and resume, all alike."""
    way = Way(folder, **arguments)
    write_published(family, way.published, padding_side=padding_side)
    predicted = way.fit()
    trained = read_checkpoint(way.last)["state_dict"]
    assert way.validate() == predicted
    assert way.answers(way.last) == predicted
    exported = way.export()
    assert_transformers_reads_alike(exported, way.last, family)
    assert way.answers(exported) == predicted
    resumed = way.resume()
    assert resumed.keys() == trained.keys()
    assert [name for name in trained if not trained[name].equal(resumed[name])] == []
    before = read_checkpoint(way.first)["state_dict"]
    assert any(not before[name].equal(trained[name]) for name in trained)


def windows_of(network: Any, lengths: tuple[int, ...], *, left: bool) -> list[dict[str, Any]]:
    """Return windows of random tokens as batches: each alone, and all of them as the last."""
    generator = torch.Generator().manual_seed(0)
    config = getattr(network.config, "encoder", network.config)
    high = config.vocab_size
    rows = [torch.randint(5, high, (length,), generator=generator) for length in lengths]
    return [_padded([row], left=left) for row in rows] + [_padded(rows, left=left)]


def _padded(rows: list[torch.Tensor], *, left: bool) -> dict[str, torch.Tensor]:
    side = "left" if left else "right"
    pad = partial(pad_sequence, batch_first=True, padding_side=side)
    return {
        "input_ids": pad(rows),
        "attention_mask": pad([torch.ones_like(row) for row in rows]),
        "token_type_ids": pad([(torch.arange(len(row)) >= 8).long() for row in rows]),
        "global_attention_mask": pad([(torch.arange(len(row)) < 8).long() for row in rows]),
    }
