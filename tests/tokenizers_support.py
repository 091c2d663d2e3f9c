"""Small tokenizers of the kinds that published encoders have."""

from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from running import rows_of, small_tokenizer

BERT_NAMES = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
}
XLM_NAMES = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
GEMMA_NAMES = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
LLAMA_NAMES = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>"}


def tokenizer_of(kind: str, *, padding_side: str = "right") -> PreTrainedTokenizerFast:
    """Return a small tokenizer of a kind.

    ``byte-level``: RoBERTa's, three separators. ``WordPiece``: BERT's, with token types.
    ``SentencePiece``: DeBERTa-v3's, ALBERT's and BigBird's; ``SentencePiece, double``: XLM-R's,
    three separators. ``Gemma``: spaces become letters, bytes for what is unknown.
    ``Llama``: byte-level, a beginning and an end, and nothing between two texts.
    """
    fast, names = _trained(kind)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(fast),
        model_max_length=64,
        padding_side=padding_side,
        **names,
    )


@cache
def _trained(kind: str) -> tuple[str, dict[str, Any]]:
    makers = {
        "byte-level": _byte_level,
        "WordPiece": _word_piece,
        "SentencePiece": lambda: _sentence_piece(BERT_NAMES, 1),
        "SentencePiece, double": lambda: _sentence_piece(XLM_NAMES, 2),
        "Gemma": _gemma,
        "Llama": _llama,
    }
    fast, names = makers[kind]()
    return fast.to_str(), names


def _texts() -> list[str]:
    return [row["context"] + " " + row["question"] for row in rows_of(40)]


def _specials(names: dict[str, str]) -> list[AddedToken]:
    return [AddedToken(name, special=True) for name in dict.fromkeys(names.values())]


def _around(fast: Tokenizer, single: str, pair: str) -> processors.TemplateProcessing:
    tokens = {word.partition(":")[0] for word in pair.split() if not word.startswith("$")}
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(t, fast.token_to_id(t)) for t in tokens]
    )


def _byte_level() -> tuple[Tokenizer, dict[str, str]]:
    fast = small_tokenizer()
    names = ("bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "unk_token")
    return fast.backend_tokenizer, {name: getattr(fast, name) for name in names}


def _word_piece() -> tuple[Tokenizer, dict[str, str]]:
    fast = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=_specials(BERT_NAMES), show_progress=False
    )
    fast.train_from_iterator(_texts(), trainer)
    fast.post_processor = _around(fast, "[CLS] $A [SEP]", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
    return fast, BERT_NAMES


def _sentence_piece(names: dict[str, str], between: int) -> tuple[Tokenizer, dict[str, str]]:
    fast = Tokenizer(models.Unigram())
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=_specials(names),
        unk_token=names["unk_token"],
        show_progress=False,
    )
    fast.train_from_iterator(_texts(), trainer)
    cls, sep = names["cls_token"], names["sep_token"]
    middle = " ".join([sep] * between)
    fast.post_processor = _around(fast, f"{cls} $A {sep}", f"{cls} $A {middle} $B {sep}")
    return fast, names


def _gemma() -> tuple[Tokenizer, dict[str, str]]:
    names = GEMMA_NAMES
    fast = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True))
    fast.normalizer = normalizers.Replace(" ", "\u2581")
    fast.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    fast.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*_specials(names), *bytes_], show_progress=False
    )
    fast.train_from_iterator(_texts(), trainer)
    fast.post_processor = _around(fast, "<bos> $A <eos>", "<bos> $A <eos> $B <eos>")
    return fast, names


def _llama() -> tuple[Tokenizer, dict[str, str]]:
    names = LLAMA_NAMES
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=_specials(names),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    fast.train_from_iterator(_texts(), trainer)
    begin, end = names["bos_token"], names["eos_token"]
    fast.post_processor = _around(fast, f"{begin} $A {end}", f"{begin} $A $B {end}")
    return fast, names
