"""Which families of networks can answer questions here, and why the others cannot."""

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING
from transformers import __version__ as transformers_version
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
)

from qa_lightning.errors import InputError

# A decoder's token does not see what comes behind it; encoders were trained to fill in tokens, but
# for these two, which were trained in ways of their own.
_WITH_A_HEAD = {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, "splinter", "xlnet"} & {
    *MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES
}
OWN_HEADS = {"eurobert", "gte", "nomic_bert", "t5gemma"} & {*CONFIG_MAPPING}
"""Bidirectional encoders that get our head, since transformers has none for them."""

_REFUSED = {
    "mra": "it attends by code from the Hub, which is never run here, and without it to nothing. "
    "Take a Longformer or a ModernBERT",
    "nystromformer": "it computes windows of one exact length alone, and averages their padding "
    "into its landmarks. Take a Longformer or a ModernBERT",
    "reformer": "it computes windows of one exact length alone, and hashes them at random, so that "
    "the same question gets other answers. Take a Longformer or a ModernBERT",
}

SINCE = {"gte": "5.18", "jina_embeddings_v3": "5.4", "nomic_bert": "5.5", "ultrabert": "5.20"}
"""Families that came into transformers after the oldest release that this project runs with."""

SEE_PADDING = {"big_bird", "convbert", "fnet", "funnel", "mobilebert", "yoso"}
"""Families that padding changes: by what mixes or pools all tokens or neighbours, whatever the mask
(FNet has none), or, BigBird, since the last block of a batch sees everything."""

FLOAT32_ALONE = {"xmod"}
"""Families whose code in transformers puts numbers of 16 bits into tensors of 32, and fails."""

COMPARE_TYPES = {"xlnet"}
"""Families that tell texts apart by comparing token types; their configs count none."""

NEEDS_ITS_CODE = {"eurobert", "gte", "nomic_bert", "ultrabert"}
"""Families that transformers has taken over from their repositories, code and all."""

_NATIVE = {
    "new": "alibaba-nlp-community/gte-multilingual-base",
    "jina-embeddings-v3": "jinaai/jina-embeddings-v3-hf",
}
"""What transformers reads itself, by the type, or a part of the name, of what asks for code."""


def check_family(model_type: str, *, name: str | None = None, encoder_decoder: bool) -> None:
    """Refuse what is no encoder that reads questions well.

    Args:
        model_type: as transformers calls it.
        name: of the checkpoint, where it is one's.
        encoder_decoder: whether its config says so.

    Raises:
        InputError: it is none.
    """
    check_installed(model_type, name=name)
    key, found = _told(model_type, name)
    if model_type in _REFUSED:
        raise InputError(
            f"Expected `{key}` to be an encoder that reads windows of any length alike, by code of "
            f"transformers alone; {found}: {_REFUSED[model_type]}."
        )
    if model_type not in _WITH_A_HEAD | OWN_HEADS or encoder_decoder:
        raise InputError(
            f"Expected `{key}` to be an encoder that can have a question-answering head "
            f"(longformer, bert, roberta, deberta-v2, modernbert, eurobert, …); {found}. Name one "
            "of such a kind."
        )


def check_installed(model_type: str, *, name: str | None = None) -> None:
    """Refuse what transformers has, but not in the release that is installed.

    Args:
        model_type: as transformers calls it.
        name: of the checkpoint, where it is one's.

    Raises:
        InputError: it says which release has it.
    """
    since = SINCE.get(model_type)
    if since is not None and model_type not in CONFIG_MAPPING:
        key, found = _told(model_type, name)
        raise InputError(
            f"Expected `{key}` to be of a family that the installed transformers "
            f"{transformers_version} has; {found}, which came with {since}. Update it by "
            f"`pip install 'transformers>={since}'`."
        )


def _told(model_type: str, name: str | None) -> tuple[str, str]:
    """Return the key that named a family, and what was found there."""
    if name is None:
        return "model.config.model_type", f"got {model_type!r}"
    return "model.model_name_or_path", f"{name!r} is a {model_type!r} model"


def check_code(name: str, values: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose config asks for code of its repository.

    Args:
        name: the checkpoint's folder or Hub id.
        values: what its ``config.json`` holds.

    Raises:
        InputError: it asks for such code, and transformers has none for it.
    """
    model_type = str(values.get("model_type"))
    if not values.get("auto_map") or model_type in NEEDS_ITS_CODE:
        return
    native = (other for key, other in _NATIVE.items() if key == model_type or key in name)
    other = next(native, None)
    advice = (
        f"Take {other}, the same network for transformers itself."
        if other
        else "Take a checkpoint that transformers reads by itself."
    )
    raise InputError(
        "Expected `model.model_name_or_path` to be a checkpoint that needs no code but that of "
        f"transformers; the config of {name!r} (type {model_type!r}) asks for code of its "
        f"repository, which is never run here. {advice}"
    )
