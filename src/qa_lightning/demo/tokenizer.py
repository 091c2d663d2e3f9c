"""Train the demo's tokenizer: byte-level BPE, from training text only, in under a second."""

from functools import cache
from itertools import islice

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from qa_lightning.demo.documents import demo_questions

VOCABULARY_SIZE = 1_500
TRAINING_QUESTIONS = 1_600  # more make it slower and the same
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

    It frames texts as RoBERTa's does (``<s> question </s></s> context </s>``). It never sees the
    words of validation and test. It must not learn the training names by heart either: a model for
    which every training name is one token never learns where a name of several tokens ends. That
    is why names are put together from some hundred heads and tails.

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
    rows = islice(demo_questions("train", seed=seed), TRAINING_QUESTIONS)
    # Each document stands in all its questions' rows; once is enough.
    texts = dict.fromkeys(text for row in rows for text in (row["context"], row["question"]))
    bpe.train_from_iterator(texts, trainer)
    bos, eos = SPECIAL_TOKENS["bos_token"], SPECIAL_TOKENS["eos_token"]
    places = {token: place for place, token in enumerate(SPECIAL_TOKENS.values())}
    bpe.post_processor = processors.RobertaProcessing(
        (eos, places[eos]),  # by place: tokenizers 0.23 has renamed `cls`
        (bos, places[bos]),
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
