"""Loading a tokenizer, and carrying its files inside a checkpoint."""

import json
import tempfile
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from qa_lightning.errors import InputError
from qa_lightning.folders import absent_folder
from qa_lightning.saved import TOKENIZER_FILES, reason, write_tokenizer_files


def load_tokenizer(name: str, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a fast tokenizer from a Hub id or a folder.

    Raises:
        InputError: there is none, or it has no fast version (windows need its offsets).
    """
    try:
        if absent := absent_folder(name):  # the Hub is not asked for it
            raise FileNotFoundError(absent)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # the tokenizers' own is a bare Exception
        raise InputError(
            f"Expected `data.tokenizer` to be a Hub id or a folder with a tokenizer; {name!r} "
            f"could not be loaded: {reason(error)}"
        ) from error
    if not tokenizer.is_fast:
        raise InputError(
            f"Expected a fast tokenizer (windows need character offsets); {name!r} has none. "
            "Convert it with transformers' `convert_slow_tokenizer`, or choose another."
        )
    return tokenizer


def tokenizer_files(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Return a tokenizer's files, name to text, as ``save_pretrained`` writes them.

    The padding side is written as it is now: ``save_pretrained`` keeps the one it was loaded with,
    and windows have the question on the other side of the context then.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        settings = Path(folder) / "tokenizer_config.json"
        values = {**json.loads(settings.read_text("utf-8")), "padding_side": tokenizer.padding_side}
        text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
        settings.write_text(text, encoding="utf-8")
        return {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(Path(folder).iterdir())
            if path.name in TOKENIZER_FILES and path.is_file()
        }


def tokenizer_from_files(files: dict[str, str]) -> PreTrainedTokenizerBase:
    """Rebuild the tokenizer of `tokenizer_files`."""
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer_files(files, Path(folder))
        return load_tokenizer(folder)
