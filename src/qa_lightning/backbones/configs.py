"""The config of a network: from plain values and back, or of a checkpoint."""

import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    PreTrainedConfig,
)
from transformers import __version__ as transformers_version

from qa_lightning.backbones.families import OWN_HEADS, check_code, check_family, check_installed
from qa_lightning.errors import InputError
from qa_lightning.folders import absent_folder
from qa_lightning.ranges import Rule, problems, whole
from qa_lightning.saved import reason

DEFAULT_TYPE = "longformer"
SIZES: dict[str, Rule] = dict.fromkeys(
    ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
    whole(1, optional=True),
)
"""What torch builds of nothing, and fails with only when a batch comes."""

# Written by transformers, and by us, into configs that came from it; nobody types it.
_ORIGIN = "transformers_version"
_READ = re.compile(r"""config\.(\w+)|config,\s*["'](\w+)["']""")
_NOT_OF_THE_NETWORK = {
    *(_ORIGIN, "_name_or_path", "dtype", "torch_dtype"),
    *("auto_map", "quantization_config"),  # code of a repository, the precision of its weights
}

# What transformers raises for a head count of zero, an unknown activation, a size in words, …
UNBUILDABLE = (
    ArithmeticError,
    AssertionError,
    LookupError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)


def network_config(settings: Mapping[str, Any]) -> PreTrainedConfig:
    """Build the config of a network from plain values.

    Args:
        settings: keys of the config; ``model_type`` says of which (``bert``, …), and is that of a
            Longformer where it is left out. With ``transformers_version`` among them they are a
            config that came from transformers, of which no key is doubted.

    Raises:
        InputError: a key that neither the config nor the network knows (it would be stored and
            ignored), a value of the wrong type, or a kind of network that is no encoder with a
            question-answering head.
    """
    values = dict(settings)
    from_transformers = values.pop(_ORIGIN, None) is not None
    model_type = values.pop("model_type", DEFAULT_TYPE)
    check_family(model_type, encoder_decoder=False)
    reference = CONFIG_MAPPING[model_type]()
    if model_type not in OWN_HEADS:
        check_family(model_type, encoder_decoder=reference.is_encoder_decoder)
    if small := list(problems(SIZES, values, prefix="model.config.")):
        raise InputError("\n".join(small))
    config_class: type[PreTrainedConfig] = type(reference)
    unknown = {key for key in values if not hasattr(reference, key)}
    if unknown:
        unknown -= unknown if from_transformers else _keys_read_by_the_network(config_class)
    if unknown:
        raise InputError(
            f"Expected `model.config` to hold keys of transformers' {config_class.__name__}; "
            f"{', '.join(sorted(unknown))} is none. See its documentation for their names."
        )
    try:
        return _settled(config_class(**values))
    except UNBUILDABLE as error:
        raise not_buildable(error, model_type) from error


def pretrained_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """Load the config of a checkpoint.

    Raises:
        InputError: there is none of that name, or it is no encoder with a question-answering
            head in transformers.
    """
    try:
        config = any_config(name, revision)
    except InputError:
        raise
    except Exception as error:  # also that of a value of the wrong type, which is no ValueError
        raise not_loadable(name, error) from error
    check_family(config.model_type, name=name, encoder_decoder=config.is_encoder_decoder)
    return config


def any_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """Load the config of any model of transformers, the encoder's of some in two halves.

    Raises:
        InputError: it asks for code of its repository, or for a newer transformers.
        OSError: there is none of that name.
        ValueError: transformers does not know its type.
    """
    if absent := absent_folder(name):  # the Hub is not asked for it
        raise FileNotFoundError(absent)
    values, _ = PreTrainedConfig.get_config_dict(name, revision=revision)
    check_code(name, values)
    check_installed(str(values.get("model_type")), name=name)
    return _settled(AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False))


def _settled(config: PreTrainedConfig) -> PreTrainedConfig:
    """Leave out the decoder of those whose encoder stands alone; choose the only language.

    Raises:
        InputError: the network could not be computed with such values.
    """
    if config.model_type in OWN_HEADS:
        config.is_encoder_decoder = False
    if config.model_type == "xmod" and config.default_language is None:
        languages = list(config.languages)
        if len(languages) != 1:
            raise InputError(
                "Expected the config of an X-MOD model to name the `default_language` that it "
                f"reads; got none. Set it there to one of {', '.join(languages)}."
            )
        config.default_language = languages[0]
    if config.model_type == "yoso" and not config.use_expectation:
        raise InputError(
            "Expected the config of a YOSO model to have `use_expectation` true; got false, which "
            "hashes by code from the Hub, never run here. Set it true: it is what hashes come near."
        )
    return config


def plain_config(config: PreTrainedConfig) -> dict[str, Any]:
    """Return what differs from the defaults of a config, as plain Python values.

    ``model_type`` is among them unless it is a Longformer's. So is every value that the config's
    class does not declare, since networks read such ones too (DeBERTa's ``position_buckets``); the
    values are then marked as transformers', by its version.
    """
    values = {
        key: value
        for key, value in config.to_diff_dict().items()
        if key not in _NOT_OF_THE_NETWORK and _is_plain(value)
    }
    if config.model_type == DEFAULT_TYPE:
        values.pop("model_type", None)
    reference = type(config)()
    if any(not hasattr(reference, key) for key in values):
        values[_ORIGIN] = transformers_version
    return values


def _is_plain(value: Any) -> bool:
    """Say whether a value is one that JSON and YAML have."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _keys_read_by_the_network(config_class: type[PreTrainedConfig]) -> set[str]:
    """Return the keys that a network's code takes from its config, declared there or not."""
    own = config_class.model_type in OWN_HEADS
    network = (MODEL_MAPPING if own else MODEL_FOR_QUESTION_ANSWERING_MAPPING)[config_class]
    source = inspect.getsource(sys.modules[network.__module__])
    return {name for found in _READ.findall(source) for name in found if name}


def not_buildable(error: Exception, model_type: str) -> InputError:
    """Return the error for a config that no network can be made of."""
    reason = " ".join(str(error).split())
    if isinstance(error, ArithmeticError | LookupError):
        reason = f"{type(error).__name__}: {reason}"
    return InputError(
        f"Expected `model.config` to describe a {model_type}; it cannot be built: {reason}. Mend "
        "the value that this names."
    )


def not_loadable(name: str, error: Exception) -> InputError:
    """Return the error for a checkpoint that is not there, or is none."""
    found = absent_folder(name) or reason(error)
    return InputError(
        "Expected `model.model_name_or_path` to be a folder with a checkpoint or a Hub id; "
        f"{name!r} could not be loaded: {found}"
    )
