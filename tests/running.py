"""How the tests drive the command line, on generated documents, and score what it wrote."""

import collections
import contextlib
import io
import json
import re
import string
import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from transformers import LongformerConfig, LongformerForQuestionAnswering, PreTrainedTokenizerFast

Row = dict[str, Any]
Json = dict[str, Any]

NETWORK = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "attention_window": 8,
    "max_position_embeddings": 80,
    "type_vocab_size": 1,
}

DEMO = {
    "data": {
        "train_split": "train[:200]",
        "val_split": "validation[:24]",
        "test_split": "test[:12]",
        "language": "pt",
        "max_length": 128,
        "doc_stride": 48,
        "negative_windows": 0.25,
        "batch_size": 16,
    },
    "model": {
        "config": {
            **NETWORK,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "intermediate_size": 128,
            "attention_window": 32,
            "max_position_embeddings": 160,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        "initialization": "matching",
        "learning_rate": 2e-3,
        "adam_betas": [0.9, 0.98],
    },
    "evaluation": {"max_answer_length": 16},
    "trainer": {
        "accelerator": "cpu",
        "max_steps": 90,
        "val_check_interval": 45,
        "check_val_every_n_epoch": None,
        "gradient_clip_val": 1.0,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
}
"""A run on the demo's documents that takes some ten seconds."""

# Documents of three to five windows; names and years differ, so that an answer stands once.
NAMES = """
Alba Bruna Clara Dora Elisa Flora Gilda Helena Irene Julia Karina Laura Marina Nora
""".split()  # noqa: SIM905
CITIES = """
Lisboa Porto Braga Faro Évora Coimbra Aveiro Viseu Leiria Beja Guarda Tomar
""".split()  # noqa: SIM905


def rows_of(count: int, *, first: int = 0, unanswerable: bool = False) -> list[Row]:
    """Return canonical rows; every third has no answer if asked for."""
    return [_row(number, unanswerable) for number in range(first, first + count)]


def _row(number: int, unanswerable: bool) -> Row:
    people = [NAMES[(number + step) % len(NAMES)] for step in range(5)]
    sentences = [
        f"A pintora {name} nasceu em {1800 + 7 * number + place} na cidade de "
        f"{CITIES[(number * 5 + place) % len(CITIES)]}, e lá viveu muitos anos."
        for place, name in enumerate(people)
    ]
    context = " ".join(sentences)
    asked = number % 5
    city = CITIES[(number * 5 + asked) % len(CITIES)]
    answers = {"text": [city], "answer_start": [context.index(city)]}
    name = people[asked]
    if unanswerable and number % 3 == 0:
        name, answers = "Zulmira", {"text": [], "answer_start": []}
    return {
        "id": f"q{number}",
        "title": f"Pintoras {number}",
        "context": context,
        "question": f"Em que cidade nasceu {name}?",
        "answers": answers,
    }


def squad_json(rows: list[Row]) -> Json:
    """Nest rows as SQuAD 2.0 files are."""
    return {
        "version": "v2.0",
        "data": [
            {
                "title": row["title"],
                "paragraphs": [
                    {
                        "context": row["context"],
                        "qas": [
                            {
                                "id": row["id"],
                                "question": row["question"],
                                "is_impossible": not row["answers"]["text"],
                                "answers": [
                                    {"text": text, "answer_start": start}
                                    for text, start in zip(
                                        row["answers"]["text"],
                                        row["answers"]["answer_start"],
                                        strict=True,
                                    )
                                ],
                            }
                        ],
                    }
                ],
            }
            for row in rows
        ],
    }


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Write rows as a SQuAD file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(squad_json(rows), ensure_ascii=False), encoding="utf-8")
    return path


def small_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on the generated documents."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([row["context"] for row in rows_of(40)], trainer)
    bpe.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    )


def write_model(folder: Path, *, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """Write a small Longformer checkpoint with its tokenizer, as the Hub has them."""
    tokenizer = small_tokenizer()
    values = {
        **NETWORK,
        "vocab_size": len(tokenizer),
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "sep_token_id": 2,
    }
    torch.manual_seed(0)
    model = LongformerForQuestionAnswering(LongformerConfig(**{**values, **settings}))
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_yaml(path: Path, settings: Json) -> Path:
    """Write a configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def read_json(path: Path) -> Any:
    """Read a result file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """Read a configuration."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_checkpoint(path: Path) -> Json:
    """Load a checkpoint as strictly as torch can."""
    return torch.load(path, weights_only=True, map_location="cpu")


def run(*arguments: object) -> str:
    """Run a command in this process; return what it wrote to stdout."""
    from qa_lightning.cli import main

    output = io.StringIO()
    Recorder.runs.clear()
    with contextlib.redirect_stdout(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main([str(argument) for argument in arguments])
    return output.getvalue()


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must end in one message and status 2; return the message."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert "usage:" not in message
    assert message.count("error: ") == 1
    return message


class Recorder(Callback):
    """Keep a run's trainer, and what it logged and drew, for the test to look at."""

    runs: ClassVar[list["Recorder"]] = []

    def __init__(self) -> None:
        self.logged: list[dict[str, float]] = []
        self.training: list[bool] = []
        self.rates: list[float] = []
        self.first_step: int | None = None
        self.runs.append(self)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self.trainer, self.model = trainer, pl_module

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.first_step = trainer.global_step

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.training.append(pl_module.network.training)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.keep(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.keep(trainer)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        self.keep(trainer)

    def keep(self, trainer: Any) -> None:
        values = {key: float(value) for key, value in trainer.callback_metrics.items()}
        self.logged.append({"step": trainer.global_step, **values})

    def series(self, key: str) -> list[float]:
        """Return the values of a key in the order they were logged."""
        return [logged[key] for logged in self.logged if key in logged]


RECORDER = "--trainer.callbacks+=running.Recorder"


def recorded() -> Recorder:
    """Return what the only Recorder of the last run kept."""
    (recorder,) = Recorder.runs
    return recorder


def recomputes(network: Any) -> bool:
    """Say whether a network computes activations again; releases of transformers ask otherwise."""
    return any(getattr(part, "gradient_checkpointing", False) for part in network.modules())


# An independent scorer, after the description of the official scripts (evaluate-v1.1, v2.0).


def normalized(text: str) -> str:
    """Lower-case, drop ASCII punctuation and English articles, join words by one space."""
    bare = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_and_f1(prediction: str, golds: list[str]) -> tuple[float, float]:
    """Return the best exact match and F1 over the gold texts; none of them: no answer."""
    guess = normalized(prediction)
    texts = [normalized(gold) for gold in golds] or [""]
    return max(float(guess == gold) for gold in texts), max(_f1(guess, gold) for gold in texts)


def _f1(guess: str, gold: str) -> float:
    words, expected = guess.split(), gold.split()
    if not words or not expected:
        return float(words == expected)
    same = sum((collections.Counter(words) & collections.Counter(expected)).values())
    return 2 * same / (len(words) + len(expected))


def scored(predictions: dict[str, str], rows: list[Row]) -> dict[str, float]:
    """Score predictions; the figures of SQuAD 2 where some row has no answer."""
    pairs = {
        row["id"]: exact_and_f1(predictions[row["id"]], row["answers"]["text"]) for row in rows
    }
    golds = {row["id"]: row["answers"]["text"] for row in rows}
    parts = {"": list(pairs)}
    if not all(golds.values()):
        parts["HasAns_"] = [name for name in pairs if golds[name]]
        parts["NoAns_"] = [name for name in pairs if not golds[name]]
    figures = {}
    for prefix, names in parts.items():
        for place, figure in enumerate(("exact" if prefix else "exact_match", "f1")):
            values = [pairs[name][place] for name in names]
            figures[prefix + figure] = 100 * sum(values) / len(values)
    return figures
