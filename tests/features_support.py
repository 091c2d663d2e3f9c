"""What the tests of windows and batches share: small tokenizers of three families, examples."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import datasets
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "A cidade de Lisboa fica na foz do Tejo, e é a capital de Portugal desde 1255.",
    "Quem descobriu o caminho marítimo para a Índia? Vasco da Gama, em 1498!",
    "O rio nasce na serra; corre 120 km até ao mar. As obras começaram em março.",
    "Where does the river rise, and who built the bridge over it?",
    "“Não sei”, disse ela — àquela hora já não havia ninguém na praça.",
]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def byte_level(*, prefix_space: bool = False, trim: bool = True) -> PreTrainedTokenizerFast:
    """Train a RoBERTa-style tokenizer: byte-level BPE, two separators between the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=ROBERTA_SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix_space
    )
    return _wrap(tokenizer, ROBERTA_SPECIALS)


def word_piece() -> PreTrainedTokenizerFast:
    """Train a BERT-style tokenizer: WordPiece, one separator between the texts, token types."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=220, special_tokens=BERT_SPECIALS, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )


def unigram(*, cls_last: bool = False) -> PreTrainedTokenizerFast:
    """Train an XLM-R-style tokenizer, whose offsets hold the blank; or XLNet's, with CLS last."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=ROBERTA_SPECIALS, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    pair = "$A </s> $B </s> <s>" if cls_last else "<s> $A </s> </s> $B </s>"
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s> <s>" if cls_last else "<s> $A </s>",
        pair=pair,
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return _wrap(tokenizer, ROBERTA_SPECIALS)


def _wrap(tokenizer: Tokenizer, specials: list[str]) -> PreTrainedTokenizerFast:
    bos, pad, eos, unk, mask = specials
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        cls_token=bos,
        pad_token=pad,
        eos_token=eos,
        sep_token=eos,
        unk_token=unk,
        mask_token=mask,
        model_max_length=512,
    )


MAKERS = {
    "roberta": byte_level,
    "roberta-prefix": lambda: byte_level(prefix_space=True),
    "roberta-untrimmed": lambda: byte_level(trim=False),
    "bert": word_piece,
    "unigram": unigram,
    "xlnet": lambda: unigram(cls_last=True),
}


@cache
def tokenizer_of(
    family: str, padding_side: str = "right", truncation_side: str = "right"
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a family, made once for all tests."""
    tokenizer = MAKERS[family]()
    tokenizer.padding_side = padding_side
    tokenizer.truncation_side = truncation_side
    return tokenizer


def spans_column(spans: list[tuple[int, int] | None]) -> dict[str, list[Any]]:
    """Return an example's `spans` as alignment writes them; None is a span not trusted."""
    return {
        "start_char": [span and span[0] for span in spans],
        "end_char": [span and span[1] for span in spans],
        "status": ["exact" if span else "none" for span in spans],
        "confidence": [1.0 if span else 0.0 for span in spans],
    }


_SPAN_FEATURES = {
    "start_char": datasets.List(datasets.Value("int32")),
    "end_char": datasets.List(datasets.Value("int32")),
    "status": datasets.List(datasets.Value("string")),
    "confidence": datasets.List(datasets.Value("float32")),
}


def make_examples(
    pairs: list[tuple[str, str]],
    spans: list[list[tuple[int, int] | None]] | None = None,
) -> datasets.Dataset:
    """Make examples of (question, context) pairs, with the column `spans` where given."""
    text = datasets.Value("string")
    features = {"id": text, "title": text, "context": text, "question": text}
    rows: dict[str, list[Any]] = {
        "id": [f"id-{number}" for number in range(len(pairs))],
        "title": ["" for _ in pairs],
        "context": [context for _, context in pairs],
        "question": [question for question, _ in pairs],
    }
    if spans is not None:
        rows["spans"] = [spans_column(of_example) for of_example in spans]
        features["spans"] = _SPAN_FEATURES
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def read_squad(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the questions of a SQuAD 1.1 file, one dict each."""
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answer = question["answers"][0]
                yield {
                    "id": question["id"],
                    "context": paragraph["context"],
                    "question": question["question"],
                    "text": answer["text"],
                    "start": answer["answer_start"],
                }
