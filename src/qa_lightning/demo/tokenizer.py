"""Train the demo's tokenizer: byte-level BPE, from training text only, in under a second."""

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from qa_lightning.demo.documents import demo_questions
from qa_lightning.demo.grammar import TOKENIZER_SPLIT

VOCABULARY_SIZE = 1_500
MODEL_MAX_LENGTH = 512
SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


@cache
def demo_tokenizer(*, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of 1,500 tokens on the demo's training text.

    It frames texts as RoBERTa's does (``<s> question </s></s> context </s>``). It learns from
    documents of their own, whose names are a part of the training names: most names are then read
    in pieces in training, as all are in validation and test.

    Args:
        seed: the seed of the documents.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rows = demo_questions(TOKENIZER_SPLIT, seed=seed)
    # Each document stands in all its questions' rows; once is enough.
    texts = dict.fromkeys(text for row in rows for text in (row["context"], row["question"]))
    bpe.train_from_iterator(texts, trainer)
    bos, eos = SPECIAL_TOKENS["bos_token"], SPECIAL_TOKENS["eos_token"]
    places = {token: place for place, token in enumerate(SPECIAL_TOKENS.values())}
    bpe.post_processor = processors.RobertaProcessing(
        sep=(eos, places[eos]),
        cls_token=(bos, places[bos]),
        trim_offsets=True,
        add_prefix_space=False,
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        cls_token=bos,
        sep_token=eos,
        model_max_length=MODEL_MAX_LENGTH,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL_TOKENS,
    )
